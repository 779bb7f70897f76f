//! When a secret is due next. A pure function of what was and what is asked; the caller journals its answer.

use super::window::{Opening, first_opening};
use crate::spec::{Cadence, Rhythm};
use keybaton_protocol::ids::{Millis, SecretName};

/// What is known of a secret's current credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// When it was issued, adopted or last rotated; none if it never was.
    pub last: Option<Millis>,
    /// When the current credential expires, if it does.
    pub expires: Option<Millis>,
}

/// When, why, and by when at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The instant from which a rotation may start; none if nothing makes it due.
    pub at: Option<Millis>,
    /// What makes it due, or keeps it from ever being so.
    pub why: Why,
    /// The first instant at which it is too late: the window has closed, or the credential has expired.
    pub latest: Option<Millis>,
}

/// What makes a secret due, or keeps it from ever being so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its interval has passed.
    Interval,
    /// Its cron expression fired.
    Cron,
    /// Its credential is about to expire.
    Expiry,
    /// Its credential would expire before a window opens, so windows do not count.
    ExpiryBeforeWindow,
    /// Not by itself: it is paused.
    Paused,
    /// Not by itself: it waits for its first credential, issued or adopted.
    NeverIssued,
    /// Not by itself: it rotates by hand only.
    ByHand,
    /// Not by itself: it rotates before expiry only, and no expiry is known.
    NoExpiry,
    /// Not again: the calendar ends before the next time.
    NoNextTime,
}

impl Why {
    /// Stable name, for logs and `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Cron => "cron",
            Self::Expiry => "expiry",
            Self::ExpiryBeforeWindow => "expiry-before-window",
            Self::Paused => "paused",
            Self::NeverIssued => "never-issued",
            Self::ByHand => "by-hand",
            Self::NoExpiry => "no-expiry",
            Self::NoNextTime => "no-next-time",
        }
    }
}

/// A number that is the same for the same secret and beat and spread evenly over all others. Not for cryptography.
#[must_use]
pub fn seed(name: &SecretName, last: Option<Millis>) -> u64 {
    // FNV-1a, then the finalizer of SplitMix64: the standard library's hasher may change between releases.
    let text = name.to_string();
    let last = last.map_or(0, |at| at.0).to_le_bytes();
    let hash = text
        .bytes()
        .chain(last)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// When a secret is due next.
///
/// The delay of `jitter` is drawn from `seed` alone: the same question always has the same answer. A due time that
/// was missed because its window closed moves to the next window after `now`; one that was missed within an open
/// window, or without windows, stays in the past and is overdue.
#[must_use]
pub fn next_due(cadence: &Cadence, facts: Facts, seed: u64, now: Millis) -> Due {
    let (base, why) = match beat(cadence, facts) {
        Ok(beat) => beat,
        Err(why) => return Due { at: None, why, latest: None },
    };
    let due = placed(cadence, base, why, facts.expires, seed);
    match due.at {
        Some(at) if at < now && due.latest.is_some_and(|latest| latest <= now) && !is_open(cadence, now) => {
            placed(cadence, now, why, facts.expires, seed)
        }
        _ => due,
    }
}

/// Whether rotations may start at `now` as far as windows go.
#[must_use]
pub fn is_open(cadence: &Cadence, now: Millis) -> bool {
    cadence.windows.is_empty() || cadence.windows.iter().any(|w| w.opening(now).is_some_and(|o| o.at == now))
}

/// The bare time, before windows and jitter: whichever of rhythm and expiry comes first.
fn beat(cadence: &Cadence, facts: Facts) -> Result<(Millis, Why), Why> {
    if cadence.pause {
        return Err(Why::Paused);
    }
    let last = facts.last.ok_or(Why::NeverIssued)?;
    let rhythm = match &cadence.rhythm {
        Rhythm::None => None,
        Rhythm::Every(ms) => Some((last.plus(*ms), Why::Interval)),
        Rhythm::Cron(cron) => cron.next_after(last).map(|at| (at, Why::Cron)),
    };
    let expiry = cadence.before_expiry_ms.zip(facts.expires);
    let expiry = expiry.map(|(before, expires)| (Millis(expires.0.saturating_sub(before)).max(last), Why::Expiry));
    let first = rhythm.into_iter().chain(expiry).min_by_key(|(at, _)| *at);
    first.ok_or(match (&cadence.rhythm, cadence.before_expiry_ms) {
        (Rhythm::Cron(_), _) => Why::NoNextTime,
        (_, Some(_)) => Why::NoExpiry,
        (_, None) => Why::ByHand,
    })
}

/// Moves a bare time into a window and adds its delay.
fn placed(cadence: &Cadence, base: Millis, why: Why, expires: Option<Millis>, seed: u64) -> Due {
    let free = |why| Due { at: Some(base.plus(delay(seed, cadence.jitter_ms))), why, latest: expires };
    if cadence.windows.is_empty() {
        return free(why);
    }
    let Some(Opening { at: open, close }) = first_opening(&cadence.windows, base) else { return free(why) };
    if expires.is_some_and(|expires| open >= expires) {
        return Due { at: Some(base), why: Why::ExpiryBeforeWindow, latest: expires };
    }
    let left = close.since(open).saturating_sub(1);
    let at = match open == base {
        true => base.plus(delay(seed, cadence.jitter_ms).min(left)),
        false => open.plus(delay(seed, cadence.jitter_ms.min(left))),
    };
    let latest = expires.map_or(close, |expires| expires.min(close));
    Due { at: Some(at.min(Millis(latest.0.saturating_sub(1)))), why, latest: Some(latest) }
}

/// A delay from 0 to `most`, in proportion to the seed.
fn delay(seed: u64, most: u64) -> u64 {
    ((u128::from(seed) * (u128::from(most) + 1)) >> 64) as u64
}
