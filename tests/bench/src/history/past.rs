//! Years of rotations of one secret, written in seconds: the protocol decides, the target answers as it is told, and
//! each rotation is one append. The store writes all of it as it writes any journal.

use crate::Failure;
use crate::durable::{Instant as Target, PLUGIN, SETTINGS};
use crate::world::{self, SPEC, Wall, author};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::journal::{Append, Journal};
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::action::{Action, Call};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Live, Minted, Outcome, Pins};
use keybaton_protocol::ids::{Millis, Place, SecretName};
use keybaton_protocol::step::{CallKind, PlanKind};
use keybaton_protocol::{Secret, admit, decide};
use keybaton_store::Store;
use std::future::poll_fn;
use std::task::Poll;

/// Rotations that are handed to the store at once.
const AT_ONCE: usize = 256;
const HOUR_MS: u64 = 3_600_000;

/// A secret that rotates every hour.
pub(crate) struct Past {
    secret: Secret,
    now: Millis,
}

impl Past {
    pub(crate) const fn new(name: SecretName) -> Self {
        Self { secret: Secret::new(name), now: Millis(0) }
    }

    /// Writes so many rotations, and as many more as it takes until one follows a record of the secret at rest. Answers
    /// how many events that were.
    pub(crate) async fn write(mut self, store: &Store, rotations: usize) -> Result<u64, Failure> {
        let pins = Pins {
            spec: SPEC,
            plugin: PLUGIN.parse()?,
            component: Target.describe(&PLUGIN.parse()?).await?.component,
            profile: Target.profile(&PLUGIN.parse()?, SETTINGS).await?.profile,
            policy: world::policy(false),
            settings: SETTINGS.to_owned(),
            target: "main:bench".to_owned(),
            places: vec![Place::only()],
        };
        self.now = Millis(Wall.wall().0.saturating_sub((rotations as u64 + 100) * HOUR_MS));
        let mut written = 0;
        let (mut rested, mut over) = (false, false);
        while !over {
            let mut appends = Vec::new();
            while !over && appends.len() < AT_ONCE {
                let before = rested;
                let events = self.rotate(written, &pins)?;
                rested = matches!(events.last(), Some(Event::Settled(_)));
                over = written >= rotations && before && !rested;
                written += 1;
                appends.push(self.append(events));
            }
            submit(store, appends).await?;
        }
        Ok(self.secret.seq().0)
    }

    /// One rotation, from its start to rest; the first one issues.
    fn rotate(&mut self, number: usize, pins: &Pins) -> Result<Vec<Event>, Failure> {
        self.now = self.now.plus(HOUR_MS);
        let kind = if number == 0 { PlanKind::Issue } else { PlanKind::Rotate };
        let start = Command::Start {
            rotation: format!("r{number}").parse()?,
            kind,
            cause: "every".to_owned(),
            author: author(),
            pins: Box::new(pins.clone()),
        };
        let mut events = Vec::new();
        if number == 0 {
            self.take(vec![Event::ClockResumed], &mut events)?;
        }
        let admitted = admit(&self.secret, &start, self.now).map_err(|refusal| refusal.to_string())?;
        self.take(admitted, &mut events)?;
        loop {
            match decide::next(&self.secret, self.now) {
                Action::Record(more) => self.take(more, &mut events)?,
                Action::Call(call) => {
                    let outcome = self.answer(&call);
                    let ended = Event::Ended { call: call.call, outcome };
                    self.take(vec![call.intent(), ended], &mut events)?;
                }
                Action::Wait { until: Some(until), .. } if until > self.now => self.now = until,
                Action::Wait { waiting, .. } => return Err(format!("a rotation waits: {waiting:?}").into()),
                Action::Idle => return Ok(events),
            }
        }
    }

    fn take(&mut self, events: Vec<Event>, into: &mut Vec<Event>) -> Result<(), Failure> {
        for event in events {
            self.secret.record(self.now, &event)?;
            into.push(event);
        }
        Ok(())
    }

    fn answer(&self, call: &Call) -> Outcome {
        match call.kind {
            CallKind::Create => Outcome::Created(Minted {
                id: format!("app#{}", call.generation.0).parse().ok(),
                attributes: vec![("username".to_owned(), "app".to_owned())],
                facts: Vec::new(),
                fields: vec![("password".to_owned(), "create-1-0-0".parse().expect("printable"))],
            }),
            CallKind::Verify => Outcome::Works,
            CallKind::Observe => {
                let there = self.secret.generations().values().filter(|it| it.liveness(&call.place).lingers());
                let live = there.filter_map(|it| {
                    let (id, slot) = (it.id_at(&call.place)?.clone(), it.slot.clone());
                    let (created_at, expires_at, last_used_at) = (None, None, None);
                    Some(Live { id, slot, active: true, created_at, expires_at, last_used_at, live_uses: None })
                });
                Outcome::Observed { began_at: self.now, live: live.collect() }
            }
            _ => Outcome::Done(vec![("installed".to_owned(), "app".to_owned())]),
        }
    }

    fn append(&self, events: Vec<Event>) -> Append {
        Append {
            secret: self.secret.name().clone(),
            after: None,
            fence: None,
            at: self.now,
            events,
            seals: Vec::new(),
            replies: Vec::new(),
            erase: Vec::new(),
            mark: None,
        }
    }
}

/// Hands all of them to the store, in order, before the first is written: they share commits.
async fn submit(store: &Store, appends: Vec<Append>) -> Result<(), Failure> {
    let mut waiting: Vec<_> = appends.into_iter().map(|append| store.append(append)).collect();
    let mut failed = None;
    poll_fn(|context| {
        waiting.retain_mut(|append| match append.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                failed = failed.take().or(outcome.err());
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    failed.map_or(Ok(()), |error| Err(error.into()))
}
