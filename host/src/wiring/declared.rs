//! A parsed declaration as the engine runs it: the schedule's due times behind the engine's port.

use super::connections::Aim;
use aws_lc_rs::digest::{SHA256, digest};
use keybaton_engine::declared::{Anchor, Cadence, Declared, Stagger};
use keybaton_protocol::ids::{Digest, Millis, Place, SecretName};
use keybaton_schedule::change::canonical;
use keybaton_schedule::connection::Connection;
use keybaton_schedule::connection::login::with_logins;
use keybaton_schedule::spec::{self, Rhythm, Spec};
use keybaton_schedule::time::{Facts, is_open, next_due, seed};
use std::sync::Arc;

/// How far ahead an open window is looked for: past it there is none.
const LOOKS_AHEAD_MAX: usize = 2;

/// The digest that pins a declaration.
pub(crate) fn digest_of(spec: &Spec) -> Digest {
    digest_bytes(&canonical(spec))
}

fn digest_bytes(of: &[u8]) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, of).as_ref());
    Digest(bytes)
}

/// The declaration as the engine takes it, with the connections that log in with the secret among its consumers.
/// `aim` is what its own connection leads to.
pub(crate) fn declared(spec: &Spec, aim: &Aim, connections: &[Connection]) -> Declared {
    let policy = with_logins(&spec.policy, &spec.name, connections);
    let mut pinned = digest_of(spec);
    if !Arc::ptr_eq(&policy, &spec.policy) {
        // Whoever logs in with it is a part of what is pinned: a journal takes its consumers over when this changes.
        let logins = connections.iter().filter(|connection| connection.logs_in_with() == Some(&spec.name));
        let mut names: Vec<&str> = logins.map(|connection| connection.name.as_str()).collect();
        names.sort_unstable();
        pinned = digest_bytes(&[&pinned.0, names.join(" ").as_bytes()].concat());
    }
    Declared {
        name: spec.name.clone(),
        spec: pinned,
        plugin: (*spec.plugin).clone(),
        connection: (*spec.connection).clone(),
        target: Arc::clone(&aim.target),
        server: Arc::clone(&aim.server),
        places: Arc::from([Place::only()]),
        settings: Arc::from(spec.settings.json()),
        policy,
        cadence: Some(Arc::new(Scheduled(Arc::clone(&spec.cadence)))),
        stagger: spec.stagger.as_ref().map(|stagger| {
            Arc::new(Stagger { group: stagger.group.clone(), gap_ms: stagger.at_least_ms, at_once: stagger.at_once })
        }),
        after: Arc::from(spec.after.to_vec()),
        paused: spec.cadence.pause,
    }
}

/// A declared cadence behind the engine's port.
struct Scheduled(Arc<spec::Cadence>);

impl Cadence for Scheduled {
    fn next_due(&self, secret: &SecretName, anchor: Anchor, now: Millis) -> Option<Millis> {
        let facts = Facts { last: anchor.rotated_at, expires: anchor.expires_at };
        next_due(&self.0, facts, seed(secret, anchor.rotated_at), now).at
    }

    fn window(&self, _secret: &SecretName, anchor: Anchor, at: Millis) -> Option<Millis> {
        let opens = self.opens(at);
        // Rather outside its windows than not at all: the credential would have ended by then.
        let too_late = |expires| opens.is_none_or(|opens| opens >= expires);
        if anchor.expires_at.is_some_and(too_late) { Some(at) } else { opens }
    }

    fn cause(&self) -> &'static str {
        match &self.0.rhythm {
            Rhythm::None => "before-expiry",
            Rhythm::Every(_) => "every",
            Rhythm::Cron(_) => "cron",
        }
    }
}

impl Scheduled {
    /// The earliest instant, not before `at`, in a window.
    fn opens(&self, at: Millis) -> Option<Millis> {
        let mut from = at;
        for _ in 0..LOOKS_AHEAD_MAX {
            if is_open(&self.0, from) {
                return Some(from);
            }
            from = self.0.windows.iter().filter_map(|window| window.opening(from)).map(|opening| opening.at).min()?;
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keybaton_schedule::spec::Cadence as Declaration;
    use keybaton_schedule::time::{Days, Tz, Window};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// A Monday, at midnight.
    const MONDAY: u64 = 1_767_571_200_000;

    /// Every day, in a window from 22 to 4 o'clock that opens on Mondays.
    fn nightly() -> Scheduled {
        let night = Window { days: Days::of(&[0]), from: 22 * 60, to: 4 * 60, zone: Tz::UTC };
        Scheduled(Arc::new(Declaration {
            rhythm: Rhythm::Every(DAY),
            before_expiry_ms: None,
            windows: vec![night],
            jitter_ms: 0,
            pause: false,
        }))
    }

    #[test]
    fn a_missed_window_moves_to_the_next_one_unless_the_credential_would_end_before_it() {
        let cadence = nightly();
        let secret = "payments/db".parse().unwrap();
        let window = MONDAY + 22 * HOUR;
        let rotated = Some(Millis(MONDAY - 5 * DAY));
        let expiring = |at: Option<u64>| Anchor { rotated_at: rotated, expires_at: at.map(Millis) };
        let tuesday = MONDAY + 30 * HOUR;
        for (what, expires_at, now, due, starts) in [
            ("before the window", None, MONDAY, window, window),
            ("in the window", None, window + HOUR, window, window + HOUR),
            ("missed", None, tuesday, window + 7 * DAY, window + 7 * DAY),
            (
                "missed, and it ends after the next",
                Some(tuesday + 9 * DAY),
                tuesday,
                window + 7 * DAY,
                window + 7 * DAY,
            ),
            ("missed, and it ends before the next", Some(tuesday + DAY), tuesday, tuesday, tuesday),
            ("no window before it ends", Some(MONDAY + 20 * HOUR), MONDAY, MONDAY - 4 * DAY, MONDAY),
        ] {
            let anchor = expiring(expires_at);
            let found = cadence.next_due(&secret, anchor, Millis(now));
            assert_eq!(found, Some(Millis(due)), "{what}: due");
            assert_eq!(cadence.window(&secret, anchor, Millis(due.max(now))), Some(Millis(starts)), "{what}: starts");
        }
    }
}
