//! Cron expressions of five fields in a zone. The `cron` crate knows the calendar; the zone's clock changes are kept here.
//!
//! The crate is asked about a calendar without clock changes; its answers are then placed in the zone. A time that the
//! zone skips fires at the skip, a time that it has twice fires the first time, and whatever meets in one instant
//! fires once.

use super::zone::{self, Tz};
use chrono::{DateTime, NaiveDateTime, Utc};
use keybaton_protocol::ids::Millis;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Most firings that are passed over while looking for one that lies ahead: those of one repeated day, by the minute.
const MAX_PASSED: usize = 2 * 24 * 60;

/// Firings looked at to find the shortest time between two.
const GAP_SAMPLE: usize = 1000;

/// A cron expression and its zone.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    zone: Tz,
    schedule: cron::Schedule,
    shortest_gap_ms: u64,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.zone) == (&other.text, other.zone)
    }
}

impl Eq for Cron {}

impl Hash for Cron {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.zone.name().hash(state);
    }
}

/// What is wrong with a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("a cron expression has 5 fields, this has {0}")]
    Fields(usize),
    /// One field cannot be read.
    #[error("`{text}` is not a cron {field}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// Both a day of the month and a day of the week.
    #[error("both a day of the month and a day of the week: some crons take either, others need both")]
    BothDays,
    /// No such date exists.
    #[error("this never fires: there is no such date")]
    Never,
}

const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Reads `minute hour day-of-month month day-of-week`, days of the week from 0 or 7 (Sunday) to 6.
    ///
    /// # Errors
    /// What is wrong with it, its never firing included.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::Fields(fields.len()));
        };
        let weekdays = if *weekday == "*" { "*".to_owned() } else { weekdays(weekday)? };
        for (index, field) in fields.iter().enumerate().take(4) {
            check(index, field)?;
        }
        if *day != "*" && weekdays != "*" {
            return Err(CronError::BothDays);
        }
        let schedule = cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekdays}"))
            .map_err(|_| CronError::Field { field: "expression", text: text.to_owned() })?;
        let shortest_gap_ms = shortest_gap_ms(&schedule).ok_or(CronError::Never)?;
        Ok(Self { text: fields.join(" "), zone, schedule, shortest_gap_ms })
    }

    /// The expression, fields separated by one space.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose clocks it follows.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first firing later than `after`; none past the year 2100, where the crate's calendar ends.
    #[must_use]
    pub fn next_after(&self, after: Millis) -> Option<Millis> {
        let from = zone::local(self.zone, after)?;
        self.calendar(from).take(MAX_PASSED).filter_map(|local| zone::instant(self.zone, local)).find(|at| *at > after)
    }

    /// Times on the clock face after `from`, as if no clock were ever changed.
    fn calendar(&self, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        self.schedule.after(&from.and_utc()).map(|at| at.naive_utc())
    }

    /// The shortest time between two firings in a row, in milliseconds, clock changes aside.
    #[must_use]
    pub fn shortest_gap_ms(&self) -> u64 {
        self.shortest_gap_ms
    }
}

/// The shortest time between two firings in a row; none if there is not one firing.
fn shortest_gap_ms(schedule: &cron::Schedule) -> Option<u64> {
    let mut firings = schedule.after(&DateTime::<Utc>::UNIX_EPOCH).take(GAP_SAMPLE).map(|at| at.timestamp_millis());
    let mut last = firings.next()?;
    let mut shortest = u64::MAX;
    for firing in firings {
        shortest = shortest.min(firing.abs_diff(last));
        last = firing;
    }
    Some(shortest)
}

/// Each field is tried alone, so that the error can name it.
fn check(index: usize, field: &str) -> Result<(), CronError> {
    let plain = field.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b',' | b'-' | b'/'));
    let mut alone = ["0", "*", "*", "*", "*", "*"];
    alone[index + 1] = field;
    match plain && cron::Schedule::from_str(&alone.join(" ")).is_ok() {
        true => Ok(()),
        false => Err(CronError::Field { field: FIELDS[index], text: field.to_owned() }),
    }
}

/// Days of the week as cron(5) counts them, spelled out by name: the crate counts from Sunday = 1.
fn weekdays(field: &str) -> Result<String, CronError> {
    let bad = || CronError::Field { field: FIELDS[4], text: field.to_owned() };
    let mut on = [false; 7];
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<usize>().ok().filter(|step| (1..=7).contains(step)).ok_or_else(bad)?)
            }
            None => (item, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((from, to)) => (weekday(from).ok_or_else(bad)?, weekday(to).ok_or_else(bad)?),
            None => {
                let day = weekday(range).ok_or_else(bad)?;
                (day, if item.contains('/') { 6 } else { day })
            }
        };
        // `fri-sun`: Sunday by name is also the seventh day.
        let to = if to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return Err(bad());
        }
        (from..=to).step_by(step).for_each(|day| on[day % 7] = true);
    }
    if on.iter().all(|day| *day) {
        return Ok("*".to_owned());
    }
    let names: Vec<&str> = DAYS.iter().zip(on).filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    Ok(names.join(","))
}

fn weekday(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    DAYS.iter().position(|day| *day == lower).or_else(|| match text.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(usize::from(digit - b'0')),
        _ => None,
    })
}
