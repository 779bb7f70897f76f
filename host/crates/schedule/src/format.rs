//! The format as types, from which its JSON Schema is made. Nothing is read into them: the readers have positions.
//!
//! `tests/schema.rs` holds that the keys here are the keys of the readers, and that the kept schema is this one.

mod connection;
mod declaration;
mod words;

pub use connection::*;
pub use declaration::*;
pub use words::*;

use serde_json::{Value, json};

/// The JSON Schema (draft 2020-12) of a file of declarations.
#[must_use]
pub fn declaration_schema() -> Value {
    without_null(schemars::schema_for!(File).to_value())
}

/// The JSON Schema (draft 2020-12) of a file of connections.
#[must_use]
pub fn connection_schema() -> Value {
    without_null(schemars::schema_for!(ConnectionFile).to_value())
}

/// A key that may be left out may not be left empty: takes `null` out of every choice that has it.
fn without_null(mut schema: Value) -> Value {
    let null = json!({ "type": "null" });
    if let Some(map) = schema.as_object_mut() {
        if let Some(types) = map.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                map.insert("type".to_owned(), only);
            }
        }
        if let Some(choices) = map.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| *choice != null);
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                map.remove("anyOf");
                map.extend(only);
            }
        }
        map.values_mut().for_each(|value| *value = without_null(value.take()));
    }
    if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(|value| *value = without_null(value.take()));
    }
    schema
}

/// A schema as it is kept in a file: keys sorted, indented by two, a newline at the end.
#[must_use]
pub fn pretty(schema: &Value) -> String {
    let mut text = String::new();
    write(schema, 0, &mut text);
    text.push('\n');
    text
}

/// Sorted here, as whether `serde_json` sorts depends on features of other crates.
fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                indent(out, depth + 1);
                out.push_str(&format!("{}: ", Value::from(key.as_str())));
                write(&map[key], depth + 1, out);
            }
            indent(out, depth);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                indent(out, depth + 1);
                write(item, depth + 1, out);
            }
            indent(out, depth);
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
