//! What is shown of secrets: a table of all, one in full, and its history. Only names, roles and evidence; no values.

use crate::cli::{Common, Status};
use crate::client::Client;
use crate::commands::path_of;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{ConsumerStatus, Retirement, RotationStatus, SecretList, SecretStatus, Standing};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most pages that `status` reads, so that a broken `next` cannot loop.
const PAGES_MAX: usize = 10_000;

/// Where secrets stand.
pub(crate) async fn status(common: &Common, output: &Output, asked: Status) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    if let Some(secret) = asked.secret {
        let status: SecretStatus = client.get(&path_of(&secret)?).await?;
        output.result(&status, |output, status| output.line(in_full(status)));
        return Ok(Exit::Done);
    }
    let mut all = SecretList { secrets: Vec::new(), next: None };
    for _ in 0..PAGES_MAX {
        let query = all.next.take().map(|after| format!("?after={}", after.replace('/', "%2F"))).unwrap_or_default();
        let page: SecretList = client.get(&format!("/v1/secrets{query}")).await?;
        all.secrets.extend(page.secrets);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.result(&all, table);
    Ok(Exit::Done)
}

fn table(output: &Output, all: &SecretList) {
    if all.secrets.is_empty() {
        output.note("no secrets are declared; `keybaton apply FILES` declares some");
        return;
    }
    let mut table = output.table(&["secret", "standing", "rotated", "due", "plugin", "connection"]);
    for secret in &all.secrets {
        table.add_row([
            secret.secret.clone(),
            paint(tone_of(secret.standing), standing_name(secret.standing)),
            ago(secret.rotated_at),
            if secret.paused { "paused".to_owned() } else { ahead(secret.due_at) },
            secret.plugin.clone().unwrap_or_else(|| "-".to_owned()),
            secret.connection.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    output.line(table.to_string());
}

/// A secret in full, as `status NAME` and `watch` show it.
pub(crate) fn in_full(status: &SecretStatus) -> String {
    let summary = &status.summary;
    let mut text = format!(
        "{}  {}\n",
        paint(Tone::Strong, &summary.secret),
        paint(tone_of(summary.standing), standing_name(summary.standing))
    );
    for known in &status.generations {
        let id = known.id.as_deref().or(known.slot.as_deref()).unwrap_or("");
        let mark = if known.compromised { paint(Tone::Bad, " compromised") } else { String::new() };
        text.push_str(&format!("  generation {:<4} {:<9} {id}{mark}\n", known.generation, known.role));
    }
    if let Some(rotation) = &status.rotation {
        text.push_str(&rotation_lines(rotation));
    }
    if let Some(held) = &status.held {
        let line = format!("held: {} since {}", held.reason, ago(Some(held.since)));
        text.push_str(&format!("  {}\n    {}\n", paint(Tone::Bad, &line), held.detail));
    }
    for open in &status.retirements {
        let id = open.id.as_deref().map(|id| format!(" ({id})")).unwrap_or_default();
        text.push_str(&format!("  retiring generation {}{id} at {}: {}\n", open.generation, open.place, open.cause));
        text.push_str(&waited_for(open));
    }
    for foreign in &status.foreign {
        text.push_str(&format!(
            "  foreign credential {} at {}: not keybaton's, never touched\n",
            foreign.id, foreign.place
        ));
    }
    if let Some(blocked) = &status.blocked {
        text.push_str(&format!("  {}\n", paint(Tone::Warn, blocked)));
    }
    text.trim_end().to_owned()
}

fn rotation_lines(rotation: &RotationStatus) -> String {
    let step = rotation.step.as_deref().unwrap_or("-");
    let why = match rotation.cause.as_str() {
        "operator" => format!("by {}", rotation.author),
        cause => cause.to_owned(),
    };
    let mut text = format!(
        "  {} to generation {}: {} · {}   ({why}, {})\n",
        rotation.kind,
        rotation.generation,
        rotation.phase,
        paint(Tone::Strong, step),
        ago(Some(rotation.started_at)),
    );
    if let Some(waiting) = &rotation.waiting {
        let until = rotation.until.map(|until| format!(", looks again {}", ahead(Some(until)))).unwrap_or_default();
        text.push_str(&format!("  {}{until}\n", paint(Tone::Warn, &format!("waiting {waiting}"))));
    }
    for consumer in &rotation.consumers {
        text.push_str(&consumer_lines(consumer));
    }
    text
}

/// For whom the end of a credential waits, and until when.
fn waited_for(open: &Retirement) -> String {
    if open.missing.is_empty() {
        return String::new();
    }
    let until = match open.until {
        Some(until) => format!("for {} at the longest", span(until.saturating_sub(now_ms()))),
        None => "until they answer".to_owned(),
    };
    let waiting = format!("waiting for {} {until}; `keybaton member drop` ends that", open.missing.join(", "));
    format!("    {}\n", paint(Tone::Warn, &waiting))
}

/// Why a replica's word may not count.
pub(super) fn doubts(unknown: bool, twice: bool) -> String {
    let mut text = String::new();
    if unknown {
        text.push_str(&paint(Tone::Warn, ", unknown: silent for longer than its lease"));
    }
    if twice {
        text.push_str(&paint(Tone::Bad, ", two processes share its identity: enrol each on its own"));
    }
    text
}

fn consumer_lines(consumer: &ConsumerStatus) -> String {
    let required = if consumer.required { "" } else { ", optional" };
    let mut text = format!("    consumer {} ({}{required})\n", consumer.name, consumer.role);
    for replica in &consumer.replicas {
        let stated = match (&replica.purpose, replica.generation, &replica.evidence) {
            (Some(purpose), Some(generation), Some(evidence)) => {
                format!("{purpose} for generation {generation}, evidence: {evidence}, {}", ago(replica.at))
            }
            _ => "has said nothing yet".to_owned(),
        };
        let doubts = doubts(replica.unknown, replica.twice);
        text.push_str(&format!("      {:<16} {stated}{doubts}\n", replica.replica));
    }
    if !consumer.missing.is_empty() {
        let missing = format!("waited for: {}", consumer.missing.join(", "));
        text.push_str(&format!("      {}\n", paint(Tone::Warn, &missing)));
    }
    text
}

fn tone_of(standing: Standing) -> Tone {
    match standing {
        Standing::Idle => Tone::Good,
        Standing::New | Standing::Ended | Standing::Unmanaged => Tone::Dim,
        Standing::Rotating | Standing::Waiting | Standing::Retiring => Tone::Warn,
        Standing::Held | Standing::Frozen | Standing::Damaged => Tone::Bad,
    }
}

fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Idle => "idle",
        Standing::Rotating => "rotating",
        Standing::Waiting => "waiting",
        Standing::Held => "held",
        Standing::Frozen => "frozen",
        Standing::Retiring => "retiring",
        Standing::Unmanaged => "unmanaged",
        Standing::Ended => "ended",
        Standing::Damaged => "damaged",
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn ago(at: Option<u64>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", span(now_ms().saturating_sub(at))))
}

pub(super) fn ahead(at: Option<u64>) -> String {
    let now = now_ms();
    match at {
        None => "-".to_owned(),
        Some(at) if at >= now => format!("in {}", span(at - now)),
        Some(at) => format!("overdue by {}", span(now - at)),
    }
}

/// A span of time with its two largest units.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

pub(super) fn utc(at: u64) -> String {
    i64::try_from(at)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(|| at.to_string(), |at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        for (ms, expected) in
            [(0, "0ms"), (999, "999ms"), (1_000, "1s"), (61_000, "1m1s"), (3_600_000, "1h0m"), (90_061_000, "1d1h")]
        {
            assert_eq!(span(ms), expected);
        }
    }

    #[test]
    fn an_instant_is_shown_in_utc() {
        assert_eq!(utc(1_800_000_000_123), "2027-01-15 08:00:00.123");
    }
}
