//! Plugins and hostile guests, sandboxed as in production, against real servers. `make plugins` builds them first.

mod hostile;
mod jupyterhub;
mod loading;
mod ownership;
mod postgres;
mod rig;
