//! `http`: requests to the manifest's endpoints at a connection's origin. No redirects, no cookies, no proxy, no address
//! that was not checked; secrets are taken out of an answer before the guest sees it.

pub(crate) mod locator;
pub(crate) mod pool;
mod request;
mod response;

pub(crate) use pool::probe;

use super::{acting, canon_identity, canon_part};
use crate::bindings::keybaton::rotator::http::{Host, Request, Response};
use crate::bindings::keybaton::rotator::types::{Failure, Part};
use crate::connection::{HttpTarget, Opened, Target};
use crate::limits;
use crate::manifest::{Endpoint, Fit};
use crate::record::{Begun, Break, Canon, Entry, Yield};
use crate::refusal::Refusal;
use crate::secret::Held;
use crate::state::{CallState, Tried, bounded};
use keybaton_protocol::ids::SealLabel;
use locator::Locator;
use request::{Assembled, Auth};
use response::{Answer, Wanted};
use std::sync::Arc;
use wasmtime::component::Resource;

/// A request that policy allows.
struct Ready {
    opened: Arc<Opened>,
    auth: Auth,
    assembled: Assembled,
    mutates: bool,
    summary: String,
    wanted: Vec<Wanted>,
}

impl Host for CallState {
    async fn send(
        &mut self,
        req: Request,
        secrets: Vec<Resource<Held>>,
    ) -> wasmtime::Result<Result<Response, Failure>> {
        bounded(size(&req), limits::REQUEST_BYTES, "the size of a request")?;
        bounded(
            req.headers.len() + req.captures.len() + secrets.len(),
            limits::LIST_ENTRIES,
            "the parts of a request",
        )?;
        let secrets = self.secrets(&secrets)?;
        let entry = match self.business()?.ledger.begin::<Answer>(&canon(&req, &secrets)).await? {
            Begun::Recorded(yielded) => {
                self.answered(&yielded, &req, &secrets)?;
                return self.answer(yielded);
            }
            Begun::Fresh(entry) => entry,
        };
        let ledger = self.business()?.ledger.clone();
        let labels: Vec<SealLabel> = (0..req.captures.len()).map(|index| ledger.label(&entry, index)).collect();
        let ready = match self.allowed_request(&req, &secrets, labels)? {
            Ok(ready) => ready,
            Err(refusal) => return self.settle_http(&entry, Err(refusal).into()).await,
        };
        let asked_ms = req.timeout_ms.map_or(u64::MAX, u64::from);
        let within_ms = ledger.remaining_ms().min(ready.opened.connection.limits.timeout_ms).min(asked_ms);
        let prepared =
            pool::prepare(&ready.opened, &self.allowed.manifest.name, ready.auth, ready.assembled, within_ms);
        let prepared = match prepared.await {
            Ok(prepared) => prepared,
            Err(refusal) => return self.settle_http(&entry, Err(refusal).into()).await,
        };
        let work = response::exchange(prepared, ready.wanted, ready.mutates, within_ms);
        if ready.mutates {
            let yielded = ledger.mutate(entry, &ready.summary, within_ms, self.scrubber.clone(), work).await?;
            return self.answer(yielded);
        }
        let yielded = work.await;
        self.answered(&yielded, &req, &secrets)?;
        self.settle_http(&entry, yielded).await
    }
}

impl CallState {
    async fn settle_http(
        &mut self,
        entry: &Entry,
        yielded: Yield<Answer>,
    ) -> wasmtime::Result<Result<Response, Failure>> {
        let ledger = self.business()?.ledger.clone();
        let yielded = ledger.settle(entry, yielded, &mut self.scrubber).await?;
        self.answer(yielded)
    }

    /// An answer that blames neither the request nor the server lets the candidate in. One that blames the request refuses
    /// it (APIs answer strangers with 401, 403, 404, 410), unless it came too late, too early or too often (RFC 9110,
    /// section 15.5.9; RFC 8470; RFC 6585, section 4).
    fn answered(&mut self, yielded: &Yield<Answer>, req: &Request, secrets: &[Held]) -> Result<(), Break> {
        let said = match &yielded.answer {
            Ok(answer) if answer.status < 400 => Tried::LetIn,
            Ok(answer) if (400..500).contains(&answer.status) && !matches!(answer.status, 408 | 425 | 429) => {
                Tried::Refused
            }
            Ok(_) | Err(_) => Tried::Untold,
        };
        self.tried(&req.acting, secrets, said)
    }

    /// Handles for what was captured, and the answer around them.
    fn answer(&mut self, yielded: Yield<Answer>) -> wasmtime::Result<Result<Response, Failure>> {
        let answer = match yielded.answer {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let mut captured = Vec::with_capacity(answer.captured.len());
        for label in &answer.captured {
            captured.push(match label {
                None => None,
                Some(label) => {
                    let held = yielded.secrets.iter().find(|held| held.label.as_str() == label);
                    let held = held.ok_or_else(|| Break::Journal("a captured secret is not on record".to_owned()))?;
                    Some(self.give_secret(held.clone())?)
                }
            });
        }
        let body = answer.body().map_err(|why| Break::Journal(format!("a recorded body: {why}")))?;
        Ok(Ok(Response { status: answer.status, headers: answer.headers, body, captured }))
    }

    /// All of policy, before any effect.
    fn allowed_request(
        &mut self,
        req: &Request,
        secrets: &[Held],
        labels: Vec<SealLabel>,
    ) -> Result<Result<Ready, Refusal>, Break> {
        let opened = match self.connection(&req.connection)? {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (stage, allowed) = (self.stage, Arc::clone(&self.allowed));
        let check = || {
            let Target::Http(target) = &opened.connection.target else {
                let name = &opened.connection.name;
                return Err(Refusal::denied("connection.kind", format!("connection `{name}` is no HTTP API")));
            };
            let granted: Vec<&Endpoint> = allowed
                .manifest
                .endpoints
                .iter()
                .filter(|endpoint| allowed.grants.endpoint(&endpoint.permit.name))
                .collect();
            let (endpoint, fit) = fitting(&granted, req, stage)?;
            let concrete = concrete(endpoint, target, req)?;
            let locators = locators(endpoint, concrete.as_ref().map(|(listed, _)| *listed), req)?;
            for identity in fit.identities.iter().chain(concrete.iter().flat_map(|(_, fit)| &fit.identities)) {
                opened.admits_identity(identity)?;
            }
            let auth = request::auth(&opened, target, &req.acting, secrets)?;
            let assembled = request::assemble(target, req, secrets)?;
            let summary = summary(endpoint, req);
            Ok((auth, assembled, endpoint.permit.mutates, summary, locators))
        };
        let checked = check();
        Ok(checked.map(|(auth, assembled, mutates, summary, locators)| {
            let wanted = locators
                .into_iter()
                .zip(&req.captures)
                .zip(labels)
                .map(|((locator, capture), label)| Wanted { locator, required: capture.required, label })
                .collect();
            Ready { opened, auth, assembled, mutates, summary, wanted }
        }))
    }
}

/// The endpoint of the manifest that the request fits; the reason why not is the best one found.
fn fitting<'a>(
    granted: &[&'a Endpoint],
    req: &Request,
    stage: crate::manifest::Stage,
) -> Result<(&'a Endpoint, Fit), Refusal> {
    let mut why = None;
    for endpoint in granted {
        if let Some(fit) = endpoint.fits(&req.method, &req.path) {
            match endpoint.permit.allows(stage, acting(&req.acting)) {
                Ok(()) => return Ok((endpoint, fit)),
                Err(reason) => why = Some(Refusal::denied("http.step", reason)),
            }
        }
    }
    Err(why.unwrap_or_else(|| {
        let shown = limits::cut(&req.path, 200).escape_debug();
        let method = limits::cut(&req.method, 16).escape_debug();
        Refusal::denied("http.endpoint", format!("no granted endpoint of the manifest fits {method} {shown}"))
    }))
}

/// The endpoint of the connection that a request to an open endpoint must fit as well.
fn concrete<'a>(
    endpoint: &Endpoint,
    target: &'a HttpTarget,
    req: &Request,
) -> Result<Option<(&'a Endpoint, Fit)>, Refusal> {
    if !endpoint.is_open() {
        return Ok(None);
    }
    let found = target.endpoints.iter().find_map(|listed| listed.fits(&req.method, &req.path).map(|fit| (listed, fit)));
    found.map(Some).ok_or_else(|| {
        let shown = limits::cut(&req.path, 200).escape_debug();
        let what = format!("{} {shown}", limits::cut(&req.method, 16).escape_debug());
        Refusal::denied(
            "http.endpoint",
            format!("`{}` is an open endpoint: list {what} under the connection's endpoints", endpoint.permit.name),
        )
    })
}

/// The locators of a request, each listed by the manifest, and for an open endpoint by the connection too.
fn locators(endpoint: &Endpoint, concrete: Option<&Endpoint>, req: &Request) -> Result<Vec<Locator>, Refusal> {
    let locator = |capture: &crate::bindings::keybaton::rotator::types::Capture| {
        let locator = &capture.locator;
        if !endpoint.captures(locator) || !concrete.is_none_or(|concrete| concrete.captures(locator)) {
            let shown = limits::cut(locator, 200).escape_debug();
            return Err(Refusal::denied(
                "http.capture",
                format!("nothing allows to capture `{shown}` at `{}`", endpoint.permit.name),
            ));
        }
        Locator::parse(locator).map_err(|why| Refusal::denied("http.capture", why))
    };
    req.captures.iter().map(locator).collect()
}

fn size(req: &Request) -> usize {
    let part = |part: &Part| match part {
        Part::Text(text) => text.len(),
        Part::Bytes(bytes) => bytes.len(),
        Part::Secret(secret) => secret.form.len() + secret.input.len(),
    };
    let headers = req.headers.iter().map(|(name, parts)| name.len() + parts.iter().map(part).sum::<usize>());
    let captures = req.captures.iter().map(|capture| capture.locator.len());
    req.connection.len()
        + req.method.len()
        + req.path.len()
        + headers.sum::<usize>()
        + captures.sum::<usize>()
        + req.body.iter().map(part).sum::<usize>()
}

fn canon(req: &Request, secrets: &[Held]) -> Canon {
    let canon = Canon::of("http.send").text(&req.connection).text(&req.method).text(&req.path);
    let mut canon = canon_identity(canon, &req.acting, secrets);
    for (name, parts) in &req.headers {
        canon = canon_parts(canon.text("header").text(name), parts, secrets);
    }
    canon = canon_parts(canon.text("body"), &req.body, secrets);
    req.captures.iter().fold(canon, |canon, capture| {
        canon.text("capture").text(&capture.locator).text(if capture.required { "required" } else { "optional" })
    })
}

fn canon_parts(canon: Canon, parts: &[Part], secrets: &[Held]) -> Canon {
    parts.iter().fold(canon, |canon, part| match part {
        Part::Text(text) => canon.text("text").text(text),
        Part::Bytes(bytes) => canon.text("bytes").bytes(bytes),
        Part::Secret(secret) => canon_part(canon, secret, secrets),
    })
}

/// One redacted line for the transcript.
fn summary(endpoint: &Endpoint, req: &Request) -> String {
    let path = limits::cut(&req.path, 300).escape_debug();
    let connection = limits::cut(&req.connection, 64);
    format!("http {connection}: {} {} {path} as {}", endpoint.permit.name, endpoint.method, endpoint.permit.acting)
}
