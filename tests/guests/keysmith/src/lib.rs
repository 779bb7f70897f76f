//! A guest that makes key pairs of the algorithm in its settings, and in `install` reads the private half by `reveal`.
//! `../README.md` lists what must follow. There is nothing here in a native build.

#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin-with-reveal" });
}

use bindings::exports::keybaton::rotator::rotator::{Created, Finding, Guest, Observed, Verdict};
use bindings::keybaton::rotator::secrets::Secret;
use bindings::keybaton::rotator::types::{Context, Failure, FailureClass, Generation, Target};
use bindings::keybaton::rotator::{keygen, reveal};
use serde::Deserialize;

type Facts = Vec<(String, String)>;

/// Of which algorithm, and for whom.
#[derive(Deserialize)]
struct Settings {
    algorithm: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    sans: Vec<String>,
}

const DESCRIBE: &str = r#"{
    "name": "keysmith",
    "version": "0.1.0",
    "summary": "A guest that makes key pairs, and reads them where it may.",
    "settings-schema": { "type": "object" }
}"#;

const PROFILE: &str = r#"{
    "overlap": { "kind": "replace" },
    "minter": "host",
    "soft-disable": false,
    "reinstall": true,
    "promotes": false,
    "usage": null,
    "settle-ms": 0
}"#;

/// The exports.
struct Keysmith;

#[expect(unsafe_code, reason = "generated")]
mod export {
    use super::{Keysmith, bindings};
    bindings::export!(Keysmith with_types_in bindings);
}

fn unsupported() -> Failure {
    Failure {
        class: FailureClass::Unsupported,
        code: "keysmith.unsupported".to_owned(),
        message: "it only makes keys".to_owned(),
        retry_after_ms: None,
    }
}

impl Guest for Keysmith {
    fn describe() -> String {
        DESCRIBE.to_owned()
    }

    fn profile(_: String) -> Result<String, Failure> {
        Ok(PROFILE.to_owned())
    }

    fn validate(_: String) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    fn preflight(_: Context, _: Target, _: Vec<Secret>) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    fn observe(_: Context, _: Target, _: Vec<Secret>) -> Result<Observed, Failure> {
        Ok(Observed { target_now_unix: None, generations: Vec::new() })
    }

    fn create(ctx: Context, t: Target, _: Facts, _: Vec<Secret>) -> Result<Created, Failure> {
        let settings: Settings = serde_json::from_str(&t.settings).expect("the tests send settings that parse");
        let pair = keygen::generate(&settings.algorithm)?;
        let mut attributes = vec![
            ("openssh".to_owned(), pair.public_openssh("keysmith@tests")),
            ("spki".to_owned(), pair.public_spki_pem()),
        ];
        if !settings.subject.is_empty() {
            attributes.push(("csr".to_owned(), pair.csr_pem(&settings.subject, &settings.sans)?));
        }
        let generation = Generation {
            number: Some(ctx.generation),
            id: Some(format!("key#{}", ctx.generation)),
            slot: None,
            role: String::new(),
            state: "active".to_owned(),
            created_unix: None,
            expires_unix: None,
            last_used_unix: None,
            live_uses: None,
            attributes,
            facts: Vec::new(),
        };
        Ok(Created { generation, secrets: vec![("key".to_owned(), pair.private())] })
    }

    /// Says how long the key is, how it begins, and then the key itself, as plainly as it can.
    fn install(_: Context, _: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        let key = secrets.first().ok_or_else(unsupported)?;
        let bytes = reveal::reveal(key);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let first = text.lines().next().unwrap_or_default().to_owned();
        let same = reveal::reveal(key) == bytes;
        Ok(vec![
            ("bytes".to_owned(), bytes.len().to_string()),
            ("begins".to_owned(), first.replace('-', "_")),
            ("twice-the-same".to_owned(), same.to_string()),
            ("leak".to_owned(), text.replace('\n', "|")),
            ("leak-of-a-line".to_owned(), text.lines().nth(1).unwrap_or_default().to_owned()),
        ])
    }

    fn verify(_: Context, _: Target, _: Vec<Secret>) -> Result<Verdict, Failure> {
        Err(unsupported())
    }

    fn promote(_: Context, _: Target, _: Vec<Secret>) -> Result<Facts, Failure> {
        Err(unsupported())
    }

    fn disable(_: Context, _: Target, _: Vec<Secret>) -> Result<Facts, Failure> {
        Err(unsupported())
    }

    fn enable(_: Context, _: Target, _: Vec<Secret>) -> Result<Facts, Failure> {
        Err(unsupported())
    }

    fn destroy(_: Context, _: Target, _: Vec<Secret>) -> Result<Facts, Failure> {
        Ok(Vec::new())
    }
}
