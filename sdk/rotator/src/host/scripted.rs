//! Host calls in a native build: there is no host, so the script of `testing` answers.

use crate::failure::Result;
use crate::http::{Reply, WireRequest};
use crate::keygen::Password;
use crate::log::Level;
use crate::secret::Secret;
use crate::sql::{Rows, WireRun};
use crate::testing::script;

/// What a secret is called in transcripts; there are no bytes.
pub(crate) type Handle = String;
pub(crate) type KeyPairHandle = String;

fn labels<'a>(secrets: &[&'a Secret]) -> Vec<&'a str> {
    secrets.iter().map(|secret| secret.handle().as_str()).collect()
}

pub(crate) fn sql_run(run: &WireRun, secrets: &[&Secret]) -> Result<Rows> {
    script::sql(run, &labels(secrets))
}

pub(crate) fn http_send(request: &WireRequest, secrets: &[&Secret]) -> Result<Reply> {
    script::http(request, &labels(secrets))
}

pub(crate) fn password(policy: &Password) -> Result<Secret> {
    Ok(Secret::from_handle(script::minted(&format!("password of {}", policy.length))))
}

pub(crate) fn keypair(algorithm: &str) -> Result<KeyPairHandle> {
    Ok(script::minted(algorithm))
}

pub(crate) fn public_openssh(pair: &KeyPairHandle, comment: &str) -> String {
    format!("public {pair} {comment}")
}

pub(crate) fn public_spki_pem(pair: &KeyPairHandle) -> String {
    format!("public {pair}")
}

pub(crate) fn csr_pem(pair: &KeyPairHandle, subject: &str, sans: &[String]) -> Result<String> {
    Ok(format!("request of {pair} for {subject} {}", sans.join(" ")))
}

pub(crate) fn private(pair: &KeyPairHandle) -> Secret {
    Secret::from_handle(format!("private {pair}"))
}

pub(crate) fn log(level: Level, message: &str, _fields: &[(&str, &str)]) {
    script::logged(level, message);
}
