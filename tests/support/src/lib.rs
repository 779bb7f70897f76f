//! Real servers, faults on the wire and planted secrets, for the tests, the benchmarks and `keybaton demo`.
//!
//! - [`Postgres`] and [`JupyterHub`]: throw-away servers on loopback, installed by `scripts/setup servers`;
//! - [`Process`]: a program in a process group of its own that never outlives whoever started it;
//! - [`Authority`] and [`TlsFront`]: certificates of a test's own, and TLS before a server that has none;
//! - [`FlakyProxy`]: loses, delays and cuts what passes between a client and one of those servers;
//! - [`Canary`]: finds planted secrets in files, text and memory, in every form the host renders them in.
//!
//! Nothing in here knows keybaton: a fixture that used the code under test would agree with its mistakes.
//! Nothing listens on any address but 127.0.0.1, and dropping a fixture ends its processes and removes its files.

mod account;
mod authority;
mod canary;
mod error;
mod front;
mod jupyterhub;
mod ports;
mod postgres;
mod process;
mod proxy;
mod scratch;

pub use account::Account;
pub use authority::Authority;
pub use canary::{Canary, Sighting};
pub use error::{Error, Result};
pub use front::{Clients, TlsFront};
pub use jupyterhub::{HubToken, JupyterHub, JupyterHubOptions, MintedToken};
pub use ports::free_port;
pub use postgres::{Login, Postgres, PostgresOptions, ServerTls};
pub use process::{Launch, Process};
pub use proxy::{Armed, Exchange, Fault, FlakyProxy, When};
pub use rustix::process::Signal;
pub use scratch::{Scratch, random_hex};
