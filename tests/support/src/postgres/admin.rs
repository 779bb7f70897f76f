//! Asking the server: as its administrator at the Unix socket, as anybody over TCP. It never sends a password in
//! a statement of its own.

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::SqlState};

use super::{ADMIN, Postgres};
use crate::{Error, Result};

/// What came of a login over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// The server let the user in and answered a query.
    Works,
    /// The server answered, and refused: the SQLSTATE (PostgreSQL documentation, appendix A).
    Refused(String),
}

impl Postgres {
    /// A connection as the administrator, at the Unix socket, to the database `postgres`.
    ///
    /// # Errors
    /// The server is down.
    pub async fn admin(&self) -> Result<Client> {
        let mut config = Config::new();
        config.host_path(self.socket_folder()).port(self.port()).user(ADMIN).password(self.admin_password());
        connect(config.dbname("postgres").application_name("test-admin"), "the administrator").await
    }

    /// Runs one or more statements as the administrator.
    ///
    /// # Errors
    /// The server is down or refuses one of them.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        let client = self.admin().await?;
        client.batch_execute(statements).await.map_err(|source| sql("the administrator's statement", source))
    }

    /// The rows of one statement of the administrator's as text; `None` is SQL's null.
    ///
    /// # Errors
    /// The server is down or refuses it.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        let client = self.admin().await?;
        let answer = client.simple_query(statement).await;
        let answer = answer.map_err(|source| sql("the administrator's query", source))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
            _ => None,
        };
        Ok(answer.into_iter().filter_map(row).collect())
    }

    /// A connection over TCP without TLS, as a consumer makes it.
    ///
    /// # Errors
    /// The server is down or refuses the user.
    pub async fn connect(&self, user: &str, password: &str, database: &str) -> Result<Client> {
        let config = self.tcp(user, password, database);
        connect(&config, "a user").await
    }

    /// Tries `user` and `password` for real: a login over TCP and one query. What the server says is the truth.
    ///
    /// # Errors
    /// The server is down; a refusal is an answer, no error.
    pub async fn login(&self, user: &str, password: &str) -> Result<Login> {
        match self.connect(user, password, "postgres").await {
            Ok(client) => {
                client.simple_query("select 1").await.map_err(|source| sql("a query after the login", source))?;
                Ok(Login::Works)
            }
            Err(Error::Sql { what, source }) => match source.code().map(SqlState::code) {
                // 57P03: it is starting or stopping, which says nothing about the password.
                Some(code) if code != SqlState::CANNOT_CONNECT_NOW.code() => Ok(Login::Refused(code.to_owned())),
                _ => Err(Error::Sql { what, source }),
            },
            Err(other) => Err(other),
        }
    }

    /// Settings for a TCP connection, to be completed by who makes it (TLS, application name).
    #[must_use]
    pub fn tcp(&self, user: &str, password: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port()).user(user).password(password).dbname(database);
        config.ssl_mode(SslMode::Disable);
        config
    }
}

/// The connection's driver ends with the client.
async fn connect(config: &Config, who: &str) -> Result<Client> {
    let (client, driver) = config.connect(NoTls).await.map_err(|source| sql(&format!("a login of {who}"), source))?;
    tokio::spawn(driver);
    Ok(client)
}

fn sql(what: &str, source: tokio_postgres::Error) -> Error {
    Error::Sql { what: what.to_owned(), source }
}
