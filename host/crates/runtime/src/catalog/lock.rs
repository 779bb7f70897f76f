//! `keybaton.lock`: which digests may load, with what grants, and a floor under each plugin's version.

use super::{Grants, Signer};
use crate::capabilities::keygen::FLOOR_BITS;
use crate::limits::Limits;
use crate::manifest::{Manifest, Version};
use keybaton_protocol::ids::{Digest, PluginName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of the file's form.
const FORM: u32 = 1;
/// What stands at its head.
const HEAD: &str = "# Written by `keybaton plugin approve`. One digest is active for each plugin; retained ones serve\n\
                    # rotations that were started with them. Nothing else loads, and what names a signer only with a\n\
                    # signature of that key.\n";

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read or written.
    #[error("cannot use the lock {path}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says something that makes no sense.
    #[error("the lock {path} is not usable: {detail}", path = path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// What is wrong, with its place.
        detail: String,
    },
}

/// One approved component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The plugin.
    pub name: PluginName,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Whose signature it must carry; `None`: its digest is enough.
    pub signer: Option<Signer>,
    /// Kept only for rotations that are pinned to it.
    pub retained: bool,
    /// What it may do.
    pub grants: Grants,
}

/// The lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    entries: Vec<Entry>,
    floors: BTreeMap<PluginName, Version>,
}

impl Lock {
    /// Reads the file; an absent one is an empty lock.
    ///
    /// # Errors
    /// When it is there and cannot be read, or says what makes no sense.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(LockError::File { path: path.to_owned(), source }),
        };
        Self::parse(&text).map_err(|detail| LockError::Shape { path: path.to_owned(), detail })
    }

    /// Writes the file in one rename.
    ///
    /// # Errors
    /// When it cannot be written; the old one then stays.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let text = self.to_text().map_err(|detail| LockError::Shape { path: path.to_owned(), detail })?;
        write_atomically(path, text.as_bytes()).map_err(failed)
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that new rotations of this plugin use.
    #[must_use]
    pub fn active(&self, name: &PluginName) -> Option<&Entry> {
        self.entries.iter().find(|entry| &entry.name == name && !entry.retained)
    }

    /// The entry of a digest.
    #[must_use]
    pub fn entry(&self, digest: Digest) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.digest == digest)
    }

    /// The least version of the plugin that may load.
    #[must_use]
    pub fn floor(&self, name: &PluginName) -> Option<Version> {
        self.floors.get(name).copied()
    }

    /// Raises (or lowers) the floor of a plugin.
    pub fn set_floor(&mut self, name: PluginName, version: Version) {
        self.floors.insert(name, version);
    }

    /// Forgets a retained digest. The caller knows that no rotation is pinned to it.
    pub fn forget(&mut self, digest: Digest) {
        self.entries.retain(|entry| entry.digest != digest || !entry.retained);
    }

    pub(super) fn approve(
        &mut self,
        manifest: &Manifest,
        digest: Digest,
        signer: Option<Signer>,
        grants: Grants,
    ) -> &Entry {
        self.entries.retain(|entry| entry.digest != digest);
        for entry in self.entries.iter_mut().filter(|entry| entry.name == manifest.name) {
            entry.retained = true;
        }
        let (name, version) = (manifest.name.clone(), manifest.version);
        self.entries.push(Entry { name, version, digest, signer, retained: false, grants });
        &self.entries[self.entries.len() - 1]
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if document.version != FORM {
            return Err(format!("its form is version {}, this host knows {FORM}", document.version));
        }
        let entries = document.plugin.into_iter().map(EntryText::check).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        let mut digests = BTreeSet::new();
        for entry in &entries {
            if !digests.insert(entry.digest) {
                return Err(format!("{} is there twice", entry.digest));
            }
            if !entry.retained && !seen.insert(&entry.name) {
                return Err(format!("`{}` has more than one digest that is not retained", entry.name));
            }
        }
        let mut floors = BTreeMap::new();
        for (name, version) in document.floor {
            let name = name.parse::<PluginName>().map_err(|error| error.to_string())?;
            floors.insert(name, version.parse()?);
        }
        Ok(Self { entries, floors })
    }

    fn to_text(&self) -> Result<String, String> {
        let document = Document {
            version: FORM,
            floor: self.floors.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(),
            plugin: self.entries.iter().map(EntryText::of).collect(),
        };
        toml::to_string(&document).map(|text| format!("{HEAD}{text}")).map_err(|error| error.to_string())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    floor: BTreeMap<String, String>,
    #[serde(default)]
    plugin: Vec<EntryText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText {
    name: String,
    version: String,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retained: bool,
    grants: GrantsText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GrantsText {
    imports: BTreeSet<String>,
    #[serde(default)]
    templates: BTreeSet<String>,
    #[serde(default)]
    endpoints: BTreeSet<String>,
    #[serde(default = "floor_bits")]
    password_floor_bits: u32,
    fuel: u64,
    memory_bytes: usize,
    host_calls: u32,
}

const fn floor_bits() -> u32 {
    FLOOR_BITS
}

impl EntryText {
    fn check(self) -> Result<Entry, String> {
        let grants = self.grants;
        let signer = self.signer.map(|text| text.parse::<Signer>()).transpose();
        let signer = signer.map_err(|error| format!("the signer of `{}`: {error}", self.name))?;
        Ok(Entry {
            name: self.name.parse().map_err(|error: keybaton_protocol::ids::NameError| error.to_string())?,
            version: self.version.parse()?,
            digest: self.digest.parse().map_err(|error: keybaton_protocol::ids::NameError| error.to_string())?,
            signer,
            retained: self.retained,
            grants: Grants {
                imports: grants.imports,
                templates: grants.templates,
                endpoints: grants.endpoints,
                password_floor_bits: grants.password_floor_bits,
                limits: Limits { fuel: grants.fuel, memory_bytes: grants.memory_bytes, host_calls: grants.host_calls },
            },
        })
    }

    fn of(entry: &Entry) -> Self {
        let grants = &entry.grants;
        Self {
            name: entry.name.to_string(),
            version: entry.version.to_string(),
            digest: entry.digest.to_string(),
            signer: entry.signer.as_ref().map(Signer::to_string),
            retained: entry.retained,
            grants: GrantsText {
                imports: grants.imports.clone(),
                templates: grants.templates.clone(),
                endpoints: grants.endpoints.clone(),
                password_floor_bits: grants.password_floor_bits,
                fuel: grants.limits.fuel,
                memory_bytes: grants.limits.memory_bytes,
                host_calls: grants.limits.host_calls,
            },
        }
    }
}

/// Write beside, sync, rename: a reader sees the old bytes or the new ones.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
