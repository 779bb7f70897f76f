//! A secret's journal as people read it: rotation by rotation, each plugin call on one line. Every record is there for
//! whoever asks for all of them, and in JSON always.

use super::show::utc;
use crate::cli::{Common, History as Asked};
use crate::client::Client;
use crate::commands::path_of;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{History, HistoryEvent};
use std::collections::BTreeMap;

/// Most records in one answer.
const PAGE: u64 = 1_000;
/// Most pages that are read, so that a broken `next` cannot loop.
const PAGES_MAX: usize = 10_000;
/// Where the time of day begins in an instant's text.
const CLOCK: usize = 11;
/// Authors that are no person: the host, its scheduler, and what an operator wrote down as policy.
const NOBODY: &[&str] = &["keybaton", "keybaton-scheduler"];

/// What happened to a secret: its newest records, or those before one.
pub(crate) async fn run(common: &Common, output: &Output, asked: Asked) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let told = back(&client, &path_of(&asked.secret)?, asked.before, asked.limit).await?;
    let mut story = Story::new(asked.all);
    output
        .result(&told, |output, told| told.events.iter().flat_map(|it| story.tell(it)).for_each(|it| output.line(it)));
    if let Some(earlier) = told.earlier {
        output.note(format!("\nthere is more: keybaton history {} --before {earlier}", asked.secret));
    }
    Ok(Exit::Done)
}

/// The last so many records before a position, or at the end, oldest first.
async fn back(client: &Client, path: &str, before: Option<u64>, limit: u64) -> Result<History, Failure> {
    let mut whole = History { secret: String::new(), events: Vec::new(), next: None, earlier: None };
    let mut earlier = before.or(Some(0));
    while let Some(before) = earlier {
        let left = limit.saturating_sub(whole.events.len() as u64);
        if left == 0 {
            whole.earlier = Some(before).filter(|before| *before > 0);
            break;
        }
        let limit = left.min(PAGE);
        let mut page: History = client.get(&format!("{path}/history?before={before}&limit={limit}")).await?;
        whole.secret = page.secret;
        page.events.append(&mut whole.events);
        whole.events = page.events;
        earlier = page.earlier.filter(|earlier| before == 0 || *earlier < before);
    }
    Ok(whole)
}

/// The position before the newest rotation's start; 0 where none has started.
pub(super) async fn newest_rotation(client: &Client, path: &str) -> Result<u64, Failure> {
    let mut earlier = Some(0);
    while let Some(before) = earlier {
        let page: History = client.get(&format!("{path}/history?before={before}&limit={PAGE}")).await?;
        if let Some(started) = page.events.iter().rev().find(|event| event.event == "started") {
            return Ok(started.seq.saturating_sub(1));
        }
        earlier = page.earlier.filter(|earlier| before == 0 || *earlier < before);
    }
    Ok(0)
}

/// The journal after a position.
pub(super) async fn read(client: &Client, path: &str, after: u64) -> Result<History, Failure> {
    let mut next = Some(after);
    let mut whole = History { secret: String::new(), events: Vec::new(), next: None, earlier: None };
    for _ in 0..PAGES_MAX {
        let Some(after) = next else { break };
        let page: History = client.get(&format!("{path}/history?after={after}")).await?;
        whole.secret = page.secret;
        whole.events.extend(page.events);
        next = page.next.filter(|next| *next > after);
    }
    Ok(whole)
}

/// Tells events one after another. Plugin calls are told when they end; what they sent is counted.
pub(super) struct Story {
    /// Tell every record on a line of its own.
    all: bool,
    calls: BTreeMap<String, Call>,
}

/// A plugin call under way.
struct Call {
    export: String,
    generation: String,
    attempt: String,
    place: String,
    began_at: u64,
    sent: u32,
    answered: u32,
    lost: u32,
}

impl Story {
    pub(super) fn new(all: bool) -> Self {
        Self { all, calls: BTreeMap::new() }
    }

    /// The lines for one event; none where it is part of a call that is told when it ends.
    pub(super) fn tell(&mut self, event: &HistoryEvent) -> Vec<String> {
        let heading = (event.event == "started").then(|| heading(event));
        let told = if self.all { Some(line(event, &event.text)) } else { self.short(event) };
        heading.into_iter().chain(told).collect()
    }

    fn short(&mut self, event: &HistoryEvent) -> Option<String> {
        let part = |name: &str| event.parts.get(name).cloned().unwrap_or_default();
        let number = part("call");
        match event.event.as_str() {
            "intended" => {
                let call = Call {
                    export: part("export"),
                    generation: part("generation"),
                    attempt: part("attempt"),
                    place: part("place"),
                    began_at: event.at,
                    sent: 0,
                    answered: 0,
                    lost: 0,
                };
                self.calls.insert(number, call);
                None
            }
            "sent" => self.counted(&number, |call| call.sent += 1),
            "answered" if event.text.ends_with("was not answered") => self.counted(&number, |call| call.lost += 1),
            "answered" => self.counted(&number, |call| call.answered += 1),
            "ended" => match self.calls.remove(&number) {
                Some(call) => {
                    Some(line(&HistoryEvent { event: call.export.clone(), ..event.clone() }, &call.ended(event)))
                }
                None => Some(line(event, &event.text)),
            },
            "interrupted" => {
                let what = self.calls.get(&number).map(|call| format!("{}: ", call.export)).unwrap_or_default();
                Some(line(event, &format!("{what}{}", event.text)))
            }
            "ticked" | "settled" | "started" => None,
            _ => Some(line(event, &event.text)),
        }
    }

    fn counted(&mut self, call: &str, count: impl FnOnce(&mut Call)) -> Option<String> {
        self.calls.get_mut(call).map(count);
        None
    }
}

impl Call {
    fn ended(&self, event: &HistoryEvent) -> String {
        let place = if self.place == "-" { String::new() } else { format!(" at {}", self.place) };
        let attempt = if self.attempt == "1" { String::new() } else { format!(", attempt {}", self.attempt) };
        let mut calls = match self.answered + self.lost {
            0 => String::new(),
            1 => "   (1 host call".to_owned(),
            all => format!("   ({all} host calls"),
        };
        if !calls.is_empty() {
            for (count, what) in [(self.sent, "to change the target"), (self.lost, "not answered")] {
                if count > 0 {
                    calls.push_str(&format!(", {count} {what}"));
                }
            }
            calls.push(')');
        }
        let took_ms = event.at.saturating_sub(self.began_at);
        let text = &event.text;
        // An observation looks at all of them.
        let about = if self.export == "observe" { String::new() } else { format!("generation {}", self.generation) };
        let about = format!("{about}{place}{attempt}");
        let colon = if about.is_empty() { "" } else { ": " };
        format!("{about}{colon}{text}, {took_ms} ms{}", paint(Tone::Dim, &calls))
    }
}

fn heading(event: &HistoryEvent) -> String {
    let part = |name: &str| event.parts.get(name).map_or("?", String::as_str);
    let what = format!("{} to generation {}", part("kind"), part("generation"));
    let day: String = utc(event.at).chars().take(CLOCK - 1).collect();
    let slot = event.parts.get("slot").map(|slot| format!(" in {slot}")).unwrap_or_default();
    let why = match (part("cause"), part("author")) {
        ("operator", author) => format!("by {author}"),
        (cause, _) => cause.to_owned(),
    };
    format!("\n{}{slot}, {why}   {day} UTC", paint(Tone::Strong, &what))
}

fn line(event: &HistoryEvent, text: &str) -> String {
    let tone = match event.event.as_str() {
        "committed" | "finished" | "erased" | "reverted" => Tone::Good,
        "held" | "compromised" | "overridden" => Tone::Bad,
        "rolling-back" | "reverting" | "interrupted" => Tone::Warn,
        _ if event.parts.contains_key("blame") => Tone::Bad,
        _ => Tone::Dim,
    };
    let clock: String = utc(event.at).chars().skip(CLOCK).collect();
    let people = event.parts.get("author").filter(|author| !NOBODY.contains(&author.as_str()));
    let approved = event.parts.get("approver").map(|who| format!(", approved by {who}")).unwrap_or_default();
    let by = people.filter(|_| event.event != "started");
    let by = by.map(|author| format!("   (by {author}{approved})")).unwrap_or_default();
    let by = paint(Tone::Dim, &by);
    let name = format!("{:<17}", event.event);
    format!("{:>6}  {clock}  {} {text}{by}", event.seq, paint(tone, &name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, name: &str, text: &str, parts: &[(&str, &str)]) -> HistoryEvent {
        HistoryEvent {
            seq,
            at: 1_800_000_000_000 + seq,
            event: name.to_owned(),
            rotation: None,
            text: text.to_owned(),
            parts: parts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_call_is_told_once_when_it_ends_and_what_it_sent_is_counted() {
        let events = [
            event(
                1,
                "intended",
                "",
                &[("call", "7"), ("export", "install"), ("generation", "2"), ("attempt", "2"), ("place", "-")],
            ),
            event(2, "answered", "host call 0 was answered", &[("call", "7")]),
            event(3, "sent", "host call 1 leaves", &[("call", "7")]),
            event(4, "answered", "host call 1 left and was not answered", &[("call", "7")]),
            event(5, "ended", "done", &[("call", "7")]),
            event(6, "rolling-back", "rolling back: no", &[("author", "ada")]),
        ];
        let mut story = Story::new(false);
        let told: Vec<_> = events.iter().flat_map(|it| story.tell(it)).map(|it| plain(&it)).collect();
        assert_eq!(
            told,
            [
                "     5  08:00:00.005  install           generation 2, attempt 2: done, 4 ms   (2 host calls, 1 to change \
                 the target, 1 not answered)",
                "     6  08:00:00.006  rolling-back      rolling back: no   (by ada)",
            ]
        );
        let mut all = Story::new(true);
        assert_eq!(events.iter().flat_map(|it| all.tell(it)).count(), events.len(), "nothing is left out");
    }
}
