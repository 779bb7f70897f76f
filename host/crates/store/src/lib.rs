//! The embedded store: one directory, one SQLite database. Journals, sealed credentials, leases, audit, declarations and
//! API identities; the engine's `Journal` port is implemented here.
//!
//! It never keeps a credential in clear, never reads a torn or edited row as truth, and knows nothing of plugins,
//! consumers or what an event means.

mod append;
mod audit;
mod backup;
mod chain;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod crypto;
mod documents;
mod error;
mod files;
mod freezes;
mod identities;
mod journal;
mod kek;
mod leases;
mod open;
mod proposals;
mod reader;
pub mod record;
mod restore;
mod rewrap;
mod schema;
mod seals;
mod specs;
mod sql;
mod state;
mod tx;
mod values;
mod verify;
mod writer;

pub use audit::{AuditBreak, AuditEntry, AuditError, AuditOutcome, AuditReport, Audited};
pub use backup::Manifest;
pub use error::StoreError;
pub use identities::{Enrolment, EnrolmentRefused, Identity, Subject, TokenHash};
pub use kek::{Kek, KekError};
pub use open::{Mode, Store};
pub use restore::Restoration;
pub use schema::SCHEMA;
pub use specs::Spec;
pub use verify::{Damage, Examined, Verified};
