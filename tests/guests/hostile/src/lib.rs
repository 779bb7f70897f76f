//! A guest that does what its settings say, all of it forbidden. `../README.md` lists what, and what must follow.
//! Built for the tests of the host; there is nothing here in a native build.

#![cfg(target_arch = "wasm32")]

mod attack;
mod big;
mod lie;
mod settings;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use bindings::exports::keybaton::rotator::rotator::{Created, Finding, Guest, Observed, Verdict};
use bindings::keybaton::rotator::secrets::Secret;
use bindings::keybaton::rotator::types::{Context, Failure, FailureClass, Generation, Identity, Target};
use bindings::keybaton::rotator::{keygen, sql};
use settings::Settings;

type Facts = Vec<(String, String)>;

/// The exports.
struct Hostile;

#[expect(unsafe_code, reason = "generated")]
mod export {
    use super::{Hostile, bindings};
    bindings::export!(Hostile with_types_in bindings);
}

fn failure(class: FailureClass, code: &str, message: impl Into<String>) -> Failure {
    Failure { class, code: code.to_owned(), message: message.into(), retry_after_ms: None }
}

/// Does what the settings ask for, where they ask for it.
fn misbehave(at: &str, ctx: &Context, target: &Target, secrets: &[Secret]) -> Result<(), Failure> {
    let settings = Settings::of(&target.settings);
    if settings.at == at { attack::run(&settings, ctx, target, secrets) } else { Ok(()) }
}

fn generation(ctx: &Context) -> Generation {
    Generation {
        number: Some(ctx.generation),
        id: Some(format!("app#{}", ctx.generation)),
        slot: None,
        role: String::new(),
        state: "active".to_owned(),
        created_unix: None,
        expires_unix: None,
        last_used_unix: None,
        live_uses: None,
        attributes: vec![("username".to_owned(), "app".to_owned())],
        facts: Vec::new(),
    }
}

fn step(at: &str, ctx: &Context, target: &Target, secrets: &[Secret]) -> Result<Facts, Failure> {
    misbehave(at, ctx, target, secrets)?;
    Ok(big::facts(at, &Settings::of(&target.settings)))
}

impl Guest for Hostile {
    fn describe() -> String {
        settings::DESCRIBE.to_owned()
    }

    fn profile(text: String) -> Result<String, Failure> {
        let settings = Settings::of(&text);
        if settings.at == "profile" {
            attack::pure(&settings)?;
            return Ok(big::profile(&settings));
        }
        Ok(settings::PROFILE.to_owned())
    }

    fn validate(text: String) -> Result<Vec<Finding>, Failure> {
        let settings = Settings::of(&text);
        if settings.at == "validate" {
            attack::pure(&settings)?;
            return Ok(big::findings(&settings));
        }
        Ok(Vec::new())
    }

    fn preflight(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Vec<Finding>, Failure> {
        misbehave("preflight", &ctx, &t, &secrets)?;
        Ok(Vec::new())
    }

    fn observe(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Observed, Failure> {
        misbehave("observe", &ctx, &t, &secrets)?;
        Ok(lie::observed(&Settings::of(&t.settings), &t))
    }

    fn create(ctx: Context, t: Target, _: Facts, mut secrets: Vec<Secret>) -> Result<Created, Failure> {
        misbehave("create", &ctx, &t, &secrets)?;
        let settings = Settings::of(&t.settings);
        let secret = match settings.behave_at("create") {
            // The old password as the new one.
            "reuse-old" => secrets.pop().ok_or_else(|| failure(FailureClass::Permanent, "hostile.no-handle", ""))?,
            _ => keygen::password(&settings::policy(32, ""))?,
        };
        let secrets = match settings.behave_at("create") {
            "no-secret" => Vec::new(),
            _ => vec![("password".to_owned(), secret)],
        };
        Ok(Created { generation: big::generation(generation(&ctx), &settings), secrets })
    }

    fn install(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        let facts = step("install", &ctx, &t, &secrets)?;
        let settings = Settings::of(&t.settings);
        let index = attack::own(&ctx, &t).ok_or_else(|| failure(FailureClass::Permanent, "hostile.no-handle", ""))?;
        let params = [sql::Param::Identifier("app".to_owned()), attack::scram(index)];
        let handles: Vec<_> = secrets.iter().collect();
        sql::run(&settings.connection, &Identity::Admin, "set-verifier", &params, &handles)?;
        Ok(facts)
    }

    fn verify(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Verdict, Failure> {
        misbehave("verify", &ctx, &t, &secrets)?;
        Ok(lie::verdict(Settings::of(&t.settings).behave_at("verify")))
    }

    fn promote(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        step("promote", &ctx, &t, &secrets)
    }

    fn disable(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        step("disable", &ctx, &t, &secrets)
    }

    fn enable(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        step("enable", &ctx, &t, &secrets)
    }

    fn destroy(ctx: Context, t: Target, secrets: Vec<Secret>) -> Result<Facts, Failure> {
        step("destroy", &ctx, &t, &secrets)
    }
}
