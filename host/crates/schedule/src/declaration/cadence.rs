//! When a secret rotates: rhythm, expiry, windows, jitter, pause.

use super::share::Shared;
use crate::diagnostic::{Diagnostic, Span};
use crate::spec::{Cadence, Rhythm};
use crate::time::{Cron, CronError, Days, Tz, Window, zone_named, zone_names};
use crate::units::{DAY, LONGEST, MINUTE, shown};
use crate::yaml::{Fields, Kind, Node, Reader};
use std::sync::Arc;

/// Keys of `cadence`.
pub(super) const CADENCE_KEYS: &[&str] =
    &["every", "cron", "before_expiry", "manual", "zone", "windows", "jitter", "pause"];
/// Keys of a window.
pub(super) const WINDOW_KEYS: &[&str] = &["days", "from", "to", "zone"];

/// Most windows of one secret.
const MAX_WINDOWS: usize = 32;

pub(super) fn read(reader: &mut Reader<'_>, shared: &mut Shared, node: &Node) -> Option<Cadence> {
    let fields = reader.fields(node, "`cadence`", CADENCE_KEYS)?;
    let zone = match fields.get("zone") {
        Some(node) => zone(reader, node),
        None => Some(Tz::UTC),
    };
    let rhythm = rhythm(reader, shared, &fields, zone.unwrap_or(Tz::UTC));
    let before = fields.get("before_expiry").map(|node| reader.duration(node, "`before_expiry`", MINUTE..=LONGEST));
    let windows = fields.get("windows").map_or(Some(Vec::new()), |node| windows(reader, node, zone.unwrap_or(Tz::UTC)));
    let jitter = fields.get("jitter").map_or(Some(0), |node| reader.duration(node, "`jitter`", 0..=DAY * 366));
    let pause = fields.get("pause").map_or(Some(false), |node| reader.flag(node, "`pause`"));
    one_beat(reader, &fields);

    let cadence = Cadence {
        rhythm: rhythm?,
        before_expiry_ms: before.map_or(Some(None), |before| before.map(Some))?,
        windows: windows?,
        jitter_ms: jitter?,
        pause: pause?,
    };
    zone?;
    short_enough(reader, &fields, &cadence);
    Some(cadence)
}

fn rhythm(reader: &mut Reader<'_>, shared: &mut Shared, fields: &Fields<'_>, zone: Tz) -> Option<Rhythm> {
    let every = fields.get("every").map(|node| reader.duration(node, "`every`", MINUTE..=LONGEST));
    let cron = fields.get("cron").map(|node| cron(reader, shared, node, zone));
    match (every, cron) {
        (Some(every), _) => every.map(Rhythm::Every),
        (None, Some(cron)) => cron.map(Rhythm::Cron),
        (None, None) => Some(Rhythm::None),
    }
}

/// Exactly one of `every`, `cron` and `manual`; `before_expiry` goes alone or with the first two.
fn one_beat(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let manual = fields.get("manual").map(|node| (reader.flag(node, "`manual`"), node.span));
    if let Some((Some(false), span)) = manual {
        let problem = Diagnostic::new("conflict", span, "`manual` is true, or it is left out");
        reader.push(problem.suggest("leave `manual` out"));
    }
    let mut given: Vec<&str> =
        ["every", "cron", "manual"].into_iter().filter(|key| fields.get(key).is_some()).collect();
    if given == ["manual"] && fields.get("before_expiry").is_some() {
        given.push("before_expiry");
    }
    match given.as_slice() {
        [] if fields.get("before_expiry").is_none() && fields.unknown().next().is_none() => {
            let problem = Diagnostic::new("missing-key", fields.span, "`cadence` does not say when");
            let expected = "one of `every`, `cron`, `before_expiry`, or `manual: true`";
            reader.push(problem.expected(expected));
        }
        [first, second, ..] => {
            let message = format!("`{second}` and `{first}` exclude each other");
            let problem = Diagnostic::new("conflict", fields.at(second), message);
            reader.push(problem.also(fields.at(first), format!("`{first}` here")));
        }
        _ => {}
    }
    if fields.get("zone").is_some() && fields.get("cron").is_none() && fields.get("windows").is_none() {
        let problem =
            Diagnostic::new("conflict", fields.at("zone"), "`zone` has no effect without `cron` or `windows`");
        reader.push(problem.suggest("leave `zone` out"));
    }
}

/// The delay may not reach into the next beat, nor past the expiry.
fn short_enough(reader: &mut Reader<'_>, fields: &Fields<'_>, cadence: &Cadence) {
    let rhythm = match &cadence.rhythm {
        Rhythm::None => None,
        Rhythm::Every(ms) => Some(("every", *ms)),
        Rhythm::Cron(cron) => Some(("cron", cron.shortest_gap_ms())),
    };
    let expiry = cadence.before_expiry_ms.map(|ms| ("before_expiry", ms));
    for (key, ms) in rhythm.into_iter().chain(expiry).filter(|(_, ms)| *ms <= cadence.jitter_ms) {
        let Some(node) = fields.get("jitter") else { return };
        let message = format!("a jitter of {} is as long as the cadence", shown(cadence.jitter_ms));
        let problem = Diagnostic::new("jitter-too-long", node.span, message);
        let problem = problem.expected(format!("less than {}", shown(ms)));
        reader.push(problem.also(fields.get(key).map_or(fields.span, |node| node.span), "the cadence"));
    }
}

fn zone(reader: &mut Reader<'_>, node: &Node) -> Option<Tz> {
    let text = reader.text(node, "`zone`")?;
    let zone = zone_named(text);
    if zone.is_none() {
        let message = format!("`{}` is not a time zone", crate::units::shortened(text));
        let problem = Diagnostic::new("unknown-zone", node.span, message);
        let problem = problem.expected("an IANA name such as Europe/Berlin or UTC");
        reader.push(problem.suggest_among(text, zone_names()));
    }
    zone
}

fn cron(reader: &mut Reader<'_>, shared: &mut Shared, node: &Node, zone: Tz) -> Option<Arc<Cron>> {
    let text = reader.text(node, "`cron`")?;
    let error = match shared.cron(text, zone) {
        Ok(cron) => return Some(cron),
        Err(error) => error,
    };
    let expected = "`minute hour day-of-month month day-of-week`, such as \"0 3 * * mon\"";
    let code = if error == CronError::Never { "cron-never" } else { "bad-cron" };
    let problem = Diagnostic::new(code, field_span(node, &error), error.to_string());
    reader.push(match &error {
        CronError::Fields(6 | 7) => problem.expected(expected).suggest("seconds and years are not supported"),
        CronError::Fields(1) if text.starts_with('@') => {
            problem.expected(expected).suggest("write the five fields out")
        }
        CronError::Fields(_) | CronError::Field { .. } => problem.expected(expected),
        CronError::BothDays => problem.suggest("give one of them as `*`"),
        CronError::Never => problem.expected("a date that some year has"),
    });
    None
}

/// The field that is wrong, where it can be pointed at.
fn field_span(node: &Node, error: &CronError) -> Span {
    let (CronError::Field { text, .. }, Kind::Scalar(scalar)) = (error, &node.kind) else { return node.span };
    let lead = u32::from(!scalar.plain);
    let as_written = (node.span.end - node.span.start) as usize == scalar.text.len() + 2 * lead as usize;
    let padded = format!(" {} ", scalar.text);
    match padded.find(&format!(" {text} ")).filter(|_| as_written) {
        Some(at) => {
            let start = node.span.start + lead + at as u32;
            Span { start, end: start + text.len() as u32, ..node.span }
        }
        None => node.span,
    }
}

fn windows(reader: &mut Reader<'_>, node: &Node, default_zone: Tz) -> Option<Vec<Window>> {
    let before = reader.problems.len();
    let windows = reader.list(node, "`windows`", |reader, item| window(reader, item, default_zone))?;
    if windows.is_empty() && reader.problems.len() == before {
        let problem = Diagnostic::new("window-never-opens", node.span, "without a window nothing ever rotates");
        reader.push(problem.suggest("leave `windows` out to rotate at any time"));
    }
    if windows.len() > MAX_WINDOWS {
        reader.push(Diagnostic::new("too-many", node.span, format!("more than {MAX_WINDOWS} windows")));
    }
    (reader.problems.len() == before).then_some(windows)
}

fn window(reader: &mut Reader<'_>, node: &Node, default_zone: Tz) -> Option<Window> {
    let fields = reader.fields(node, "the window", WINDOW_KEYS)?;
    let days = fields.get("days").map_or(Some(Days::ALL), |node| days(reader, node));
    let from = fields.get("from").map_or(Some(0), |node| clock(reader, node, "`from`", 23 * 60 + 59));
    let to = fields.get("to").map_or(Some(1440), |node| clock(reader, node, "`to`", 1440));
    let zone = fields.get("zone").map_or(Some(default_zone), |node| zone(reader, node));
    let (days, from, to, zone) = (days?, from?, to?, zone?);
    if from == to {
        let problem = Diagnostic::new("window-never-opens", node.span, "the window closes when it opens");
        reader.push(problem.suggest("for the whole day, leave out `from` and `to`"));
        return None;
    }
    // Midnight as an end is the end of the day.
    Some(Window { days, from, to: if to == 0 { 1440 } else { to }, zone })
}

fn days(reader: &mut Reader<'_>, node: &Node) -> Option<Days> {
    let words: Vec<(&str, u8)> = Days::NAMES.into_iter().zip(0..).collect();
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        let problem = Diagnostic::new("window-never-opens", node.span, "a window without days never opens");
        reader.push(problem.suggest("leave `days` out for every day"));
        return None;
    }
    let days = reader.set(node, "`days`", |reader, item| reader.choice(item, "a day", &words))?;
    (!days.is_empty()).then(|| Days::of(&days))
}

/// `HH:MM` as minutes of the day. YAML readers that take it for base 60 are left to themselves: here it is text.
fn clock(reader: &mut Reader<'_>, node: &Node, what: &str, most: u16) -> Option<u16> {
    let text = match &node.kind {
        Kind::Scalar(scalar) => &*scalar.text,
        Kind::List(_) | Kind::Map(_) => "",
    };
    let parts = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2);
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten();
    let minutes = parts.and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)));
    let minutes = minutes.filter(|(_, minutes)| *minutes < 60).map(|(hours, minutes)| hours * 60 + minutes);
    let good = minutes.filter(|minutes| *minutes <= most);
    if good.is_none() {
        let shown =
            if text.is_empty() { node.what().to_owned() } else { format!("`{}`", crate::units::shortened(text)) };
        let problem = Diagnostic::new("bad-time", node.span, format!("{what} cannot be {shown}"));
        let last = if most == 1440 { "24:00" } else { "23:59" };
        reader.push(problem.expected(format!("a time of the day as HH:MM, from 00:00 to {last}")));
    }
    good
}
