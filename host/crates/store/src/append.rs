//! One append within the writer's transaction: refused before its first write, or written whole.

use crate::chain::{self, Row, Tip};
use crate::error::StoreError;
use crate::record::v1::attachment::Attachment;
use crate::record::{self, Stored, Written};
use crate::seals::{self, Subject};
use crate::tx::Tx;
use crate::{audit, leases};
use keybaton_engine::ports::audit::AuditEntry;
use keybaton_engine::ports::journal::{Append, JournalError, Mark};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Fence, Generation, Millis, SecretName, Seq};

/// An append, encoded by its caller, so that the writer only writes.
pub(crate) struct Prepared {
    pub(crate) secret: SecretName,
    after: Option<Seq>,
    fence: Option<Fence>,
    at: Millis,
    events: u64,
    /// The row's body as far as it is known before anything is sealed.
    body: Vec<u8>,
    replies: Attachment,
    seals: Vec<(Generation, Seal)>,
    erase: Vec<Generation>,
    restored: bool,
    mark: Option<Mark>,
    audit: Option<AuditEntry>,
}

/// Why an append was not made.
pub(crate) enum Refusal {
    Conflict(Seq),
    Fenced,
}

impl Refusal {
    pub(crate) fn of(self, secret: SecretName) -> JournalError {
        match self {
            Self::Conflict(at) => JournalError::Conflict { secret, at },
            Self::Fenced => JournalError::Fenced { secret },
        }
    }
}

impl Prepared {
    pub(crate) fn new(append: Append, audit: Option<AuditEntry>) -> Self {
        let Append { secret, after, fence, at, events, seals, replies, mut erase, mark } = append;
        // `Erased` and the erasure it tells of are one write, even if the caller named only the event.
        erase.extend(events.iter().filter_map(|event| match event {
            Event::Erased { generation } => Some(*generation),
            _ => None,
        }));
        erase.sort_unstable();
        erase.dedup();
        Self {
            secret,
            after,
            fence,
            at,
            restored: events.iter().any(|event| matches!(event, Event::Restored { .. })),
            events: events.len() as u64,
            body: record::begin_write(&events),
            replies: Attachment { replies: Stored::store(&replies), ..Attachment::default() },
            seals,
            erase,
            mark,
            audit,
        }
    }

    /// Runs it; repeatable.
    pub(crate) fn run(&mut self, tx: &mut Tx<'_>) -> Result<Result<Seq, Refusal>, StoreError> {
        if let Some(fence) = self.fence
            && !leases::holds(tx, &self.secret, fence)?
        {
            return Ok(Err(Refusal::Fenced));
        }
        let head = chain::head(tx.conn, tx.keys, &self.secret)?;
        let stands = Seq(head.as_ref().map_or(0, |head| head.seq));
        if self.after.is_some_and(|after| after != stands) {
            return Ok(Err(Refusal::Conflict(stands)));
        }
        if let Some(entry) = &self.audit {
            audit::write(tx, entry)?;
        }
        let attaches = !(self.replies.replies.is_empty() && self.seals.is_empty() && self.erase.is_empty());
        if self.events == 0 && !attaches && self.mark.is_none() {
            return Ok(Ok(stands));
        }
        let mut tip = Tip::of(tx, &self.secret, head);
        if attaches {
            self.attach(tx, tip.id())?;
        }
        if attaches || self.events > 0 {
            let body = record::end_write(&self.body, attaches.then_some(&self.replies));
            tip.push(tx, self.at.0, self.events, &body)?;
        }
        if self.restored {
            tx.conn
                .prepare_cached("DELETE FROM restore_pending WHERE secret = ?1")?
                .execute([self.secret.to_string()])?;
        }
        let seq = Seq(tip.seq());
        tip.close(tx, self.mark.as_ref())?;
        Ok(Ok(seq))
    }

    fn attach(&mut self, tx: &mut Tx<'_>, id: u64) -> Result<(), StoreError> {
        self.replies.sealed.clear();
        for (generation, seal) in &self.seals {
            let keys = tx.keys;
            let subject =
                Subject { installation: &keys.installation, secret: &self.secret, id, generation: *generation };
            let label = seal.label.as_str();
            if let Some(digest) = seals::seal(tx, subject, label, &seal.bytes)? {
                self.replies.sealed.push((generation.0, label.to_owned(), digest));
            }
        }
        for generation in &self.erase {
            seals::erase(tx, id, *generation)?;
        }
        self.replies.erased = self.erase.iter().map(|generation| generation.0).collect();
        Ok(())
    }
}

/// What a proven row holds.
pub(crate) fn written(secret: &SecretName, row: &Row) -> Result<Written, StoreError> {
    record::decode_write(row.version, &row.body)
        .map_err(|error| StoreError::damaged(format!("{secret} at sequence {}: {error}", row.seq)))
}
