//! A scripted host for native tests: a plugin's functions run as they are, their host calls are held to the plugin's
//! manifest, answered by the test and written down as a transcript. There are no secret bytes: a secret is a label.
//!
//! ```
//! use keybaton_rotator::testing::Host;
//! use keybaton_rotator::{Identity, sql::Statement};
//!
//! let manifest = r#"
//!     name = "p"
//!     version = "0.1.0"
//!     contract = "0.1.0"
//!     summary = "An example."
//!     imports = ["secrets", "sql", "log"]
//!     [[sql.template]]
//!     name = "who"
//!     text = "SELECT {name} AS name"
//!     params = ["name:identity"]
//!     columns = ["name"]
//!     acting = "admin"
//!     mutates = false
//! "#;
//! let host = Host::new(manifest).sql("who", |params| Ok(vec![vec![Some(params[0].clone())]]));
//! let (rows, transcript) = host.run("observe", || Statement::new("db", "who").identifier("app").run(Identity::Admin));
//! assert_eq!(rows.unwrap().first().unwrap().text("name"), Some("app"));
//! assert_eq!(transcript, ["who as admin: app"]);
//! ```

pub mod conformance;
mod manifest;
pub(crate) mod script;

use crate::failure::{Failure, FailureClass, Result};
use crate::http::Reply;
use crate::profile::About;
use crate::secret::Secret;
use crate::target::{Context, Generation, Role, Target, Value};
use manifest::Manifest;

/// What a statement answers in a test: rows of the manifest's columns.
pub type Answer = Result<Vec<Vec<Option<String>>>>;

/// A scripted host.
pub struct Host(script::Script);

impl Host {
    /// A host that grants exactly what this `plugin.toml` asks for.
    ///
    /// # Panics
    ///
    /// Where the manifest does not parse.
    #[must_use]
    pub fn new(plugin_toml: &str) -> Self {
        Self(script::Script::new(Manifest::parse(plugin_toml)))
    }

    /// What a statement answers. `answer` is given the parameters as text; where a candidate logs in, also what it logs
    /// in with, as `user=app` and `password=password#2`.
    #[must_use]
    pub fn sql(mut self, template: &str, answer: impl FnMut(&[String]) -> Answer + 'static) -> Self {
        self.0.sql.insert(template.to_owned(), Box::new(answer));
        self
    }

    /// What a request with this method to this path answers. `answer` is given the body as text.
    #[must_use]
    pub fn http(
        mut self,
        method: &str,
        path: &str,
        answer: impl FnMut(&str) -> Result<(u16, String)> + 'static,
    ) -> Self {
        self.0.http.insert((method.to_owned(), path.to_owned()), Box::new(answer));
        self
    }

    /// Runs `body` as the export `step`; answers with what it answered and one line for each host call.
    pub fn run<T>(self, step: &str, body: impl FnOnce() -> T) -> (T, Vec<String>) {
        script::run(self.0, step, body)
    }
}

/// A failure as the host says it, of classes that a plugin cannot make included.
#[must_use]
pub fn host_failure(class: FailureClass, code: &str, message: &str) -> Failure {
    Failure::new(class, code.to_owned(), message.to_owned())
}

/// A call about this generation, at its first attempt.
#[must_use]
pub fn context(generation: u32) -> Context {
    Context { operation: format!("op-{generation}"), attempt: 1, remaining_ms: 30_000, generation, id: None }
}

/// A target of which the host knows nothing yet.
#[must_use]
pub fn target<S>(settings: S) -> Target<S> {
    Target { id: "target".to_owned(), place: None, settings, generations: Vec::new(), values: Vec::new() }
}

impl<S> Target<S> {
    /// The target with one more generation, of which the host hands over these secret fields. For tests.
    #[must_use]
    pub fn with(mut self, number: u32, role: Role, slot: Option<&str>, fields: &[&str]) -> Self {
        self.generations.push(Generation {
            number: Some(number),
            slot: slot.map(str::to_owned),
            role: role.name().to_owned(),
            ..Generation::default()
        });
        for field in fields {
            let secret = secret(&format!("{field}#{number}"));
            self.values.push(Value { generation: number, field: (*field).to_owned(), secret });
        }
        self
    }
}

/// A secret of this label.
#[must_use]
pub fn secret(label: &str) -> Secret {
    Secret::from_handle(label.to_owned())
}

/// The label of a secret.
#[must_use]
pub fn label(secret: &Secret) -> &str {
    secret.handle()
}

/// Holds what a plugin says of itself to its manifest.
///
/// # Panics
///
/// Where they differ, or the schema of the settings is not JSON.
pub fn check_about(about: &About, plugin_toml: &str) {
    let manifest = Manifest::parse(plugin_toml);
    assert_eq!(about.name, manifest.name, "name of the package and of plugin.toml");
    assert_eq!(about.version, manifest.version, "version of the package and of plugin.toml");
    assert_eq!(about.summary, manifest.summary, "description of the package and summary of plugin.toml");
    assert!(about.summary.chars().count() <= 200, "the summary is at most 200 characters");
    let described: serde_json::Value = serde_json::from_str(&about.to_json()).expect("the settings' schema is JSON");
    assert!(described["settings-schema"].is_object(), "the settings' schema is an object");
}

pub(crate) fn reply(status: u16, body: String, captured: Vec<Option<Secret>>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into_bytes(), captured }
}
