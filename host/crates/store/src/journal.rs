//! The engine's Journal port on this store. Appends go to the writer, reads to the readers; nothing runs on the
//! caller's thread but the encoding of its own records.

use crate::append::{self, Prepared};
use crate::chain::{self, Head};
use crate::error::StoreError;
use crate::record::{self, Stored};
use crate::state::State;
use crate::{Store, leases, seals, sql};
use async_trait::async_trait;
use keybaton_engine::ports::audit::AuditEntry;
use keybaton_engine::ports::journal::{
    Append, Changes, Cursor, Indexed, Journal, JournalError, Lease, Mark, Opened, Part, Recorded, Reply, Wanted,
};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{CallId, Epoch, Millis, SecretName, Seq};
use std::collections::VecDeque;
use std::ops::ControlFlow;

impl Store {
    /// Appends to a journal and to the audit log in one transaction.
    ///
    /// # Errors
    /// As [`Journal::append`]; the audit entry is kept only with the append.
    pub async fn append_audited(&self, append: Append, entry: AuditEntry) -> Result<Seq, JournalError> {
        self.submit(Box::new(Prepared::new(append, Some(entry)))).await
    }

    /// Boxed, or each future on the way to the writer would have room for it twice.
    async fn submit(&self, mut prepared: Box<Prepared>) -> Result<Seq, JournalError> {
        let secret = prepared.secret.clone();
        match self.write(move |tx| prepared.run(tx)).await {
            Ok(Ok(seq)) => Ok(seq),
            Ok(Err(refusal)) => Err(refusal.of(secret)),
            Err(error) => Err(error.for_ports().into()),
        }
    }

    /// Reads the events between two positions backwards, each proven by the chain from its head; `take` keeps what is
    /// wanted, in order, and says when it has enough. What it has not come to is not read.
    async fn back(
        &self,
        secret: &SecretName,
        (after, before): (Seq, Option<Seq>),
        take: impl Fn(&mut VecDeque<Recorded>, Recorded) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Vec<Recorded>, JournalError> {
        let secret = secret.clone();
        self.read_view(move |view| {
            let mut found = VecDeque::new();
            let Some(head) = chain::head(view.conn, view.keys, &secret)? else { return Ok(Vec::new()) };
            let below = before.map_or(u64::MAX, |before| before.0);
            if head.seq <= after.0 {
                return Ok(Vec::new());
            }
            chain::walk(view.conn, view.keys, &secret, &head, |row| {
                if row.seq <= after.0 {
                    return Ok(ControlFlow::Break(()));
                }
                if row.after + 1 >= below {
                    return Ok(ControlFlow::Continue(()));
                }
                let events = append::written(&secret, &row)?.events.into_iter().rev();
                let numbered = (row.after..row.seq).rev().map(|before| Seq(before + 1)).zip(events);
                let mut wanted = numbered.filter(|(seq, _)| *seq > after && seq.0 < below);
                let one = |(seq, event)| take(&mut found, Recorded { seq, at: Millis(row.at), event });
                Ok(wanted.try_for_each(one))
            })?;
            Ok(found.into())
        })
        .await
        .map_err(|error| error.for_ports().into())
    }
}

#[async_trait]
impl Journal for Store {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        self.submit(Box::new(Prepared::new(append, None))).await
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.page(secret, Part::After(after), usize::MAX).await
    }

    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError> {
        self.back(secret, (Seq(0), None), |found, recorded| {
            let newest = matches!(recorded.event, Event::Settled(_));
            found.push_front(recorded);
            if newest { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await
    }

    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError> {
        let (between, forward) = match part {
            Part::After(after) => ((after, None), true),
            Part::Before(before) => ((Seq(0), before), false),
        };
        self.back(secret, between, move |found, recorded| {
            if !forward && found.len() >= limit {
                return ControlFlow::Break(());
            }
            found.push_front(recorded);
            found.truncate(limit);
            ControlFlow::Continue(())
        })
        .await
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        self.read_view(|view| {
            let state = State::load(view.conn, view.keys)?;
            let mut index = Vec::new();
            chain::heads(view.conn, view.keys, &state.heads, |secret, head| {
                index.push(line(secret, head)?);
                Ok(())
            })?;
            Ok(index)
        })
        .await
        .map_err(|error| error.for_ports().into())
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        let secret = secret.clone();
        self.read_view(move |view| {
            let Some(head) = chain::head(view.conn, view.keys, &secret)? else { return Ok(Vec::new()) };
            let mut found: Vec<Reply> = Vec::new();
            chain::walk(view.conn, view.keys, &secret, &head, |row| {
                let written = append::written(&secret, &row)?;
                for reply in written.attached.replies.into_iter().filter(|reply| reply.call == call.0) {
                    found.push(
                        reply.load().map_err(|error| {
                            StoreError::damaged(format!("{secret} at sequence {}: {error}", row.seq))
                        })?,
                    );
                }
                // Nothing that belongs to a call comes before its intent.
                let intent = |event: &Event| matches!(event, Event::Intended { call: of, .. } if *of == call);
                let begun = written.events.iter().any(intent);
                Ok(if begun { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            // Newest first, so that of two under one ordinal the later one stays.
            found.sort_by_key(|reply| reply.ordinal);
            found.dedup_by_key(|reply| reply.ordinal);
            Ok(found)
        })
        .await
        .map_err(|error| error.for_ports().into())
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        let name = secret.clone();
        self.read_view(move |view| seals::open_all(view, &name, &wanted))
            .await
            .map_err(|error| error.for_ports())?
            .map_err(|seals::Missing { generation, label }| JournalError::NoSeal {
                secret: secret.clone(),
                generation,
                label,
            })
    }

    /// One process writes to an embedded store; what its engine has in memory is never behind.
    fn is_shared(&self) -> bool {
        false
    }

    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError> {
        self.read_view(move |view| {
            let cursor = State::load(view.conn, view.keys)?.last_row;
            let mut moved = Vec::new();
            let after = after.map_or(cursor, |after| after.0);
            let mut statement = view.conn.prepare_cached(
                "SELECT name FROM secrets WHERE id IN (SELECT secret FROM journal WHERE row > ?1) ORDER BY name",
            )?;
            let mut rows = statement.query([sql::int(after)?])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                let secret = name.parse().map_err(|_| StoreError::damaged(format!("`{name}` is no secret's name")))?;
                let head = chain::head(view.conn, view.keys, &secret);
                moved.push(line(secret, head.and_then(|head| head.ok_or(StoreError::Closed)))?);
            }
            Ok(Changes { moved, cursor: Cursor(cursor) })
        })
        .await
        .map_err(|error| error.for_ports().into())
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        let (name, holder) = (secret.clone(), holder.to_owned());
        self.write(move |tx| leases::take(tx, &name, &holder, for_ms))
            .await
            .map_err(|error| error.for_ports())?
            .ok_or_else(|| JournalError::Fenced { secret: secret.clone() })
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        self.read_view(|view| Ok(Epoch(State::load(view.conn, view.keys)?.epoch)))
            .await
            .map_err(|error| error.for_ports().into())
    }
}

/// A line of the index, or what is wrong with it.
fn line(secret: SecretName, head: Result<Head, StoreError>) -> Result<Indexed, StoreError> {
    let read = head.and_then(|head| {
        let mark = record::decode_mark(&head.mark)
            .map_err(|error| StoreError::damaged(format!("the index's line of {secret}: {error}")))?;
        Ok((Seq(head.seq), mark))
    });
    match read {
        Ok((seq, mark)) => Ok(Indexed { secret, seq, mark, damaged: None }),
        Err(StoreError::Damaged { detail }) => {
            Ok(Indexed { secret, seq: Seq(0), mark: Mark::default(), damaged: Some(detail) })
        }
        Err(other) => Err(other),
    }
}
