//! Diagnostics as text for people. The drawing is annotate-snippets'; nothing here decides what is wrong.

use super::{Diagnostic, Sources, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use std::collections::BTreeMap;
use std::ops::Range;

/// Columns that a rendered line may take.
const WIDTH: usize = 120;

pub(super) fn render(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, sources)]));
        out.push_str("\n\n");
    }
    let count = diagnostics.len();
    if count > 0 {
        out.push_str(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
    }
    out
}

/// A mark within one file: where, what to say, whether it is the problem itself.
type Mark<'d> = (Span, Option<&'d str>, bool);

fn group<'d>(diagnostic: &'d Diagnostic, sources: &'d Sources) -> Group<'d> {
    let title = Level::ERROR.primary_title(normalize_untrusted_str(&diagnostic.message)).id(diagnostic.code);
    let mut marks: BTreeMap<u32, Vec<Mark<'_>>> = BTreeMap::new();
    let own = (diagnostic.span, diagnostic.expected.as_deref(), true);
    marks.entry(diagnostic.span.file).or_default().push(own);
    for related in &diagnostic.related {
        let mark = (related.span, Some(related.message.as_str()), false);
        marks.entry(related.span.file).or_default().push(mark);
    }
    let mut group = Group::with_title(title);
    if let Some(own) = marks.remove(&diagnostic.span.file) {
        group = group.element(snippet(diagnostic.span.file, &own, sources));
    }
    for (file, marks) in &marks {
        group = group.element(snippet(*file, marks, sources));
    }
    if let Some(suggestion) = &diagnostic.suggestion {
        group = group.element(Level::HELP.message(normalize_untrusted_str(suggestion)));
    }
    group
}

fn snippet<'d>(file: u32, marks: &[Mark<'_>], sources: &'d Sources) -> Snippet<'d, annotate_snippets::Annotation<'d>> {
    let (text, first_line, offset) = cut(file, marks, sources);
    let mut snippet = Snippet::source(text).path(sources.name(file)).line_start(first_line);
    for (span, label, own) in marks {
        let kind = if *own { AnnotationKind::Primary } else { AnnotationKind::Context };
        let expected = label.map(|label| match own {
            true => format!("expected {}", normalize_untrusted_str(label)),
            false => normalize_untrusted_str(label),
        });
        snippet = snippet.annotation(kind.span(shown(*span, text, offset)).label(expected));
    }
    snippet
}

/// The whole lines that the marks touch, the number of the first, and how many bytes come before it.
fn cut<'d>(file: u32, marks: &[Mark<'_>], sources: &'d Sources) -> (&'d str, usize, usize) {
    let text = sources.text(file);
    let first = marks.iter().map(|(span, ..)| span.start as usize).min().unwrap_or(0).min(text.len());
    let last = marks.iter().map(|(span, ..)| span.start as usize).max().unwrap_or(0).clamp(first, text.len());
    let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    let line = text[..start].bytes().filter(|b| *b == b'\n').count() + 1;
    (&text[start..end], line, start)
}

/// A span within the cut: its first line only, and never empty.
fn shown(span: Span, text: &str, offset: usize) -> Range<usize> {
    let start = (span.start as usize).saturating_sub(offset).min(text.len());
    let line = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = (span.end as usize).saturating_sub(offset).min(line);
    let trimmed = start + text.get(start..end.max(start)).map_or(0, |covered| covered.trim_end().len());
    start..trimmed.max(start)
}
