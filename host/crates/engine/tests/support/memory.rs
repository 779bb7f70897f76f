//! A journal in memory, as strict as a database: sequences, fences, seals and erasure. A test double.

use async_trait::async_trait;
use keybaton_engine::clock::HostClock;
use keybaton_engine::nonces::InProcess;
use keybaton_engine::ports::freezes::{Freeze, Freezes, Scope};
use keybaton_engine::ports::journal::{
    Append, Changes, Cursor, Indexed, Journal, JournalError, Lease, Mark, Opened, Part, Recorded, Reply, Wanted,
};
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Author, CallId, Epoch, Fence, Generation, Millis, SealLabel, SecretName, Seq};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Default)]
struct Book {
    events: Vec<Recorded>,
    seals: HashMap<(Generation, String), Vec<u8>>,
    erased: HashSet<Generation>,
    replies: Vec<Reply>,
    mark: Mark,
    fence: u64,
    holder: String,
    /// On a shared store: when the lease ends.
    until: Option<Instant>,
    spoilt: bool,
}

#[derive(Default)]
struct Inner {
    books: BTreeMap<SecretName, Book>,
    freezes: Vec<Freeze>,
    epoch: u32,
    appends: u64,
    away: bool,
    shared: bool,
    /// Whose journals grew, in order.
    moved: Vec<SecretName>,
    /// How many events the last load was given.
    loaded: usize,
}

/// The journal, and what else a store keeps.
#[derive(Default)]
pub struct MemoryJournal(Mutex<Inner>, OnceLock<Arc<InProcess>>);

impl MemoryJournal {
    /// Pretends that the database was restored from a backup.
    pub fn restore(&self) {
        self.0.lock().unwrap().epoch += 1;
    }

    /// From now on several hosts write to it, and a lease ends by its time alone.
    pub fn share(&self) {
        self.0.lock().unwrap().shared = true;
    }

    /// The one table of nonces of all hosts on this store, by the clock of the first.
    pub fn nonces(&self, clock: &Arc<HostClock>) -> Arc<InProcess> {
        Arc::clone(self.1.get_or_init(|| Arc::new(InProcess::new(65_536, Arc::clone(clock)))))
    }

    /// The epoch.
    pub fn epoch_now(&self) -> Epoch {
        Epoch(self.0.lock().unwrap().epoch)
    }

    /// Another host takes the lease: every fence given out before is old.
    pub fn usurp(&self, secret: &SecretName) {
        let mut inner = self.0.lock().unwrap();
        let book = inner.books.entry(secret.clone()).or_default();
        book.fence += 1;
        "usurper".clone_into(&mut book.holder);
    }

    /// The other host lets go.
    pub fn abdicate(&self, secret: &SecretName) {
        self.0.lock().unwrap().books.get_mut(secret).unwrap().holder.clear();
    }

    /// Another host records something, without a fence.
    pub fn intrude(&self, secret: &SecretName, event: Event) {
        let mut inner = self.0.lock().unwrap();
        let book = inner.books.get_mut(secret).unwrap();
        let last = book.events.last().unwrap();
        let (seq, at) = (Seq(last.seq.0 + 1), last.at);
        book.events.push(Recorded { seq, at, event });
    }

    /// The store can't be reached, or can again.
    pub fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn there(&self) -> Result<(), JournalError> {
        let away = self.0.lock().unwrap().away;
        if away { Err(JournalError::Unavailable { detail: "unplugged".to_owned() }) } else { Ok(()) }
    }

    /// Who holds the lease on a secret, or held it last.
    pub fn holder(&self, secret: &SecretName) -> String {
        self.0.lock().unwrap().books[secret].holder.clone()
    }

    /// What is stored of a secret can't be read any more.
    pub fn spoil(&self, secret: &SecretName) {
        self.0.lock().unwrap().books.get_mut(secret).unwrap().spoilt = true;
    }

    /// How many appends were kept.
    pub fn appends(&self) -> u64 {
        self.0.lock().unwrap().appends
    }

    /// The journal of a secret.
    pub fn events(&self, secret: &SecretName) -> Vec<Recorded> {
        self.0.lock().unwrap().books.get(secret).map_or_else(Vec::new, |book| book.events.clone())
    }

    /// Every sealed value that is left, in clear, for looking after leaks.
    pub fn values(&self) -> Vec<Vec<u8>> {
        let inner = self.0.lock().unwrap();
        inner.books.values().flat_map(|book| book.seals.values().cloned()).collect()
    }

    /// How many events the last load of a secret was given.
    pub fn loaded(&self) -> usize {
        self.0.lock().unwrap().loaded
    }

    pub fn mark(&self, secret: &SecretName) -> Mark {
        self.0.lock().unwrap().books[secret].mark
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        self.there()?;
        let mut inner = self.0.lock().unwrap();
        let book = inner.books.entry(append.secret.clone()).or_default();
        let at = Seq(book.events.len() as u64);
        if append.after.is_some_and(|after| after != at) {
            return Err(JournalError::Conflict { secret: append.secret, at });
        }
        if append.fence.is_some_and(|fence| fence.0 != book.fence) {
            return Err(JournalError::Fenced { secret: append.secret });
        }
        for event in append.events {
            let seq = Seq(book.events.len() as u64 + 1);
            book.events.push(Recorded { seq, at: append.at, event });
        }
        for (generation, seal) in append.seals {
            assert!(!book.erased.contains(&generation), "sealed under an erased key");
            let key = (generation, seal.label.as_str().to_owned());
            book.seals.insert(key, seal.bytes.expose().to_vec());
        }
        book.replies.extend(append.replies);
        for generation in append.erase {
            book.erased.insert(generation);
            book.seals.retain(|(sealed, _), _| *sealed != generation);
        }
        book.mark = append.mark.unwrap_or(book.mark);
        let seq = Seq(book.events.len() as u64);
        inner.moved.push(append.secret);
        inner.appends += 1;
        Ok(seq)
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.there()?;
        if self.0.lock().unwrap().books.get(secret).is_some_and(|book| book.spoilt) {
            return Err(JournalError::Damaged { detail: format!("{secret} at sequence 1 (row 1): it was edited") });
        }
        let after = usize::try_from(after.0).unwrap();
        Ok(self.events(secret).into_iter().skip(after).collect())
    }

    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError> {
        let mut all = self.read(secret, Seq(0)).await?;
        let newest = all.iter().rposition(|recorded| matches!(recorded.event, Event::Settled(_)));
        let read = all.split_off(newest.unwrap_or(0));
        self.0.lock().unwrap().loaded = read.len();
        Ok(read)
    }

    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError> {
        let mut all = self.read(secret, Seq(0)).await?;
        match part {
            Part::After(after) => all.retain(|recorded| recorded.seq > after),
            Part::Before(before) => {
                all.retain(|recorded| before.is_none_or(|before| recorded.seq < before));
                all.drain(..all.len().saturating_sub(limit));
            }
        }
        all.truncate(limit);
        Ok(all)
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        let inner = self.0.lock().unwrap();
        let line = |(secret, book): (&SecretName, &Book)| Indexed {
            secret: secret.clone(),
            seq: Seq(book.events.len() as u64),
            mark: book.mark,
            damaged: None,
        };
        Ok(inner.books.iter().filter(|(_, book)| !book.events.is_empty()).map(line).collect())
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        let inner = self.0.lock().unwrap();
        let replies = inner.books.get(secret).map_or(&[][..], |book| &book.replies);
        Ok(replies.iter().filter(|reply| reply.call == call).cloned().collect())
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        let inner = self.0.lock().unwrap();
        let value = |generation: Generation, label: &SealLabel| {
            let value = inner.books.get(secret).and_then(|it| it.seals.get(&(generation, label.to_string())));
            let missing = || JournalError::NoSeal { secret: secret.clone(), generation, label: label.to_string() };
            value.map(|value| SecretBytes::new(value.clone())).ok_or_else(missing)
        };
        let one = |Wanted { generation, labels, salt }| {
            let values = labels.iter().map(|label| value(generation, label)).collect::<Result<_, _>>()?;
            let bytes = || SecretBytes::new(vec![u8::try_from(generation.0 % 251).unwrap(); 32]);
            Ok(Opened { values, salt: salt.then(bytes) })
        };
        wanted.into_iter().map(one).collect()
    }

    fn is_shared(&self) -> bool {
        self.0.lock().unwrap().shared
    }

    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError> {
        self.there()?;
        let index = self.index().await?;
        let inner = self.0.lock().unwrap();
        let cursor = Cursor(inner.moved.len() as u64);
        let after = usize::try_from(after.unwrap_or(cursor).0).unwrap();
        let moved: HashSet<_> = inner.moved[after..].iter().collect();
        Ok(Changes { moved: index.into_iter().filter(|line| moved.contains(&line.secret)).collect(), cursor })
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        let mut inner = self.0.lock().unwrap();
        let shared = inner.shared;
        let book = inner.books.entry(secret.clone()).or_default();
        let held = shared && book.holder != holder && book.until.is_some_and(|until| until > Instant::now());
        if book.holder == "usurper" || held {
            return Err(JournalError::Fenced { secret: secret.clone() });
        }
        book.until = Some(Instant::now() + Duration::from_millis(for_ms));
        if book.holder != holder {
            book.fence += 1;
            holder.clone_into(&mut book.holder);
        }
        Ok(Lease { fence: Fence(book.fence), until: Millis(for_ms) })
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        Ok(Epoch(self.0.lock().unwrap().epoch))
    }
}

#[async_trait]
impl Freezes for MemoryJournal {
    async fn freezes(&self) -> Result<Vec<Freeze>, StorageError> {
        Ok(self.0.lock().unwrap().freezes.clone())
    }

    async fn freeze(&self, freeze: Freeze) -> Result<(), StorageError> {
        self.0.lock().unwrap().freezes.push(freeze);
        Ok(())
    }

    async fn thaw(&self, scope: Scope, _: Author, _: Millis) -> Result<(), StorageError> {
        self.0.lock().unwrap().freezes.retain(|freeze| freeze.scope != scope);
        Ok(())
    }
}
