//! The plugin on a scripted host that is held to `plugin.toml`. Real servers are asked by the project's own tests.

mod conformance;
mod create;
mod hub;
mod names;
mod observe;
mod retire;
mod settings;
mod verify;
