//! Running one statement: what can fail before it leaves is `prepare`, what has left is `send`. The line between the two
//! is the line between "certainly not done" and "nobody knows".

use super::Table;
use super::session::{self, Session};
use super::sqlstate;
use crate::capabilities::chain;
use crate::connection::{Opened, PostgresTarget, Target};
use crate::identity::SecretSource;
use crate::limits;
use crate::refusal::Refusal;
use crate::secret::Held;
use keybaton_protocol::fault::Blame;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};
use zeroize::Zeroizing;

/// How long a cancelled statement may take to say so, in milliseconds.
pub(super) const CANCEL_MS: u64 = 2_000;

/// As whom to log in.
pub(super) enum Login {
    Admin { user: String, source: Arc<dyn SecretSource> },
    Candidate { user: String, password: Held },
}

/// A statement, ready to be sent. Its text and binds may hold rendered secrets.
pub(super) struct Statement {
    pub(super) text: Zeroizing<String>,
    pub(super) binds: Vec<Option<Zeroizing<String>>>,
    pub(super) columns: Vec<String>,
    pub(super) bindable: bool,
}

/// A session and the place it takes on its connection.
pub(super) struct Prepared {
    session: Session,
    opened: Arc<Opened>,
    _slot: OwnedSemaphorePermit,
}

/// Gets a session that answers. Nothing has left yet.
pub(super) async fn prepare(opened: &Arc<Opened>, login: &Login, within_ms: u64) -> Result<Prepared, Refusal> {
    let slot = opened.enter(within_ms).await?;
    let session = match login {
        Login::Admin { user, source } => match idle(opened, within_ms).await {
            Some(session) => session,
            None => {
                let password = source.read().await.map_err(|error| unavailable(opened, &error))?;
                log_in(opened, user, password.expose(), true, within_ms).await?
            }
        },
        Login::Candidate { user, password } => log_in(opened, user, password.expose(), false, within_ms).await?,
    };
    Ok(Prepared { session, opened: Arc::clone(opened), _slot: slot })
}

/// An idle admin session, once it has answered: a statement sent into a dead one would be in doubt for nothing.
async fn idle(opened: &Opened, within_ms: u64) -> Option<Session> {
    loop {
        let session = opened.sessions.take()?;
        let ping = session.client.simple_query("");
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(within_ms), ping).await {
            return Some(session);
        }
    }
}

async fn log_in(opened: &Opened, user: &str, password: &[u8], admin: bool, within_ms: u64) -> Result<Session, Refusal> {
    match &opened.connection.target {
        Target::Postgres(target) => session::open(target, user, password, admin, within_ms).await,
        Target::Http(_) => Err(Refusal::host("host.connection", "the connection has changed its kind")),
    }
}

/// Logs in as the admin, asks who that is, and comes back.
pub(crate) async fn probe(opened: &Opened, within_ms: u64) -> Result<String, Refusal> {
    let Target::Postgres(PostgresTarget { admin: Some((user, source)), .. }) = &opened.connection.target else {
        return Err(Refusal::permanent(Blame::Operator, "connection.admin", "the connection has no admin identity"));
    };
    let _slot = opened.enter(within_ms).await?;
    let password = source.read().await.map_err(|error| unavailable(opened, &error))?;
    let session = log_in(opened, user, password.expose(), true, within_ms).await?;
    let version = session.client.query_one("SHOW server_version", &[]);
    let version = tokio::time::timeout(Duration::from_millis(within_ms), version).await;
    match version.ok().and_then(Result::ok).and_then(|row| row.try_get::<_, String>(0).ok()) {
        Some(version) => Ok(format!("logged in as {user}, PostgreSQL {version}")),
        None => Err(Refusal::retryable("sql.connection", "the server let us in, and then did not answer")),
    }
}

fn unavailable(opened: &Opened, error: &crate::identity::SourceError) -> Refusal {
    let name = &opened.connection.name;
    Refusal::permanent(
        Blame::Operator,
        "connection.admin",
        format!("the admin credential of `{name}`: {}", chain(error)),
    )
}

/// Sends the statement. For a mutating one, everything but the server's clear word is `lost`.
pub(super) async fn send(
    prepared: Prepared,
    statement: Statement,
    mutates: bool,
    within_ms: u64,
) -> Result<Table, Refusal> {
    let Prepared { session, opened, _slot } = prepared;
    let answered = {
        let running = execute(&session, &statement);
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
            if session.as_admin {
                opened.sessions.put(session);
            }
            rows
        }
        Some(Err(error)) => match error.as_db_error() {
            Some(said) if !(mutates && sqlstate::is_doubtful(said)) => {
                let refusal = sqlstate::refusal(said, session.as_admin);
                if session.as_admin {
                    opened.sessions.put(session);
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

async fn execute(session: &Session, statement: &Statement) -> Result<Result<Table, Refusal>, tokio_postgres::Error> {
    let client = &session.client;
    if !statement.bindable {
        client.simple_query(&statement.text).await?;
        return Ok(Ok(Table { columns: Vec::new(), values: Vec::new() }));
    }
    let binds: Vec<Text<'_>> =
        statement.binds.iter().map(|bind| Text(bind.as_ref().map(|text| text.as_str()))).collect();
    let params: Vec<(&(dyn ToSql + Sync), Type)> =
        binds.iter().map(|bind| (bind as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
    let rows = client.query_typed(&statement.text, &params).await?;
    Ok(table(statement, &rows))
}

/// The rows as text, within the limits on a reply.
fn table(statement: &Statement, rows: &[tokio_postgres::Row]) -> Result<Table, Refusal> {
    let columns = statement.columns.clone();
    if columns.is_empty() {
        return Ok(Table { columns, values: Vec::new() });
    }
    let too_much =
        |what| Refusal::permanent(Blame::Target, "sql.too-much", format!("the statement returned more than {what}"));
    if rows.len() > limits::LIST_ENTRIES {
        return Err(too_much(format!("{} rows", limits::LIST_ENTRIES)));
    }
    let mut bytes = 0;
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let mut cells = Vec::with_capacity(columns.len());
        for index in 0..columns.len() {
            let cell: Option<String> = row
                .try_get(index)
                .map_err(|error| Refusal::host("host.sql", format!("a column is no text: {error}")))?;
            bytes += cell.as_ref().map_or(0, String::len);
            cells.push(cell);
        }
        values.push(cells);
    }
    if bytes > limits::REPLY_BYTES {
        Err(too_much(format!("{} bytes", limits::REPLY_BYTES)))
    } else {
        Ok(Table { columns, values })
    }
}

/// A bind in the text format: the server reads it by the type it infers, as psql's literals.
struct Text<'a>(Option<&'a str>);

/// The client logs its parameters by `Debug`.
impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text(redacted)")
    }
}

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
