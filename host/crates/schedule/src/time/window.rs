//! Hours of the week in which rotations may start. Reads no clock.

use super::zone::{self, Tz};
use chrono::{Datelike, Days as DaySpan, NaiveDate, NaiveTime, Weekday};
use keybaton_protocol::ids::Millis;
use std::hash::{Hash, Hasher};

/// Days ahead in which an opening is looked for: a week, and another for one that a clock change swallows.
const DAYS_AHEAD: u64 = 15;

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days(u8);

impl Days {
    /// Names of the days, from Monday.
    pub const NAMES: [&'static str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// The days of these numbers, 0 for Monday to 6 for Sunday; others are ignored.
    #[must_use]
    pub fn of(days: &[u8]) -> Self {
        Self(days.iter().filter(|day| **day < 7).fold(0, |mask, day| mask | 1 << day))
    }

    fn has(self, day: Weekday) -> bool {
        self.0 & 1 << day.num_days_from_monday() != 0
    }

    /// The names of the days, from Monday.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(day, _)| self.0 & 1 << day != 0).map(|(_, name)| name)
    }
}

/// A stretch of clock time on some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Days on which it opens.
    pub days: Days,
    /// Opens at this minute of the day, 0 to 1439.
    pub from: u16,
    /// Closes at this minute of the day, 1 to 1440; if not later than `from`, on the next day.
    pub to: u16,
    /// Whose clocks.
    pub zone: Tz,
}

impl Hash for Window {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.days, self.from, self.to, self.zone.name()).hash(state);
    }
}

/// A window at a certain date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The earliest instant in it that is not before the one asked about.
    pub at: Millis,
    /// The first instant after it.
    pub close: Millis,
}

impl Window {
    /// The opening that `from` lies in, or the next one; none past the calendar.
    #[must_use]
    pub fn opening(&self, from: Millis) -> Option<Opening> {
        let today = zone::local(self.zone, from)?.date();
        let yesterday = today.checked_sub_days(DaySpan::new(1))?;
        (0..DAYS_AHEAD).find_map(|ahead| {
            let (open, close) = self.on(yesterday.checked_add_days(DaySpan::new(ahead))?)?;
            (close > from && close > open).then_some(Opening { at: open.max(from), close })
        })
    }

    /// Start and end of the window that opens on a date, if one does.
    fn on(&self, date: NaiveDate) -> Option<(Millis, Millis)> {
        if !self.days.has(date.weekday()) {
            return None;
        }
        let over_midnight = self.to <= self.from;
        let closes = if over_midnight { date.checked_add_days(DaySpan::new(1))? } else { date };
        Some((self.instant(date, self.from)?, self.instant(closes, self.to)?))
    }

    fn instant(&self, date: NaiveDate, minute: u16) -> Option<Millis> {
        let date = if minute >= 1440 { date.checked_add_days(DaySpan::new(1))? } else { date };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minute % 1440) * 60, 0)?;
        zone::instant(self.zone, date.and_time(time))
    }
}

/// The first opening of any of the windows, the longest of those that open together.
pub(super) fn first_opening(windows: &[Window], from: Millis) -> Option<Opening> {
    let openings = windows.iter().filter_map(|window| window.opening(from));
    openings.min_by_key(|opening| (opening.at, std::cmp::Reverse(opening.close)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDateTime};

    fn utc(text: &str) -> Millis {
        Millis(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").unwrap().and_utc().timestamp_millis() as u64)
    }

    fn shown(at: Millis) -> String {
        DateTime::from_timestamp_millis(at.0 as i64).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn a_window_opens_on_its_days_and_hours_in_its_zone() {
        let weekdays = Days::of(&[0, 1, 2, 3, 4]);
        let berlin = Tz::Europe__Berlin;
        let night = Window { days: weekdays, from: 22 * 60, to: 4 * 60, zone: berlin };
        let spring = Window { days: Days::of(&[6]), from: 120, to: 180, zone: berlin };
        let day = Window { days: Days::of(&[5]), from: 0, to: 1440, zone: Tz::UTC };
        let table = [
            ("before it opens", night, "2026-01-05T12:00Z", "2026-01-05T21:00Z", "2026-01-06T03:00Z"),
            ("within", night, "2026-01-05T22:00Z", "2026-01-05T22:00Z", "2026-01-06T03:00Z"),
            ("within, past midnight", night, "2026-01-06T01:00Z", "2026-01-06T01:00Z", "2026-01-06T03:00Z"),
            ("at the end it is closed", night, "2026-01-06T03:00Z", "2026-01-06T21:00Z", "2026-01-07T03:00Z"),
            ("Friday's lasts into Saturday", night, "2026-01-10T01:00Z", "2026-01-10T01:00Z", "2026-01-10T03:00Z"),
            ("over a weekend", night, "2026-01-10T04:00Z", "2026-01-12T21:00Z", "2026-01-13T03:00Z"),
            ("in summer an hour earlier", night, "2026-07-06T12:00Z", "2026-07-06T20:00Z", "2026-07-07T02:00Z"),
            ("longer in the autumn night", night, "2026-10-26T12:00Z", "2026-10-26T21:00Z", "2026-10-27T03:00Z"),
            ("swallowed by the spring change", spring, "2026-03-28T12:00Z", "2026-04-05T00:00Z", "2026-04-05T01:00Z"),
            ("a whole day", day, "2026-01-05T12:00Z", "2026-01-10T00:00Z", "2026-01-11T00:00Z"),
        ];
        for (sentence, window, from, at, close) in table {
            let opening = window.opening(utc(from)).unwrap();
            assert_eq!((shown(opening.at).as_str(), shown(opening.close).as_str()), (at, close), "{sentence}");
        }
    }

    #[test]
    fn of_windows_that_open_together_the_longest_counts() {
        let short = Window { days: Days::ALL, from: 60, to: 120, zone: Tz::UTC };
        let long = Window { to: 180, ..short };
        let opening = first_opening(&[short, long], utc("2026-01-05T00:00Z")).unwrap();
        assert_eq!(shown(opening.close), "2026-01-05T03:00Z");
    }
}
