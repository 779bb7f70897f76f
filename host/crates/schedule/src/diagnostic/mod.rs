//! What is wrong with a file, where, what was expected and what may have been meant. Reads no file, prints nothing.

mod render;
mod source;

pub use source::{Place, Sources, Span};

use serde::Serialize;

/// Most problems that are reported in one go; past it only their number is.
pub const MAX_PROBLEMS: usize = 1000;

/// One thing that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable name of the kind of problem, e.g. `unknown-key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The offending text, shortened; secrets that do not belong into the file are masked.
    pub text: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was probably meant, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Other places that matter: the first of two duplicates, the members of a cycle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    /// Where, in bytes.
    #[serde(skip)]
    pub span: Span,
}

/// Another place that a problem involves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Its part in the problem.
    pub message: String,
    /// Where, in bytes.
    #[serde(skip)]
    pub span: Span,
}

impl Diagnostic {
    /// A problem at a span; places and text are filled in by [`Problems::finish`].
    #[must_use]
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            place: Place::default(),
            text: String::new(),
            expected: None,
            suggestion: None,
            related: Vec::new(),
            span,
        }
    }

    /// Says what would be right.
    #[must_use]
    pub fn expected(mut self, what: impl Into<String>) -> Self {
        self.expected = Some(what.into());
        self
    }

    /// Says what was probably meant, or what to do.
    #[must_use]
    pub fn suggest(mut self, what: impl Into<String>) -> Self {
        self.suggestion = Some(what.into());
        self
    }

    /// Says what was probably meant, if anything among `known` is near enough to `text`.
    #[must_use]
    pub fn suggest_among<'k>(self, text: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        match nearest(text, known) {
            Some(near) => self.suggest(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Points at another place that matters.
    #[must_use]
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push(Related { place: Place::default(), message: message.into(), span });
        self
    }
}

/// The known word nearest to `text`, if it is near enough to have been meant.
#[must_use]
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let text: String = text.chars().take(64).collect::<String>().to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&text, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.len().max(text.len()) / 3).max(1))
        .min()
        .map(|(_, word)| word)
}

/// Problems as they are found, of all files.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Diagnostic>,
    concealed: Vec<Span>,
}

impl Problems {
    /// Notes a problem. Past [`MAX_PROBLEMS`] it is only counted.
    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.found.push(problem);
    }

    /// Notes something that must not be shown.
    pub(crate) fn conceal(&mut self, span: Span) {
        self.concealed.push(span);
    }

    /// All that must not be shown.
    pub(crate) fn concealed(&self) -> Vec<Span> {
        self.concealed.clone()
    }

    /// Where something is not YAML at all.
    pub(crate) fn unreadable(&self) -> Vec<Span> {
        self.found.iter().filter(|problem| problem.code == "yaml-syntax").map(|problem| problem.span).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Sorted by file and position, with places and texts filled in.
    pub(crate) fn finish(self, sources: &Sources) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by_key(|problem| problem.span);
        found.dedup();
        if found.len() > MAX_PROBLEMS {
            let more = found.len() - MAX_PROBLEMS;
            found.truncate(MAX_PROBLEMS);
            let last = found.last().map_or_else(Span::default, |problem| problem.span);
            found.push(Diagnostic::new("too-many", last, format!("{more} more problems are not shown")));
        }
        for problem in &mut found {
            problem.place = sources.place(problem.span);
            problem.text = sources.excerpt(problem.span);
            for related in &mut problem.related {
                related.place = sources.place(related.span);
            }
        }
        found
    }
}

/// All diagnostics as text for people: source lines, carets, notes; with colour if asked.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    render::render(diagnostics, sources, colour)
}
