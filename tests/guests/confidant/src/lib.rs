//! A guest that sets the password of one role as it should, reads it by `reveal` meanwhile, and says it wherever it can.
//! `../README.md` lists what must follow. There is nothing here in a native build.

#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin-with-reveal" });
}

use bindings::exports::keybaton::rotator::rotator::{Created, Finding, Guest, Observed, Verdict};
use bindings::keybaton::rotator::keygen::PasswordPolicy;
use bindings::keybaton::rotator::log::Level;
use bindings::keybaton::rotator::secrets::Secret;
use bindings::keybaton::rotator::types::{
    Candidate, Context, Failure, FailureClass, Generation, Identity, SecretPart, Target,
};
use bindings::keybaton::rotator::{keygen, log, reveal, sql};
use serde::Deserialize;

type Facts = Vec<(String, String)>;

/// The role's login that the server refused.
const REFUSED: &str = "sql.login-refused";

/// Where, and whose.
#[derive(Deserialize)]
struct Settings {
    connection: String,
    role: String,
}

const DESCRIBE: &str = r#"{
    "name": "confidant",
    "version": "0.1.0",
    "summary": "A guest that sets a password as it should, and reads it where it may.",
    "settings-schema": { "type": "object" }
}"#;

const PROFILE: &str = r#"{
    "overlap": { "kind": "none" },
    "minter": "host",
    "soft-disable": false,
    "reinstall": true,
    "promotes": false,
    "usage": null,
    "settle-ms": 0
}"#;

/// The exports.
struct Confidant;

#[expect(unsafe_code, reason = "generated")]
mod export {
    use super::{Confidant, bindings};
    bindings::export!(Confidant with_types_in bindings);
}

fn failure(class: FailureClass, code: &str) -> Failure {
    Failure { class, code: code.to_owned(), message: "it only sets one password".to_owned(), retry_after_ms: None }
}

fn unsupported() -> Failure {
    failure(FailureClass::Unsupported, "confidant.unsupported")
}

fn settings(target: &Target) -> Settings {
    serde_json::from_str(&target.settings).expect("the tests send settings that parse")
}

/// Where the password of a generation is among the handles.
fn index(target: &Target, generation: u32) -> Result<u32, Failure> {
    let value = target.values.iter().find(|value| value.generation == generation);
    value.map(|value| value.index).ok_or_else(|| failure(FailureClass::Permanent, "confidant.no-handle"))
}

/// Whether the server lets this one in, and if not, why.
fn login(target: &Target, index: u32, secrets: &[Secret]) -> Result<Result<(), String>, Failure> {
    let Settings { connection, role } = settings(target);
    let candidate = Identity::Candidate(Candidate {
        scheme: "password".to_owned(),
        fields: vec![("password".to_owned(), index)],
        params: vec![("user".to_owned(), role)],
    });
    let handles: Vec<_> = secrets.iter().collect();
    match sql::run(&connection, &candidate, "login", &[], &handles) {
        Ok(_) => Ok(Ok(())),
        Err(failure) if failure.code == REFUSED => Ok(Err(failure.message)),
        Err(failure) => Err(failure),
    }
}

fn generation(target: &Target, number: u32) -> Generation {
    Generation {
        number: Some(number),
        id: Some(format!("{}#{number}", settings(target).role)),
        slot: None,
        role: String::new(),
        state: "active".to_owned(),
        created_unix: None,
        expires_unix: None,
        last_used_unix: None,
        live_uses: None,
        attributes: vec![("username".to_owned(), settings(target).role)],
        facts: Vec::new(),
    }
}

impl Guest for Confidant {
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

    fn observe(_: Context, target: Target, secrets: Vec<Secret>) -> Result<Observed, Failure> {
        let mut generations = Vec::new();
        for value in &target.values {
            if login(&target, value.index, &secrets)?.is_ok() {
                generations.push(generation(&target, value.generation));
            }
        }
        Ok(Observed { target_now_unix: None, generations })
    }

    fn create(ctx: Context, target: Target, _: Facts, _: Vec<Secret>) -> Result<Created, Failure> {
        let password = keygen::password(&PasswordPolicy { length: 32, alphabet: String::new(), required: Vec::new() })?;
        Ok(Created {
            generation: generation(&target, ctx.generation),
            secrets: vec![("password".to_owned(), password)],
        })
    }

    /// As it should; and whoever listens is told what it is, as plainly and in as many ways as there are.
    fn install(ctx: Context, target: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        let Settings { connection, role } = settings(&target);
        let index = index(&target, ctx.generation)?;
        let bytes = reveal::reveal(&secrets[index as usize]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        log::emit(Level::Error, &format!("it is {text}"), &[("password".to_owned(), text.clone())]);
        let verifier = SecretPart { index, form: "scram-sha-256".to_owned(), input: Vec::new() };
        let params = [sql::Param::Identifier(role), sql::Param::Secret(verifier)];
        let handles: Vec<_> = secrets.iter().collect();
        sql::run(&connection, &Identity::Admin, "set-verifier", &params, &handles)?;
        Ok(vec![("bytes".to_owned(), bytes.len().to_string()), ("leak".to_owned(), text)])
    }

    fn verify(ctx: Context, target: Target, secrets: Vec<Secret>) -> Result<Verdict, Failure> {
        let index = index(&target, ctx.generation)?;
        let text = String::from_utf8_lossy(&reveal::reveal(&secrets[index as usize])).into_owned();
        Ok(match login(&target, index, &secrets)? {
            Ok(()) => Verdict::Works,
            Err(why) => Verdict::Refused(format!("{why}: {text}")),
        })
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
