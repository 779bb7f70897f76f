//! The entry: an enrolled workload. Keeps its identity renewed and its ear at the host for as long as it, or any secret
//! opened from it, lives.

use crate::Error;
use crate::identity::Shelf;
use crate::secret::SecretBuilder;
use crate::session::Session;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What is said while the application still has handles of an older generation, though it has logged in with the new one.
/// As long as one lives the old credential may be in use, and its end may depend on the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldHandles {
    /// Nothing: `adopted` is stated, as a process's, when the last of them is dropped.
    Wait,
    /// After this long, `adopted` is stated as a holder's. That is too little for the host to end the old credential on,
    /// and shows whoever waits that this replica has the new one and still uses the old. When the last handle is dropped
    /// it is stated anew, as a process's.
    TellAfter(Duration),
}

/// How a workload behaves towards its host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// This instance's name, as the membership authority knows it (a pod's name, a host's); must be the same after a
    /// restart: the identity in the state directory stands for the replica that its enrolment or its first request
    /// named, and the host refuses another. 1 to 255 printable characters without a space.
    pub replica: String,
    /// How often a secret is fetched although there was no news and no hint. Those make rotations fast; this makes them
    /// certain.
    pub poll: Duration,
    /// How often a trial that the target refused is repeated before the rotation is told: targets need a moment.
    pub trial_attempts: u32,
    /// Time for one trial, after which it counts as unsure.
    pub trial_timeout: Duration,
    /// What is said of a new generation while handles of an older one live.
    pub old_handles: OldHandles,
}

impl Options {
    /// The usual behaviour, for this instance.
    pub fn new(replica: impl Into<String>) -> Self {
        Self {
            replica: replica.into(),
            poll: Duration::from_secs(30),
            trial_attempts: 5,
            trial_timeout: Duration::from_secs(30),
            old_handles: OldHandles::TellAfter(Duration::from_secs(60)),
        }
    }
}

impl Default for Options {
    /// The instance is named by `HOSTNAME`, which Kubernetes sets to the pod's name; `replica` where it is not set.
    fn default() -> Self {
        Self::new(std::env::var("HOSTNAME").unwrap_or_else(|_| "replica".to_owned()))
    }
}

/// An enrolled workload. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Client {
    pub(crate) session: Arc<Session>,
    pub(crate) options: Arc<Options>,
    /// Ended with the last clone.
    _tasks: Arc<Tasks>,
}

/// Background work, ended with its last owner.
struct Tasks {
    _running: JoinSet<()>,
}

/// Exchanges a single-use enrolment token (with the pin behind it) for an identity in `state_dir`, and opens it.
/// The identity is a file with mode 0600; an identity that is there already is replaced.
///
/// # Errors
/// [`Error::Token`] before anything is sent; [`Error::Unreachable`] also when the host's authority is not the pinned
/// one; [`Error::Refused`] with `enrolment-used`, `enrolment-expired` or `unauthenticated`.
pub async fn enrol(url: &str, token: &str, state_dir: &Path, options: Options) -> Result<Client, Error> {
    Session::enrol(url, token, &Shelf::new(state_dir)?).await?;
    Client::open(state_dir, options)
}

impl Client {
    /// Opens the identity in `state_dir`. Works while the host is down. Must be called within tokio.
    ///
    /// # Errors
    /// [`Error::State`] where there is none, [`Error::Identity`] where it can't be used.
    pub fn open(state_dir: &Path, options: Options) -> Result<Self, Error> {
        let replica = options.replica.clone();
        if !(1..=255).contains(&replica.len()) || !replica.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Name { what: "replica name", text: replica });
        }
        let session = Arc::new(Session::open(Shelf::new(state_dir)?, replica)?);
        let mut running = JoinSet::new();
        running.spawn(session.clone().keep_renewed());
        running.spawn(session.clone().keep_watching());
        Ok(Self { session, options: Arc::new(options), _tasks: Arc::new(Tasks { _running: running }) })
    }

    /// Opens the identity in `state_dir` if there is one, and enrols otherwise: for a container whose environment keeps
    /// the token that it was first started with.
    ///
    /// # Errors
    /// As [`Client::open`] and [`enrol`].
    pub async fn open_or_enrol(url: &str, token: &str, state_dir: &Path, options: Options) -> Result<Self, Error> {
        if Shelf::new(state_dir)?.is_enrolled() {
            Self::open(state_dir, options)
        } else {
            enrol(url, token, state_dir, options).await
        }
    }

    /// Who this is: `namespace/name`.
    #[must_use]
    pub fn consumer(&self) -> String {
        self.session.identity().consumer.clone()
    }

    /// A secret by `namespace/name`. Open each once, and clone what you get.
    pub fn secret(&self, name: &str) -> SecretBuilder {
        SecretBuilder::new(self.clone(), name)
    }
}
