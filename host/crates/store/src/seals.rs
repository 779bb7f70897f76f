//! Envelope encryption of credentials: a data key for each generation of each secret, wrapped by the key-encryption
//! key; values and the generation's salt under the data key. Plaintext exists here only in buffers that are wiped.
//!
//! Everything is bound to installation, secret, generation, purpose and label, so that a value moved anywhere else does
//! not open. It is not bound to the installation's epoch: a restore must be able to open what it restored.

use crate::chain;
use crate::crypto::{self, Cipher, KEY_LEN};
use crate::error::StoreError;
use crate::kek::Kek;
use crate::reader::View;
use crate::record::v1::attachment::Attachment;
use crate::sql;
use crate::tx::Tx;
use keybaton_engine::ports::journal::{Opened, Wanted};
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::ids::{Generation, SecretName};
use rusqlite::{Connection, OptionalExtension, params};
use std::ops::ControlFlow;
use zeroize::Zeroizing;

const DATA_KEY: &str = "data-key";
const SALT: &str = "salt";
const VALUE: &str = "value";

/// A generation of a secret, and the secret's number in this database.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) installation: &'a [u8],
    pub(crate) secret: &'a SecretName,
    pub(crate) id: u64,
    pub(crate) generation: Generation,
}

impl Subject<'_> {
    /// Calls `with` on what a ciphertext of this purpose and label is bound to.
    fn bound<T>(&self, purpose: &str, label: &str, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let secret = self.secret.to_string();
        let generation = self.generation.0.to_be_bytes();
        with(&[
            b"keybaton-seal-v1",
            self.installation,
            secret.as_bytes(),
            &generation,
            purpose.as_bytes(),
            label.as_bytes(),
        ])
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::damaged(format!("{what} of {} generation {}", self.secret, self.generation.0))
    }

    fn wrapped(&self, conn: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(conn
            .prepare_cached("SELECT wrapped FROM data_keys WHERE secret = ?1 AND generation = ?2")?
            .query_row(params![sql::int(self.id)?, self.generation.0], |row| row.get(0))
            .optional()?)
    }

    /// The data key out of its wrapping.
    pub(crate) fn unwrap(&self, kek: &Kek, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, StoreError> {
        let plain = self.bound(DATA_KEY, "", |bound| kek.cipher().open(bound, wrapped));
        let mut key = Zeroizing::new([0; KEY_LEN]);
        match plain {
            Some(plain) if plain.len() == KEY_LEN => key.copy_from_slice(&plain),
            _ => return Err(self.damaged("the data key was edited, or put there from elsewhere:")),
        }
        Ok(key)
    }

    /// The data key wrapped anew.
    pub(crate) fn wrap(&self, kek: &Kek, key: &[u8; KEY_LEN]) -> Result<Vec<u8>, StoreError> {
        self.bound(DATA_KEY, "", |bound| kek.cipher().seal(bound, key))
    }

    fn open_value(&self, cipher: &Cipher, label: &str, sealed: &[u8]) -> Result<SecretBytes, StoreError> {
        let mut plain = self
            .bound(VALUE, label, |bound| cipher.open(bound, sealed))
            .ok_or_else(|| self.damaged(&format!("the value `{label}` was edited, or put there from elsewhere:")))?;
        Ok(SecretBytes::new(std::mem::take(&mut *plain)))
    }
}

/// Seals a value, making the generation's data key and salt if it has none. Answers the digest of the sealed value,
/// or `None` if that very value is sealed under that label already.
pub(crate) fn seal(
    tx: &mut Tx<'_>,
    subject: Subject<'_>,
    label: &str,
    value: &SecretBytes,
) -> Result<Option<String>, StoreError> {
    let cipher = match subject.wrapped(tx.conn)? {
        Some(wrapped) => Cipher::new(&*subject.unwrap(tx.kek, &wrapped)?),
        None => new_data_key(tx, subject)?,
    };
    let there: Option<Vec<u8>> = tx
        .conn
        .prepare_cached("SELECT value FROM sealed WHERE secret = ?1 AND generation = ?2 AND label = ?3")?
        .query_row(params![sql::int(subject.id)?, subject.generation.0, label], |row| row.get(0))
        .optional()?;
    if let Some(there) = there {
        let there = subject.open_value(&cipher, label, &there)?;
        if crypto::same(there.expose(), value.expose()) {
            return Ok(None);
        }
        let detail =
            format!("another value is sealed as `{label}` of {} generation {}", subject.secret, subject.generation.0);
        return Err(StoreError::Unstorable { detail });
    }
    let sealed = subject.bound(VALUE, label, |bound| cipher.seal(bound, value.expose()))?;
    tx.conn
        .prepare_cached("INSERT INTO sealed (secret, generation, label, value) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sql::int(subject.id)?, subject.generation.0, label, sealed])?;
    Ok(Some(crypto::hex(&crypto::hash(&[&sealed]))))
}

fn new_data_key(tx: &mut Tx<'_>, subject: Subject<'_>) -> Result<Cipher, StoreError> {
    let key = crypto::random::<KEY_LEN>()?;
    let cipher = Cipher::new(&key);
    let salt = crypto::random::<KEY_LEN>()?;
    let salt = subject.bound(SALT, "", |bound| cipher.seal(bound, &*salt))?;
    let wrapped = subject.wrap(tx.kek, &key)?;
    tx.conn
        .prepare_cached("INSERT INTO data_keys (secret, generation, wrapped, salt) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sql::int(subject.id)?, subject.generation.0, wrapped, salt])?;
    Ok(cipher)
}

/// Ends a generation's values: SQLite's `secure_delete` overwrites the rows with zeros, and the write-ahead log is cut
/// off soon after the commit.
pub(crate) fn erase(tx: &mut Tx<'_>, id: u64, generation: Generation) -> Result<(), StoreError> {
    for table in [
        "DELETE FROM data_keys WHERE secret = ?1 AND generation = ?2",
        "DELETE FROM sealed WHERE secret = ?1 AND generation = ?2",
    ] {
        tx.conn.prepare_cached(table)?.execute(params![sql::int(id)?, generation.0])?;
    }
    *tx.erased = true;
    Ok(())
}

/// What is not there.
pub(crate) struct Missing {
    pub(crate) generation: Generation,
    pub(crate) label: String,
}

/// Opens all that is wanted, if all of it is there: a few rows by key, and nothing else.
fn open_found(view: &View<'_>, secret: &SecretName, wanted: &[Wanted]) -> Result<Option<Vec<Opened>>, StoreError> {
    let Some(id) = view.id(secret)? else { return Ok(wanted.is_empty().then(Vec::new)) };
    let mut all = Vec::with_capacity(wanted.len());
    for Wanted { generation, labels, salt } in wanted {
        let look = Look::at(view, secret, id, *generation)?;
        let mut opened = Opened { values: Vec::with_capacity(labels.len()), salt: None };
        for label in labels {
            let Some(value) = look.value(label.as_str())? else { return Ok(None) };
            opened.values.push(value);
        }
        if *salt {
            opened.salt = look.salt()?;
            if opened.salt.is_none() {
                return Ok(None);
            }
        }
        all.push(opened);
    }
    Ok(Some(all))
}

/// Opens all that is wanted; the first that is not there ends it.
pub(crate) fn open_all(
    view: &View<'_>,
    secret: &SecretName,
    wanted: &[Wanted],
) -> Result<Result<Vec<Opened>, Missing>, StoreError> {
    match open_found(view, secret, wanted)? {
        Some(all) => Ok(Ok(all)),
        None => first_missing(view, secret, wanted).map(Err),
    }
}

/// What is not there. Where the journal says that it is, the store is damaged.
fn first_missing(view: &View<'_>, secret: &SecretName, wanted: &[Wanted]) -> Result<Missing, StoreError> {
    let id = view.id(secret)?;
    for Wanted { generation, labels, salt } in wanted {
        let missing = |label: &str| Ok(Missing { generation: *generation, label: label.to_owned() });
        let Some(id) = id else { return missing(labels.first().map_or(SALT, |label| label.as_str())) };
        let look = Look::at(view, secret, id, *generation)?;
        for label in labels {
            if look.value(label.as_str())?.is_some() {
                continue;
            }
            return if look.on_record(Some(label.as_str()))? {
                Err(look.subject.damaged(&format!("the value `{label}`, or its data key, is missing:")))
            } else {
                missing(label.as_str())
            };
        }
        if *salt && look.salt()?.is_none() {
            return if look.on_record(None)? {
                Err(look.subject.damaged("the data key is missing:"))
            } else {
                missing(SALT)
            };
        }
    }
    Err(StoreError::damaged(format!("what is sealed of {secret} changed while it was looked at")))
}

/// A generation's data key at hand, if it has one.
struct Look<'a> {
    view: &'a View<'a>,
    subject: Subject<'a>,
    /// The data key, and the sealed salt.
    key: Option<(Cipher, Vec<u8>)>,
}

impl<'a> Look<'a> {
    fn at(view: &'a View<'a>, secret: &'a SecretName, id: u64, generation: Generation) -> Result<Self, StoreError> {
        let subject = Subject { installation: &view.keys.installation, secret, id, generation };
        let found: Option<(Vec<u8>, Vec<u8>)> = view
            .conn
            .prepare_cached("SELECT wrapped, salt FROM data_keys WHERE secret = ?1 AND generation = ?2")?
            .query_row(params![sql::int(id)?, generation.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let key = found
            .map(|(wrapped, salt)| Ok::<_, StoreError>((Cipher::new(&*subject.unwrap(view.kek, &wrapped)?), salt)))
            .transpose()?;
        Ok(Self { view, subject, key })
    }

    fn value(&self, label: &str) -> Result<Option<SecretBytes>, StoreError> {
        let sealed: Option<Vec<u8>> = self
            .view
            .conn
            .prepare_cached("SELECT value FROM sealed WHERE secret = ?1 AND generation = ?2 AND label = ?3")?
            .query_row(params![sql::int(self.subject.id)?, self.subject.generation.0, label], |row| row.get(0))
            .optional()?;
        match (&self.key, sealed) {
            (Some((cipher, _)), Some(sealed)) => self.subject.open_value(cipher, label, &sealed).map(Some),
            _ => Ok(None),
        }
    }

    fn salt(&self) -> Result<Option<SecretBytes>, StoreError> {
        let Some((cipher, salt)) = &self.key else { return Ok(None) };
        let mut plain = self
            .subject
            .bound(SALT, "", |bound| cipher.open(bound, salt))
            .ok_or_else(|| self.subject.damaged("the salt was edited, or put there from elsewhere:"))?;
        Ok(Some(SecretBytes::new(std::mem::take(&mut *plain))))
    }

    /// The journal's latest word on whether the generation has this value (any value, without a label).
    fn on_record(&self, label: Option<&str>) -> Result<bool, StoreError> {
        let (secret, generation) = (self.subject.secret, self.subject.generation);
        let mut answer = false;
        let Some(head) = chain::head(self.view.conn, self.view.keys, secret)? else { return Ok(false) };
        chain::walk(self.view.conn, self.view.keys, secret, &head, |row| {
            Ok(match recorded(&crate::append::written(secret, &row)?.attached, generation, label) {
                Some(said) => {
                    answer = said;
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            })
        })?;
        Ok(answer)
    }
}

/// Whether an attachment says that the generation has this value (any value, without a label), or has it no more.
fn recorded(attachment: &Attachment, generation: Generation, label: Option<&str>) -> Option<bool> {
    if attachment.erased.contains(&generation.0) {
        return Some(false);
    }
    let there =
        |(of, named, _): &(u32, String, String)| *of == generation.0 && label.is_none_or(|label| label == named);
    attachment.sealed.iter().any(there).then_some(true)
}
