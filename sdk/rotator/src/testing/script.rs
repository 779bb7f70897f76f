//! Answers host calls of a native test and writes the transcript. Panics where a call is not in the manifest or not
//! scripted: both are the test's findings.

use super::manifest::Manifest;
use super::{Answer, reply, secret};
use crate::failure::{Failure, FailureClass, Result};
use crate::http::{Reply, WirePart, WireRequest};
use crate::identity::WireIdentity;
use crate::log::Level;
use crate::secret::Form;
use crate::sql::{Rows, WireParam, WireRun};
use std::cell::RefCell;
use std::collections::BTreeMap;

type SqlAnswer = Box<dyn FnMut(&[String]) -> Answer>;
type HttpAnswer = Box<dyn FnMut(&str) -> Result<(u16, String)>>;

pub(crate) struct Script {
    manifest: Manifest,
    step: String,
    pub(super) sql: BTreeMap<String, SqlAnswer>,
    pub(super) http: BTreeMap<(String, String), HttpAnswer>,
    transcript: Vec<String>,
    minted: u32,
}

impl Script {
    pub(super) fn new(manifest: Manifest) -> Self {
        Self {
            manifest,
            step: String::new(),
            sql: BTreeMap::new(),
            http: BTreeMap::new(),
            transcript: Vec::new(),
            minted: 0,
        }
    }
}

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

pub(super) fn run<T>(mut script: Script, step: &str, body: impl FnOnce() -> T) -> (T, Vec<String>) {
    step.clone_into(&mut script.step);
    SCRIPT.with_borrow_mut(|slot| *slot = Some(script));
    let answer = body();
    let script = SCRIPT.take().expect("the script stays while the body runs");
    (answer, script.transcript)
}

fn with<T>(body: impl FnOnce(&mut Script) -> T) -> T {
    SCRIPT.with_borrow_mut(|script| body(script.as_mut().expect("host calls are made within `Host::run`")))
}

fn shown_identity(identity: &WireIdentity, labels: &[&str]) -> String {
    match identity {
        WireIdentity::None => "nobody".to_owned(),
        WireIdentity::Admin => "admin".to_owned(),
        WireIdentity::Candidate { scheme, .. } => {
            format!("{scheme}({})", candidate(identity, labels).join(" "))
        }
    }
}

/// What a candidate logs in with, as `name=value`: its public fields, and the labels of its secret ones.
fn candidate(identity: &WireIdentity, labels: &[&str]) -> Vec<String> {
    let WireIdentity::Candidate { fields, params, .. } = identity else { return Vec::new() };
    let params = params.iter().map(|(name, value)| format!("{name}={value}"));
    params.chain(fields.iter().map(|(name, at)| format!("{name}={}", labels[*at as usize]))).collect()
}

fn acting_word(identity: &WireIdentity) -> &'static str {
    match identity {
        WireIdentity::None => "none",
        WireIdentity::Admin => "admin",
        WireIdentity::Candidate { .. } => "candidate",
    }
}

fn shown_secret(index: u32, form: &Form, labels: &[&str]) -> String {
    format!("{}({})", form.name(), labels[index as usize])
}

fn shown_param(param: &WireParam, labels: &[&str]) -> String {
    match param {
        WireParam::Null => "null".to_owned(),
        WireParam::Text(text) | WireParam::Identifier(text) => text.clone(),
        WireParam::Integer(number) => number.to_string(),
        WireParam::Boolean(truth) => truth.to_string(),
        WireParam::Secret { index, form } => shown_secret(*index, form, labels),
    }
}

fn fits(kind: (&str, Option<&str>), param: &WireParam) -> bool {
    match (kind.0, param) {
        ("identifier" | "identity", WireParam::Identifier(_))
        | ("value", WireParam::Null | WireParam::Text(_) | WireParam::Integer(_) | WireParam::Boolean(_)) => true,
        ("secret", WireParam::Secret { form, .. }) => kind.1.is_none_or(|fixed| fixed == form.name()),
        _ => false,
    }
}

pub(crate) fn sql(run: &WireRun, labels: &[&str]) -> Result<Rows> {
    with(|script| {
        let template = script.manifest.template(&run.template);
        assert!(template.permits(&script.step), "`{}` is not for `{}`", run.template, script.step);
        assert_eq!(template.acting, acting_word(&run.acting), "as whom `{}` acts", run.template);
        assert_eq!(template.params.len(), run.params.len(), "parameters of `{}`", run.template);
        for (at, param) in run.params.iter().enumerate() {
            assert!(fits(template.param(at), param), "parameter {at} of `{}` is {param:?}", run.template);
        }
        let columns = template.columns.clone();
        let params: Vec<_> = run.params.iter().map(|param| shown_param(param, labels)).collect();
        let who = shown_identity(&run.acting, labels);
        script.transcript.push(format!("{} as {who}: {}", run.template, params.join(" ")).trim_end().to_owned());
        let asked = [params, candidate(&run.acting, labels)].concat();
        let answer = script.sql.get_mut(&run.template);
        let values = answer.unwrap_or_else(|| panic!("the test scripts no answer to `{}`", run.template))(&asked)?;
        assert!(values.iter().all(|row| row.len() == columns.len()), "rows of `{}` have {columns:?}", run.template);
        Ok(Rows { columns, values })
    })
}

fn shown_body(parts: &[WirePart], labels: &[&str]) -> String {
    let one = |part: &WirePart| match part {
        WirePart::Text(text) => text.clone(),
        WirePart::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        WirePart::Secret { index, form } => shown_secret(*index, form, labels),
    };
    parts.iter().map(one).collect()
}

pub(crate) fn http(request: &WireRequest, labels: &[&str]) -> Result<Reply> {
    with(|script| {
        let WireRequest { method, path, .. } = request;
        let captures: Vec<_> = request.captures.iter().map(|capture| capture.locator.as_str()).collect();
        let acting = acting_word(&request.acting);
        let allowed = script.manifest.allows(method, path, acting, &captures, &script.step);
        assert!(allowed, "plugin.toml has no {method} {path} as {acting} with {captures:?} in `{}`", script.step);
        let body = shown_body(&request.body, labels);
        let who = shown_identity(&request.acting, labels);
        script.transcript.push(format!("{method} {path} as {who}: {body}").trim_end().to_owned());
        let answer = script.http.get_mut(&(method.clone(), path.clone()));
        let (status, text) = answer.unwrap_or_else(|| panic!("the test scripts no answer to {method} {path}"))(&body)?;
        if status >= 300 && request.captures.iter().any(|capture| capture.required) {
            return Err(withheld(status));
        }
        let captured = captures.iter().map(|locator| (status < 300).then(|| secret(locator))).collect();
        Ok(reply(status, text, captured))
    })
}

/// As the host answers where a required capture does not match: the body may hold the secret elsewhere.
fn withheld(status: u16) -> Failure {
    let class = if matches!(status, 408 | 425 | 429 | 503) { FailureClass::Retryable } else { FailureClass::Permanent };
    Failure::new(class, format!("http.status-{status}"), "a required capture did not match".to_owned())
}

pub(crate) fn minted(what: &str) -> String {
    with(|script| {
        script.minted += 1;
        script.transcript.push(format!("generate {what}"));
        format!("new-{}", script.minted)
    })
}

pub(crate) fn logged(level: Level, message: &str) {
    with(|script| script.transcript.push(format!("log {level:?}: {message}")));
}
