//! The plugin on a scripted host that is held to `plugin.toml`. Real servers are asked by the project's own tests.

mod conformance;
mod create;
mod install;
mod observe;
mod preflight;
mod retire;
mod server;
mod settings;
mod verify;
