//! Host calls through the component's imports: converts, calls, converts back.

use crate::bindings::keybaton::rotator::{http, keygen, log as host_log, secrets, sql, types};
use crate::failure::{Failure, FailureClass, Result};
use crate::http::{Capture, Reply, WirePart, WireRequest};
use crate::identity::WireIdentity;
use crate::keygen::Password;
use crate::log::Level;
use crate::secret::{Form, Secret};
use crate::sql::{Rows, WireParam, WireRun};

pub(crate) type Handle = secrets::Secret;
pub(crate) type KeyPairHandle = keygen::Keypair;

pub(crate) fn failure(failure: types::Failure) -> Failure {
    let class = match failure.class {
        types::FailureClass::Retryable => FailureClass::Retryable,
        types::FailureClass::Permanent => FailureClass::Permanent,
        types::FailureClass::Ambiguous => FailureClass::Ambiguous,
        types::FailureClass::Denied => FailureClass::Denied,
        types::FailureClass::Unsupported => FailureClass::Unsupported,
    };
    Failure::from_host(class, failure.code, failure.message, failure.retry_after_ms)
}

fn secret_part(index: u32, form: &Form) -> types::SecretPart {
    types::SecretPart { index, form: form.name().to_owned(), input: form.input().to_vec() }
}

fn identity(identity: &WireIdentity) -> types::Identity {
    match identity {
        WireIdentity::None => types::Identity::None,
        WireIdentity::Admin => types::Identity::Admin,
        WireIdentity::Candidate { scheme, fields, params } => {
            let (scheme, fields, params) = (scheme.clone(), fields.clone(), params.clone());
            types::Identity::Candidate(types::Candidate { scheme, fields, params })
        }
    }
}

fn handles<'a>(secrets: &[&'a Secret]) -> Vec<&'a Handle> {
    secrets.iter().map(|secret| secret.handle()).collect()
}

pub(crate) fn sql_run(run: &WireRun, secrets: &[&Secret]) -> Result<Rows> {
    let param = |param: &WireParam| match param {
        WireParam::Null => sql::Param::Null,
        WireParam::Text(text) => sql::Param::Text(text.clone()),
        WireParam::Integer(number) => sql::Param::Integer(*number),
        WireParam::Boolean(truth) => sql::Param::Boolean(*truth),
        WireParam::Identifier(name) => sql::Param::Identifier(name.clone()),
        WireParam::Secret { index, form } => sql::Param::Secret(secret_part(*index, form)),
    };
    let params: Vec<_> = run.params.iter().map(param).collect();
    let rows = sql::run(&run.connection, &identity(&run.acting), &run.template, &params, &handles(secrets));
    rows.map(|rows| Rows { columns: rows.columns, values: rows.values }).map_err(failure)
}

fn part(part: &WirePart) -> types::Part {
    match part {
        WirePart::Text(text) => types::Part::Text(text.clone()),
        WirePart::Bytes(bytes) => types::Part::Bytes(bytes.clone()),
        WirePart::Secret { index, form } => types::Part::Secret(secret_part(*index, form)),
    }
}

pub(crate) fn http_send(request: &WireRequest, secrets: &[&Secret]) -> Result<Reply> {
    let header = |(name, parts): &(String, Vec<WirePart>)| (name.clone(), parts.iter().map(part).collect());
    let capture = |capture: &Capture| types::Capture { locator: capture.locator.clone(), required: capture.required };
    let request = http::Request {
        connection: request.connection.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.iter().map(header).collect(),
        body: request.body.iter().map(part).collect(),
        acting: identity(&request.acting),
        captures: request.captures.iter().map(capture).collect(),
        timeout_ms: request.timeout_ms,
    };
    let response = http::send(&request, &handles(secrets)).map_err(failure)?;
    Ok(Reply {
        status: response.status,
        headers: response.headers,
        body: response.body,
        captured: response.captured.into_iter().map(|secret| secret.map(Secret::from_handle)).collect(),
    })
}

pub(crate) fn password(policy: &Password) -> Result<Secret> {
    let policy = keygen::PasswordPolicy {
        length: policy.length,
        alphabet: policy.alphabet.clone(),
        required: policy.required.clone(),
    };
    keygen::password(&policy).map(Secret::from_handle).map_err(failure)
}

pub(crate) fn keypair(algorithm: &str) -> Result<KeyPairHandle> {
    keygen::generate(algorithm).map_err(failure)
}

pub(crate) fn public_openssh(pair: &KeyPairHandle, comment: &str) -> String {
    pair.public_openssh(comment)
}

pub(crate) fn public_spki_pem(pair: &KeyPairHandle) -> String {
    pair.public_spki_pem()
}

pub(crate) fn csr_pem(pair: &KeyPairHandle, subject: &str, sans: &[String]) -> Result<String> {
    pair.csr_pem(subject, sans).map_err(failure)
}

pub(crate) fn private(pair: &KeyPairHandle) -> Secret {
    Secret::from_handle(pair.private())
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Trace => host_log::Level::Trace,
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    host_log::emit(level, message, &fields);
}
