//! What people, consumers and the host itself may ask of a secret. Asking is not doing: `admit` answers with events.

use crate::event::{Minted, Pins};
use crate::evidence::Evidence;
use crate::ids::{Author, ConsumerName, Digest, Epoch, Generation, Incarnation, Place, Replica, RotationId, Slot};
use crate::policy::{ConsumerPolicy, Members, Policy};
use crate::step::PlanKind;

/// A request, before it is known to be legal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Start a rotation (`issue`, `rotate`, `retire`).
    Start {
        /// Drawn by the host.
        rotation: RotationId,
        /// What for.
        kind: PlanKind,
        /// Why: `every`, `cron`, `before-expiry`, `operator`, …
        cause: String,
        /// Who.
        author: Author,
        /// What it runs on.
        pins: Box<Pins>,
    },
    /// Take over a credential that exists (`adopt`); its fields are sealed in the same write. No fields: value unknown.
    Import {
        /// Drawn by the host.
        rotation: RotationId,
        /// What it is called.
        minted: Minted,
        /// The slot it is in, where the target has slots taken in turn; `None` is the first.
        slot: Option<Slot>,
        /// Who.
        author: Author,
        /// What it runs on.
        pins: Box<Pins>,
    },
    /// Give pending back.
    Rollback {
        /// Why.
        reason: String,
        /// Who.
        author: Author,
    },
    /// Put previous back.
    Revert {
        /// Why.
        reason: String,
        /// Who.
        author: Author,
    },
    /// Leave the rotation; the secret becomes startable.
    Abandon {
        /// Why.
        reason: String,
        /// Who.
        author: Author,
    },
    /// Lift a hold.
    Release {
        /// Who.
        author: Author,
    },
    /// Let a credential end without the evidence its gate asks for.
    Override {
        /// Which.
        generation: Generation,
        /// Why.
        reason: String,
        /// Who.
        author: Author,
    },
    /// A generation is known to others.
    Compromise {
        /// Which.
        generation: Generation,
        /// Before consumers have switched.
        disable_first: bool,
        /// Who.
        author: Author,
    },
    /// Stop new mutations.
    Freeze {
        /// Who.
        author: Author,
    },
    /// Allow them again.
    Thaw {
        /// Who.
        author: Author,
    },
    /// A consumer's replica fetched a generation.
    Fetch {
        /// Who.
        consumer: ConsumerName,
        /// Which instance.
        replica: Replica,
        /// Which life of it.
        incarnation: Incarnation,
        /// What.
        generation: Generation,
    },
    /// A person's statement, or one that the host makes itself.
    State(Evidence),
    /// A replica's statement whose proof was checked by the host, as the answer to what was asked in this rotation.
    Acknowledge {
        /// In which rotation it was asked.
        rotation: RotationId,
        /// What is stated.
        evidence: Evidence,
    },
    /// A consumer joins.
    AddConsumer {
        /// Its policy.
        consumer: Box<ConsumerPolicy>,
        /// Who.
        author: Author,
    },
    /// What is declared of a consumer changed.
    ChangeConsumer {
        /// Its policy now.
        consumer: Box<ConsumerPolicy>,
        /// Who.
        author: Author,
    },
    /// A consumer leaves.
    RemoveConsumer {
        /// Which.
        consumer: ConsumerName,
        /// Who.
        author: Author,
    },
    /// The authority lists other replicas.
    Members {
        /// Of which consumer.
        consumer: ConsumerName,
        /// As listed now.
        members: Members,
        /// Which authority.
        author: Author,
    },
    /// One replica is gone for good, or is there, or there again.
    Member {
        /// Of which consumer.
        consumer: ConsumerName,
        /// Which.
        replica: Replica,
        /// It is gone.
        gone: bool,
        /// Who.
        author: Author,
    },
    /// The target consists of other places, from now on.
    Places {
        /// As they are now.
        places: Vec<Place>,
        /// Who.
        author: Author,
    },
    /// A place is gone for good, and every credential that was there with it.
    ScrapPlace {
        /// Which.
        place: Place,
        /// Who.
        author: Author,
    },
    /// Change the policy of the running rotation.
    Repolicy {
        /// The new policy.
        policy: Box<Policy>,
        /// Who.
        author: Author,
    },
    /// Carry on with other plugin bytes.
    Repin {
        /// Their digest.
        component: Digest,
        /// Who.
        author: Author,
    },
    /// The database was restored.
    Restore {
        /// The new epoch.
        epoch: Epoch,
    },
    /// The restored secret was compared with its target.
    Reconcile {
        /// Who.
        author: Author,
        /// Next generation number, past the highest any consumer reports.
        next: Generation,
    },
    /// What the restored journal knows is lost: the target refuses it.
    AcceptLost {
        /// Why.
        reason: String,
        /// Who.
        author: Author,
        /// Next generation number, past the highest any consumer reports.
        next: Generation,
    },
    /// The declaration is gone.
    Unmanage {
        /// Who.
        author: Author,
    },
}
