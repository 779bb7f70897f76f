//! A plugin's settings as canonical JSON: sorted keys, no spaces. What they mean is the plugin's to say.
//!
//! The plugin is also told its connection, under the key `connection`: it names it in every host call.

use crate::diagnostic::Diagnostic;
use crate::spec::Settings;
use crate::units::shortened;
use crate::yaml::{Kind, Node, Plain, Reader, Scalar, resolve, trap};
use keybaton_protocol::ids::ConnectionName;
use std::fmt::Write;

/// The key under which a plugin is told its connection.
const CONNECTION: &str = "connection";

/// Largest settings of one secret, in bytes of JSON.
const MAX_SETTINGS_BYTES: usize = 64 << 10;

/// Reads the settings: a mapping of anything that JSON can say and all YAML readers agree on.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, connection: Option<&ConnectionName>) -> Option<Settings> {
    let Kind::Map(entries) = &node.kind else {
        reader.wrong(node, "`settings`", "a mapping, as the plugin's documentation describes it");
        return None;
    };
    let before = reader.problems.len();
    let connection = connection.map(|name| serde_json::Value::from(name.as_str()).to_string());
    let mut parts: Vec<(&str, String)> = Vec::with_capacity(entries.len() + 1);
    for (key, value) in entries {
        let mut json = String::new();
        write(reader, value, &mut json);
        parts.extend(reader.key_text(key, "a key of `settings`").map(|key| (key, json)));
    }
    match (parts.iter().find(|(key, _)| *key == CONNECTION), connection) {
        (None, Some(connection)) => parts.push((CONNECTION, connection)),
        (Some((_, own)), Some(connection)) if *own != connection => {
            let at =
                entries.iter().find(|(key, _)| key.text() == CONNECTION).map_or(node.span, |(_, value)| value.span);
            let problem = Diagnostic::new("conflict", at, "the secret's connection is another one");
            reader
                .push(problem.expected(connection).suggest("leave it out: the plugin is told the secret's connection"));
        }
        _ => {}
    }
    let json = object(parts);
    if json.len() > MAX_SETTINGS_BYTES {
        let message = format!("`settings` are larger than {} KiB of JSON", MAX_SETTINGS_BYTES >> 10);
        reader.push(Diagnostic::new("too-large", node.span, message));
    }
    (reader.problems.len() == before).then(|| Settings::new(&json))
}

fn write(reader: &mut Reader<'_>, node: &Node, json: &mut String) {
    match &node.kind {
        Kind::Scalar(scalar) => write_scalar(reader, node, scalar, json),
        Kind::List(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write(reader, item, json);
            }
            json.push(']');
        }
        Kind::Map(entries) => {
            let mut parts = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let mut json = String::new();
                write(reader, value, &mut json);
                parts.extend(reader.key_text(key, "a key of `settings`").map(|key| (key, json)));
            }
            json.push_str(&object(parts));
        }
    }
}

/// Keys in order, each with its JSON.
fn object(mut parts: Vec<(&str, String)>) -> String {
    parts.sort();
    let mut json = String::from("{");
    for (index, (key, value)) in parts.iter().enumerate() {
        json.push_str(if index > 0 { "," } else { "" });
        write_text(key, &mut json);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

fn write_scalar(reader: &mut Reader<'_>, node: &Node, scalar: &Scalar, json: &mut String) {
    let refused = |message: String| Diagnostic::new("yaml-ambiguous", node.span, message);
    if let Some(why) = trap(scalar) {
        let quotes = format!("put text in quotes: \"{0}\"; booleans are true and false", scalar.text);
        reader.push(refused(format!("`{}` without quotes: {why}", scalar.text)).suggest(quotes));
        return;
    }
    let written = match resolve(scalar) {
        Plain::Nothing => write!(json, "null"),
        Plain::Flag(flag) => write!(json, "{flag}"),
        Plain::Whole(number) if i64::try_from(number).is_ok() || u64::try_from(number).is_ok() => {
            write!(json, "{number}")
        }
        Plain::Fraction(number) if number.is_finite() => match serde_json::Number::from_f64(number) {
            Some(number) => write!(json, "{number}"),
            None => Ok(()),
        },
        Plain::Whole(_) | Plain::Fraction(_) => {
            let message = format!("`{}` is no number that JSON can hold", shortened(&scalar.text));
            reader.push(refused(message).suggest("put it in quotes, if the plugin takes it as text"));
            Ok(())
        }
        Plain::Text(text) => {
            write_text(text, json);
            Ok(())
        }
    };
    written.expect("writing to a string cannot fail");
}

fn write_text(text: &str, json: &mut String) {
    json.push_str(&serde_json::Value::from(text).to_string());
}
