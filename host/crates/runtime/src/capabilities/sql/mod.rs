//! `sql`: statements of the manifest on a PostgreSQL connection, as its admin or as the credential under test. There is
//! no free statement and no SQL parsing.

pub(crate) mod pool;
mod render;
mod rows;
mod run;
mod session;
mod sqlstate;

use super::{acting, candidate_field, candidate_param, canon_identity, canon_part, only_params};
pub(crate) use run::probe;

use crate::bindings::keybaton::rotator::sql::{Host, Param, Rows};
use crate::bindings::keybaton::rotator::types::{Candidate, Failure, Identity};
use crate::connection::{Opened, PostgresTarget, Target};
use crate::limits;
use crate::manifest::Template;
use crate::record::{Begun, Canon, Clean, Yield};
use crate::refusal::Refusal;
use crate::scrub::Scrubber;
use crate::secret::Held;
use crate::state::{CallState, Tried, bounded};
use run::{Login, Statement};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wasmtime::component::Resource;

/// Rows as they are journalled and given to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    columns: Vec<String>,
    values: Vec<Vec<Option<String>>>,
}

impl Clean for Table {
    fn clean(&mut self, scrubber: &mut Scrubber) {
        for value in self.values.iter_mut().flatten().flatten() {
            *value = scrubber.text(value);
        }
    }
}

/// A statement that policy allows, ready to be sent.
struct Ready {
    opened: Arc<Opened>,
    login: Login,
    statement: Statement,
    summary: String,
}

impl Host for CallState {
    async fn run(
        &mut self,
        connection: String,
        identity: Identity,
        template: String,
        params: Vec<Param>,
        secrets: Vec<Resource<Held>>,
    ) -> wasmtime::Result<Result<Rows, Failure>> {
        bounded(size(&connection, &template, &params), limits::REQUEST_BYTES, "the arguments of a statement")?;
        bounded(params.len() + secrets.len(), limits::LIST_ENTRIES, "the number of parameters")?;
        let secrets = self.secrets(&secrets)?;
        let canon = canon(&connection, &identity, &template, &params, &secrets);
        let entry = match self.business()?.ledger.begin::<Table>(&canon).await? {
            Begun::Recorded(yielded) => {
                let said = said(yielded.answer.as_ref().err());
                self.tried(&identity, &secrets, said)?;
                return Ok(answer(yielded));
            }
            Begun::Fresh(entry) => entry,
        };
        let ready = match self.allowed_statement(&connection, &identity, &template, &params, &secrets)? {
            Ok(ready) => ready,
            Err(refusal) => return self.settled(&entry, Err(refusal)).await,
        };
        let ledger = self.business()?.ledger.clone();
        let within_ms = ledger.remaining_ms().min(ready.opened.connection.limits.timeout_ms);
        let prepared = match run::prepare(&ready.opened, &ready.login, within_ms).await {
            Ok(prepared) => prepared,
            Err(refusal) => {
                self.tried(&identity, &secrets, said(Some(&refusal)))?;
                return self.settled(&entry, Err(refusal)).await;
            }
        };
        let mutates = ready.statement.mutates;
        let work = run::send(prepared, ready.statement, within_ms);
        if mutates {
            let bound_ms = within_ms + run::CANCEL_MS;
            let work = async move { work.await.into() };
            let yielded = Box::pin(ledger.mutate(entry, &ready.summary, bound_ms, self.scrubber.clone(), work)).await?;
            return Ok(answer(yielded));
        }
        let outcome = work.await;
        self.tried(&identity, &secrets, said(outcome.as_ref().err()))?;
        self.settled(&entry, outcome).await
    }
}

/// What the server said to the credential that a statement was to be sent as.
fn said(refusal: Option<&Refusal>) -> Tried {
    match refusal {
        None => Tried::LetIn,
        Some(refusal) if refusal.code == sqlstate::LOGIN_REFUSED => Tried::Refused,
        Some(_) => Tried::Untold,
    }
}

impl CallState {
    async fn settled(
        &mut self,
        entry: &crate::record::Entry,
        outcome: Result<Table, Refusal>,
    ) -> wasmtime::Result<Result<Rows, Failure>> {
        let ledger = self.business()?.ledger.clone();
        Ok(answer(ledger.settle(entry, outcome.into(), &mut self.scrubber).await?))
    }

    /// All of policy, before any effect.
    fn allowed_statement(
        &mut self,
        connection: &str,
        identity: &Identity,
        template: &str,
        params: &[Param],
        secrets: &[Held],
    ) -> Result<Result<Ready, Refusal>, crate::record::Break> {
        let opened = match self.connection(connection)? {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (stage, allowed) = (self.stage, Arc::clone(&self.allowed));
        let check = || {
            let template = allowed
                .manifest
                .template(template)
                .filter(|template| allowed.grants.template(&template.permit.name))
                .ok_or_else(|| unlisted(template, &allowed.grants.templates))?;
            template.permit.allows(stage, acting(identity)).map_err(|why| Refusal::denied("sql.step", why))?;
            let Target::Postgres(target) = &opened.connection.target else {
                let name = &opened.connection.name;
                return Err(Refusal::denied("connection.kind", format!("connection `{name}` is no PostgreSQL server")));
            };
            let login = login(&opened, target, identity, secrets)?;
            let statement = render::statement(template, params, secrets, &opened)?;
            let summary = summary(template, connection, params);
            Ok((login, statement, summary))
        };
        let checked = check();
        Ok(checked.map(|(login, statement, summary)| Ready { opened, login, statement, summary }))
    }
}

fn unlisted(name: &str, granted: &std::collections::BTreeSet<String>) -> Refusal {
    let shown = limits::cut(name, 64).escape_debug();
    let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
    Refusal::denied(
        "sql.template",
        format!(
            "no statement `{shown}` is granted; there are {}",
            if granted.is_empty() { "none".into() } else { granted.join(", ") }
        ),
    )
}

fn login(opened: &Opened, target: &PostgresTarget, identity: &Identity, secrets: &[Held]) -> Result<Login, Refusal> {
    match identity {
        Identity::Admin => match &target.admin {
            Some(admin) => Ok(Login::Admin(admin.clone())),
            None => Err(Refusal::denied(
                "connection.admin",
                format!("connection `{}` has no admin identity", opened.connection.name),
            )),
        },
        Identity::Candidate(candidate) => login_of(opened, candidate, secrets),
        Identity::None => Err(Refusal::denied("sql.identity", "a statement acts as admin or as a candidate")),
    }
}

fn login_of(opened: &Opened, candidate: &Candidate, secrets: &[Held]) -> Result<Login, Refusal> {
    if candidate.scheme != "password" {
        let shown = limits::cut(&candidate.scheme, 40).escape_debug();
        return Err(Refusal::denied("sql.scheme", format!("sql logs in by `password`, not by `{shown}`")));
    }
    only_params(candidate, &["user"])?;
    let user = candidate_param(candidate, "user")
        .ok_or_else(|| Refusal::misuse("guest.candidate", "a password candidate needs the parameter `user`"))?;
    opened.admits_identity(user)?;
    Ok(Login::Candidate { user: user.to_owned(), password: candidate_field(candidate, "password", secrets)?.clone() })
}

fn answer(yielded: Yield<Table>) -> Result<Rows, Failure> {
    yielded.answer.map(|table| Rows { columns: table.columns, values: table.values }).map_err(Failure::from)
}

fn size(connection: &str, template: &str, params: &[Param]) -> usize {
    let params = params.iter().map(|param| match param {
        Param::Text(text) | Param::Identifier(text) => text.len(),
        Param::Secret(part) => part.form.len() + part.input.len(),
        Param::Null | Param::Integer(_) | Param::Boolean(_) => 8,
    });
    connection.len() + template.len() + params.sum::<usize>()
}

fn canon(connection: &str, identity: &Identity, template: &str, params: &[Param], secrets: &[Held]) -> Canon {
    let canon = canon_identity(Canon::of("sql.run").text(connection).text(template), identity, secrets);
    params.iter().fold(canon, |canon, param| match param {
        Param::Null => canon.text("null"),
        Param::Text(text) => canon.text("text").text(text),
        Param::Integer(number) => canon.text("integer").text(&number.to_string()),
        Param::Boolean(truth) => canon.text("boolean").text(&truth.to_string()),
        Param::Identifier(text) => canon.text("identifier").text(text),
        Param::Secret(part) => canon_part(canon, part, secrets),
    })
}

/// One redacted line for the transcript.
fn summary(template: &Template, connection: &str, params: &[Param]) -> String {
    let mut line = format!("sql {connection}: {} as {}", template.permit.name, template.permit.acting);
    for ((name, _), param) in template.params.iter().zip(params) {
        let value = match param {
            Param::Null => "null".to_owned(),
            Param::Text(text) | Param::Identifier(text) => limits::cut(text, 80).escape_debug().to_string(),
            Param::Integer(number) => number.to_string(),
            Param::Boolean(truth) => truth.to_string(),
            Param::Secret(part) => format!("[secret as {}]", limits::cut(&part.form, 40)),
        };
        line.push_str(&format!(" {name}={value}"));
    }
    line
}
