//! Proves what the store holds: the file, every chain, every sum, every sealed value. It goes on past what does not hold,
//! so that all of it is named. Changes nothing.

use crate::chain::{self, Head};
use crate::crypto;
use crate::documents::{self, Collection};
use crate::error::StoreError;
use crate::open::{self, DATABASE, Mode};
use crate::reader::{Ids, View};
use crate::state::State;
use crate::{Store, append, audit, leases, seals, sql};
use async_trait::async_trait;
use keybaton_engine::ports::audit::AuditError;
use keybaton_engine::ports::inspect::{Damage, Inspect};
use keybaton_engine::ports::journal::Wanted;
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Generation, SecretName};
use rusqlite::params;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// More damage than this is not listed: by then the whole store is to be restored.
const LISTED_MAX: usize = 1_000;
/// A scan rests so many times as long as it worked, so that it takes a tenth of one processor at most.
const REST: u32 = 9;

/// What was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Journals.
    pub secrets: u64,
    /// Their rows.
    pub rows: u64,
    /// Sealed values, each opened and wiped.
    pub sealed: u64,
    /// Specs, identities, enrolments, host's values.
    pub documents: u64,
    /// Audit entries.
    pub audited: u64,
}

/// What was looked at: what holds, and what does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examined {
    /// What holds.
    pub proven: Verified,
    /// What does not; a thousand at most.
    pub damage: Vec<Damage>,
}

impl Examined {
    /// Takes note of damage. Any other failure says nothing of what is stored, and ends the look.
    fn note<T>(
        &mut self,
        secret: Option<&SecretName>,
        outcome: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Damaged { detail }) => {
                if self.damage.len() < LISTED_MAX {
                    self.damage.push(Damage { secret: secret.cloned(), detail });
                }
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// What was proven, if everything holds.
    pub(crate) fn sound(self) -> Result<Verified, StoreError> {
        match self.damage.into_iter().next() {
            None => Ok(self.proven),
            Some(first) => Err(StoreError::damaged(first.detail)),
        }
    }
}

impl Store {
    /// Proves the whole store. Its time grows with all that was ever written.
    ///
    /// # Errors
    /// The first thing that does not hold, by name.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        self.examine().await?.sound()
    }

    /// Looks at the whole store, in one snapshot, and names all that does not hold. What other connections have in their
    /// caches is read from the disk again.
    ///
    /// # Errors
    /// The store could not be read, which is not the same as damage.
    pub async fn examine(&self) -> Result<Examined, StoreError> {
        match self.aside(all).await {
            Err(StoreError::Damaged { detail }) => {
                Ok(Examined { damage: vec![Damage { secret: None, detail }], ..Examined::default() })
            }
            other => other,
        }
    }

    /// Runs `run` on one snapshot of a connection of its own, on a thread of its own.
    async fn aside<T: Send + 'static>(
        &self,
        run: impl FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (path, keys, kek) =
            (self.inner.dir.join(DATABASE), Arc::clone(&self.inner.keys), Arc::clone(&self.inner.kek));
        let (reply, answer) = oneshot::channel();
        let look = move || {
            let conn = open::connect(&path, Mode::ReadOnly)?;
            let kek = {
                // The key and the rows wrapped by it are exchanged as one: both are taken as they are now.
                let kek = kek.read().expect("no holder of the key panics while it exchanges it");
                conn.execute_batch("BEGIN")?;
                State::load(&conn, &keys)?;
                Arc::clone(&kek)
            };
            run(&View { conn: &conn, keys: &keys, kek: &kek, ids: &Ids::default() })
        };
        std::thread::Builder::new()
            .name("keybaton-store-proof".to_owned())
            .spawn(move || drop(reply.send(look())))
            .map_err(StoreError::io("start a look at", &self.inner.dir))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Inspect for Store {
    /// The file, then one journal after the other, each in a snapshot of its own; it rests nine times as long as it worked.
    async fn look_through(&self, found: &mut (dyn FnMut(Damage) + Send)) -> Result<(), StorageError> {
        let mut names = Vec::new();
        for part in [Part::File, Part::Collections, Part::Heads] {
            let worked = Instant::now();
            let (seen, listed) = match self.aside(move |view| part.look(view)).await {
                Err(StoreError::Damaged { detail }) => (vec![Damage { secret: None, detail }], Vec::new()),
                other => other?,
            };
            seen.into_iter().for_each(&mut *found);
            names.extend(listed);
            rest(worked).await;
        }
        for secret in names {
            let worked = Instant::now();
            let name = secret.clone();
            match self.aside(move |view| one(view, &name)).await {
                Ok(()) => {}
                Err(StoreError::Damaged { detail }) => found(Damage { secret: Some(secret), detail }),
                Err(other) => return Err(other.into()),
            }
            rest(worked).await;
        }
        Ok(())
    }
}

async fn rest(worked: Instant) {
    tokio::time::sleep(worked.elapsed().saturating_mul(REST).max(Duration::from_millis(1))).await;
}

/// What a scan looks at before it looks at the journals.
#[derive(Clone, Copy)]
enum Part {
    File,
    Collections,
    Heads,
}

impl Part {
    fn look(self, view: &View<'_>) -> Result<(Vec<Damage>, Vec<SecretName>), StoreError> {
        let mut found = Examined::default();
        let mut names = Vec::new();
        match self {
            Self::File => drop(found.note(None, file(view, "quick_check"))?),
            Self::Collections => collections(view, &mut found)?,
            Self::Heads => heads(view, &mut found, |secret, _, _| {
                names.push(secret.clone());
                Ok(())
            })?,
        }
        Ok((found.damage, names))
    }
}

/// Looks at everything in one snapshot.
pub(crate) fn all(view: &View<'_>) -> Result<Examined, StoreError> {
    let mut found = Examined::default();
    found.note(None, file(view, "integrity_check"))?;
    heads(view, &mut found, |secret, head, found| {
        found.proven.secrets += 1;
        let mut sealed = 0;
        let rows = journal(view, secret, head, &mut sealed);
        if let Some(rows) = found.note(Some(secret), rows)? {
            found.proven.rows += rows;
            found.proven.sealed += sealed;
        }
        Ok(())
    })?;
    if found.damage.is_empty() {
        // Rows of a damaged journal are not all accounted for, so nothing can be said of the others.
        let counted = counts(view, &found.proven);
        found.note(None, counted)?;
    }
    collections(view, &mut found)?;
    Ok(found)
}

fn file(view: &View<'_>, pragma: &str) -> Result<(), StoreError> {
    let sound: String = view.conn.query_row(&format!("PRAGMA {pragma}(1)"), [], |row| row.get(0))?;
    if sound == "ok" { Ok(()) } else { Err(StoreError::damaged(format!("the database file: {sound}"))) }
}

/// Every head that holds; what is wrong with the others, and with their number, is noted.
fn heads(
    view: &View<'_>,
    found: &mut Examined,
    mut visit: impl FnMut(&SecretName, &Head, &mut Examined) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let state = State::load(view.conn, view.keys)?;
    let outcome =
        chain::heads(view.conn, view.keys, &state.heads, |secret, head| match found.note(Some(&secret), head)? {
            Some(head) => visit(&secret, &head, found),
            None => Ok(()),
        });
    found.note(None, outcome).map(drop)
}

fn counts(view: &View<'_>, proven: &Verified) -> Result<(), StoreError> {
    for (table, expected) in [("journal", proven.rows), ("sealed", proven.sealed)] {
        let found = view.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| sql::unsigned(row, 0))?;
        if found != expected {
            let detail = format!("the table {table} has {found} rows, and the journals account for {expected}");
            return Err(StoreError::damaged(detail));
        }
    }
    Ok(())
}

/// Everything that is no journal.
fn collections(view: &View<'_>, found: &mut Examined) -> Result<(), StoreError> {
    for collection in Collection::ALL {
        let listed = documents::list(view.conn, view.keys, collection);
        found.proven.documents += found.note(None, listed)?.map_or(0, |listed| listed.len() as u64);
    }
    found.note(None, leases::prove(view.conn, view.keys))?;
    let audited = audit::prove(view.conn, view.keys, drop).map_err(|error| match error {
        audit::Unproven::Broken { at, why } => StoreError::damaged(AuditError::Broken { at, why }.to_string()),
        audit::Unproven::Store(error) => error,
    });
    found.proven.audited = found.note(None, audited)?.map_or(0, |report| report.entries);
    Ok(())
}

/// One secret, as it is now.
fn one(view: &View<'_>, secret: &SecretName) -> Result<(), StoreError> {
    match chain::head(view.conn, view.keys, secret)? {
        Some(head) => journal(view, secret, &head, &mut 0).map(drop),
        None => Err(StoreError::damaged(format!("the journal of {secret} is gone"))),
    }
}
/// Walks one journal to its beginning and compares the sealed values with what its attachments say.
fn journal(view: &View<'_>, secret: &SecretName, head: &Head, sealed: &mut u64) -> Result<u64, StoreError> {
    let mut rows = 0;
    let mut attachments = Vec::new();
    chain::walk(view.conn, view.keys, secret, head, |row| {
        rows += 1;
        attachments.push(append::written(secret, &row)?.attached);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut expected = BTreeMap::new();
    for attachment in attachments.into_iter().rev() {
        for (generation, label, digest) in attachment.sealed {
            expected.insert((generation, label), digest);
        }
        for erased in attachment.erased {
            expected.retain(|(generation, _), _| *generation != erased);
        }
    }
    *sealed += expected.len() as u64;
    for ((generation, label), digest) in expected {
        let generation = Generation(generation);
        let named = label.parse();
        let named = named.map_err(|_| StoreError::damaged(format!("{secret}: `{label}` is no label")))?;
        let wanted = Wanted { generation, labels: vec![named], salt: true };
        if seals::open_all(view, secret, &[wanted])?.is_err() {
            let detail = format!("the value `{label}` of {secret} generation {} is missing", generation.0);
            return Err(StoreError::damaged(detail));
        }
        let found: Vec<u8> = view
            .conn
            .prepare_cached("SELECT value FROM sealed WHERE secret = ?1 AND generation = ?2 AND label = ?3")?
            .query_row(params![sql::int(head.id)?, generation.0, label], |row| row.get(0))?;
        if crypto::hex(&crypto::hash(&[&found])) != digest {
            let detail = format!("the value `{label}` of {secret} generation {} was exchanged", generation.0);
            return Err(StoreError::damaged(detail));
        }
    }
    Ok(rows)
}
