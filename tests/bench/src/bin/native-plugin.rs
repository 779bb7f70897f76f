//! The peer of a sandboxed plugin: a native process that is spoken to over its standard input and output, one line of
//! JSON at a time. It does what the sandboxed one does: parses its settings, asks the host for a password, and answers
//! with the generation it makes. It ends with its input.

use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};

/// A call of `create`.
#[derive(Deserialize)]
struct Call {
    generation: u32,
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    connection: String,
    role: String,
    existing: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let Call { generation, settings } = serde_json::from_str(&line)?;
        let Settings { connection, role, existing } = settings;
        if connection.is_empty() || existing != "take-over" {
            return Err("the role is somebody else's".into());
        }
        writeln!(output, "{}", json!({ "ask": "password", "length": 32 }))?;
        output.flush()?;
        line.clear();
        input.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        let handle = answer["handle"].as_u64().ok_or("no handle")?;
        let made =
            json!({ "id": format!("{role}#{generation}"), "attributes": { "username": role }, "password": handle });
        writeln!(output, "{made}")?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}
