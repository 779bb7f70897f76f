//! A template and its parameters as one statement: binds where PostgreSQL takes them, else its own escapes.

use super::run::Statement;
use crate::bindings::keybaton::rotator::sql::Param;
use crate::capabilities::rendered;
use crate::connection::Opened;
use crate::limits;
use crate::manifest::{Piece, PlaceholderType, Template};
use crate::refusal::Refusal;
use crate::secret::Held;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use zeroize::Zeroizing;

/// PostgreSQL's NAMEDATALEN - 1: a longer identifier would be cut by the server, and so be another one.
const IDENTIFIER_BYTES: usize = 63;

/// What stands in a placeholder.
enum Filled {
    /// Into the text, as it is.
    Identifier(String),
    /// A value; `None` is NULL.
    Value(Option<Zeroizing<String>>),
}

pub(super) fn statement(
    template: &Template,
    params: &[Param],
    secrets: &[Held],
    opened: &Opened,
) -> Result<Statement, Refusal> {
    let name = &template.permit.name;
    if params.len() != template.params.len() {
        let (given, expected) = (params.len(), template.params.len());
        return Err(Refusal::misuse("guest.params", format!("`{name}` takes {expected} parameters, not {given}")));
    }
    let mut filled = Vec::with_capacity(params.len());
    for ((placeholder, kind), param) in template.params.iter().zip(params) {
        filled.push(fill(kind, param, secrets, opened).map_err(|refusal| named(refusal, name, placeholder))?);
    }
    Ok(assemble(template, filled))
}

fn named(mut refusal: Refusal, template: &str, placeholder: &str) -> Refusal {
    refusal.message = format!("`{template}`, `{{{placeholder}}}`: {}", refusal.message);
    refusal
}

fn fill(kind: &PlaceholderType, param: &Param, secrets: &[Held], opened: &Opened) -> Result<Filled, Refusal> {
    match (kind, param) {
        (PlaceholderType::Identifier, Param::Identifier(text)) => {
            opened.admits_identity(text)?;
            if text.is_empty() || text.len() > IDENTIFIER_BYTES || text.contains('\0') {
                return Err(Refusal::misuse("guest.params", "an identifier has 1 to 63 bytes and no NUL"));
            }
            Ok(Filled::Identifier(escape_identifier(text)))
        }
        (PlaceholderType::Identity, Param::Identifier(text)) => {
            opened.admits_identity(text)?;
            value(text.as_bytes())
        }
        (PlaceholderType::Value, Param::Null) => Ok(Filled::Value(None)),
        (PlaceholderType::Value, Param::Text(text)) => value(text.as_bytes()),
        (PlaceholderType::Value, Param::Integer(number)) => value(number.to_string().as_bytes()),
        (PlaceholderType::Value, Param::Boolean(truth)) => value(truth.to_string().as_bytes()),
        (PlaceholderType::Secret(form), Param::Secret(part)) => {
            if form.as_ref().is_some_and(|form| form != &part.form) {
                let form = form.as_deref().unwrap_or_default();
                let shown = limits::cut(&part.form, 40).escape_debug();
                return Err(Refusal::denied(
                    "sql.form",
                    format!("its form is `{form}` by the manifest, not `{shown}`"),
                ));
            }
            value(&rendered(part, secrets)?)
        }
        (kind, _) => {
            Err(Refusal::misuse("guest.params", format!("the parameter does not fit its type {}", type_name(kind))))
        }
    }
}

fn value(bytes: &[u8]) -> Result<Filled, Refusal> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| Refusal::misuse("guest.params", "a value is text without NUL"))?;
    Ok(Filled::Value(Some(Zeroizing::new(text.to_owned()))))
}

const fn type_name(kind: &PlaceholderType) -> &'static str {
    match kind {
        PlaceholderType::Identifier => "identifier",
        PlaceholderType::Identity => "identity",
        PlaceholderType::Value => "value",
        PlaceholderType::Secret(_) => "secret",
    }
}

fn assemble(template: &Template, filled: Vec<Filled>) -> Statement {
    let mut text = Zeroizing::new(String::new());
    // Position of each bound parameter, by index.
    let mut bound: Vec<usize> = Vec::new();
    for piece in &template.pieces {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Param(index) => match &filled[*index] {
                Filled::Identifier(quoted) => text.push_str(quoted),
                Filled::Value(_) if template.binds => {
                    let position = bound.iter().position(|known| known == index).unwrap_or_else(|| {
                        bound.push(*index);
                        bound.len() - 1
                    });
                    text.push_str(&format!("${}", position + 1));
                }
                Filled::Value(None) => text.push_str("NULL"),
                Filled::Value(Some(value)) => text.push_str(&Zeroizing::new(escape_literal(value))),
            },
        }
    }
    let mut filled: Vec<Option<Filled>> = filled.into_iter().map(Some).collect();
    let binds = bound.into_iter().filter_map(|index| match filled[index].take() {
        Some(Filled::Value(value)) => Some(value),
        _ => None,
    });
    Statement {
        text,
        binds: binds.collect(),
        columns: template.columns.clone(),
        bindable: template.binds,
        mutates: template.permit.mutates,
    }
}
