//! YAML as a tree whose every part knows where it stands. Knows nothing of secrets, and expands no more than it is let.

mod build;
mod read;
mod scalar;

pub(crate) use build::documents;
pub(crate) use read::{Fields, Reader};
pub(crate) use scalar::{Plain, resolve, trap};

use crate::diagnostic::Span;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Deepest nesting.
pub const MAX_DEPTH: usize = 32;

/// Most nodes that all aliases of one file may stand for together.
pub const MAX_ALIASED_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A text, and whether it was written without quotes, so that it may also be a number, a boolean or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    pub(crate) plain: bool,
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) span: Span,
    pub(crate) scalar: Scalar,
}

impl Key {
    pub(crate) fn text(&self) -> &str {
        &self.scalar.text
    }
}

impl Node {
    /// What this is, in words for people.
    pub(crate) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Scalar(scalar) => resolve(scalar).what(),
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.text() == key).map(|(_, node)| node),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// How many values this holds, itself included.
    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(Self::size).sum(),
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }

    /// The value that a JSON pointer (RFC 6901) leads to, or the deepest one on the way there.
    pub(crate) fn follow(&self, pointer: &str) -> &Node {
        let mut at = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &at.kind {
                Kind::Map(_) => at.get(&part),
                Kind::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                Kind::Scalar(_) => None,
            };
            match next {
                Some(node) => at = node,
                None => return at,
            }
        }
        at
    }
}
