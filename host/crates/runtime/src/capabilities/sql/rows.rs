//! What a statement returned, as text and within the limits on a reply.
//!
//! A statement that only reads runs as its template has it: around it, the casts to text cost a server more than many a
//! statement does itself, most of all in a session just opened. Where a column has another type than those that are
//! known here, it runs once more, with the casts. One that changes something runs once, always with them.

use super::Table;
use super::run::Statement;
use crate::limits;
use crate::refusal::Refusal;
use futures::TryStreamExt;
use keybaton_protocol::fault::Blame;
use postgres_protocol::escape::escape_identifier;
use std::pin::pin;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Error, Row};
use zeroize::Zeroizing;

/// Types of which this host knows what PostgreSQL's `::text` makes of them.
const KNOWN: [Type; 8] =
    [Type::TEXT, Type::VARCHAR, Type::NAME, Type::BOOL, Type::INT2, Type::INT4, Type::INT8, Type::OID];

/// Runs the statement.
pub(super) async fn of(client: &Client, statement: &Statement) -> Result<Result<Table, Refusal>, Error> {
    if !statement.bindable {
        client.simple_query(&statement.text).await?;
        return Ok(Ok(Table { columns: Vec::new(), values: Vec::new() }));
    }
    if statement.columns.is_empty() || !statement.mutates {
        let rows = read(client, &statement.text, statement).await?;
        if let Some(rows) = rows {
            return Ok(rows);
        }
    }
    let rows = read(client, &cast(&statement.text, &statement.columns), statement).await?;
    Ok(rows.unwrap_or_else(|| Err(Refusal::host("host.sql", "the server did not cast a column to text"))))
}

/// The listed columns alone, as text, and no more rows than a guest may get.
fn cast(text: &str, columns: &[String]) -> Zeroizing<String> {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let quoted = escape_identifier(column);
            format!("{quoted}::text AS {quoted}")
        })
        .collect();
    let rows = limits::LIST_ENTRIES + 1;
    Zeroizing::new(format!("WITH keybaton AS ({text}) SELECT {} FROM keybaton LIMIT {rows}", columns.join(", ")))
}

/// `None`: a listed column is not there once, or has none of the known types.
async fn read(client: &Client, text: &str, statement: &Statement) -> Result<Option<Result<Table, Refusal>>, Error> {
    let binds = statement.binds.iter().map(|bind| (Text(bind.as_ref().map(|text| text.as_str())), Type::UNKNOWN));
    let mut stream = pin!(client.query_typed_raw(text, binds).await?);
    let columns = &statement.columns;
    let mut table = Table { columns: columns.clone(), values: Vec::new() };
    let mut bytes = 0;
    while let Some(row) = stream.try_next().await? {
        if columns.is_empty() {
            continue;
        }
        let Some(cells) = cells(&row, columns)? else { return Ok(None) };
        bytes += cells.iter().flatten().map(String::len).sum::<usize>();
        table.values.push(cells);
        if table.values.len() > limits::LIST_ENTRIES {
            return Ok(Some(Err(too_much(limits::LIST_ENTRIES, "rows"))));
        }
        if bytes > limits::REPLY_BYTES {
            return Ok(Some(Err(too_much(limits::REPLY_BYTES, "bytes"))));
        }
    }
    Ok(Some(Ok(table)))
}

fn too_much(most: usize, what: &str) -> Refusal {
    let message = format!("the statement returned more than {most} {what}");
    Refusal::permanent(Blame::Target, "sql.too-much", message)
}

fn cells(row: &Row, columns: &[String]) -> Result<Option<Vec<Option<String>>>, Error> {
    let mut cells = Vec::with_capacity(columns.len());
    for name in columns {
        let mut named = row.columns().iter().enumerate().filter(|(_, column)| column.name() == name);
        let (Some((at, column)), None) = (named.next(), named.next()) else { return Ok(None) };
        if !KNOWN.contains(column.type_()) {
            return Ok(None);
        }
        cells.push(cell(row, at, column.type_())?);
    }
    Ok(Some(cells))
}

fn cell(row: &Row, at: usize, kind: &Type) -> Result<Option<String>, Error> {
    Ok(match *kind {
        Type::BOOL => row.try_get::<_, Option<bool>>(at)?.map(|truth| truth.to_string()),
        Type::INT2 => row.try_get::<_, Option<i16>>(at)?.map(|number| number.to_string()),
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(|number| number.to_string()),
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map(|number| number.to_string()),
        Type::OID => row.try_get::<_, Option<u32>>(at)?.map(|number| number.to_string()),
        _ => row.try_get(at)?,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use keybaton_test_support::{Postgres, PostgresOptions};
    use tokio_postgres::{NoTls, SimpleQueryMessage};

    fn statement(text: &str, columns: &[&str], mutates: bool) -> Statement {
        Statement {
            text: Zeroizing::new(text.to_owned()),
            binds: Vec::new(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            bindable: true,
            mutates,
        }
    }

    async fn server() -> (Postgres, Client) {
        let server = Postgres::start(PostgresOptions::default()).await.unwrap();
        let config = server.tcp(server.admin_user(), server.admin_password(), "postgres");
        let (client, driver) = config.connect(NoTls).await.unwrap();
        tokio::spawn(driver);
        (server, client)
    }

    /// The first cell of the first row, as the server itself writes it.
    async fn said(client: &Client, text: &str) -> Option<String> {
        let answered = client.simple_query(text).await.unwrap();
        let row = answered.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        row.unwrap().get(0).map(str::to_owned)
    }

    #[tokio::test]
    async fn every_type_reads_as_the_servers_own_cast_to_text() {
        let (_server, client) = server().await;
        for value in [
            "true",
            "false",
            "'ü''x '::text",
            "'v '::varchar(9)",
            "'n'::name",
            "'c '::char(3)",
            "'x'::\"char\"",
            "''::text",
            "(-32768)::int2",
            "2147483647",
            "(-9223372036854775808)::int8",
            "4294967295::oid",
            "1.50::numeric",
            "'Infinity'::float8",
            "'2026-01-02 03:04:05+00'::timestamptz",
            "'pg_authid'::regclass",
            "'{a,b}'::text[]",
            "'{\"k\": [1]}'::jsonb",
            "'\\x00ff'::bytea",
            "session_user",
            "count(*)",
            "1 = 1",
            "array[true]",
            "row(1, 't')",
        ] {
            for value in [value.to_owned(), format!("CASE WHEN false THEN {value} END")] {
                let expected = said(&client, &format!("SELECT ({value})::text")).await;
                for mutates in [false, true] {
                    let statement = statement(&format!("SELECT 7 AS seven, {value} AS it"), &["it", "seven"], mutates);
                    let table = of(&client, &statement).await.unwrap().unwrap();
                    assert_eq!(table.columns, ["it", "seven"]);
                    assert_eq!(table.values, [[expected.clone(), Some("7".to_owned())]], "{value}, {mutates}");
                }
            }
        }
    }

    #[tokio::test]
    async fn one_that_changes_something_runs_once_and_one_that_reads_unknown_types_twice() {
        let (_server, client) = server().await;
        client.simple_query("CREATE SEQUENCE runs; CREATE TABLE kept (it numeric)").await.unwrap();
        for (value, mutates, runs) in [("", false, 1), ("::numeric", false, 2), ("", true, 1), ("::numeric", true, 1)] {
            let before: u32 = said(&client, "SELECT nextval('runs')").await.unwrap().parse().unwrap();
            let text = format!("SELECT nextval('runs'){value} AS run");
            let table = of(&client, &statement(&text, &["run"], mutates)).await.unwrap().unwrap();
            assert_eq!(table.values, [[Some((before + runs).to_string())]], "{text}, {mutates}");
        }
        let kept = statement("INSERT INTO kept VALUES (1.5) RETURNING it", &["it"], true);
        assert_eq!(of(&client, &kept).await.unwrap().unwrap().values, [[Some("1.5".to_owned())]]);
        of(&client, &statement("INSERT INTO kept VALUES (2)", &[], true)).await.unwrap().unwrap();
        assert_eq!(said(&client, "SELECT string_agg(it::text, ' ') FROM kept").await.unwrap(), "1.5 2");
    }

    #[tokio::test]
    async fn a_column_that_is_not_there_once_is_the_servers_to_refuse() {
        let (_server, client) = server().await;
        for (text, code) in [("SELECT 1 AS a", "42703"), ("SELECT 1 AS b, 2 AS b", "42702")] {
            let error = of(&client, &statement(text, &["b"], false)).await.err().unwrap();
            assert_eq!(error.code().unwrap().code(), code, "{text}");
        }
    }

    #[tokio::test]
    async fn no_guest_gets_more_than_it_may() {
        let (_server, client) = server().await;
        let most = limits::LIST_ENTRIES;
        let large = limits::REPLY_BYTES / 4 + 1;
        for (text, expected) in [
            (format!("SELECT 'x' AS it FROM generate_series(1, {most})"), None),
            (format!("SELECT 'x' AS it FROM generate_series(1, {most} + 1)"), Some("rows")),
            (format!("SELECT 1.5 AS it FROM generate_series(1, {most} + 1)"), Some("rows")),
            (format!("SELECT repeat('x', {large}) AS it FROM generate_series(1, 3)"), None),
            (format!("SELECT repeat('x', {large}) AS it FROM generate_series(1, 4)"), Some("bytes")),
        ] {
            let refusal = of(&client, &statement(&text, &["it"], false)).await.unwrap().err();
            let found = refusal.map(|refusal| (refusal.code, refusal.message));
            assert_eq!(found.is_some(), expected.is_some(), "{text}: {found:?}");
            if let (Some((code, message)), Some(what)) = (found, expected) {
                assert_eq!(code, "sql.too-much");
                assert!(message.ends_with(what), "{message}");
            }
        }
    }
}
