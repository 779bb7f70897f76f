//! The facade: everything the API, the CLI and the host may ask of the engine. Decides nothing itself.

use crate::board::{Board, Cell};
use crate::clock::{ClockStep, HostClock};
use crate::declared::Declared;
use crate::error::EngineError;
use crate::options::Options;
use crate::people::Change;
use crate::ports::clock::Random;
use crate::ports::freezes::{Freeze, Freezes, Scope};
use crate::ports::journal::{Journal, Part};
use crate::ports::nonces::Nonces;
use crate::ports::rotator::Rotator;
use crate::ports::secret::SecretBytes;
use crate::requests::{Accepted, Acknowledgement, Challenge, Challenged, Changed, Delivery, Fetch};
use crate::scheduler::{self, Brake};
use crate::shared::Shared;
use crate::views::{
    self, ComparisonView, Examination, ForesightView, HistoryEntry, MembersView, PlaceView, Standing, StatusView,
    Summary,
};
use crate::{begin, consumers, declare, examine, follow, history, people, restored};
use keybaton_protocol::command::Command;
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{
    Author, ConnectionName, ConsumerName, Digest, Generation, Namespace, Place, Replica, RotationId, SecretName, Seq,
    Slot, TargetId,
};
use keybaton_protocol::offer::Known;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// What the engine is built of.
pub struct Parts {
    /// The durable record.
    pub journal: Arc<dyn Journal>,
    /// Freezes, in the same store.
    pub freezes: Arc<dyn Freezes>,
    /// Challenges that are out, where the store is shared. Without it they are in this process.
    pub nonces: Option<Arc<dyn Nonces>>,
    /// The plugins.
    pub rotator: Arc<dyn Rotator>,
    /// Time.
    pub clock: Arc<HostClock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Bounds.
    pub options: Options,
}

/// A running engine. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// A credential that exists, to be taken over.
#[derive(Debug)]
pub struct Import {
    /// The target's own id of it, where it has one.
    pub id: Option<TargetId>,
    /// The slot it is in, where the target has slots taken in turn; `None` is the first.
    pub slot: Option<Slot>,
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
    /// The store can't be read, or is shared and keeps no nonces: nothing was started.
    pub async fn start(parts: Parts) -> Result<Self, EngineError> {
        if parts.journal.is_shared() && parts.nonces.is_none() {
            return Err(EngineError::Internal("a shared store must keep the nonces, and this one does not".to_owned()));
        }
        let epoch = parts.journal.epoch().await?;
        // Before the index: what moves in between is told twice rather than not at all.
        let feed = match parts.journal.is_shared() {
            true => Some(parts.journal.changes(None).await?.cursor),
            false => None,
        };
        let index = parts.journal.index().await?;
        let freezes = parts.freezes.freezes().await?;
        let mut board =
            Board::new(Brake::new(parts.options.brake_after, parts.options.brake_ms), Arc::clone(&parts.clock));
        for line in index {
            let id = board.index(&line.secret, line.mark);
            if let Some(detail) = line.damaged {
                tracing::error!(secret = %line.secret, detail, "what is stored of this secret is damaged; the others go on");
                board.damage(id, &detail);
            } else if line.mark.open {
                board.wake_at_once(id);
            }
        }
        freezes.into_iter().for_each(|freeze| board.freeze(freeze));
        let shared = Arc::new(Shared::new(parts, epoch, board));
        shared.tasks.spawn(scheduler::run(Arc::clone(&shared)));
        if let Some(cursor) = feed {
            shared.tasks.spawn(follow::run(Arc::clone(&shared), cursor));
        }
        Ok(Self { shared })
    }

    /// Makes these the declarations: new ones are scheduled, changed ones re-scheduled, absent ones become unmanaged
    /// (never destroyed). Running rotations keep what they were started on. `author` is who applied them, or
    /// [`Author::host`] at a start.
    ///
    /// # Errors
    /// The journal failed; call it again with the same declarations.
    pub async fn declare(&self, all: Vec<Declared>, author: Author) -> Result<(), EngineError> {
        declare::declare(&self.shared, all, author).await
    }

    /// What a declaration would do, without doing it: asks the plugin, and the target where it can be reached.
    ///
    /// # Errors
    /// The plugin could not be asked at all.
    pub async fn examine(&self, declared: &Declared) -> Result<Examination, EngineError> {
        examine::examine(&self.shared, declared).await
    }

    /// One line per secret, by name.
    #[must_use]
    pub fn list(&self, query: &ListQuery) -> Vec<Summary> {
        let limit = if query.limit == 0 { PAGE } else { query.limit };
        let board = self.shared.board();
        board
            .after(query.after.as_ref())
            .filter(|cell| query.namespace.as_ref().is_none_or(|it| it == cell.name.namespace()))
            .take(limit)
            .map(summary)
            .collect()
    }

    /// Everything that may be shown of one secret.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn status(&self, secret: &SecretName) -> Result<StatusView, EngineError> {
        let id = self.shared.find(secret)?;
        let (summary, blocked) = {
            let board = self.shared.board();
            let cell = board.cell(id);
            (summary(cell), cell.blocked.as_ref().map(|why| why.text()))
        };
        consumers::look(&self.shared, id, |state, now| views::status(state, now, summary, blocked)).await
    }

    /// A part of its journal for people, oldest first, of at most so many events.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn history(
        &self,
        secret: &SecretName,
        part: Part,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, EngineError> {
        self.shared.find(secret)?;
        history::read(&*self.shared.journal, secret, part, limit).await
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
        let id = self.shared.find(secret)?;
        begin::begin(&self.shared, id, kind, cause, author, None).await
    }

    /// Takes over a credential that exists: sealed, observed and verified; nothing changes at the target.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was recorded or sealed.
    pub async fn import(&self, secret: &SecretName, import: Import) -> Result<RotationId, EngineError> {
        let id = self.shared.find(secret)?;
        begin::import(&self.shared, id, import).await
    }

    /// Anything else people and authorities may ask of one secret (rollback, revert, abandon, release, override,
    /// compromise, freeze, members, attested evidence, …). Answers the journal position after it.
    /// `Start`, `Import`, `Fetch` and a consumer's own `State` have methods of their own and are refused here.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was recorded.
    pub async fn command(&self, secret: &SecretName, command: Command) -> Result<Seq, EngineError> {
        let id = self.shared.find(secret)?;
        let own_way = match &command {
            Command::Start { .. } | Command::Import { .. } | Command::Fetch { .. } => true,
            Command::State(evidence) => evidence.kind != EvidenceKind::Attested,
            _ => false,
        };
        if own_way {
            let reason = "this is asked in a way of its own".to_owned();
            return Err(EngineError::Refused { secret: secret.clone(), code: "invalid", reason });
        }
        begin::ask(&self.shared, id, command, Vec::new(), None).await
    }

    /// Every consumer of a secret, its members, and what each has shown.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn members(&self, secret: &SecretName) -> Result<Vec<MembersView>, EngineError> {
        consumers::look(&self.shared, self.shared.find(secret)?, views::members).await
    }

    /// Adds or drops one replica of a consumer, until its declaration is applied anew or a rotation starts.
    ///
    /// # Errors
    /// Unknown consumer or replica; see [`EngineError`].
    pub async fn change_member(
        &self,
        secret: &SecretName,
        (consumer, replica): (ConsumerName, Replica),
        change: Change,
        author: Author,
    ) -> Result<Seq, EngineError> {
        people::member(&self.shared, self.shared.find(secret)?, consumer, replica, change, author).await
    }

    /// Every place of a secret's target, and how each generation stands there.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn places(&self, secret: &SecretName) -> Result<Vec<PlaceView>, EngineError> {
        consumers::look(&self.shared, self.shared.find(secret)?, |state, _| views::places(state)).await
    }

    /// Takes one place of the target in, or says that it is away.
    ///
    /// # Errors
    /// Unknown place, or the last one; see [`EngineError`].
    pub async fn change_place(
        &self,
        secret: &SecretName,
        place: Place,
        change: Change,
        author: Author,
    ) -> Result<Seq, EngineError> {
        people::place(&self.shared, self.shared.find(secret)?, place, change, author).await
    }

    /// Takes a place out for good, with every credential that was there.
    ///
    /// # Errors
    /// Unknown place, or the only one; see [`EngineError`].
    pub async fn scrap_place(&self, secret: &SecretName, place: Place, author: Author) -> Result<Seq, EngineError> {
        let command = Command::ScrapPlace { place, author };
        begin::ask(&self.shared, self.shared.find(secret)?, command, Vec::new(), None).await
    }

    /// Gives the running rotation the policy of the declaration in force.
    ///
    /// # Errors
    /// No rotation runs, it has that policy already, or the target can't do it; see [`EngineError`].
    pub async fn repolicy(&self, secret: &SecretName, author: Author) -> Result<Seq, EngineError> {
        people::repolicy(&self.shared, self.shared.find(secret)?, author).await
    }

    /// Lets the running rotation go on with the component of its plugin that is approved now: `expected`, where given.
    ///
    /// # Errors
    /// No rotation runs, it has that component already, or the two say different things of the target.
    pub async fn repin(
        &self,
        secret: &SecretName,
        expected: Option<Digest>,
        author: Author,
    ) -> Result<(Digest, Seq), EngineError> {
        people::repin(&self.shared, self.shared.find(secret)?, expected, author).await
    }

    /// What a compromise of a generation would lead to and whom it would break. Records nothing.
    ///
    /// # Errors
    /// Unknown secret or generation.
    pub async fn foresee_compromise(
        &self,
        secret: &SecretName,
        generation: Generation,
        disable_first: bool,
    ) -> Result<ForesightView, EngineError> {
        let id = self.shared.find(secret)?;
        let seen = move |state: &_, now| views::foresight(state, generation, disable_first, now);
        consumers::look(&self.shared, id, seen).await?.map_err(|refusal| EngineError::Refused {
            secret: secret.clone(),
            code: refusal.code,
            reason: refusal.to_string(),
        })
    }

    /// After a restore: observes the target, compares, and lets the secret go on if it agrees.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn reconcile(&self, secret: &SecretName, author: Author) -> Result<Seq, EngineError> {
        let id = self.shared.find(secret)?;
        let next = restored::next_number(&self.shared, id).await?;
        begin::ask(&self.shared, id, Command::Reconcile { author, next }, Vec::new(), None).await
    }

    /// A person accepts that what a restored journal knows is lost, because the target refuses it. Nothing is current
    /// any more, and nothing at the target is touched.
    ///
    /// # Errors
    /// It was not restored, has not been compared, or works; see [`EngineError`].
    pub async fn accept_lost(&self, secret: &SecretName, reason: String, author: Author) -> Result<Seq, EngineError> {
        let id = self.shared.find(secret)?;
        let next = restored::next_number(&self.shared, id).await?;
        begin::ask(&self.shared, id, Command::AcceptLost { reason, author, next }, Vec::new(), None).await
    }

    /// How a secret compares that is held by a restore; `None` for one that is not.
    ///
    /// # Errors
    /// Unknown secret, or the journal failed.
    pub async fn comparison(&self, secret: &SecretName) -> Result<Option<ComparisonView>, EngineError> {
        restored::comparison(&self.shared, self.shared.find(secret)?).await
    }

    /// The same for every secret that is held by a restore, by name.
    ///
    /// # Errors
    /// A journal failed.
    pub async fn comparisons(&self) -> Result<Vec<ComparisonView>, EngineError> {
        restored::comparisons(&self.shared).await
    }

    /// Stops new mutations in a scope, durably; what was sent finishes.
    ///
    /// # Errors
    /// The journal failed: not frozen.
    pub async fn freeze(&self, scope: Scope, author: Author) -> Result<(), EngineError> {
        let freeze = Freeze { scope, author, at: self.shared.wall() };
        self.shared.freezes.freeze(freeze.clone()).await?;
        self.shared.board().freeze(freeze);
        Ok(())
    }

    /// Lifts a freeze.
    ///
    /// # Errors
    /// The journal failed: still frozen.
    pub async fn thaw(&self, scope: Scope, author: Author) -> Result<(), EngineError> {
        self.shared.freezes.thaw(scope.clone(), author, self.shared.wall()).await?;
        self.shared.thaw(&scope);
        Ok(())
    }

    /// Standing freezes of more than one secret, as the store has them now.
    ///
    /// # Errors
    /// The journal failed.
    pub async fn freezes(&self) -> Result<Vec<Freeze>, EngineError> {
        self.shared.read_freezes().await?;
        Ok(self.shared.board().freezes())
    }

    /// What a look at the store found: nothing is begun for this secret from now on, and every view says why.
    pub fn damaged(&self, secret: &SecretName, detail: &str) {
        let mut board = self.shared.board();
        let id = board.admit(secret);
        board.damage(id, detail);
    }

    /// What a replica may hold now. The fetch of anything new is journalled before its bytes are given out.
    ///
    /// # Errors
    /// [`EngineError::NotYours`] for every secret that is not declared for this consumer, existing or not.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Delivery, EngineError> {
        consumers::fetch(&self.shared, fetch, None).await
    }

    /// The same for a replica that knows this already: answered once something is asked of it, or it may read other
    /// generations, or is to use another, and at the latest after `wait`. What becomes readable is journalled as fetched
    /// in the very write that makes it so.
    ///
    /// # Errors
    /// As for [`Engine::fetch`].
    pub async fn fetch_news(&self, fetch: Fetch, known: Known, wait: Duration) -> Result<Delivery, EngineError> {
        consumers::fetch(&self.shared, fetch, Some((known, wait))).await
    }

    /// A nonce for one statement of one replica.
    ///
    /// # Errors
    /// [`EngineError::NotYours`].
    pub async fn challenge(&self, challenge: Challenge) -> Result<Challenged, EngineError> {
        consumers::challenge(&self.shared, challenge).await
    }

    /// Checks the proof and journals the statement. The nonce is used up whatever the answer.
    ///
    /// # Errors
    /// [`EngineError::Proof`] with the reason; [`EngineError::Refused`] where the statement is not asked for.
    pub async fn acknowledge(&self, acknowledgement: Acknowledgement) -> Result<Accepted, EngineError> {
        consumers::acknowledge(&self.shared, acknowledgement).await
    }

    /// Announcements of every journal that grows. A lagging receiver is told so and looks at what it cares for.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.shared.announce.subscribe()
    }

    /// Sets how many plugin calls may run at once on one connection, in place of the options' limit.
    pub fn limit(&self, connection: &ConnectionName, calls_at_once: usize) {
        self.shared.limits.set(connection.as_str(), calls_at_once);
    }

    /// Steps of the wall clock that were noticed since the start, oldest first.
    #[must_use]
    pub fn clock_steps(&self) -> Vec<ClockStep> {
        self.shared.clock.steps()
    }

    /// Metrics as OpenMetrics text.
    #[must_use]
    pub fn metrics(&self) -> String {
        let (overdue, oldest) = {
            let board = self.shared.board();
            self.shared.metrics.damaged.set(i64::try_from(board.damaged()).unwrap_or(i64::MAX));
            board.overdue()
        };
        self.shared.metrics.clock_steps(self.shared.clock.counts());
        self.shared.metrics.text(self.shared.wall(), overdue, oldest)
    }

    /// Stops starting, lets plugin calls in flight end and journals how, within `shutdown_ms`. Answers whether all did.
    pub async fn shutdown(&self) -> bool {
        self.shared.stop();
        self.shared.bell.notify_one();
        let patience = Duration::from_millis(self.shared.options.shutdown_ms);
        tokio::time::timeout(patience, self.shared.tasks.idle()).await.is_ok()
    }
}

/// Lines of a list where no limit is asked for.
const PAGE: usize = 1_000;

fn summary(cell: &Cell) -> Summary {
    let spec = cell.spec.as_ref();
    Summary {
        secret: cell.name.to_string(),
        plugin: spec.map(|spec| spec.plugin.to_string()),
        connection: spec.map(|spec| spec.connection.to_string()),
        standing: match (cell.standing, spec) {
            _ if cell.damaged.is_some() => Standing::Damaged,
            (_, None) if cell.journalled => Standing::Unmanaged,
            // Declared again; the journal says so from its next rotation on.
            (Standing::Unmanaged, Some(_)) if cell.mark.rotated_at.is_some() => Standing::Idle,
            (Standing::Unmanaged, Some(_)) => Standing::New,
            (standing, _) => standing,
        },
        rotated_at: cell.mark.rotated_at.map(|at| at.0),
        due_at: cell.due.map(|at| at.0),
        paused: spec.is_some_and(|spec| spec.paused),
    }
}
