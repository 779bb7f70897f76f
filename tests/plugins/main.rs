//! Plugins and hostile guests, sandboxed as in production, against real servers. `make plugins` builds them first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod hostile;
mod jupyterhub;
mod keys;
mod loading;
mod ownership;
mod postgres;
mod rig;
mod tls;
