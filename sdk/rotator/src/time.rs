//! Times as APIs write them, in seconds since the Unix epoch. Pure; reads no clock.

/// A time as RFC 3339 writes it (`2026-11-22T03:19:00.5Z`, `+01:00`; without an offset it is taken for UTC, as many
/// APIs mean it) or as a number of seconds.
///
/// ```
/// assert_eq!(keybaton_rotator::time::from_rfc3339("2026-11-22T04:19:00+01:00"), Some(1_795_317_540));
/// ```
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-').map(number);
    let days = days(parts.next()??, parts.next()??, parts.next()??)?;
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at(offset_at);
    let whole = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    u64::try_from(days * 86_400 + seconds(whole)? - offset_seconds(offset)?).ok()
}

/// A date as HTTP headers have it (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn from_http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let day = number(words.next()?)?;
    let name = words.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(name).filter(|at| at % 3 == 0).and_then(|at| i64::try_from(at / 3 + 1).ok())?;
    let days = days(number(words.next()?)?, month, day)?;
    u64::try_from(days * 86_400 + seconds(words.next()?)?).ok()
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    // A leap second counts as the one before.
    (hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second.min(59))
}

fn offset_seconds(offset: &str) -> Option<i64> {
    match offset.split_at_checked(1) {
        None => Some(0),
        Some(("Z" | "z", "")) => Some(0),
        Some(("+", clock)) => seconds(clock),
        Some(("-", clock)) => seconds(clock).map(|seconds| -seconds),
        Some(_) => None,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar: whole eras of 400 years, with March as the first month.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::{from_http_date, from_rfc3339};

    // Against `date -u -d … +%s`.
    #[test]
    fn times_are_read_as_apis_write_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-22T03:19:00.123456Z", Some(1_795_317_540)),
            ("2026-11-22T03:19:00", Some(1_795_317_540)),
            ("2026-11-22 04:19:00+01:00", Some(1_795_317_540)),
            ("2026-11-21T21:49:00-05:30", Some(1_795_317_540)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799)),
            ("1795317540", Some(1_795_317_540)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T03:19:00X", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-22", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(from_rfc3339(text), expected, "{text}");
        }
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun, 22 Nov 2026 03:19:00 GMT", Some(1_795_317_540)),
            ("Sun, 22 ovN 2026 03:19:00 GMT", None),
            ("Sun, 22 Nov 2026 03:19:00", None),
            ("22 Nov 2026 03:19:00 GMT", None),
        ] {
            assert_eq!(from_http_date(text), expected, "{text}");
        }
    }
}
