//! The texts that were read, and where in them something is. Holds no path that it could open.

use serde::Serialize;

/// Longest offending text that is repeated in a diagnostic, in characters.
const MAX_EXCERPT: usize = 80;

/// A stretch of one file, in bytes. Ordered by file, then position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Which file, by the order in which they were given.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From the start of this to the end of `other`, which lies in the same file.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { end: self.end.max(other.end), ..self }
    }
}

/// A place as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Place {
    /// The file's name as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// Byte at which each line starts.
    lines: Vec<u32>,
}

/// The files of one reading.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Takes a file in; answers its number. `text` must be shorter than 4 GiB.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u32 {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at as u32 + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        self.files.push(Source { name: name.to_owned(), text: text.to_owned(), lines });
        self.files.len() as u32 - 1
    }

    /// Name of a file, or nothing for a number that was never given.
    #[must_use]
    pub fn name(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |source| &source.name)
    }

    /// Text of a file, what was masked excepted.
    #[must_use]
    pub fn text(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |source| &source.text)
    }

    /// Replaces what a span covers by asterisks, for a value that should not be there and must not be shown.
    pub(crate) fn mask(&mut self, span: Span) {
        let Some(source) = self.files.get_mut(span.file as usize) else { return };
        let range = span.start as usize..span.end as usize;
        if let Some(covered) = source.text.get(range.clone()) {
            let stars: String = covered.bytes().map(|b| if b == b'\n' { '\n' } else { '*' }).collect();
            source.text.replace_range(range, &stars);
        }
    }

    /// The line on which a span begins.
    pub(crate) fn line(&self, span: Span) -> Span {
        let text = self.text(span.file);
        let at = (span.start as usize).min(text.len());
        let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end = text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |end| at + end);
        Span { file: span.file, start: start as u32, end: end as u32 }
    }

    /// Where a span begins.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.files.get(span.file as usize) else { return Place::default() };
        let line = source.lines.partition_point(|start| *start <= span.start).max(1);
        let start = source.lines.get(line - 1).copied().unwrap_or(0);
        let before = source.text.get(start as usize..span.start as usize).unwrap_or("");
        Place { file: source.name.clone(), line: line as u32, column: before.chars().count() as u32 + 1 }
    }

    /// The text of a span: its first line, shortened.
    #[must_use]
    pub fn excerpt(&self, span: Span) -> String {
        let text = self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("");
        let line = text.lines().next().unwrap_or("").trim_end();
        line.chars().take(MAX_EXCERPT).collect()
    }
}
