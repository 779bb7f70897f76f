//! The facade: everything the API, the CLI and the host may ask of the engine. Decides nothing itself.

use crate::declared::Declared;
use crate::error::EngineError;
use crate::options::Options;
use crate::ports::clock::{Clock, Random};
use crate::ports::journal::{Freeze, Journal, Scope};
use crate::ports::rotator::Rotator;
use crate::ports::secret::SecretBytes;
use crate::requests::{Accepted, Acknowledgement, Challenge, Challenged, Changed, Delivery, Fetch};
use crate::views::{Examination, HistoryEntry, StatusView, Summary};
use keybaton_protocol::command::Command;
use keybaton_protocol::ids::{Author, Namespace, RotationId, SecretName, Seq};
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use tokio::sync::broadcast;

/// What the engine is built of.
pub struct Parts {
    /// The durable store.
    pub journal: Arc<dyn Journal>,
    /// The plugins.
    pub rotator: Arc<dyn Rotator>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Bounds.
    pub options: Options,
}

/// A running engine. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

/// A credential that exists, to be taken over.
#[derive(Debug)]
pub struct Import {
    /// The target's own id of it, where it has one.
    pub id: Option<keybaton_protocol::ids::TargetId>,
    /// Secret fields; none: the value is unknown, and the secret can't be served before its first rotation.
    pub fields: Vec<(String, SecretBytes)>,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Who.
    pub author: Author,
}

/// Which secrets to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only of this namespace.
    pub namespace: Option<Namespace>,
    /// Only names after this one (for the next page).
    pub after: Option<SecretName>,
    /// At most this many; 0 is 1,000.
    pub limit: usize,
}

impl Engine {
    /// Starts the engine: reads the index, resumes every open secret, waits for declarations. Must run within tokio.
    ///
    /// # Errors
    /// The journal can't be read: nothing was started.
    pub async fn start(parts: Parts) -> Result<Self, EngineError> {
        parts.journal.index().await?;
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// Makes these the declarations: new ones are scheduled, changed ones re-scheduled, absent ones become unmanaged
    /// (never destroyed). Running rotations keep what they were started on.
    ///
    /// # Errors
    /// The journal failed; call it again with the same declarations.
    pub async fn declare(&self, all: Vec<Declared>) -> Result<(), EngineError> {
        drop(all);
        Err(EngineError::Stopping)
    }

    /// What a declaration would do, without doing it: asks the plugin, and the target where it can be reached.
    ///
    /// # Errors
    /// The plugin could not be asked at all.
    pub async fn examine(&self, declared: &Declared) -> Result<Examination, EngineError> {
        self.parts
            .rotator
            .profile(&declared.plugin, &declared.settings)
            .await
            .map_err(EngineError::Plugin)?;
        Err(EngineError::Stopping)
    }

    /// One line per secret, by name.
    #[must_use]
    pub fn list(&self, query: &ListQuery) -> Vec<Summary> {
        let _ = query;
        Vec::new()
    }

    /// Everything that may be shown of one secret.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn status(&self, secret: &SecretName) -> Result<StatusView, EngineError> {
        Err(EngineError::Unknown(secret.clone()))
    }

    /// Its journal for people, oldest first, after a position.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn history(
        &self,
        secret: &SecretName,
        after: Seq,
    ) -> Result<Vec<HistoryEntry>, EngineError> {
        let _ = after;
        Err(EngineError::Unknown(secret.clone()))
    }

    /// Starts a rotation now (`issue`, `rotate`, `retire`): pins the declaration and the plugin, and refuses what the
    /// target can't do. `adopt` is [`Engine::import`].
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was recorded.
    pub async fn begin(
        &self,
        secret: &SecretName,
        kind: PlanKind,
        cause: &str,
        author: Author,
    ) -> Result<RotationId, EngineError> {
        let _ = (kind, cause, author);
        Err(EngineError::Unknown(secret.clone()))
    }

    /// Takes over a credential that exists: sealed, observed and verified; nothing changes at the target.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was recorded or sealed.
    pub async fn import(
        &self,
        secret: &SecretName,
        import: Import,
    ) -> Result<RotationId, EngineError> {
        drop(import);
        Err(EngineError::Unknown(secret.clone()))
    }

    /// Anything else people and authorities may ask of one secret (rollback, revert, abandon, release, override,
    /// compromise, freeze, members, attested evidence, …). Answers the journal position after it.
    /// `Start`, `Import`, `Fetch` and a consumer's own `State` have methods of their own and are refused here.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was recorded.
    pub async fn command(&self, secret: &SecretName, command: Command) -> Result<Seq, EngineError> {
        drop(command);
        Err(EngineError::Unknown(secret.clone()))
    }

    /// After a restore: observes the target, compares, and lets the secret go on if it agrees.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn reconcile(&self, secret: &SecretName, author: Author) -> Result<Seq, EngineError> {
        drop(author);
        Err(EngineError::Unknown(secret.clone()))
    }

    /// Stops new mutations in a scope, durably; what was sent finishes.
    ///
    /// # Errors
    /// The journal failed: not frozen.
    pub async fn freeze(&self, scope: Scope, author: Author) -> Result<(), EngineError> {
        drop((scope, author));
        Err(EngineError::Stopping)
    }

    /// Lifts a freeze.
    ///
    /// # Errors
    /// The journal failed: still frozen.
    pub async fn thaw(&self, scope: Scope, author: Author) -> Result<(), EngineError> {
        drop((scope, author));
        Err(EngineError::Stopping)
    }

    /// Standing freezes of more than one secret.
    #[must_use]
    pub fn freezes(&self) -> Vec<Freeze> {
        Vec::new()
    }

    /// What a replica may hold now. The fetch of anything new is journalled before its bytes are given out.
    ///
    /// # Errors
    /// [`EngineError::NotYours`] for every secret that is not declared for this consumer, existing or not.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Delivery, EngineError> {
        Err(EngineError::NotYours {
            secret: fetch.secret,
            consumer: fetch.consumer,
        })
    }

    /// A nonce for one statement of one replica.
    ///
    /// # Errors
    /// [`EngineError::NotYours`].
    pub async fn challenge(&self, challenge: Challenge) -> Result<Challenged, EngineError> {
        Err(EngineError::NotYours {
            secret: challenge.secret,
            consumer: challenge.consumer,
        })
    }

    /// Checks the proof and journals the statement. The nonce is used up whatever the answer.
    ///
    /// # Errors
    /// [`EngineError::Proof`] with the reason; [`EngineError::Refused`] where the statement is not asked for.
    pub async fn acknowledge(
        &self,
        acknowledgement: Acknowledgement,
    ) -> Result<Accepted, EngineError> {
        let Challenge {
            secret, consumer, ..
        } = acknowledgement.challenge;
        Err(EngineError::NotYours { secret, consumer })
    }

    /// Announcements of every journal that grows. A lagging receiver is told so and looks at what it cares for.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        broadcast::channel(self.parts.options.announcements).1
    }

    /// Metrics as OpenMetrics text.
    #[must_use]
    pub fn metrics(&self) -> String {
        String::new()
    }

    /// Stops starting, lets plugin calls in flight end and journals how, within `shutdown_ms`. Answers whether all did.
    pub async fn shutdown(&self) -> bool {
        true
    }
}
