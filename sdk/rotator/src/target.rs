//! What a call is about: its context, the target, the generations the host knows, and the handles it hands over.

use crate::failure::{Failure, Result};
use crate::secret::Secret;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The same on every retry of the same step at the same place: the idempotency key.
    pub operation: String,
    /// Counts from 1. What a plugin asks of the host must not depend on it.
    pub attempt: u32,
    /// Time left, in milliseconds. Past it the host refuses further host calls.
    pub remaining_ms: u64,
    /// The host's number of the generation the call is about.
    pub generation: u32,
    /// The target's own id of that generation, where it is known.
    pub id: Option<String>,
}

/// Public facts by name.
pub type Facts = Vec<(String, String)>;

/// What a generation is to the host now. The vocabulary is open: a role that is not listed here is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Being prepared.
    Pending,
    /// The one in use.
    Current,
    /// The one before.
    Previous,
    /// Being ended.
    Retiring,
    /// Made by the host's own call and never given to anybody.
    Orphan,
    /// Made by somebody else.
    Foreign,
}

impl Role {
    /// The word in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retiring => "retiring",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
        }
    }
}

/// One credential generation, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generation {
    /// The host's number of it; none where somebody else made it.
    pub number: Option<u32>,
    /// How the target names it; where it has no names, `slot#number`.
    pub id: Option<String>,
    /// The slot it is in, where the target has slots taken in turn.
    pub slot: Option<String>,
    /// Open vocabulary, see [`Role`]. The host's to say; a plugin's is ignored.
    pub role: String,
    /// Whether the target would accept it.
    pub state: State,
    /// When the target made it, in seconds since the Unix epoch.
    pub created_unix: Option<u64>,
    /// When it ends by itself, in seconds since the Unix epoch.
    pub expires_unix: Option<u64>,
    /// When it was last used as far as the target tells, in seconds since the Unix epoch.
    pub last_used_unix: Option<u64>,
    /// Sessions open with it now, as far as the target tells.
    pub live_uses: Option<u32>,
    /// Public fields that consumers receive.
    pub attributes: Facts,
    /// For the journal and for later calls of the plugin.
    pub facts: Facts,
}

/// Whether the target would accept a credential now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It would.
    Active,
    /// It exists and would be refused.
    Inactive,
    /// The target does not tell.
    #[default]
    Unknown,
    /// Another word of the open vocabulary.
    Other(String),
}

impl State {
    /// The word in the contract.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Unknown => "unknown",
            Self::Other(name) => name,
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            "unknown" => Self::Unknown,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Generation {
    /// Whether the host gives it this role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.role == role.name()
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// The fact of this name, as an earlier call of the plugin left it.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        find(&self.facts, name)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The target of a call: settings, what the host knows of it, and the handles it hands over.
#[derive(Debug)]
pub struct Target<S> {
    /// The identity of the target: the connection and what it points at.
    pub id: String,
    /// One host, replica or account of many; the host makes one call for each.
    pub place: Option<String>,
    /// The plugin's settings.
    pub settings: S,
    /// The generations the host knows of.
    pub generations: Vec<Generation>,
    pub(crate) values: Vec<Value>,
}

/// A handle and what it is.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) generation: u32,
    pub(crate) field: String,
    pub(crate) secret: Secret,
}

impl<S> Target<S> {
    /// The first generation in this role.
    #[must_use]
    pub fn generation(&self, role: Role) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.is(role))
    }

    /// The generation with the host's number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == Some(number))
    }

    /// The generation that the call is about.
    ///
    /// # Errors
    ///
    /// `permanent`, where the host did not say anything about it.
    pub fn subject(&self, ctx: &Context) -> Result<&Generation> {
        self.numbered(ctx.generation).ok_or_else(|| {
            let message = format!("the host said nothing about generation {}", ctx.generation);
            Failure::permanent("call.generation-unknown", message)
        })
    }

    /// The handle of a secret field, as `create` named it.
    ///
    /// # Errors
    ///
    /// `permanent`, where the host did not hand it over (its value is unknown, or the step may not have it).
    pub fn secret(&self, generation: u32, field: &str) -> Result<&Secret> {
        let wanted = |value: &&Value| value.generation == generation && value.field == field;
        self.values.iter().find(wanted).map(|value| &value.secret).ok_or_else(|| {
            let message = format!("the host handed over no `{field}` of generation {generation}");
            Failure::permanent("call.secret-missing", message)
        })
    }
}
