//! Times, shares and lists as people write them. Numbers only; knows no clock.

/// One second, in milliseconds.
pub const SECOND: u64 = 1_000;
/// One minute, in milliseconds.
pub const MINUTE: u64 = 60 * SECOND;
/// One hour, in milliseconds.
pub const HOUR: u64 = 60 * MINUTE;
/// One day of 24 hours, in milliseconds.
pub const DAY: u64 = 24 * HOUR;
/// Longest time that may be declared: 100 years of 365 days, in milliseconds.
pub const LONGEST: u64 = 36_500 * DAY;

const UNITS: [(&str, u64); 6] = [("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// What a text is as a time span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Amount {
    /// This many milliseconds.
    Good(u64),
    /// No time, and this helps.
    Help(String),
    /// No time.
    Bad,
}

/// Reads `1h30m`, `20d`, `500ms`: whole numbers, each with its unit, from the largest unit to the smallest.
pub(crate) fn duration(text: &str) -> Amount {
    if text.is_empty() || text.len() > 40 {
        return Amount::Bad;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Amount::Help(format!("say which unit: {text}s, {text}m, {text}h or {text}d"));
    }
    let (mut total, mut rest, mut below) = (0_u64, text, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else { return unknown_unit(unit) };
        let Ok(number) = number.parse::<u64>() else { return Amount::Bad };
        if *size >= below {
            return Amount::Help("write each unit once, the largest first: 1h30m".to_owned());
        }
        let Some(sum) = number.checked_mul(*size).and_then(|part| total.checked_add(part)) else { return Amount::Bad };
        (total, rest, below) = (sum, tail, *size);
    }
    Amount::Good(total)
}

fn unknown_unit(unit: &str) -> Amount {
    let help = match unit.to_lowercase().as_str() {
        "mo" | "month" | "months" | "y" | "year" | "years" => "months and years differ in length: count in days (d)",
        "min" | "mins" | "minute" | "minutes" => "minutes are `m`",
        "sec" | "secs" | "second" | "seconds" => "seconds are `s`",
        "hr" | "hrs" | "hour" | "hours" => "hours are `h`",
        "day" | "days" => "days are `d`",
        "week" | "weeks" => "weeks are `w`",
        lower if unit != lower && UNITS.iter().any(|(name, _)| *name == lower) => "units are lower-case",
        _ => return Amount::Bad,
    };
    Amount::Help(help.to_owned())
}

/// A time span as [`duration`] reads it.
#[must_use]
pub fn shown(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut text = String::new();
    for (name, size) in UNITS.into_iter().skip(1) {
        if rest >= size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    text
}

/// A share such as `25%`, from 1 to 100.
pub(crate) fn percent(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|share| (1..=100).contains(share))
}

/// `a, b or c`, each in backticks.
pub(crate) fn listed(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

/// The first characters of a text, for a message.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        let table = [
            ("30d", Amount::Good(30 * DAY)),
            ("1h30m", Amount::Good(90 * MINUTE)),
            ("500ms", Amount::Good(500)),
            ("2w", Amount::Good(14 * DAY)),
            ("0s", Amount::Good(0)),
            ("", Amount::Bad),
            ("d", Amount::Bad),
            ("1x", Amount::Bad),
            ("-1d", Amount::Bad),
            ("1.5h", Amount::Bad),
            ("99999999999999999999d", Amount::Bad),
            ("9999999999999999d", Amount::Bad),
        ];
        for (text, amount) in table {
            assert_eq!(duration(text), amount, "{text}");
        }
        for text in ["30", "1month", "5min", "30D", "30m1h", "1h1h"] {
            assert!(matches!(duration(text), Amount::Help(_)), "{text}");
        }
    }

    #[test]
    fn a_shown_time_reads_back_as_itself() {
        for ms in [0, 1, 999, SECOND, 90 * MINUTE, 30 * DAY, 8 * DAY + 61_001, LONGEST] {
            assert_eq!(duration(&shown(ms)), Amount::Good(ms));
        }
    }

    #[test]
    fn shares_are_from_1_to_100_percent() {
        assert_eq!(percent("1%"), Some(1));
        assert_eq!(percent("100%"), Some(100));
        for text in ["0%", "101%", "+5%", "%", "5", "5 %", "five%"] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
