//! Local times of a zone to instants and back, right where clocks are put forward or back. Reads no clock.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone};
pub use chrono_tz::Tz;
use keybaton_protocol::ids::Millis;

/// Farther from UTC than any zone is or was, in hours.
const FAR_HOURS: i64 = 26;

/// Latest instant that is reckoned with: the year 9000, well within the calendar's range.
const LAST_MS: u64 = 221_845_392_000_000;

/// Every IANA zone name.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// The zone of an IANA name, exact in case.
pub(crate) fn named(text: &str) -> Option<Tz> {
    text.parse().ok()
}

/// What clocks in a zone show at an instant; none for instants past the year 9000.
pub(super) fn local(zone: Tz, at: Millis) -> Option<NaiveDateTime> {
    let ms = i64::try_from(at.0).ok().filter(|_| at.0 <= LAST_MS)?;
    DateTime::from_timestamp_millis(ms).map(|utc| utc.with_timezone(&zone).naive_local())
}

/// The first instant at which clocks in a zone show `local` or later.
///
/// A time that occurs twice is its first occurrence; one that is skipped is the instant of the skip.
pub(super) fn instant(zone: Tz, local: NaiveDateTime) -> Option<Millis> {
    let first = match zone.from_local_datetime(&local).earliest() {
        Some(found) => found.timestamp_millis(),
        None => after_gap(zone, local)? * 1000,
    };
    u64::try_from(first).ok().map(Millis)
}

/// The second at which clocks jump over `local`, found by halving.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    let shows = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0)?;
        Some(utc.with_timezone(&zone).naive_local() >= local)
    };
    let mut before = local.checked_sub_signed(TimeDelta::hours(FAR_HOURS))?.and_utc().timestamp();
    let mut after = local.checked_add_signed(TimeDelta::hours(FAR_HOURS))?.and_utc().timestamp();
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if shows(middle)? {
            after = middle;
        } else {
            before = middle;
        }
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn at(zone: &str, text: &str) -> String {
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        let millis = instant(named(zone).unwrap(), local).unwrap();
        DateTime::from_timestamp_millis(millis.0 as i64).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn skipped_times_are_the_instant_of_the_skip_and_doubled_times_their_first_occurrence() {
        let table = [
            ("Europe/Berlin", "2026-03-29 01:59", "2026-03-29T00:59Z"),
            ("Europe/Berlin", "2026-03-29 02:00", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30Z"),
            ("America/New_York", "2026-03-08 02:30", "2026-03-08T07:00Z"),
            ("America/New_York", "2026-11-01 01:30", "2026-11-01T05:30Z"),
            ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30Z"),
            ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45Z"),
            ("Asia/Kolkata", "2026-07-01 03:00", "2026-06-30T21:30Z"),
            ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00Z"),
        ];
        for (zone, local, expected) in table {
            assert_eq!(at(zone, local), expected, "{zone} {local}");
        }
    }

    #[test]
    fn instants_past_the_calendar_have_no_local_time() {
        assert_eq!(local(Tz::UTC, Millis(u64::MAX)), None);
        let last = NaiveDate::from_ymd_opt(9000, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
        assert_eq!(last.timestamp_millis() as u64, LAST_MS);
    }
}
