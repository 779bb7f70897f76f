//! What the host itself saw of a consumer: that a replica serves a credential, that what was written is read back, that
//! the target accounts for a use. It says who was looked at and what was seen, and never speaks for a replica's holding.

use crate::consumers::{look, reason};
use crate::engine::Engine;
use crate::error::EngineError;
use keybaton_protocol::command::Command;
use keybaton_protocol::evidence::{Evidence, EvidenceKind, Purpose};
use keybaton_protocol::ids::{ConsumerName, Generation, Incarnation, Replica, SecretName, Seq};

/// The life that is looked at where the replica has never spoken.
const UNHEARD: &str = "witnessed";

/// One thing that was seen.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Whose replica was looked at.
    pub consumer: ConsumerName,
    /// Which.
    pub replica: Replica,
    /// Which generation was seen there.
    pub generation: Generation,
    /// What that shows.
    pub purpose: Purpose,
    /// `store`: read back. `process`: served, or used. `target`: in the target's own account.
    pub kind: EvidenceKind,
    /// With `failed` and `cry`: why. The secret is taken out of it before it is put on record.
    pub reason: String,
}

impl Engine {
    /// Puts on record what the host itself saw of a consumer's replica.
    ///
    /// # Errors
    /// The secret, the consumer or the generation is unknown, the host cannot see such a thing, or it is not in question;
    /// see [`EngineError`].
    pub async fn witness(&self, secret: &SecretName, seen: Witness) -> Result<Seq, EngineError> {
        let id = self.shared.find(secret)?;
        let who = (seen.consumer.clone(), seen.replica.clone());
        let life =
            look(&self.shared, id, move |secret, _| secret.replicas().get(&who).map(|it| it.incarnation.clone()));
        let reason = match seen.purpose {
            Purpose::Failed | Purpose::Cry => reason(&self.shared, id, secret, seen.generation, &seen.reason).await?,
            Purpose::Ready | Purpose::Adopted | Purpose::Released | Purpose::Dropped => String::new(),
        };
        let unheard = || -> Incarnation { UNHEARD.parse().expect("a constant that follows the grammar") };
        let evidence = Evidence {
            consumer: seen.consumer,
            replica: seen.replica,
            incarnation: life.await?.unwrap_or_else(unheard),
            generation: seen.generation,
            purpose: seen.purpose,
            kind: seen.kind,
            reason,
            attested: None,
            witnessed: true,
        };
        crate::begin::ask(&self.shared, id, Command::State(evidence), Vec::new(), None).await
    }
}
