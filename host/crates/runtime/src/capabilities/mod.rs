//! What a plugin may import, one file (or folder) each. Policy is decided here, before any effect, and refused as a value.

pub(crate) mod address;
pub(crate) mod forms;
pub(crate) mod http;
pub(crate) mod keygen;
pub(crate) mod log;
mod scram;
pub(crate) mod secrets;
pub(crate) mod sql;
pub(crate) mod tls;

use crate::bindings::keybaton::rotator::types::{Candidate, Identity, SecretPart};
use crate::connection::Opened;
use crate::identity::{SourceError, Sourced};
use crate::manifest::Acting;
use crate::record::Canon;
use crate::refusal::Refusal;
use crate::secret::Held;
use keybaton_protocol::fault::Blame;
use zeroize::Zeroizing;

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The admin's credential cannot be had, or not yet.
pub(crate) fn unavailable(opened: &Opened, error: &SourceError) -> Refusal {
    let what = format!("the admin credential of `{}`: {}", opened.connection.name, chain(error));
    match error {
        SourceError::NotNow(_) => Refusal::waiting("connection.admin", what),
        _ => Refusal::permanent(Blame::Operator, "connection.admin", what),
    }
}

/// The public field of a credential that says for which user it is.
const USER_FIELD: &str = "username";

/// As whom an admin logs in: as the connection says, else as its credential says. Both at odds is refused: one of the
/// two would be tried with the other's password.
pub(crate) fn user_of<'a>(written: Option<&'a str>, had: &'a Sourced) -> Result<&'a str, SourceError> {
    match (written, had.public(USER_FIELD)) {
        (Some(written), Some(own)) if written != own => Err(SourceError::Other(format!(
            "it is for the user `{}`, the connection says `{written}`: leave `user` out",
            own.escape_debug()
        ))),
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => Err(SourceError::Other("it does not say for which user it is: set `user`".to_owned())),
    }
}

pub(crate) fn acting(identity: &Identity) -> Acting {
    match identity {
        Identity::None => Acting::Nobody,
        Identity::Admin => Acting::Admin,
        Identity::Candidate(_) => Acting::Candidate,
    }
}

/// The secret that an index of the guest's names.
pub(crate) fn indexed(secrets: &[Held], index: u32) -> Result<&Held, Refusal> {
    secrets.get(index as usize).ok_or_else(|| {
        Refusal::misuse("guest.index", format!("index {index} is beyond the {} secrets of this call", secrets.len()))
    })
}

/// A secret part as the bytes the target sees.
pub(crate) fn rendered(part: &SecretPart, secrets: &[Held]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    forms::render(&part.form, indexed(secrets, part.index)?.expose(), &part.input)
}

/// A secret part in a request's digest: by label, never by bytes.
pub(crate) fn canon_part(canon: Canon, part: &SecretPart, secrets: &[Held]) -> Canon {
    let name = secrets.get(part.index as usize).map_or_else(|| format!("index {}", part.index), Held::name);
    canon.text("secret").text(&name).text(&part.form).bytes(&part.input)
}

pub(crate) fn canon_identity(canon: Canon, identity: &Identity, secrets: &[Held]) -> Canon {
    let canon = canon.text(&acting(identity).to_string());
    let Identity::Candidate(candidate) = identity else { return canon };
    let mut canon = canon.text(&candidate.scheme);
    for (name, index) in &candidate.fields {
        let held = secrets.get(*index as usize).map_or_else(|| format!("index {index}"), Held::name);
        canon = canon.text(name).text(&held);
    }
    candidate.params.iter().fold(canon, |canon, (name, value)| canon.text(name).text(value))
}

/// A public parameter of a candidate.
pub(crate) fn candidate_param<'a>(candidate: &'a Candidate, name: &str) -> Option<&'a str> {
    candidate.params.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// A secret field of a candidate.
pub(crate) fn candidate_field<'a>(candidate: &Candidate, name: &str, secrets: &'a [Held]) -> Result<&'a Held, Refusal> {
    let (_, index) = candidate.fields.iter().find(|(given, _)| given == name).ok_or_else(|| {
        Refusal::misuse(
            "guest.candidate",
            format!("a candidate of scheme `{}` needs the field `{name}`", candidate.scheme),
        )
    })?;
    indexed(secrets, *index)
}

/// Refuses parameters that a scheme does not know: a misspelt one would otherwise be ignored.
pub(crate) fn only_params(candidate: &Candidate, known: &[&str]) -> Result<(), Refusal> {
    match candidate.params.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(Refusal::misuse(
            "guest.candidate",
            format!("`{}` candidates take {}, not `{}`", candidate.scheme, known.join(", "), name.escape_debug()),
        )),
        None => Ok(()),
    }
}
