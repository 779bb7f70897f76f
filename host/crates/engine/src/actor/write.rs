//! The append, and what may happen only once it is durable: answers, calls, announcements.

use super::Actor;
use super::batch::Batch;
use super::message::Item;
use super::turn::Setback;
use crate::declare;
use crate::ports::journal::JournalError;
use crate::requests::Changed;
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::fault::{Blame, Fault};
use keybaton_protocol::ids::{Author, Seq};
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use tokio::time::Instant;

impl Actor {
    /// Writes the batch, if there is anything in it.
    pub(super) async fn write(&mut self, batch: &mut Batch, before: Seq) -> Result<(), Setback> {
        let mark = self.state().mark();
        // Only the host that leads writes the index's line; beside others it opens it, and never closes it.
        let leads = batch.fence.is_some() || !self.shared.journal.is_shared();
        let moved = mark != self.state().marked && (leads || mark.open && !self.state().marked.open);
        if batch.is_empty() && !moved {
            return Ok(());
        }
        let notes = self.notes(&batch.events);
        let at = self.now();
        let append = batch.take_append(&self.name, before, at, moved.then_some(mark));
        let began = Instant::now();
        let written = self.shared.journal.append(append).await;
        self.shared.metrics.append_seconds.observe(began.elapsed().as_secs_f64());
        match written {
            Ok(seq) => {
                self.shared.metrics.appends.inc();
                self.state().marked = mark;
                self.count(notes);
                self.announce(seq);
                self.keep_dating();
                Ok(())
            }
            Err(JournalError::Conflict { .. }) => {
                self.shared.metrics.conflicts.inc();
                Err(Setback::Again)
            }
            Err(JournalError::Fenced { .. }) => {
                self.lease = None;
                Err(Setback::Again)
            }
            Err(error) => Err(Setback::Store(error)),
        }
    }

    /// After a write, or where there was nothing to write: answers, calls, the board.
    pub(super) fn settle(&mut self, items: &mut Vec<Item>, batch: Batch) {
        for launch in batch.launches {
            self.launch(launch);
        }
        for (at, offered) in batch.given {
            self.waiting[at].done.take().map(|done| done.send(Ok(offered)));
        }
        for (item, answer) in items.drain(..).zip(batch.answers) {
            if let Item::Look(look) = item {
                let now = self.now();
                look(&self.state().secret, now);
            } else {
                item.answer(answer);
            }
        }
        if let Some(loaded) = &self.loaded {
            let face = loaded.face(self.running.is_empty());
            if self.shown.as_ref() != Some(&face) {
                let over = self.shown.as_ref().is_some_and(|shown| shown.rotating) && !face.rotating;
                if self.shared.board().face(self.id, &face) {
                    self.shared.bell.notify_one();
                }
                self.shown = Some(face);
                if over {
                    self.level();
                }
            }
        }
    }

    /// A rotation that ran on an older declaration is over: the newer one's consumers are taken over now.
    fn level(&self) {
        let spec = {
            let board = self.shared.board();
            let cell = board.cell(self.id);
            cell.spec.clone().filter(|spec| cell.mark.spec != Some(spec.digest))
        };
        let Some(spec) = spec.filter(|_| !self.shared.is_stopping()) else { return };
        let (shared, id) = (Arc::clone(&self.shared), self.id);
        self.shared.tasks.spawn(async move {
            if let Err(error) = declare::level(&shared, id, &spec, Author::host()).await {
                tracing::warn!(%error, "a changed declaration is taken over with the next rotation");
            }
        });
    }

    fn announce(&self, seq: Seq) {
        if self.shared.announce.receiver_count() > 0 {
            // Nobody listening any more is no error.
            let _ = self.shared.announce.send(Changed { secret: (*self.name).clone(), seq });
        }
    }

    /// What metrics and the brake are told of events about to be written, once they are.
    fn notes(&self, events: &[Event]) -> Vec<Note> {
        let kind = self.loaded.as_ref().and_then(|loaded| loaded.trail.kind());
        let note = |event: &Event| match event {
            Event::Started { kind, .. } => Some(Note::Started(kind.name())),
            Event::Finished { ending, .. } => {
                Some(Note::Finished(kind.map_or("unknown", PlanKind::name), ending.name()))
            }
            Event::Held { reason, .. } => Some(Note::Held(reason.name())),
            Event::Ended { outcome: Outcome::Failed(fault), .. } => Some(Note::Failed(fault.clone())),
            Event::Ended { outcome: Outcome::Created(_) | Outcome::Done(_), .. } => Some(Note::Worked),
            _ => None,
        };
        events.iter().filter_map(note).collect()
    }

    fn count(&self, notes: Vec<Note>) {
        let metrics = &self.shared.metrics;
        for note in notes {
            match note {
                Note::Started(kind) => {
                    tracing::info!(kind, "a rotation started");
                    metrics.started(kind);
                }
                Note::Finished(kind, ending) => {
                    tracing::info!(kind, ending, "a rotation is over");
                    metrics.finished(kind, ending);
                }
                Note::Held(reason) => {
                    tracing::warn!(reason, "a rotation is held");
                    metrics.held(reason);
                }
                Note::Failed(fault) => self.failed(&fault),
                Note::Worked => {
                    let mut board = self.shared.board();
                    if let Some(spec) = board.cell(self.id).spec.clone() {
                        board.brake.success(&spec.plugin, &spec.connection);
                    }
                }
            }
        }
    }

    fn failed(&self, fault: &Fault) {
        let Some(pins) = self.loaded.as_ref().and_then(|loaded| loaded.secret.pins()) else { return };
        self.shared.metrics.fault(pins.plugin.as_str(), fault);
        let mut board = self.shared.board();
        let Some(spec) = board.cell(self.id).spec.clone().filter(|_| fault.blame != Blame::Consumer) else {
            return;
        };
        if board.brake.fault(&spec.plugin, &spec.connection, pins.component, self.shared.wall()) {
            tracing::warn!(plugin = %spec.plugin, connection = %spec.connection, %fault, "the brake is on: no further rotation is started here for a while");
        }
    }
}

/// What metrics and the brake are told.
enum Note {
    Started(&'static str),
    Finished(&'static str, &'static str),
    Held(&'static str),
    Failed(Fault),
    Worked,
}
