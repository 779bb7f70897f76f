//! The requests that the settings describe, one function each, and what their statuses mean.

use crate::names::{self, Values};
use crate::settings::Settings;
use keybaton_rotator::http::{Reply, Request};
use keybaton_rotator::{Candidate, Failure, Identity, Result, Secret, time};
use serde_json::Value;

/// Statuses after which the same request may succeed later (RFC 9110 §15, RFC 6585 §4, RFC 8470 §5.2).
const PASSING: &[u16] = &[408, 425, 429, 500, 502, 503, 504];

/// A token as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) note: Option<String>,
    pub(crate) created_unix: Option<u64>,
    pub(crate) expires_unix: Option<u64>,
    pub(crate) last_used_unix: Option<u64>,
}

/// The tokens, and the API's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) now_unix: Option<u64>,
    pub(crate) tokens: Vec<Listed>,
}

/// What came of trying a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It is let in, as this subject where the settings say how to tell.
    Works(Option<String>),
    Refused(u16),
}

/// A token that was made.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) token: Secret,
    pub(crate) id: Option<String>,
    pub(crate) expires_unix: Option<u64>,
    /// Where the answer says it as the list does.
    pub(crate) created_unix: Option<u64>,
}

/// Calls on the connection of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls<'a>(&'a Settings);

impl<'a> Calls<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self(settings)
    }

    fn request(self, method: &'a str, path: &str, values: &Values) -> Request<'a> {
        let request = Request::new(&self.0.connection, method, names::path(path, values));
        let own = self.0.headers.iter();
        own.fold(request.header("accept", "application/json"), |request, (name, value)| request.header(name, value))
    }

    fn values(self, name: &str, value: &str) -> Values {
        let mut values = self.0.values.clone();
        values.insert(name.to_owned(), value.to_owned());
        values
    }

    pub(crate) fn list(self) -> Result<Listing> {
        let list = &self.0.list;
        let reply = self.request("GET", &list.path, &self.0.values).send(Identity::Admin)?;
        succeeded("listing tokens", &reply)?;
        let body: Value = reply.json()?;
        let items = body.pointer(&list.items).and_then(Value::as_array).ok_or_else(|| {
            let message = format!("the list of tokens has no array at `{}`", list.items);
            Failure::permanent("http-token.list-unreadable", message)
        })?;
        let tokens = items.iter().map(|item| self.listed(item)).collect::<Result<_>>()?;
        Ok(Listing { now_unix: reply.header("date").and_then(time::from_http_date), tokens })
    }

    fn listed(self, item: &Value) -> Result<Listed> {
        let list = &self.0.list;
        let text = |pointer: &Option<String>| names::at(item, pointer.as_ref()?);
        let seconds = |pointer| text(pointer).and_then(|text| time::from_rfc3339(&text));
        // Without its id a token could be neither recognised nor deleted.
        let id = names::at(item, &list.id).ok_or_else(|| {
            Failure::permanent("http-token.list-unreadable", format!("a listed token has no id at `{}`", list.id))
        })?;
        Ok(Listed {
            id,
            note: text(&list.note),
            created_unix: seconds(&list.created),
            expires_unix: seconds(&list.expires),
            last_used_unix: seconds(&list.last_used),
        })
    }

    pub(crate) fn mint(self, marker: &str) -> Result<Minted> {
        let mint = &self.0.mint;
        let values = self.values("marker", marker);
        let mut request = self.request(&mint.method, &mint.path, &values).capture(mint.token.as_str());
        if let Some(body) = &mint.body {
            request = request.json(&names::body(body, &values));
        }
        let mut reply = request.send(Identity::Admin)?;
        succeeded("minting a token", &reply)?;
        let token = reply.take(0)?;
        // What the answer says beside the token is a help, not a need: the list says it too.
        let body: Value = reply.json().unwrap_or_default();
        let expires = mint.expires.as_ref().and_then(|pointer| names::at(&body, pointer));
        let created = self.0.list.created.as_ref().and_then(|pointer| names::at(&body, pointer));
        Ok(Minted {
            token,
            id: names::at(&body, &mint.id),
            expires_unix: expires.and_then(|text| time::from_rfc3339(&text)),
            created_unix: created.and_then(|text| time::from_rfc3339(&text)),
        })
    }

    pub(crate) fn try_out(self, token: &'a Secret) -> Result<Trial> {
        let verify = &self.0.verify;
        let candidate = match &verify.header {
            Some(header) => Candidate::header(header, token),
            None => Candidate::bearer(token),
        };
        let candidate = verify.prefix.iter().fold(candidate, |candidate, prefix| candidate.prefix(prefix));
        let reply = self.request("GET", &verify.path, &self.0.values).send(Identity::Candidate(candidate))?;
        if verify.refused.contains(&reply.status) {
            return Ok(Trial::Refused(reply.status));
        }
        succeeded("trying the token", &reply)?;
        let Some(pointer) = &verify.subject else { return Ok(Trial::Works(None)) };
        Ok(Trial::Works(Some(names::at(&reply.json()?, pointer).unwrap_or_default())))
    }

    /// Whether there was such a token.
    pub(crate) fn revoke(self, id: &str) -> Result<bool> {
        let revoke = &self.0.revoke;
        let values = self.values("id", id);
        let mut request = self.request(&revoke.method, &revoke.path, &values);
        if let Some(body) = &revoke.body {
            request = request.json(&names::body(body, &values));
        }
        let reply = request.send(Identity::Admin)?;
        if revoke.absent.contains(&reply.status) {
            return Ok(false);
        }
        succeeded("deleting a token", &reply).map(|()| true)
    }
}

/// A status as a failure. Bodies of refusals are the API's words and are not repeated.
fn succeeded(what: &str, reply: &Reply) -> Result<()> {
    let status = reply.status;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let code = format!("http-token.status-{status}");
    if PASSING.contains(&status) {
        let failure = Failure::retryable(code, format!("{what} was answered with {status}, which may pass"));
        return Err(match reply.retry_after_ms() {
            Some(retry_after_ms) => failure.after_ms(retry_after_ms),
            None => failure,
        });
    }
    let advice = match status {
        300..=399 => "; redirects are not followed: set the path it leads to",
        401 | 403 => "; the connection's admin may not do this",
        404 => "; check the path in the settings",
        _ => "",
    };
    Err(Failure::permanent(code, format!("{what} was answered with {status}{advice}")))
}
