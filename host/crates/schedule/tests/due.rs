//! When secrets are due: intervals, cron across clock changes, expiry, windows, jitter; and why they are not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use keybaton_protocol::ids::Millis;
use keybaton_schedule::group::{Admit, Dependency};
use keybaton_schedule::spec::{Cadence, Rhythm};
use keybaton_schedule::time::{Cron, CronError, Days, Due, Facts, Question, Tz, Verdict, Why, Window};
use keybaton_schedule::time::{answer, explain, is_open, next_due, seed};
use keybaton_schedule::units::{DAY, HOUR, MINUTE, SECOND};
use proptest::prelude::*;

fn utc(text: &str) -> Millis {
    let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").unwrap();
    Millis(at.and_utc().timestamp_millis() as u64)
}

fn shown(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at.0 as i64).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

fn every(ms: u64) -> Cadence {
    Cadence { rhythm: Rhythm::Every(ms), before_expiry_ms: None, windows: Vec::new(), jitter_ms: 0, pause: false }
}

fn last(at: Millis) -> Facts {
    Facts { last: Some(at), expires: None }
}

#[test]
fn cron_fires_once_where_clocks_skip_and_once_where_they_repeat() {
    let table = [
        (
            "Berlin skips it",
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00Z",
            vec!["2026-03-29T01:00Z", "2026-03-30T00:30Z"],
        ),
        (
            "Berlin repeats it",
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00Z",
            vec!["2026-10-25T00:30Z", "2026-10-26T01:30Z"],
        ),
        ("asked within the second pass", "30 2 * * *", "Europe/Berlin", "2026-10-25T01:10Z", vec!["2026-10-26T01:30Z"]),
        (
            "all skipped minutes at once",
            "*/15 2 * * *",
            "Europe/Berlin",
            "2026-03-29T00:00Z",
            vec!["2026-03-29T01:00Z", "2026-03-30T00:00Z"],
        ),
        (
            "New York skips it",
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00Z",
            vec!["2026-03-08T07:00Z", "2026-03-09T06:30Z"],
        ),
        (
            "New York repeats it",
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00Z",
            vec!["2026-11-01T05:30Z", "2026-11-02T06:30Z"],
        ),
        (
            "Lord Howe skips half an hour",
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00Z",
            vec!["2026-10-03T15:30Z", "2026-10-04T15:15Z"],
        ),
        (
            "Lord Howe repeats half an hour",
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00Z",
            vec!["2026-04-04T14:45Z", "2026-04-05T15:15Z"],
        ),
        (
            "Kolkata never changes",
            "0 3 * * *",
            "Asia/Kolkata",
            "2026-03-28T22:00Z",
            vec!["2026-03-29T21:30Z", "2026-03-30T21:30Z"],
        ),
        ("1 is Monday", "0 3 * * 1", "UTC", "2026-01-01T00:00Z", vec!["2026-01-05T03:00Z", "2026-01-12T03:00Z"]),
        (
            "0 and 7 are Sunday",
            "0 3 * * 0,7",
            "UTC",
            "2026-01-01T00:00Z",
            vec!["2026-01-04T03:00Z", "2026-01-11T03:00Z"],
        ),
        (
            "from Friday to Sunday",
            "0 3 * * fri-sun",
            "UTC",
            "2026-01-01T00:00Z",
            vec!["2026-01-02T03:00Z", "2026-01-03T03:00Z", "2026-01-04T03:00Z", "2026-01-09T03:00Z"],
        ),
        (
            "every other day of the week from Sunday",
            "0 3 * * */2",
            "UTC",
            "2026-01-01T00:00Z",
            vec!["2026-01-01T03:00Z", "2026-01-03T03:00Z", "2026-01-04T03:00Z"],
        ),
        ("a leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00Z", vec!["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("the last of the month that has 31", "0 0 31 * *", "UTC", "2026-01-31T00:00Z", vec!["2026-03-31T00:00Z"]),
    ];
    for (sentence, text, name, after, expected) in table {
        let cron = Cron::parse(text, zone(name)).unwrap();
        let mut at = utc(after);
        for firing in expected {
            at = cron.next_after(at).unwrap();
            assert_eq!(shown(at), firing, "{sentence}");
        }
    }
}

#[test]
fn cron_expressions_that_are_wrong_say_how() {
    let field = |field, text: &str| CronError::Field { field, text: text.to_owned() };
    let table = [
        ("", CronError::Fields(0)),
        ("* * * *", CronError::Fields(4)),
        ("60 * * * *", field("minute", "60")),
        ("* 24 * * *", field("hour", "24")),
        ("* * 0 * *", field("day of the month", "0")),
        ("* * 32 * *", field("day of the month", "32")),
        ("* * * 13 *", field("month", "13")),
        ("* * * foo *", field("month", "foo")),
        ("* * * * 8", field("day of the week", "8")),
        ("* * * * */0", field("day of the week", "*/0")),
        ("* * * * 5-3", field("day of the week", "5-3")),
        ("0 0 30 2 *", CronError::Never),
        ("0 0 31 4,6,9,11 *", CronError::Never),
        ("0 0 1 * 1", CronError::BothDays),
    ];
    for (text, error) in table {
        assert_eq!(Cron::parse(text, Tz::UTC), Err(error), "{text}");
    }
}

#[test]
fn the_calendar_of_cron_ends_and_says_so() {
    let cron = Cron::parse("0 0 1 1 *", Tz::UTC).unwrap();
    let cadence = Cadence { rhythm: Rhythm::Cron(cron.into()), ..every(0) };
    let due = next_due(&cadence, last(utc("2100-06-01T00:00Z")), 0, utc("2100-06-01T00:00Z"));
    assert_eq!(due, Due { at: None, why: Why::NoNextTime, latest: None });
}

#[test]
fn what_comes_first_makes_it_due_and_what_is_missing_is_named() {
    let base = utc("2026-01-01T00:00Z");
    let monthly = every(30 * DAY);
    let expiring = Cadence { before_expiry_ms: Some(20 * DAY), ..every(30 * DAY) };
    let expiry_only = Cadence { rhythm: Rhythm::None, ..expiring.clone() };
    let by_hand = Cadence { rhythm: Rhythm::None, ..every(0) };
    let paused = Cadence { pause: true, ..every(DAY) };
    let expires = |days| Facts { last: Some(base), expires: Some(base.plus(days * DAY)) };
    let table = [
        ("the interval", &monthly, last(base), Some(30), Why::Interval),
        ("no first credential", &monthly, Facts::default(), None, Why::NeverIssued),
        ("paused", &paused, last(base), None, Why::Paused),
        ("by hand", &by_hand, last(base), None, Why::ByHand),
        ("the interval before the expiry", &expiring, expires(90), Some(30), Why::Interval),
        ("the expiry before the interval", &expiring, expires(40), Some(20), Why::Expiry),
        ("an expiry nearer than its lead", &expiring, expires(10), Some(0), Why::Expiry),
        ("no expiry known, but an interval", &expiring, last(base), Some(30), Why::Interval),
        ("no expiry known, and nothing else", &expiry_only, last(base), None, Why::NoExpiry),
    ];
    for (sentence, cadence, facts, days, why) in table {
        let due = next_due(cadence, facts, 0, base);
        assert_eq!((due.at, due.why), (days.map(|days| base.plus(days * DAY)), why), "{sentence}");
        assert_eq!(due.latest, due.at.and(facts.expires), "{sentence}");
    }
}

#[test]
fn a_due_time_moves_into_a_window_unless_the_credential_would_expire() {
    let night = Window { days: Days::of(&[0]), from: 22 * 60, to: 4 * 60, zone: Tz::UTC };
    let cadence = Cadence { windows: vec![night], ..every(DAY) };
    let monday_noon = utc("2026-01-05T12:00Z");
    let due = next_due(&cadence, last(utc("2026-01-01T12:00Z")), 0, utc("2026-01-01T12:00Z"));
    assert_eq!((due.at, due.latest), (Some(utc("2026-01-05T22:00Z")), Some(utc("2026-01-06T04:00Z"))));

    let late = next_due(&cadence, last(utc("2026-01-01T12:00Z")), 0, utc("2026-01-06T05:00Z"));
    assert_eq!(late.at, Some(utc("2026-01-12T22:00Z")), "missed while the host was down: the next window");
    let within = next_due(&cadence, last(utc("2026-01-01T12:00Z")), 0, utc("2026-01-06T02:00Z"));
    assert_eq!(within.at, Some(utc("2026-01-05T22:00Z")), "still open: overdue, not moved");

    let jittered = Cadence { jitter_ms: HOUR, ..cadence.clone() };
    let later = next_due(&jittered, last(utc("2026-01-01T12:00Z")), u64::MAX, utc("2026-01-12T23:00Z"));
    assert_eq!(later.at, Some(utc("2026-01-05T23:00Z")), "missed, and a later window is open: overdue at once");

    let before = Cadence { before_expiry_ms: Some(DAY), rhythm: Rhythm::None, ..cadence };
    let expires = Facts { last: Some(utc("2026-01-01T00:00Z")), expires: Some(monday_noon) };
    let due = next_due(&before, expires, 0, utc("2026-01-01T00:00Z"));
    assert_eq!((due.at, due.why), (Some(utc("2026-01-04T12:00Z")), Why::ExpiryBeforeWindow));
    let at_opening = Facts { expires: Some(utc("2026-01-05T22:00Z")), ..expires };
    let due = next_due(&before, at_opening, 0, utc("2026-01-01T00:00Z"));
    assert_eq!(
        (due.at, due.why),
        (Some(utc("2026-01-04T22:00Z")), Why::ExpiryBeforeWindow),
        "the very opening is too late"
    );
    let soon = Facts { expires: Some(utc("2026-01-05T23:00Z")), ..expires };
    let due = next_due(&before, soon, u64::MAX, utc("2026-01-01T00:00Z"));
    assert_eq!(
        (due.at, due.latest),
        (Some(utc("2026-01-05T22:00Z")), soon.expires),
        "latest is the earlier of the two"
    );
}

#[test]
fn secrets_that_wait_for_the_same_window_are_spread_over_it() {
    let hour = Window { days: Days::ALL, from: 60, to: 120, zone: Tz::UTC };
    let cadence = Cadence { windows: vec![hour], jitter_ms: 12 * HOUR, ..every(DAY) };
    let base = utc("2026-01-01T12:00Z");
    let mut quarters = [0; 4];
    for number in 0..400 {
        let seed = seed(&format!("team/secret-{number}").parse().unwrap(), Some(base));
        let at = next_due(&cadence, last(base), seed, base).at.unwrap();
        quarters[(at.since(utc("2026-01-03T01:00Z")) / (15 * MINUTE)) as usize] += 1;
    }
    assert!(quarters.iter().all(|count| (60..140).contains(count)), "{quarters:?}");
}

#[test]
fn a_seed_belongs_to_a_name_and_a_beat_and_never_changes() {
    let name = "payments/db".parse().unwrap();
    assert_eq!(seed(&name, Some(Millis(1))), seed(&name, Some(Millis(1))));
    assert_ne!(seed(&name, Some(Millis(1))), seed(&name, Some(Millis(2))));
    assert_ne!(seed(&name, Some(Millis(1))), seed(&"payments/dc".parse().unwrap(), Some(Millis(1))));
    assert_eq!(seed(&name, None), 16_096_393_519_123_525_027, "pinned: a journal relies on it");
}

#[test]
fn the_first_rule_that_objects_says_why_a_secret_does_not_rotate() {
    let base = utc("2026-01-05T12:00Z");
    let night = Window { days: Days::ALL, from: 22 * 60, to: 4 * 60, zone: Tz::UTC };
    let daily = every(DAY);
    let nightly = Cadence { windows: vec![night], ..every(DAY) };
    let paused = Cadence { pause: true, ..every(DAY) };
    let ca = "payments/ca".parse().unwrap();
    let ask = |cadence, hours| Question {
        cadence,
        facts: last(base),
        due: None,
        seed: 0,
        group: Admit::Now,
        blocked: None,
        now: base.plus(hours * HOUR),
    };
    let table = [
        ("due", ask(&daily, 24), None),
        ("paused", ask(&paused, 48), Some(("paused", None))),
        ("no credential", Question { facts: Facts::default(), ..ask(&daily, 48) }, Some(("issued", None))),
        ("not due yet", ask(&daily, 23), Some(("due", Some(base.plus(DAY))))),
        (
            "the journalled due time counts",
            Question { due: Some(base.plus(2 * DAY)), ..ask(&daily, 25) },
            Some(("due", Some(base.plus(2 * DAY)))),
        ),
        (
            "no window open",
            Question { due: Some(base), ..ask(&nightly, 25) },
            Some(("window", Some(utc("2026-01-06T22:00Z")))),
        ),
        (
            "another goes first",
            Question { blocked: Some((&ca, Dependency::Running)), ..ask(&daily, 24) },
            Some(("dependency", None)),
        ),
        ("the group is busy", Question { group: Admit::WhenOneEnds, ..ask(&daily, 24) }, Some(("stagger", None))),
        (
            "the group has just started one",
            Question { group: Admit::At(Millis(9)), ..ask(&daily, 24) },
            Some(("stagger", Some(Millis(9)))),
        ),
    ];
    for (sentence, question, expected) in table {
        let found = answer(&question).map(|finding| match finding.verdict {
            Verdict::Wait { until, .. } => (finding.rule, until),
            Verdict::Go => panic!("{sentence}: an answer objects"),
        });
        assert_eq!(found, expected, "{sentence}");
        assert_eq!(explain(&question).len(), 7, "{sentence}: every rule is asked");
    }
}

/// The next firing by looking at every minute on the clocks of a zone.
fn scanned(matches: impl Fn(u32, u32) -> bool, zone: Tz, after: Millis) -> Millis {
    use chrono::{TimeZone, Timelike};
    let local = |minute: u64| zone.timestamp_millis_opt((minute * MINUTE) as i64).unwrap().naive_local();
    let mut minute = after.0 / MINUTE + 1;
    // The highest clock reading before: what it has shown already has fired already.
    let mut shown = (minute - 26 * 60..minute).map(local).max().unwrap();
    loop {
        let now = local(minute);
        let mut skipped = shown + chrono::TimeDelta::minutes(1);
        while skipped <= now {
            if matches(skipped.hour(), skipped.minute()) {
                return Millis(minute * MINUTE);
            }
            skipped += chrono::TimeDelta::minutes(1);
        }
        shown = shown.max(now);
        minute += 1;
    }
}

fn any_zone() -> impl Strategy<Value = Tz> {
    let names = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "America/St_Johns",
        "Africa/Casablanca",
        "UTC",
    ];
    prop::sample::select(names.to_vec()).prop_map(zone)
}

/// Instants near the clock changes of 2026, north and south.
fn near_change() -> impl Strategy<Value = Millis> {
    let changes = [
        "2026-03-08T07:00Z",
        "2026-03-29T01:00Z",
        "2026-04-04T15:00Z",
        "2026-10-03T15:30Z",
        "2026-10-25T01:00Z",
        "2026-11-01T06:00Z",
    ];
    (prop::sample::select(changes.to_vec()), 0..48 * HOUR)
        .prop_map(|(change, offset)| Millis(utc(change).0 - 24 * HOUR + offset))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn cron_agrees_with_looking_at_every_minute(zone in any_zone(), after in near_change(), hour in 0_u32..5, minute in 0_u32..60, step in prop::sample::select(vec![0_u32, 7, 15, 30])) {
        let text = if step == 0 { format!("{minute} {hour} * * *") } else { format!("*/{step} {hour} * * *") };
        let fires = |h: u32, m: u32| h == hour && if step == 0 { m == minute } else { m.is_multiple_of(step) };
        let cron = Cron::parse(&text, zone).unwrap();
        prop_assert_eq!(cron.next_after(after).map(shown), Some(shown(scanned(fires, zone, after))), "{} after {}", text, shown(after));
    }

    #[test]
    fn due_times_are_later_than_the_last_rotation_within_the_jitter_and_in_order(
        first in 0..4_000_000_000_000_u64, gap in 0..90 * DAY, interval in MINUTE..400 * DAY, jitter in 0..30 * DAY, seed: u64, windowed: bool,
    ) {
        let window = Window { days: Days::of(&[1, 3]), from: 23 * 60, to: 60, zone: Tz::Europe__Berlin };
        let windows = if windowed { vec![window] } else { Vec::new() };
        let cadence = Cadence { windows, jitter_ms: jitter, ..every(interval) };
        let due = |at: u64| next_due(&cadence, last(Millis(at)), seed, Millis(0)).at.unwrap();
        let (one, other) = (due(first), due(first + gap));
        prop_assert!(one <= other);
        prop_assert!(one.0 >= first + interval);
        prop_assert!(is_open(&cadence, one));
        if !windowed {
            prop_assert!(one.0 <= first + interval + jitter);
        }
    }

    #[test]
    fn no_due_time_lies_past_the_expiry(base in 0..4_000_000_000_000_u64, life in HOUR..400 * DAY, lead in MINUTE..400 * DAY, share in 0..100_u64, seed: u64) {
        let window = Window { days: Days::of(&[0]), from: 60, to: 120, zone: Tz::UTC };
        let cadence = Cadence { rhythm: Rhythm::None, before_expiry_ms: Some(lead), windows: vec![window], jitter_ms: (lead - 1) * share / 100, pause: false };
        let expires = Millis(base + life);
        let due = next_due(&cadence, Facts { last: Some(Millis(base)), expires: Some(expires) }, seed, Millis(base));
        prop_assert!(due.at.unwrap() < expires, "{:?}", due);
        prop_assert!(due.latest.unwrap() <= expires);
    }

    #[test]
    fn no_question_is_too_strange_for_an_answer(last: u64, expires: Option<u64>, now: u64, seed: u64, interval: u64, jitter: u64) {
        let window = Window { days: Days::of(&[0]), from: 60, to: 30, zone: Tz::Pacific__Apia };
        let cron = Cron::parse("5 4 * * sun", Tz::Africa__Cairo).unwrap();
        for rhythm in [Rhythm::None, Rhythm::Every(interval), Rhythm::Cron(cron.into())] {
            let cadence = Cadence { rhythm, before_expiry_ms: Some(interval), windows: vec![window], jitter_ms: jitter, pause: false };
            let facts = Facts { last: Some(Millis(last)), expires: expires.map(Millis) };
            let _: Due = next_due(&cadence, facts, seed, Millis(now));
        }
    }
}

#[test]
fn seconds_do_not_hide_a_firing() {
    let cron = Cron::parse("0 3 * * *", Tz::UTC).unwrap();
    let at = utc("2026-01-01T03:00Z");
    assert_eq!(cron.next_after(Millis(at.0 - 1)), Some(at));
    assert_eq!(cron.next_after(Millis(at.0 - SECOND)), Some(at));
    assert_eq!(cron.next_after(at), Some(at.plus(DAY)));
}
