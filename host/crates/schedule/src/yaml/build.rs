//! From the parser's events to trees: exact spans, no duplicate keys, no tags, aliases within a budget.

use super::{Key, Kind, MAX_ALIASED_NODES, MAX_DEPTH, MAX_FILE_BYTES, Node, Scalar};
use crate::diagnostic::{Diagnostic, Problems, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Every how many characters a byte position is remembered.
const STRIDE: usize = 128;

/// The documents of a file. What is wrong goes to `problems`; a document that could not be read is left out.
pub(crate) fn documents(text: &str, file: u32, problems: &mut Problems) -> Vec<Node> {
    let mut builder = Builder::new(text, problems);
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20);
        builder.problems.push(Diagnostic::new("too-large", Span { file, start: 0, end: 0 }, message));
        return Vec::new();
    }
    for event in Parser::new_from_str(text) {
        let went_on = match event {
            Ok((event, span)) => {
                let span = builder.offsets.span(file, span.start, span.end);
                builder.event(event, span)
            }
            Err(error) => {
                let at = builder.offsets.span(file, *error.marker(), *error.marker());
                builder.problems.push(Diagnostic::new("yaml-syntax", at, format!("not YAML: {}", error.info())));
                false
            }
        };
        if !went_on {
            break;
        }
    }
    builder.done
}

/// Positions in characters, as the parser counts, to positions in bytes.
struct Offsets<'t> {
    text: &'t str,
    /// Byte of every [`STRIDE`]th character; empty for text that is all ASCII.
    marks: Vec<usize>,
}

impl<'t> Offsets<'t> {
    fn new(text: &'t str) -> Self {
        let marks = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().step_by(STRIDE).map(|(at, _)| at).collect(),
        };
        Self { text, marks }
    }

    fn byte(&self, index: usize) -> u32 {
        if self.marks.is_empty() {
            return index.min(self.text.len()) as u32;
        }
        let from = self.marks.get(index / STRIDE).copied().unwrap_or(self.text.len());
        let rest = self.text[from..].char_indices().nth(index % STRIDE).map_or(self.text.len() - from, |(at, _)| at);
        (from + rest) as u32
    }

    fn span(&self, file: u32, start: Marker, end: Marker) -> Span {
        let start = self.byte(start.index());
        Span { file, start, end: self.byte(end.index()).max(start) }
    }
}

/// A list or mapping that is still open.
struct Open {
    span: Span,
    anchor: usize,
    kind: Kind,
    key: Option<Key>,
    /// Keys seen so far, by text.
    keys: HashMap<Box<str>, Span>,
}

struct Builder<'t, 'p> {
    offsets: Offsets<'t>,
    problems: &'p mut Problems,
    done: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

impl<'t, 'p> Builder<'t, 'p> {
    fn new(text: &'t str, problems: &'p mut Problems) -> Self {
        Self {
            offsets: Offsets::new(text),
            problems,
            done: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
        }
    }

    /// Takes one event in; answers whether to go on.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_ref(), span);
                let scalar = Scalar { text: text.into(), plain: style == ScalarStyle::Plain };
                return self.value(Node { span, kind: Kind::Scalar(scalar) }, anchor);
            }
            Event::SequenceStart(anchor, tag) => return self.start(Kind::List(Vec::new()), anchor, tag.as_ref(), span),
            Event::MappingStart(anchor, tag) => return self.start(Kind::Map(Vec::new()), anchor, tag.as_ref(), span),
            Event::SequenceEnd | Event::MappingEnd => return self.end(span),
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
        }
        true
    }

    fn refuse_tag(&mut self, tag: Option<&Cow<'_, Tag>>, span: Span) {
        if tag.is_some() {
            let problem = Diagnostic::new("yaml-tag", span, "tags are not supported");
            self.problems.push(problem.suggest("leave the tag out; put text that looks like a number in quotes"));
        }
    }

    fn start(&mut self, kind: Kind, anchor: usize, tag: Option<&Cow<'_, Tag>>, span: Span) -> bool {
        self.refuse_tag(tag, span);
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            self.problems.push(Diagnostic::new("too-deep", span, message));
            return false;
        }
        self.open.push(Open { span, anchor, kind, key: None, keys: HashMap::new() });
        true
    }

    fn end(&mut self, end: Span) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let last = match &open.kind {
            Kind::List(items) => items.last().map(|node| node.span),
            Kind::Map(entries) => entries.last().map(|(key, node)| key.span.to(node.span)),
            Kind::Scalar(_) => None,
        };
        // A block ends where its last part does; a flow collection at its bracket.
        let span =
            if end.end > end.start { open.span.to(end) } else { last.map_or(open.span, |last| open.span.to(last)) };
        self.value(Node { span, kind: open.kind }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let Some(node) = self.anchors.get(&anchor) else {
            let problem = Diagnostic::new("yaml-alias", span, "the alias stands within its own anchor");
            self.problems.push(problem);
            return false;
        };
        let node = node.clone();
        if !self.within_budget(&node, span) {
            return false;
        }
        self.value(node, 0)
    }

    /// Counts a copied value, so that a few bytes of file cannot fill the memory.
    fn within_budget(&mut self, node: &Node, span: Span) -> bool {
        self.aliased += node.size();
        if self.aliased <= MAX_ALIASED_NODES && self.open.len() + depth(node) <= MAX_DEPTH {
            return true;
        }
        let message =
            format!("anchors and aliases stand for more than {MAX_ALIASED_NODES} values or {MAX_DEPTH} levels");
        self.problems.push(Diagnostic::new("yaml-alias", span, message));
        false
    }

    /// A value is complete: it goes into what is open, or is a document. Answers whether to go on.
    fn value(&mut self, node: Node, anchor: usize) -> bool {
        if anchor != 0 {
            if !self.within_budget(&node, node.span) {
                return false;
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.done.push(node);
            return true;
        };
        match (&mut open.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(_), None) => open.key = Some(key(node, self.problems)),
            (Kind::Map(entries), Some(key)) => match open.keys.get(key.text()) {
                None => {
                    open.keys.insert(key.scalar.text.clone(), key.span);
                    entries.push((key, node));
                }
                Some(first) => {
                    let message = format!("the key `{}` stands twice", key.text());
                    let problem = Diagnostic::new("yaml-duplicate-key", key.span, message);
                    self.problems.push(problem.also(*first, "first here"));
                }
            },
            (Kind::Scalar(_), _) => {}
        }
        true
    }
}

fn key(node: Node, problems: &mut Problems) -> Key {
    if let Kind::Scalar(scalar) = node.kind {
        return Key { span: node.span, scalar };
    }
    problems.push(Diagnostic::new("yaml-key", node.span, "a key must be text").expected("a plain key"));
    Key { span: node.span, scalar: Scalar { text: "?".into(), plain: false } }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
    }
}
