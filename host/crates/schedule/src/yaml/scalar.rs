//! What an unquoted scalar means by the YAML 1.2 core schema, and which ones other readers take for something else.

use super::Scalar;

/// What a scalar stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain<'t> {
    Nothing,
    Flag(bool),
    Whole(i128),
    Fraction(f64),
    Text(&'t str),
}

impl Plain<'_> {
    /// In words for people.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Nothing => "empty",
            Self::Flag(_) => "a boolean",
            Self::Whole(_) | Self::Fraction(_) => "a number",
            Self::Text(_) => "text",
        }
    }
}

/// What a scalar stands for: quoted is always text, unquoted follows YAML 1.2.2 §10.3.2.
pub(crate) fn resolve(scalar: &Scalar) -> Plain<'_> {
    let text = &*scalar.text;
    if !scalar.plain {
        return Plain::Text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Nothing,
        "true" | "True" | "TRUE" => return Plain::Flag(true),
        "false" | "False" | "FALSE" => return Plain::Flag(false),
        _ => {}
    }
    whole(text).map(Plain::Whole).or_else(|| fraction(text).map(Plain::Fraction)).unwrap_or(Plain::Text(text))
}

fn whole(text: &str) -> Option<i128> {
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, u8::is_ascii_hexdigit).then(|| i128::from_str_radix(hex, 16).ok()).flatten();
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, |b| (b'0'..=b'7').contains(b)).then(|| i128::from_str_radix(octal, 8).ok()).flatten();
    }
    digits(text.trim_start_matches(['-', '+']), u8::is_ascii_digit).then(|| text.parse().ok()).flatten()
}

fn digits(text: &str, allowed: impl Fn(&u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= 40 && text.as_bytes().iter().all(allowed)
}

fn fraction(text: &str) -> Option<f64> {
    let bare = text.trim_start_matches(['-', '+']);
    if matches!(bare, ".inf" | ".Inf" | ".INF") {
        return Some(f64::INFINITY);
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let starts = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let inside = bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    (starts && inside && bare.bytes().any(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Why an unquoted scalar means different things to different YAML readers, if it does.
pub(crate) fn trap(scalar: &Scalar) -> Option<&'static str> {
    if !scalar.plain {
        return None;
    }
    let text = &*scalar.text;
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
        return Some("some YAML readers take it for a boolean, others for text");
    }
    let bare = text.trim_start_matches(['-', '+']);
    let numeric = bare.starts_with(|c: char| c.is_ascii_digit());
    if numeric && bare.contains('_') && bare.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return Some("some YAML readers take it for a number, others for text");
    }
    if bare.len() > 1 && bare.starts_with('0') && bare.bytes().all(|b| b.is_ascii_digit()) || bare.starts_with("0o") {
        return Some("YAML readers disagree whether it is octal");
    }
    if numeric && bare.contains(':') && bare.split(':').all(|part| digits(part, u8::is_ascii_digit)) {
        return Some("some YAML readers take it for a number in base 60, others for text");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.into(), plain: true }
    }

    #[test]
    fn unquoted_scalars_mean_what_yaml_1_2_says() {
        let table = [
            ("", Plain::Nothing),
            ("~", Plain::Nothing),
            ("null", Plain::Nothing),
            ("true", Plain::Flag(true)),
            ("FALSE", Plain::Flag(false)),
            ("12", Plain::Whole(12)),
            ("-7", Plain::Whole(-7)),
            ("0x1F", Plain::Whole(31)),
            ("0o17", Plain::Whole(15)),
            ("1.5", Plain::Fraction(1.5)),
            ("1e3", Plain::Fraction(1000.0)),
            ("30d", Plain::Text("30d")),
            ("1-2", Plain::Text("1-2")),
            (".", Plain::Text(".")),
            ("-", Plain::Text("-")),
            ("yes", Plain::Text("yes")),
        ];
        for (text, meaning) in table {
            assert_eq!(resolve(&plain(text)), meaning, "{text}");
        }
        assert_eq!(resolve(&Scalar { text: "12".into(), plain: false }), Plain::Text("12"));
    }

    #[test]
    fn scalars_that_readers_disagree_on_are_traps_unless_quoted() {
        for text in ["no", "Yes", "on", "OFF", "y", "1_000", "017", "0o17", "22:30", "1:30:00"] {
            assert!(trap(&plain(text)).is_some(), "{text}");
            assert!(trap(&Scalar { text: text.into(), plain: false }).is_none(), "{text} in quotes");
        }
        for text in ["none", "0", "10", "1.5", "2026-01-01", "a:b", "app_a", "0x1f", "null"] {
            assert!(trap(&plain(text)).is_none(), "{text}");
        }
    }
}
