//! Running one statement: what can fail before it leaves is `prepare`, what has left is `send`. The line between the two
//! is the line between "certainly not done" and "nobody knows".

use super::Table;
use super::rows;
use super::session::{self, Session, Who};
use super::sqlstate::{self, LOGIN_REFUSED};
use crate::capabilities::{chain, unavailable, user_of};
use crate::connection::{Opened, PostgresAdmin, PostgresTarget, Target, Using};
use crate::identity::{SecretSource, Sourced};
use crate::refusal::Refusal;
use crate::secret::Held;
use keybaton_protocol::fault::Blame;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

/// How long a cancelled statement may take to say so, in milliseconds.
pub(super) const CANCEL_MS: u64 = 2_000;

/// Logins of an admin within one host call: where its credential has just been replaced, the next one is tried.
const ADMIN_TRIES: usize = 4;

/// As whom to log in.
pub(super) enum Login {
    Admin(PostgresAdmin),
    Candidate { user: String, password: Held },
}

/// A statement, ready to be sent. Its text and binds may hold rendered secrets.
pub(super) struct Statement {
    pub(super) text: Zeroizing<String>,
    pub(super) binds: Vec<Option<Zeroizing<String>>>,
    pub(super) columns: Vec<String>,
    pub(super) bindable: bool,
    pub(super) mutates: bool,
}

/// A session and the place it takes on its connection.
pub(super) struct Prepared {
    session: Session,
    opened: Arc<Opened>,
    /// Where the admin's secret comes from; `None` for a candidate.
    source: Option<Arc<dyn SecretSource>>,
    _using: Option<Using>,
    _slot: OwnedSemaphorePermit,
}

/// Gets a session that answers. Nothing has left yet.
pub(super) async fn prepare(opened: &Arc<Opened>, login: &Login, within_ms: u64) -> Result<Prepared, Refusal> {
    let slot = opened.enter(within_ms).await?;
    let (session, source, using) = match login {
        Login::Admin(admin) => {
            let (session, using) = as_admin(opened, admin, within_ms).await?;
            (session, Some(Arc::clone(&admin.password)), Some(using))
        }
        Login::Candidate { user, password } => {
            let who = Who { user, password: password.expose(), as_admin: false, trial: true, mark: 0 };
            (log_in(opened, &who, within_ms).await?, None, None)
        }
    };
    Ok(Prepared { session, opened: Arc::clone(opened), source, _using: using, _slot: slot })
}

/// An admin session. Whoever is counted under a mark uses what had that mark when the count was made: the source is
/// asked again afterwards, so that nobody begins with the old value once it is said to be left.
async fn as_admin(opened: &Opened, admin: &PostgresAdmin, within_ms: u64) -> Result<(Session, Using), Refusal> {
    let source = &admin.password;
    let mut last = None;
    for _ in 0..ADMIN_TRIES {
        let mark = source.mark();
        let using = opened.in_use.enter(mark);
        if source.mark() != mark {
            continue;
        }
        if let Some(session) = idle(opened, mark, within_ms).await {
            return Ok((session, using));
        }
        let had = source.read().await.map_err(|error| unavailable(opened, &error))?;
        if had.mark != mark {
            continue;
        }
        match log_in_as_admin(opened, admin, &had, false, within_ms).await {
            Err(refusal) if refusal.code == LOGIN_REFUSED && source.refused(mark).await => last = Some(refusal),
            done => return done.map(|session| (session, using)),
        }
    }
    Err(last.unwrap_or_else(|| Refusal::host("connection.admin", "the admin credential kept changing")))
}

/// An idle admin session, once it has answered: a statement sent into a dead one would be in doubt for nothing.
async fn idle(opened: &Opened, mark: u64, within_ms: u64) -> Option<Session> {
    loop {
        let session = opened.sessions.take(mark)?;
        let ping = session.client.simple_query("");
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(within_ms), ping).await {
            return Some(session);
        }
    }
}

async fn log_in(opened: &Opened, who: &Who<'_>, within_ms: u64) -> Result<Session, Refusal> {
    match &opened.connection.target {
        Target::Postgres(target) => session::open(target, who, within_ms).await,
        Target::Http(_) => Err(Refusal::host("host.connection", "the connection has changed its kind")),
    }
}

async fn log_in_as_admin(
    opened: &Opened,
    admin: &PostgresAdmin,
    had: &Sourced,
    trial: bool,
    within_ms: u64,
) -> Result<Session, Refusal> {
    let user = user_of(admin.user.as_deref(), had).map_err(|error| unavailable(opened, &error))?;
    let who = Who { user, password: had.secret.expose(), as_admin: true, trial, mark: had.mark };
    log_in(opened, &who, within_ms).await
}

/// Logs in as the admin, asks who that is, and comes back. `instead` stands in for where its password comes from.
pub(crate) async fn probe(
    opened: &Opened,
    instead: Option<Arc<dyn SecretSource>>,
    within_ms: u64,
) -> Result<String, Refusal> {
    let Target::Postgres(PostgresTarget { admin: Some(admin), .. }) = &opened.connection.target else {
        return Err(Refusal::permanent(Blame::Operator, "connection.admin", "the connection has no admin identity"));
    };
    let _slot = opened.enter(within_ms).await?;
    let had = instead.as_ref().unwrap_or(&admin.password).read().await;
    let had = had.map_err(|error| unavailable(opened, &error))?;
    let session = log_in_as_admin(opened, admin, &had, true, within_ms).await?;
    let asked = session.client.query_one("SELECT current_setting('server_version'), session_user::text", &[]);
    let answered = tokio::time::timeout(Duration::from_millis(within_ms), asked).await;
    let answered = answered.ok().and_then(Result::ok);
    let said = |at| answered.as_ref().and_then(|row| row.try_get::<_, String>(at).ok());
    match (said(0), said(1)) {
        (Some(version), Some(user)) => Ok(format!("logged in as {user}, PostgreSQL {version}")),
        _ => Err(Refusal::retryable("sql.connection", "the server let us in, and then did not answer")),
    }
}

/// Sends the statement. For a mutating one, everything but the server's clear word is `lost`.
pub(super) async fn send(prepared: Prepared, statement: Statement, within_ms: u64) -> Result<Table, Refusal> {
    let Prepared { session, opened, source, _using, _slot } = prepared;
    let (mark, mutates) = (source.map_or(0, |source| source.mark()), statement.mutates);
    let answered = {
        let running = rows::of(&session.client, &statement);
        tokio::pin!(running);
        match tokio::time::timeout(Duration::from_millis(within_ms), &mut running).await {
            Ok(answered) => Some(answered),
            Err(_) => {
                // The server may still say how it ended: done, or cancelled.
                let ending = async {
                    session.cancel().await;
                    running.await
                };
                tokio::time::timeout(Duration::from_millis(CANCEL_MS), ending).await.ok()
            }
        }
    };
    match answered {
        Some(Ok(rows)) => {
            // What returned too much may still be at it.
            if session.as_admin && rows.is_ok() {
                opened.sessions.put(session, mark);
            }
            rows
        }
        Some(Err(error)) => match error.as_db_error() {
            Some(said) if !(mutates && sqlstate::is_doubtful(said)) => {
                let refusal = sqlstate::refusal(said, session.as_admin);
                if session.as_admin && !sqlstate::is_doubtful(said) {
                    opened.sessions.put(session, mark);
                }
                Err(refusal)
            }
            _ => Err(unanswered(mutates, &format!("the connection broke: {}", chain(&error)))),
        },
        None => Err(unanswered(mutates, &format!("no answer within {within_ms} ms"))),
    }
}

fn unanswered(mutates: bool, what: &str) -> Refusal {
    if mutates {
        Refusal::lost("sql.lost", format!("{what}, after the statement had left"))
    } else {
        Refusal::retryable("sql.connection", what)
    }
}
