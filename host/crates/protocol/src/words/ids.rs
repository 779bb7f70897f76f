//! Names and numbers of the protocol, parsed once at the edges. Never holds a secret value.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Milliseconds since the Unix epoch, on the host's clock: it moves with the machine's monotonic clock, and follows the
/// wall clock where that is set, which is an event of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This instant, `ms` milliseconds later; saturates.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// What this instant is called once the clock has been set by so much; saturates.
    #[must_use]
    pub const fn shifted(self, by_ms: i64) -> Self {
        Self(self.0.saturating_add_signed(by_ms))
    }
}

/// Time that has certainly passed, in milliseconds: what a process has measured, so that no clock jump ends a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Steady(pub u64);

impl Steady {
    /// Milliseconds of it from `earlier` to this reading.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Position of an event in the journal of one secret; the first event has sequence 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Seq(pub u64);

/// Number of a credential generation of one secret; counts up from 1 and is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// Installation epoch: bumped by every restore, so that facts of an older life can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Epoch(pub u32);

/// Number of one plugin call within the journal of one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// Ordinal of a host call within one plugin call, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ordinal(pub u32);

/// Fencing number of a lease; a writer with an older fence may record outcomes, never decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Fence(pub u64);

/// SHA-256 of something pinned or matched: a spec, a component, a host-call request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In two writes, not one for each byte: nearly every record has some of these.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError { what: "digest", text: text.to_owned(), rule: "`sha256:` and 64 hex digits" };
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii()).ok_or_else(bad)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// A name that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected {rule}")]
pub struct NameError {
    /// What the text was meant to name.
    pub what: &'static str,
    /// The offending text.
    pub text: String,
    /// The grammar, for people.
    pub rule: &'static str,
}

/// Letters of a DNS label: 1–63 of `a-z 0-9 -`, neither first nor last a dash.
const LABEL_RULE: &str = "1 to 63 lower-case letters, digits and dashes, no dash first or last";

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_label(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { what: $what, text: text.to_owned(), rule: LABEL_RULE })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label!(
    /// A namespace: the unit of access for declarations, connections and operators.
    Namespace, "namespace"
);
label!(
    /// The name of a consumer within its namespace.
    ConsumerName, "consumer name"
);
label!(
    /// The name of a connection.
    ConnectionName, "connection name"
);
label!(
    /// The name of a plugin.
    PluginName, "plugin name"
);

/// `namespace/name` of a managed secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName {
    namespace: Namespace,
    name: Arc<str>,
}

impl SecretName {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for SecretName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError {
            what: "secret name",
            text: text.to_owned(),
            rule: "`namespace/name`, each 1 to 63 lower-case letters, digits and dashes",
        };
        let (namespace, name) = text.split_once('/').ok_or_else(bad)?;
        if !is_label(name) {
            return Err(bad());
        }
        Ok(Self { namespace: namespace.parse().map_err(|_| bad())?, name: name.into() })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if (1..=$max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError {
                        what: $what,
                        text: text.chars().take(80).collect(),
                        rule: concat!("1 to ", stringify!($max), " printable ASCII characters without a space"),
                    })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// Identifier of one rotation attempt, drawn by the host (UUIDv7 in practice).
    RotationId, "rotation id", 64
);
text!(
    /// One of the many things a target may consist of: a host, a replica, an account.
    Place, "place", 255
);
text!(
    /// One running instance of a consumer, as its membership authority names it.
    Replica, "replica", 255
);
text!(
    /// One life of a replica: drawn anew at each start of the process.
    Incarnation, "incarnation", 64
);
text!(
    /// The idempotency key of a step at a place: the same however often the step is run again.
    OperationId, "operation id", 400
);
text!(
    /// Who did something: an operator's, a consumer's or the host's own name.
    Author, "author", 255
);
text!(
    /// A slot of the target that generations take in turn (a role name, `key1`).
    Slot, "slot", 255
);
text!(
    /// Name of one sealed value of a generation, unique within it; never derived from the value.
    SealLabel, "seal label", 128
);
text!(
    /// How the target itself names a credential (access-key id, serial, fingerprint); never a slot's name.
    TargetId, "target id", 512
);

impl Place {
    /// The place of a target that is only one.
    #[must_use]
    pub fn only() -> Self {
        Self("-".into())
    }
}

impl Author {
    /// The host itself, where it acts on a rule of its own.
    #[must_use]
    pub fn host() -> Self {
        Self("keybaton".into())
    }

    /// The operator's written policy, where it decides what a person otherwise would.
    #[must_use]
    pub fn policy() -> Self {
        Self("policy".into())
    }
}

impl OperationId {
    /// `rotation/step/generation/place`, and where the same is done anew (a recall, an orphan) a mark of its own.
    #[must_use]
    pub fn of(rotation: &RotationId, step: &str, generation: Generation, place: &Place, mark: Option<&str>) -> Self {
        let mark = mark.map_or_else(String::new, |mark| format!("/{mark}"));
        Self(format!("{rotation}/{step}/{}/{place}{mark}", generation.0).into())
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}", self.0)
    }
}

impl Replica {
    /// A replica that a counted membership expects and nobody has heard of.
    #[must_use]
    pub fn unnamed(number: usize) -> Self {
        Self(format!("#{number}").into())
    }
}

impl RotationId {
    /// What stands in a proof for the rotation while none runs.
    #[must_use]
    pub fn none() -> Self {
        Self("reconcile".into())
    }
}
