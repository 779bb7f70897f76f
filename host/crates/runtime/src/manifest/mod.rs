//! What a plugin says it needs, checked: parsed once, from `plugin.toml` or from the component's own section.
//! Grants nothing: that is the lock's.

mod document;
mod endpoint;
mod template;

pub use document::{ManifestError, SECTION};
pub use endpoint::{Endpoint, Fit, PathPattern};
pub use template::{Piece, PlaceholderType, Template};

use crate::limits::{self, Limits};
use document::Document;
use keybaton_protocol::ids::PluginName;
use keybaton_protocol::step::CallKind;
use std::collections::BTreeSet;
use std::fmt;

/// The version of `wit/` that this host speaks.
pub const CONTRACT: &str = "0.1.0";

/// Interfaces a plugin may ask for.
pub const INTERFACES: &[&str] = &["secrets", "keygen", "sql", "http", "log", "reveal"];

/// As whom a statement or request may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acting {
    /// As nobody.
    Nobody,
    /// As the connection's admin.
    Admin,
    /// As the credential under test.
    Candidate,
}

impl fmt::Display for Acting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "none",
            Self::Admin => "admin",
            Self::Candidate => "candidate",
        })
    }
}

/// Which export is running, as capabilities see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `describe`, `profile`, `validate`: nothing but the log.
    Pure,
    /// `preflight`.
    Preflight,
    /// Any other.
    Call(CallKind),
}

impl Stage {
    /// Whether it may change the target.
    #[must_use]
    pub const fn mutates(self) -> bool {
        match self {
            Self::Call(kind) => kind.mutates(),
            Self::Pure | Self::Preflight => false,
        }
    }

    /// The export's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pure => "a pure export",
            Self::Preflight => "preflight",
            Self::Call(kind) => kind.name(),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        if name == "preflight" { Some(Self::Preflight) } else { CallKind::from_name(name).map(Self::Call) }
    }
}

/// What is common to templates and endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// How the guest and people name it.
    pub name: String,
    /// As whom it acts.
    pub acting: Acting,
    /// Whether it may change the target.
    pub mutates: bool,
    /// Exports in which it may be used; empty for all that `mutates` and `acting` allow.
    pub steps: Vec<Stage>,
}

impl Permit {
    /// Whether it may be used now and as this identity; else why not.
    ///
    /// # Errors
    /// A lower-case sentence fragment for the guest's author and the operator.
    pub fn allows(&self, stage: Stage, acting: Acting) -> Result<(), String> {
        let name = &self.name;
        if acting != self.acting {
            return Err(format!("`{name}` acts as {} by its manifest, not as {acting}", self.acting));
        }
        if self.mutates && !stage.mutates() {
            return Err(format!("`{name}` may change the target, which {} must not", stage.name()));
        }
        if acting == Acting::Admin && stage == Stage::Call(CallKind::Verify) {
            return Err(format!("verify proves the candidate alone; `{name}` acts as admin"));
        }
        if !self.steps.is_empty() && !self.steps.contains(&stage) {
            return Err(format!("`{name}` is not for {} by its manifest", stage.name()));
        }
        Ok(())
    }
}

/// A checked manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: PluginName,
    /// Its version, `major.minor.patch`.
    pub version: Version,
    /// The contract it was built for.
    pub contract: String,
    /// One line for people.
    pub summary: String,
    /// Interfaces of the contract that it imports.
    pub imports: BTreeSet<String>,
    /// Statements.
    pub templates: Vec<Template>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Limits it asks for.
    pub limits: Limits,
}

impl Manifest {
    /// Reads a `plugin.toml`.
    ///
    /// # Errors
    /// Every problem at once: unknown and missing keys, placeholders that do not fit, a contract this host does not speak.
    pub fn from_toml(text: &str) -> Result<Self, ManifestError> {
        Document::from_toml(text)?.check()
    }

    /// Reads the section of a component.
    ///
    /// # Errors
    /// As [`Manifest::from_toml`].
    pub fn from_section(bytes: &[u8]) -> Result<Self, ManifestError> {
        Document::from_section(bytes)?.check()
    }

    /// `plugin.toml` as the section's canonical JSON.
    ///
    /// # Errors
    /// As [`Manifest::from_toml`].
    pub fn section_of_toml(text: &str) -> Result<Vec<u8>, ManifestError> {
        let document = Document::from_toml(text)?;
        document.clone().check()?;
        document.to_section()
    }

    /// Whether it may see secret bytes, if granted.
    #[must_use]
    pub fn reveals(&self) -> bool {
        self.imports.contains("reveal")
    }

    pub(crate) fn template(&self, name: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.permit.name == name)
    }
}

/// `major.minor.patch`, ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(|part| part.parse::<u32>().ok().filter(|n| n.to_string() == part));
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => Ok(Self(major, minor, patch)),
            _ => Err(format!("`{}` is not a version: expected `major.minor.patch`", limits::cut(text, 40))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
