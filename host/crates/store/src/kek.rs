//! The key-encryption key: where it may come from, and what is refused. It never lies in the data directory, is never
//! printed, and is wiped when dropped.
//!
//! The file has three lines:
//! ```text
//! keybaton-key-encryption-key-v1
//! id: <16 hex digits, derived from the key>
//! key: <64 hex digits>
//! ```

use crate::crypto::{self, Cipher, KEY_LEN};
use crate::error::StoreError;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const HEADER: &str = "keybaton-key-encryption-key-v1";
/// More than a well-formed file has; a larger one is not read.
const FILE_MAX_BYTES: usize = 512;
const ID_BYTES: usize = 8;

/// Why a key-encryption key is refused. Nothing was opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Cannot be read or written.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Group or others have rights on it.
    #[error("{} has mode {mode:04o}, open to others; run `chmod 0400` on it, and rotate the key", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Whoever takes the data directory would have the key with it.
    #[error("{} lies inside the data directory; keep the key elsewhere", .path.display())]
    InsideData {
        /// The file.
        path: PathBuf,
    },
    /// Not in the documented format.
    #[error("{} is no key file: {detail}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, without its content.
        detail: &'static str,
    },
    /// No systemd credential of that name.
    #[error("no credential `{name}`: {detail}")]
    NoCredential {
        /// The name.
        name: String,
        /// Why not.
        detail: &'static str,
    },
}

/// A key-encryption key. Owned once.
pub struct Kek {
    id: String,
    cipher: Cipher,
    origin: PathBuf,
}

impl Kek {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read, others have rights on it, or it is not in the format above.
    pub fn from_file(path: &Path) -> Result<Self, KekError> {
        let failed = |doing| move |source| KekError::Io { doing, path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed("open"))?;
        let meta = file.metadata().map_err(failed("inspect"))?;
        let malformed = |detail| KekError::Malformed { path: path.to_owned(), detail };
        if !meta.is_file() {
            return Err(malformed("it is not a regular file"));
        }
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KekError::Exposed { path: path.to_owned(), mode });
        }
        // A fixed buffer: a growing one would leave copies of the key behind.
        let mut text = Zeroizing::new([0; FILE_MAX_BYTES]);
        let mut length = 0;
        while length < FILE_MAX_BYTES {
            match file.read(&mut text[length..]).map_err(failed("read"))? {
                0 => break,
                read => length += read,
            }
        }
        let key = parse(&text[..length]).map_err(malformed)?;
        let origin = path.canonicalize().map_err(failed("resolve"))?;
        Ok(Self { id: key_id(&key), cipher: Cipher::new(&key), origin })
    }

    /// Reads a systemd credential: the file `name` in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
    ///
    /// # Errors
    /// As [`Kek::from_file`]; and when there is no such directory or the name is a path.
    pub fn from_credential(name: &str) -> Result<Self, KekError> {
        let missing = |detail| KekError::NoCredential { name: name.to_owned(), detail };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(missing("a credential's name is a plain file name"));
        }
        let dir = std::env::var_os("CREDENTIALS_DIRECTORY")
            .ok_or_else(|| missing("CREDENTIALS_DIRECTORY is not set; is the unit's LoadCredential= there?"))?;
        Self::from_file(&Path::new(&dir).join(name))
    }

    /// Draws a new key and writes it to a new file of mode 0400, synced.
    ///
    /// # Errors
    /// When the file exists or cannot be written; no key is made then.
    pub fn generate(path: &Path) -> Result<Self, StoreError> {
        let key = crypto::random::<KEY_LEN>()?;
        let failed = |doing| move |source| KekError::Io { doing, path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(failed("create"))?;
        let mut digits = Zeroizing::new([0; KEY_LEN * 2]);
        encode(&key, &mut digits);
        let header = format!("{HEADER}\nid: {}\nkey: ", key_id(&key));
        file.write_all(header.as_bytes()).map_err(failed("write"))?;
        file.write_all(&*digits).map_err(failed("write"))?;
        file.write_all(b"\n").map_err(failed("write"))?;
        file.sync_all().map_err(failed("sync"))?;
        Self::from_file(path).map_err(StoreError::Kek)
    }

    /// The key's id: public, derived from the key, so that it cannot be set wrong.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// Refuses a key that lies in the data directory, symbolic links resolved.
    pub(crate) fn outside(&self, data: &Path) -> Result<(), KekError> {
        let data =
            data.canonicalize().map_err(|source| KekError::Io { doing: "resolve", path: data.to_owned(), source })?;
        if self.origin.starts_with(data) { Err(KekError::InsideData { path: self.origin.clone() }) } else { Ok(()) }
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({}, redacted)", self.id)
    }
}

fn key_id(key: &[u8; KEY_LEN]) -> String {
    crypto::hex(&crypto::hash(&[b"keybaton-kek-id-v1", key])[..ID_BYTES])
}

fn encode(key: &[u8; KEY_LEN], digits: &mut [u8; KEY_LEN * 2]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in key.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

fn parse(text: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err("the first line is not `keybaton-key-encryption-key-v1`");
    }
    let id = lines.next().and_then(|line| line.strip_prefix("id: ")).ok_or("the second line is not `id: …`")?;
    let digits = lines.next().and_then(|line| line.strip_prefix("key: ")).ok_or("the third line is not `key: …`")?;
    if lines.next().is_some() {
        return Err("there is more after the key");
    }
    if digits.len() != KEY_LEN * 2 {
        return Err("the key has not 64 hex digits");
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low).ok_or("the key is not hex")?;
    }
    if key_id(&key) == id { Ok(key) } else { Err("the id is not this key's: the file was cut or edited") }
}
