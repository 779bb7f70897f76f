//! Write rotator plugins for keybaton.
//!
//! keybaton moves a secret from one generation to the next: it mints a pending credential, makes it valid beside the
//! current one, proves that it works, has every consumer try it, switches, and ends the old one late and on evidence.
//! A *rotator* knows how one kind of target does those things. It is a WebAssembly component: this crate is its side of
//! the contract `keybaton:rotator` (the folder `wit/`, whose README specifies each export).
//!
//! **Plugins decide; the host does.** A plugin holds no sockets, files, environment or admin credentials, and never the
//! bytes of a secret. It holds [`Secret`]s, which are handles: it can pass one on, and the host renders it into the
//! statement or request.
//!
//! # A plugin in five steps
//!
//! Take the folder `template/` beside this crate as a start; it is the plugin of this page and it compiles.
//!
//! ## 1. A package
//!
//! ```toml
//! [package]
//! name = "acme-key"          # also the plugin's name
//! version = "0.1.0"          # and its version
//! description = "Rotates API keys of Acme."
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib", "rlib"]   # a component, and tests
//!
//! [dependencies]
//! keybaton-rotator = "0.1"
//! serde = { version = "1", features = ["derive"] }
//!
//! [profile.release]
//! opt-level = "s"
//! lto = true
//! panic = "abort"
//! strip = true
//! ```
//!
//! ## 2. What it asks for
//!
//! `plugin.toml` lists the interfaces it imports and every statement and endpoint it will ever use. An operator reads
//! that and approves it; what is not listed is refused, and a component that imports anything else is not loaded.
//!
//! ```toml
//! name = "acme-key"
//! version = "0.1.0"
//! contract = "0.1.0"
//! summary = "Rotates API keys of Acme."
//! imports = ["secrets", "http", "log"]
//!
//! [[http.endpoint]]
//! name = "mint"
//! method = "POST"
//! path = "/accounts/{account}/keys"
//! params = ["account:identity"]     # must match what the connection allows
//! acting = "admin"
//! mutates = true
//! captures = ["json:/key"]          # the only thing that may be taken out of the answer
//! steps = ["create"]
//! ```
//!
//! ## 3. Its settings
//!
//! What a declaration says of one secret. The host holds it to the JSON Schema before the plugin sees it.
//!
//! ```
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     connection: String,
//!     account: String,
//! }
//! const SCHEMA: &str = r#"{
//!     "type": "object",
//!     "additionalProperties": false,
//!     "required": ["connection", "account"],
//!     "properties": { "connection": { "type": "string" }, "account": { "type": "string" } }
//! }"#;
//! ```
//!
//! ## 4. The trait
//!
//! Implement [`Rotator`] for a type and [`export!`] it. `observe`, `verify` and `profile` have no default: without them
//! nothing can be rotated safely. All others default to `unsupported`.
//!
//! ```
//! use keybaton_rotator::http::{Request, segment};
//! use keybaton_rotator::*;
//! # #[derive(serde::Deserialize)]
//! # struct Settings { connection: String, account: String }
//! # const SCHEMA: &str = "{}";
//!
//! struct AcmeKey;
//!
//! export!(AcmeKey);
//!
//! impl Rotator for AcmeKey {
//!     type Settings = Settings;
//!
//!     const ABOUT: About = about!(SCHEMA);
//!
//!     // Two keys live at once, minted by Acme.
//!     fn profile(_: &Settings) -> Result<Profile> {
//!         Ok(Profile::new(Overlap::Native { limit: 2 }, Minter::Target))
//!     }
//!
//!     // The token is taken out of the answer by the host: what is here is a handle.
//!     fn create(ctx: &Context, target: &Target<Settings>, _: &[(String, String)]) -> Result<Created> {
//!         let Settings { connection, account } = &target.settings;
//!         let mut reply = Request::new(connection, "POST", format!("/accounts/{}/keys", segment(account)))
//!             .json(&serde_json::json!({ "label": ctx.operation }))
//!             .capture("json:/key")
//!             .send(Identity::Admin)?;
//!         let secret = reply.take(0)?;
//!         let id = reply.json::<serde_json::Value>()?["id"].as_str().map(str::to_owned);
//!         let generation = Generation { number: Some(ctx.generation), id, ..Generation::default() };
//!         Ok(Created { generation, secrets: vec![("key".to_owned(), secret)] })
//!     }
//!
//!     // Valid from the start.
//!     fn install(_: &Context, _: &Target<Settings>) -> Result<Facts> {
//!         Ok(Facts::new())
//!     }
//!
//!     // With the candidate alone: the host logs in with it.
//!     fn verify(ctx: &Context, target: &Target<Settings>) -> Result<Verdict> {
//!         let key = target.secret(ctx.generation, "key")?;
//!         let reply = Request::new(&target.settings.connection, "GET", "/whoami")
//!             .send(Identity::Candidate(Candidate::bearer(key)))?;
//!         Ok(match reply.status {
//!             200 => Verdict::Works,
//!             401 => Verdict::Refused("Acme answered with 401".to_owned()),
//!             status => return Err(Failure::retryable("acme.status", format!("Acme answered with {status}"))),
//!         })
//!     }
//! #
//! #   fn observe(_: &Context, _: &Target<Settings>) -> Result<Observed> { Ok(Observed::default()) }
//! }
//! ```
//!
//! ## 5. Tests, then a component
//!
//! The crate compiles natively too, with [`testing`] in the host's place: a plugin's functions run as they are, every
//! host call is held to `plugin.toml`, and comes out as a line of a transcript.
//!
//! ```sh
//! cargo test
//! cargo build --release --target wasm32-unknown-unknown
//! keybaton plugin pack target/wasm32-unknown-unknown/release/acme_key.wasm --manifest plugin.toml -o acme-key.wasm
//! ```
//!
//! # What a plugin must hold to
//!
//! - **Idempotent.** Each function may run again with the same [`Context::operation`], after a crash, a time-out or an
//!   answer that was lost. A second `install` is success; so is a `destroy` of what is gone. Where the target mints, put
//!   the operation into a note or a label, so that a token whose answer was lost can be told from somebody else's.
//! - **Deterministic.** What it asks of the host follows from its arguments and from what the host answered, never from
//!   [`Context::attempt`] or [`Context::remaining_ms`]. A step that a crash cut short is run again from its beginning,
//!   and the host answers from its journal what was answered before.
//! - **Honest about doubt.** [`Failure::retryable`] means that it *definitely* did not happen, [`Failure::permanent`] that
//!   it will not without a person. That nobody knows is the host's to say: pass its failures on with `?`.
//! - **Narrow.** `verify` uses the candidate's handles alone; the host refuses the admin there.
//!
//! # A panic
//!
//! is a trap, and the fault is the plugin's. Before that a hook logs the message and the place (`panicked-at`), so that
//! an operator sees more than `unreachable`. Expected failures are values: return [`Failure`].
//!
//! # Absences
//!
//! No clock, no randomness, no environment, no WASI: a component built with this crate imports what its manifest lists
//! and nothing else.

mod answer;
mod failure;
mod host;
pub mod http;
mod identity;
pub mod keygen;
pub mod log;
mod profile;
mod rotator;
mod secret;
pub mod sql;
mod target;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
#[cfg(target_arch = "wasm32")]
mod panic;

pub use answer::{Created, Finding, Observed, Verdict};
pub use failure::{Failure, FailureClass, Result};
pub use identity::{Candidate, Identity};
pub use profile::{About, Minter, Overlap, Profile, Usage};
pub use rotator::Rotator;
pub use secret::{Form, Secret};
pub use target::{Context, Facts, Generation, Role, State, Target};
