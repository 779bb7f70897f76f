//! The client side of keybaton for workloads: hold a secret's generations, use the right one, fall over by yourself,
//! and prove to the host that you did, so that the old credential ends when everyone is off it and not before.
//!
//! # In five lines
//!
//! An operator declares the consumer under the secret and prints a single-use token:
//!
//! ```text
//! keybaton consumer enrol payments/api        # kbe_…: token and pin of the host's authority, good for 15 minutes
//! ```
//!
//! The workload exchanges it once, and from then on lives on a short identity that renews itself:
//!
//! ```no_run
//! use keybaton_consumer::{Client, Failed, Options, TrialFailure};
//! # struct Connection; struct Refused;
//! # async fn connect(user: &str, password: &str) -> Result<Connection, Refused> { Ok(Connection) }
//! # async fn query(connection: Connection) -> Result<u64, Refused> { Ok(1) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let state = std::path::Path::new("/var/lib/api/keybaton");
//! let token = std::env::var("KEYBATON_ENROLMENT").unwrap_or_default();
//! let client = Client::open_or_enrol("https://keybaton:8844", &token, state, Options::default()).await?;
//!
//! let db = client
//!     .secret("payments/db")
//!     .try_pending(|credential| async move {
//!         let user = credential.attribute("username").unwrap_or_default();
//!         let password = credential.secret_text("password").unwrap_or_default();
//!         connect(user, password).await.map(drop).map_err(|_| TrialFailure::refused("login refused"))
//!     })
//!     .open()?;
//! db.ready(std::time::Duration::from_secs(30)).await?;
//!
//! let rows = db
//!     .with_fallback(|credential| async move {
//!         let user = credential.attribute("username").unwrap_or_default();
//!         let password = credential.secret_text("password").unwrap_or_default();
//!         let connection = connect(user, password).await.map_err(|_| Failed::Refused("login refused"))?;
//!         query(connection).await.map_err(|_| Failed::Other("query failed"))
//!     })
//!     .await;
//! # Ok(()) }
//! ```
//!
//! # What happens in a rotation
//!
//! | the host | this crate | the application sees |
//! |---|---|---|
//! | stages a pending credential | fetches it, calls `try_pending` with it, states `ready` or `failed` with a proof | nothing |
//! | commits; opens this replica's wave | makes it [`Secret::current`], tries it or learns of its use, waits until no older [`Credential`] handle lives, states `adopted` | [`Secret::current`] changes |
//! | ends the old one | holds the new one alone | nothing |
//! | rolls back | hands pending out no more, waits until its last [`Credential`] handle is dropped, states `released` | nothing |
//!
//! At a target with one slot a pending credential does not work before the switch. The host says so; then nothing is
//! tried, and `ready` means that it is held and will be fallen over to. [`Secret::with_fallback`] hides the instant.
//!
//! # How strong a word is
//!
//! `process`: the application itself authenticated, in `try_pending`, through [`Secret::with_fallback`], or as told by
//! [`Secret::confirm_use`]. `holder`: this crate holds the credential and proved it; enough for `ready` and `released`,
//! never for `adopted`, which is stated as `process` only once one of the three has told of a real login after the
//! switch *and* no handle of an older generation is alive: an operation that began with the old credential is not cut off.
//! A workload that keeps old handles keeps the old credential alive; after [`Options::old_handles`] it says as much, with
//! `holder` evidence, on which nothing ends. So hold a [`Credential`] for a login, not for the life of a pool.
//!
//! # What it withstands
//!
//! - *The host is down*: what is held stays, the workload goes on, and the host finds it again. A pending credential
//!   is let go when its lease has run out, since the host may have ended it.
//! - *The host is slow, or restarts in mid-rotation*: requests are repeated; a statement is made with a nonce of its
//!   own each time.
//! - *Hints are lost*: a fetch waits at the host until there is news, for 64 secrets of a client; while something is
//!   asked, and for the others, it polls ([`Options::poll`]) and heeds hints.
//! - *Clocks differ*: the host sends spans, never instants; certificates are backdated by a day.
//! - *The workload restarts*: a new incarnation; what the earlier one said counts no longer.
//!
//! # Trust and secrets
//!
//! TLS trusts the authority whose key has the pinned SHA-256, and no other: no system roots, no proxy, no redirects.
//! The identity is in one file with mode 0600; credentials are never written anywhere. They are zeroized when the last
//! handle goes, and no Debug, error or log line shows one. What you copy out of a [`Credential`] is yours to wipe.

mod answer;
mod backoff;
mod client;
mod credential;
mod encode;
mod error;
mod events;
mod held;
mod http;
mod identity;
mod pin;
mod proof;
mod secret;
mod session;
mod token;
mod trial;
mod wire;
mod worker;

pub use client::{Client, OldHandles, Options, enrol};
pub use credential::Credential;
pub use error::Error;
pub use secret::{Failed, FallbackError, Secret, SecretBuilder};
pub use trial::TrialFailure;
