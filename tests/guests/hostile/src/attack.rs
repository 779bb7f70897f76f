//! Host calls that must be refused, and computations that must be ended.

use super::bindings::keybaton::rotator::http::{self, Request};
use super::bindings::keybaton::rotator::secrets::Secret;
use super::bindings::keybaton::rotator::sql::{self, Param};
use super::bindings::keybaton::rotator::types::{
    Candidate, Capture, Context, Failure, FailureClass, Identity, SecretPart, Target,
};
use super::bindings::keybaton::rotator::{keygen, log};
use super::settings::{Settings, policy};
use super::{big, failure};
use std::hint::black_box;

/// A handle that nobody gave.
const FORGED_HANDLE: u32 = 4_096;
/// An index beyond every list.
const FORGED_INDEX: u32 = 99;

/// Behaviours that need nothing but a processor and memory, and so fit every export.
pub(crate) fn pure(settings: &Settings) -> Result<(), Failure> {
    match settings.behave.as_str() {
        "loop" => spin(),
        "memory" => hoard(),
        "recursion" => drop(black_box(deep(u64::MAX))),
        "panic" => panic!("told to, in {}", settings.at),
        "unreachable" => core::arch::wasm32::unreachable(),
        "flood-log" => (0..1_000_000).for_each(|_| log::emit(log::Level::Error, "flood", &[])),
        "claim-ambiguous" => return Err(failure(FailureClass::Ambiguous, "hostile.claim", "the host says so, not I")),
        "claim-denied" => return Err(failure(FailureClass::Denied, "hostile.claim", "the host says so, not I")),
        "huge-message" => return Err(failure(FailureClass::Permanent, &big::text(), big::text())),
        _ => {}
    }
    Ok(())
}

pub(crate) fn run(settings: &Settings, ctx: &Context, target: &Target, secrets: &[Secret]) -> Result<(), Failure> {
    pure(settings)?;
    let handles: Vec<_> = secrets.iter().collect();
    let admin = &Identity::Admin;
    let connection = &settings.connection;
    let app = || Param::Identifier("app".to_owned());
    let own = own(ctx, target).unwrap_or_default();
    let set = |role: Param, verifier: Param| sql::run(connection, admin, "set-verifier", &[role, verifier], &handles);
    match settings.behave.as_str() {
        "flood-calls" => (0..100_000).try_for_each(|_| keygen::password(&policy(32, "")).map(drop))?,
        "flood-handles" => {
            let kept: Result<Vec<_>, _> = (0..100_000).map(|_| keygen::password(&policy(32, ""))).collect();
            drop(kept?);
        }
        "forged-index" => drop(set(app(), scram(FORGED_INDEX))?),
        "forged-handle" => use_forged(connection)?,
        "other-generation" => drop(set(app(), scram(other(ctx, target)?))?),
        "login-as-other" => drop(sql::run(connection, &candidate("app", other(ctx, target)?), "login", &[], &handles)?),
        "chosen-password" => drop(set(app(), Param::Text("correct horse battery staple".to_owned()))?),
        "chosen-form" => drop(set(app(), Param::Secret(part(own, "raw")))?),
        "unknown-form" => drop(sql::run(connection, admin, "echo", &[Param::Secret(part(own, "rot13"))], &handles)?),
        "weak-policy" => drop(keygen::password(&policy(8, "ab"))?),
        "other-role" => drop(set(Param::Identifier("postgres".to_owned()), scram(own))?),
        "quoted-role" => drop(set(Param::Identifier("app\" SUPERUSER \"".to_owned()), scram(own))?),
        "unlisted-template" => drop(sql::run(connection, admin, "drop-database", &[], &handles)?),
        "template-as-text" => drop(sql::run(connection, admin, "DROP DATABASE postgres", &[], &handles)?),
        "other-connection" => drop(sql::run("not-mine", admin, "who", &[], &handles)?),
        "mutate" => drop(set(app(), scram(own))?),
        "admin" => drop(sql::run(connection, admin, "who", &[], &handles)?),
        "echo-secret" => return Err(echo_secret(connection, own, &handles)),
        "echo-capture" => return Err(echo_capture(connection)),
        "unlisted-endpoint" => drop(http::send(&request(connection, "DELETE", "/hub/api/users/app"), &handles)?),
        "climbing-path" => {
            drop(http::send(&request(connection, "POST", "/hub/api/users/app/../admin/tokens"), &handles)?);
        }
        "other-user" => drop(http::send(&request(connection, "POST", "/hub/api/users/admin/tokens"), &handles)?),
        "own-authorization" => {
            let header = ("Authorization".to_owned(), vec![http::Part::Text("token stolen".to_owned())]);
            let request = Request { headers: vec![header], ..request(connection, "POST", "/hub/api/users/app/tokens") };
            drop(http::send(&request, &handles)?);
        }
        "unlisted-capture" => {
            let capture = Capture { locator: "json:/user".to_owned(), required: true };
            let request =
                Request { captures: vec![capture], ..request(connection, "POST", "/hub/api/users/app/tokens") };
            drop(http::send(&request, &handles)?);
        }
        _ => {}
    }
    Ok(())
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn hoard() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "the host's stack limit is what ends it")]
fn deep(depth: u64) -> u64 {
    // Little of it lies in linear memory, so that the host's stack runs out before the guest's own.
    deep(black_box(depth.wrapping_sub(1))) ^ depth
}

/// The index of the handle that belongs to the generation of the call.
pub(crate) fn own(ctx: &Context, target: &Target) -> Option<u32> {
    target.values.iter().find(|value| value.generation == ctx.generation).map(|value| value.index)
}

fn other(ctx: &Context, target: &Target) -> Result<u32, Failure> {
    let other = target.values.iter().find(|value| value.generation != ctx.generation);
    other.map(|value| value.index).ok_or_else(|| failure(FailureClass::Permanent, "hostile.no-handle", ""))
}

fn part(index: u32, form: &str) -> SecretPart {
    SecretPart { index, form: form.to_owned(), input: Vec::new() }
}

pub(crate) fn scram(index: u32) -> Param {
    Param::Secret(part(index, "scram-sha-256"))
}

fn candidate(user: &str, index: u32) -> Identity {
    Identity::Candidate(Candidate {
        scheme: "password".to_owned(),
        fields: vec![("password".to_owned(), index)],
        params: vec![("user".to_owned(), user.to_owned())],
    })
}

fn use_forged(connection: &str) -> Result<(), Failure> {
    #[expect(unsafe_code, reason = "a forged handle is what the host must withstand")]
    let forged = unsafe { Secret::from_handle(FORGED_HANDLE) };
    let params = [Param::Identifier("app".to_owned()), scram(0)];
    let answer = sql::run(connection, &Identity::Admin, "set-verifier", &params, &[&forged]);
    std::mem::forget(forged);
    answer.map(drop)
}

fn request(connection: &str, method: &str, path: &str) -> Request {
    Request {
        connection: connection.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        acting: Identity::Admin,
        captures: Vec::new(),
        timeout_ms: None,
    }
}

/// Has the server give back a secret, and passes on what came in every way there is.
fn echo_secret(connection: &str, own: u32, handles: &[&Secret]) -> Failure {
    match sql::run(connection, &Identity::Admin, "echo", &[Param::Secret(part(own, "raw"))], handles) {
        Ok(rows) => tell(&format!("{:?}", rows.values)),
        Err(failure) => failure,
    }
}

/// Mints without naming a capture, and passes on the answer's body.
fn echo_capture(connection: &str) -> Failure {
    let capture = Capture { locator: "json:/token".to_owned(), required: true };
    let request = Request { captures: vec![capture], ..request(connection, "POST", "/hub/api/users/app/tokens") };
    match http::send(&request, &[]) {
        Ok(response) => tell(&String::from_utf8_lossy(&response.body)),
        Err(failure) => failure,
    }
}

fn tell(what: &str) -> Failure {
    log::emit(log::Level::Info, what, &[("echo".to_owned(), what.to_owned())]);
    failure(FailureClass::Permanent, "hostile.echo", what)
}
