//! Patterns of names: exact, or with one `*` first or last. Nothing cleverer, so that a reader sees what is allowed.

use std::fmt;

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Any name.
    Any,
    /// This name.
    Exact(String),
    /// Names that start so; the name may not end there.
    Prefix(String),
    /// Names that end so; the name may not begin there.
    Suffix(String),
}

impl Pattern {
    /// Longest pattern, in bytes.
    pub(crate) const MAX_BYTES: usize = 255;

    /// Reads a pattern; none if a `*` stands anywhere but first or last, twice, or the text is empty or not printable.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAX_BYTES || text.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return None;
        }
        let pattern = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            _ if text == "*" => return Some(Self::Any),
            (None, None) => Self::Exact(text.to_owned()),
            (None, Some(start)) => Self::Prefix(start.to_owned()),
            (Some(end), None) => Self::Suffix(end.to_owned()),
            (Some(_), Some(_)) => return None,
        };
        let stars = usize::from(!matches!(pattern, Self::Exact(_)));
        (text.matches('*').count() == stars).then_some(pattern)
    }

    /// Whether a name fits. A `*` stands for at least one character.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => !name.is_empty(),
            Self::Exact(text) => name == text,
            Self::Prefix(start) => name.len() > start.len() && name.starts_with(start.as_str()),
            Self::Suffix(end) => name.len() > end.len() && name.ends_with(end.as_str()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(start) => write!(f, "{start}*"),
            Self::Suffix(end) => write!(f, "*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_first_or_last_stands_for_at_least_one_character() {
        let table = [
            ("app", "app", true),
            ("app", "app2", false),
            ("app_*", "app_a", true),
            ("app_*", "app_", false),
            ("app_*", "my_app_a", false),
            ("*-ro", "db-ro", true),
            ("*-ro", "-ro", false),
            ("*", "anything", true),
            ("*", "", false),
            ("app", "APP", false),
        ];
        for (pattern, name, fits) in table {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(name), fits, "{pattern} on {name}");
        }
    }

    #[test]
    fn anything_cleverer_is_no_pattern() {
        for text in ["", "a*b", "*a*", "**", "a b", "a\n", "a**"] {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }
}
