//! One line per event for people, with its parts by name. An event holds no value, so neither can a line.

use super::HistoryEntry;
use crate::ports::journal::Recorded;
use keybaton_protocol::event::{Event, HostAnswer, Minted, Outcome};
use keybaton_protocol::ids::{Author, Place, RotationId};
use keybaton_protocol::policy::Members;

/// The journal's events as people read them; `open` is the rotation that was open before the first.
pub(crate) fn entries(mut open: Option<RotationId>, events: &[Recorded]) -> Vec<HistoryEntry> {
    let mut out = Vec::with_capacity(events.len());
    for recorded in events {
        if let Event::Started { rotation, .. } = &recorded.event {
            open = Some(rotation.clone());
        }
        let line = describe(&recorded.event);
        out.push(HistoryEntry {
            seq: recorded.seq.0,
            at: recorded.at.0,
            event: recorded.event.name().to_owned(),
            rotation: open.as_ref().map(RotationId::to_string),
            text: line.text,
            parts: line.parts,
        });
        if let Event::Finished { .. } = &recorded.event {
            open = None;
        }
    }
    out
}

/// Where, for a target of several places.
pub(super) fn at(place: &Place) -> String {
    if *place == Place::only() { String::new() } else { format!(" at {place}") }
}

struct Line {
    text: String,
    parts: Vec<(String, String)>,
}

impl Line {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }

    fn with<T: ToString + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.parts.push((name.to_owned(), value.to_string()));
        self
    }

    fn by(self, author: &Author) -> Self {
        self.with("author", &author)
    }
}

fn describe(event: &Event) -> Line {
    match event {
        Event::Intended { .. }
        | Event::Interrupted { .. }
        | Event::Sent { .. }
        | Event::Answered { .. }
        | Event::Ended { .. } => call(event),
        Event::Staged
        | Event::Fetched { .. }
        | Event::Stated(_)
        | Event::SeenTwice { .. }
        | Event::WaveOpened { .. }
        | Event::Draining => consumers(event),
        Event::ConsumerAdded { .. }
        | Event::ConsumerChanged { .. }
        | Event::ConsumerRemoved { .. }
        | Event::MembersChanged { .. }
        | Event::MemberMarked { .. }
        | Event::PlacesChanged { .. }
        | Event::PlaceScrapped { .. } => members(event),
        _ => course(event),
    }
}

/// Plugin calls and their host calls.
fn call(event: &Event) -> Line {
    match event {
        Event::Intended { call, kind, generation, place, attempt, operation, step, .. } => {
            Line::new(format!("{step}: calls {kind} for {generation}{} (attempt {attempt})", at(place)))
                .with("call", &call.0)
                .with("export", &kind)
                .with("step", &step)
                .with("generation", &generation.0)
                .with("place", &place)
                .with("attempt", &attempt)
                .with("operation", &operation)
        }
        Event::Interrupted { call } => Line::new("its host ended in the middle of the call").with("call", &call.0),
        Event::Sent { call, ordinal, request, deadline } => Line::new(format!("host call {} leaves", ordinal.0))
            .with("call", &call.0)
            .with("ordinal", &ordinal.0)
            .with("request", &request)
            .with("deadline", &deadline.0),
        Event::Answered { call, ordinal, request, answer } => {
            let how = match answer {
                HostAnswer::Answered => "was answered",
                HostAnswer::NotDone => "certainly did not happen",
                HostAnswer::Lost => "left and was not answered",
            };
            Line::new(format!("host call {} {how}", ordinal.0))
                .with("call", &call.0)
                .with("ordinal", &ordinal.0)
                .with("request", &request)
        }
        Event::Ended { call, outcome } => ended(outcome).with("call", &call.0),
        other => Line::new(other.name()),
    }
}

fn ended(outcome: &Outcome) -> Line {
    match outcome {
        Outcome::Created(minted) => credential("minted", minted),
        Outcome::Done(facts) => facts.iter().fold(Line::new("done"), |line, (name, value)| line.with(name, value)),
        Outcome::Works => Line::new("the credential works"),
        Outcome::Refused(reason) => Line::new(format!("the target refuses the credential: {reason}")),
        Outcome::Observed { began_at, live } => {
            let ids: Vec<_> =
                live.iter().map(|one| format!("{}{}", one.id, if one.active { "" } else { " (inactive)" })).collect();
            Line::new(format!(
                "live at the target: {}",
                if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
            ))
            .with("began_at", &began_at.0)
            .with("count", &live.len())
        }
        Outcome::Failed(fault) => Line::new(format!("failed: {fault}"))
            .with("class", &fault.class)
            .with("blame", &fault.blame)
            .with("code", &fault.code),
    }
}

fn credential(verb: &str, minted: &Minted) -> Line {
    let fields: Vec<_> = minted.fields.iter().map(|(name, _)| name.as_str()).collect();
    let line = Line::new(match &minted.id {
        Some(id) => format!("{verb} {id}"),
        None => verb.to_owned(),
    });
    let line = minted.attributes.iter().fold(line, |line, (name, value)| line.with(name, value));
    line.with("secret_fields", &fields.join(","))
}

/// What consumers did, and what was done about them.
fn consumers(event: &Event) -> Line {
    match event {
        Event::Staged => Line::new("pending is offered to its consumers"),
        Event::Fetched { consumer, replica, incarnation, generation } => {
            Line::new(format!("{consumer}/{replica} fetched {generation}"))
                .with("consumer", &consumer)
                .with("replica", &replica)
                .with("incarnation", &incarnation)
                .with("generation", &generation.0)
        }
        Event::Stated(said) => {
            let reason = if said.reason.is_empty() { String::new() } else { format!(": {}", said.reason) };
            let line = Line::new(format!(
                "{}/{} states {} of {} ({} evidence){reason}",
                said.consumer, said.replica, said.purpose, said.generation, said.kind
            ))
            .with("consumer", &said.consumer)
            .with("replica", &said.replica)
            .with("incarnation", &said.incarnation)
            .with("generation", &said.generation.0)
            .with("purpose", &said.purpose)
            .with("evidence", &said.kind);
            match &said.attested {
                Some(word) => {
                    line.by(&word.author).with("approver", &word.approver).with("expires_at", &word.expires_at.0)
                }
                None => line,
            }
        }
        Event::SeenTwice { consumer, replica, incarnation } => Line::new(format!(
            "a former life of {consumer}/{replica} speaks beside its present one: two processes share one identity"
        ))
        .with("consumer", &consumer)
        .with("replica", &replica)
        .with("incarnation", &incarnation),
        Event::WaveOpened { wave } => Line::new(format!("wave {} may switch", wave + 1)).with("wave", &wave),
        Event::Draining => Line::new("everyone who must has adopted; the overlap runs"),
        other => Line::new(other.name()),
    }
}

/// Who consumes, and where.
fn members(event: &Event) -> Line {
    match event {
        Event::ConsumerAdded { consumer, author } => {
            Line::new(format!("consumer {} joins", consumer.name)).with("consumer", &consumer.name).by(author)
        }
        Event::ConsumerChanged { consumer, author } => {
            let what = format!("what is declared of consumer {} changed, and holds from now on", consumer.name);
            Line::new(what).with("consumer", &consumer.name).by(author)
        }
        Event::MemberMarked { consumer, replica, gone, author } => {
            let what = if *gone { "is gone: nobody waits for it" } else { "is there again" };
            Line::new(format!("{consumer}/{replica} {what}"))
                .with("consumer", &consumer)
                .with("replica", &replica)
                .by(author)
        }
        Event::ConsumerRemoved { consumer, author } => {
            Line::new(format!("consumer {consumer} leaves")).with("consumer", &consumer).by(author)
        }
        Event::MembersChanged { consumer, members, author } => {
            let members = match members {
                Members::Listed(listed) if listed.is_empty() => "nobody".to_owned(),
                Members::Listed(listed) => listed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                Members::Count(count) => format!("{count} replicas"),
            };
            Line::new(format!("consumer {consumer} is now {members}"))
                .with("consumer", &consumer)
                .with("members", &members)
                .by(author)
        }
        Event::PlaceScrapped { place, author } => {
            Line::new(format!("{place} is scrapped, and every credential that was there with it"))
                .with("place", &place)
                .by(author)
        }
        Event::PlacesChanged { places, author } => {
            let places: Vec<_> = places.iter().map(ToString::to_string).collect();
            Line::new(format!("the target is now at {}", places.join(", "))).by(author)
        }
        other => Line::new(other.name()),
    }
}

/// The rotation's own course.
fn course(event: &Event) -> Line {
    match event {
        Event::Started { rotation, kind, generation, slot, cause, author, pins, plan: _ } => {
            let line = Line::new(format!("{kind} starts for {generation} ({cause})"))
                .with("rotation", &rotation)
                .with("kind", &kind)
                .with("generation", &generation.0)
                .with("cause", &cause)
                .by(author)
                .with("plugin", &pins.plugin)
                .with("component", &pins.component)
                .with("spec", &pins.spec)
                .with("target", &pins.target);
            slot.iter().fold(line, |line, slot| line.with("slot", &slot))
        }
        Event::Committed => Line::new("pending becomes current"),
        Event::Reverted => Line::new("previous is current again"),
        Event::RollingBack { reason, author } => going_back("rolling back", reason, author.as_ref()),
        Event::Reverting { reason, author } => going_back("reverting", reason, author.as_ref()),
        Event::RetirementOpened { generation, place, cause, id } => {
            let line = Line::new(format!("{generation} is to end{}: {cause}", at(place)))
                .with("generation", &generation.0)
                .with("place", &place)
                .with("cause", &cause);
            id.iter().fold(line, |line, id| line.with("id", &id))
        }
        Event::RetirementClosed { generation, place, superseded, .. } => {
            let how = if *superseded { "is overwritten by a newer one" } else { "has ended" };
            Line::new(format!("{generation} {how}{}", at(place))).with("generation", &generation.0).with("place", place)
        }
        Event::Erased { generation } => {
            Line::new(format!("the data key of {generation} is erased")).with("generation", &generation.0)
        }
        Event::ForeignSeen { place, id } => Line::new(format!("{id}{} is not keybaton's; it is left alone", at(place)))
            .with("place", &place)
            .with("id", &id),
        Event::Held { reason, detail } => Line::new(format!("held ({reason}): {detail}")).with("reason", &reason),
        Event::Finished { ending, reason } if reason.is_empty() => Line::new(ending.name()).with("ending", &ending),
        Event::Finished { ending, reason } => Line::new(format!("{ending}: {reason}")).with("ending", &ending),
        Event::Supplied { generation, minted, author } => {
            credential("taken over", minted).with("generation", &generation.0).by(author)
        }
        Event::Ticked => Line::new("time passed"),
        Event::ClockStepped { by_ms } => {
            let way = if *by_ms < 0 { "back" } else { "ahead" };
            let ms = by_ms.unsigned_abs();
            Line::new(format!("the host's clock was set {way} by {ms} ms; whatever waits has as long to go as before"))
                .with("by-ms", by_ms)
        }
        Event::ClockResumed => Line::new("a host begins to measure the time"),
        other => orders(other),
    }
}

fn going_back(what: &str, reason: &str, author: Option<&Author>) -> Line {
    let line = Line::new(format!("{what}: {reason}"));
    author.into_iter().fold(line, Line::by)
}

/// What people ordered.
fn orders(event: &Event) -> Line {
    match event {
        Event::Repolicied { author, .. } => Line::new("the rotation's policy is changed").by(author),
        Event::Repinned { component, author } => {
            Line::new("the rotation goes on with other plugin bytes").with("component", &component).by(author)
        }
        Event::Released { author } => Line::new("the hold is lifted, or what failed is tried again at once").by(author),
        Event::Overridden { generation, reason, author } => {
            Line::new(format!("{generation} may end without evidence: {reason}"))
                .with("generation", &generation.0)
                .by(author)
        }
        Event::Compromised { generation, disable_first, author } => {
            let how = if *disable_first { ", and ends before consumers have switched" } else { "" };
            Line::new(format!("{generation} is known to others{how}")).with("generation", &generation.0).by(author)
        }
        Event::Frozen { author } => Line::new("frozen").by(author),
        Event::Thawed { author } => Line::new("thawed").by(author),
        Event::Begun { epoch } => Line::new("the journal begins").with("epoch", &epoch.0),
        Event::Restored { epoch, .. } => {
            Line::new("the database was restored; the target is compared first").with("epoch", &epoch.0)
        }
        Event::Reconciled { author, next } => {
            Line::new("agrees with its target again").with("next", &next.0).by(author)
        }
        Event::Lost { reason, author, next } => {
            Line::new(format!("accepted as lost: {reason}; nothing is current, and the target was left as it is"))
                .with("next", &next.0)
                .by(author)
        }
        Event::Settled(_) => Line::new("at rest: a load of it begins here"),
        Event::Unmanaged { author } => Line::new("its declaration is gone; nothing is destroyed").by(author),
        other => Line::new(other.name()),
    }
}
