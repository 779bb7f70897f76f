//! Typed reading of a tree: each reader answers a value, or notes what is wrong and answers none.

use super::scalar::{Plain, resolve, trap};
use super::{Key, Kind, Node, Scalar};
use crate::diagnostic::{Diagnostic, Problems, Span, nearest};
use crate::units::{self, Amount};
use keybaton_protocol::ids::NameError;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A mapping whose keys have been checked.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    /// What the mapping describes.
    pub(crate) what: &'static str,
    /// Where it stands.
    pub(crate) span: Span,
    entries: &'n [(Key, Node)],
    known: &'static [&'static str],
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text() == key).map(|(_, node)| node)
    }

    /// Keys that have been noted as unknown.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &'n str> {
        let known = self.known;
        self.entries.iter().map(|(k, _)| k.text()).filter(move |k| !known.contains(k) && !k.starts_with("x-"))
    }

    /// Where a key stands, or else the mapping.
    pub(crate) fn at(&self, key: &str) -> Span {
        self.entries.iter().find(|(k, _)| k.text() == key).map_or(self.span, |(k, _)| k.span)
    }
}

/// Reads, and notes what is wrong.
pub(crate) struct Reader<'p> {
    pub(crate) problems: &'p mut Problems,
}

impl Reader<'_> {
    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Something that must not be shown, wherever its line is.
    pub(crate) fn conceal(&mut self, span: Span) {
        self.problems.conceal(span);
    }

    /// The value is not of the kind that it must be.
    pub(crate) fn wrong(&mut self, node: &Node, what: &str, expected: impl Into<String>) {
        let message = format!("{what} is {}", node.what());
        self.push(Diagnostic::new("wrong-type", node.span, message).expected(expected));
    }

    /// A mapping; keys that are not `known` are noted.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &'static str,
        known: &'static [&'static str],
    ) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, what, format!("a mapping with {}", units::listed(known, "and")));
            return None;
        };
        for (key, _) in entries {
            // `x-…` may stand anywhere, to hold what aliases point at.
            if !known.contains(&key.text()) && !key.text().starts_with("x-") {
                self.unknown(key, what, known);
            }
        }
        Some(Fields { what, span: node.span, entries, known })
    }

    fn unknown(&mut self, key: &Key, what: &str, known: &[&str]) {
        let problem = Diagnostic::new("unknown-key", key.span, format!("{what} has no key `{}`", key.text()));
        let problem = problem.expected(units::listed(known, "or"));
        self.push(match key.text() {
            "<<" => problem.suggest("merge keys are not supported: an alias stands for a whole value"),
            // The one kind of file taken for the other.
            "connections" if known.contains(&"secrets") => {
                problem.suggest("connections are the host's own: they go into `connections/` of its installation")
            }
            "secrets" if known.contains(&"connections") => {
                problem.suggest("declarations are not the host's: `keybaton apply` takes them")
            }
            text => problem.suggest_among(text, known.iter().copied()),
        });
    }

    /// The value of a key that must be there.
    pub(crate) fn need<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        // A misspelt key has been noted as such.
        if node.is_none() && !fields.unknown().any(|k| nearest(k, fields.known.iter().copied()) == Some(key)) {
            let at = fields.entries.first().map_or(fields.span, |(key, _)| key.span);
            self.push(Diagnostic::new("missing-key", at, format!("{} has no `{key}`", fields.what)));
        }
        node
    }

    /// Text: quoted, or unquoted where no reader of YAML takes it for anything else.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let Kind::Scalar(scalar) = &node.kind else {
            self.wrong(node, what, "text");
            return None;
        };
        self.scalar_text(scalar, node.span, what)
    }

    fn scalar_text<'n>(&mut self, scalar: &'n Scalar, span: Span, what: &str) -> Option<&'n str> {
        let quotes = format!("put it in quotes: \"{}\"", scalar.text);
        if let Some(why) = trap(scalar) {
            let message = format!("`{}` without quotes: {why}", scalar.text);
            self.push(Diagnostic::new("yaml-ambiguous", span, message).expected("text").suggest(quotes));
            return None;
        }
        match resolve(scalar) {
            Plain::Text("") => {
                self.push(Diagnostic::new("wrong-type", span, format!("{what} is empty")).expected("text"));
                None
            }
            Plain::Text(text) => Some(text),
            other => {
                let problem =
                    Diagnostic::new("wrong-type", span, format!("{what} is {}", other.what())).expected("text");
                self.push(if other == Plain::Nothing { problem } else { problem.suggest(quotes) });
                None
            }
        }
    }

    /// A name of the protocol's.
    pub(crate) fn name<T: FromStr<Err = NameError>>(&mut self, node: &Node, what: &str) -> Option<T> {
        let text = self.text(node, what)?;
        self.parse_name(text, node.span)
    }

    /// The text of a key.
    pub(crate) fn key_text<'n>(&mut self, key: &'n Key, what: &str) -> Option<&'n str> {
        self.scalar_text(&key.scalar, key.span, what)
    }

    /// A name that is a key.
    pub(crate) fn key_name<T: FromStr<Err = NameError>>(&mut self, key: &Key, what: &str) -> Option<T> {
        let text = self.key_text(key, what)?;
        self.parse_name(text, key.span)
    }

    fn parse_name<T: FromStr<Err = NameError>>(&mut self, text: &str, span: Span) -> Option<T> {
        let error = match text.parse() {
            Ok(name) => return Some(name),
            Err(error) => error,
        };
        let NameError { what, rule, text: shown } = error;
        let problem = Diagnostic::new("bad-name", span, format!("`{shown}` is not a {what}")).expected(rule);
        let near = text.to_lowercase().replace(['_', ' ', '.'], "-");
        self.push(match near.parse::<T>() {
            Ok(_) => problem.suggest(format!("did you mean `{near}`?")),
            Err(_) => problem,
        });
        None
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = match &node.kind {
            Kind::Scalar(scalar) => &*scalar.text,
            Kind::List(_) | Kind::Map(_) => {
                self.wrong(node, what, units::listed(&known, "or"));
                return None;
            }
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let message = format!("{what} cannot be `{}`", units::shortened(text));
        let problem = Diagnostic::new("bad-choice", node.span, message).expected(units::listed(&known, "or"));
        self.push(problem.suggest_among(text, known));
        None
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        let Kind::Scalar(scalar) = &node.kind else {
            self.wrong(node, what, "true or false");
            return None;
        };
        if let Plain::Flag(flag) = resolve(scalar) {
            return Some(flag);
        }
        let message = format!("{what} cannot be `{}`", units::shortened(&scalar.text));
        let problem = Diagnostic::new("wrong-type", node.span, message).expected("true or false");
        self.push(match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => problem.suggest("write true"),
            "no" | "off" | "n" | "false" => problem.suggest("write false"),
            _ => problem,
        });
        None
    }

    /// A whole number.
    pub(crate) fn count(&mut self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let Kind::Scalar(scalar) = &node.kind else {
            self.wrong(node, what, expected);
            return None;
        };
        if let (Plain::Whole(number), None) = (resolve(scalar), trap(scalar))
            && let Some(number) = u32::try_from(number).ok().filter(|number| range.contains(number))
        {
            return Some(number);
        }
        let message = format!("{what} cannot be `{}`", units::shortened(&scalar.text));
        self.push(Diagnostic::new("bad-number", node.span, message).expected(expected));
        None
    }

    /// A time span with its unit, in milliseconds.
    pub(crate) fn duration(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = || {
            let (least, most) = (units::shown(*range.start()), units::shown(*range.end()));
            format!("a time from {least} to {most}, such as 30s, 10m, 1h30m, 20d")
        };
        let Kind::Scalar(scalar) = &node.kind else {
            self.wrong(node, what, expected());
            return None;
        };
        let message = format!("{what} cannot be `{}`", units::shortened(&scalar.text));
        let problem = Diagnostic::new("bad-duration", node.span, message).expected(expected());
        match units::duration(&scalar.text) {
            Amount::Good(ms) if range.contains(&ms) => return Some(ms),
            Amount::Good(_) | Amount::Bad => self.push(problem),
            Amount::Help(help) => self.push(problem.suggest(help)),
        }
        None
    }

    /// A time span, or the word `never`.
    pub(crate) fn duration_or_never(
        &mut self,
        node: &Node,
        what: &str,
        range: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        match &node.kind {
            Kind::Scalar(scalar) if &*scalar.text == "never" => Some(None),
            _ => self.duration(node, what, range).map(Some),
        }
    }

    /// A list; parts that are wrong are noted and left out.
    pub(crate) fn list<'n, T>(
        &mut self,
        node: &'n Node,
        what: &str,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Kind::List(items) = &node.kind else {
            self.wrong(node, what, "a list");
            return None;
        };
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    /// A list with something in it, in which nothing stands twice.
    pub(crate) fn set<T: Clone + Eq + Hash>(
        &mut self,
        node: &Node,
        what: &str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen: HashMap<T, Span> = HashMap::new();
        let items = self.list(node, what, |reader, item| {
            let value = read(reader, item)?;
            match seen.get(&value) {
                Some(first) => {
                    let problem = Diagnostic::new("duplicate", item.span, format!("{what} has this twice"));
                    reader.push(problem.also(*first, "first here"));
                    None
                }
                None => {
                    seen.insert(value.clone(), item.span);
                    Some(value)
                }
            }
        })?;
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            self.push(Diagnostic::new("empty", node.span, format!("{what} is an empty list")));
            return None;
        }
        Some(items)
    }
}
