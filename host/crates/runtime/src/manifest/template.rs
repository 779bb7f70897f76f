//! SQL templates: fixed text with typed placeholders. There is no SQL parsing and no free statement.

use super::Permit;
use std::collections::BTreeSet;
use std::fmt;

/// What may stand in a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceholderType {
    /// A quoted identifier that the connection allows.
    Identifier,
    /// A text value that the connection allows as an identity.
    Identity,
    /// A value.
    Value,
    /// A secret, in this form if one is fixed.
    Secret(Option<String>),
}

/// A piece of a template's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The parameter with this index.
    Param(usize),
}

/// One statement of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Name, acting and steps.
    pub permit: Permit,
    /// The text, cut at its placeholders.
    pub pieces: Vec<Piece>,
    /// Name and type of each parameter, in the order of the call.
    pub params: Vec<(String, PlaceholderType)>,
    /// The columns that the guest gets.
    pub columns: Vec<String>,
    /// Whether values travel as binds; else (utility statements take none) they are rendered as literals.
    pub binds: bool,
}

/// Statements of which PostgreSQL takes bind parameters (its manual, `PREPARE`).
const BINDABLE: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "VALUES", "WITH"];
/// Text that could end a statement or hide a part of it, and so is not in any template.
const REFUSED: &[&str] = &[";", "--", "/*", "$", "\\", "\0"];

impl Template {
    pub(super) fn parse(permit: Permit, text: &str, params: &[String], columns: &[String]) -> Result<Self, String> {
        if permit.acting == super::Acting::Nobody {
            return Err("a statement acts as admin or candidate".to_owned());
        }
        if let Some(refused) = REFUSED.iter().find(|refused| text.contains(**refused)) {
            return Err(format!("`{}` is refused in a template", refused.escape_debug()));
        }
        let params = params.iter().map(|param| placeholder(param)).collect::<Result<Vec<_>, _>>()?;
        let pieces = pieces(text, &params)?;
        let first = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let binds = BINDABLE.contains(&first.as_str());
        if !binds && !columns.is_empty() {
            return Err(format!("`{first}` returns no columns: only {} do here", BINDABLE.join(", ")));
        }
        if columns.iter().any(|column| column.is_empty() || column.len() > 63 || column.contains(char::is_control)) {
            return Err("a column's name has 1 to 63 bytes".to_owned());
        }
        Ok(Self { permit, pieces, params, columns: columns.to_vec(), binds })
    }
}

impl fmt::Display for Template {
    /// The statement as it is written, in one line, with its placeholders by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Param(index) => format!("{{{}}}", self.params.get(*index).map_or("?", |(name, _)| name)),
        });
        let text: String = text.collect();
        f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn placeholder(text: &str) -> Result<(String, PlaceholderType), String> {
    let mut parts = text.splitn(3, ':');
    let name = parts.next().unwrap_or_default();
    let kind = parts.next().unwrap_or_default();
    let form = parts.next();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(format!("param `{text}`: expected `name:type`, the name of lower-case letters, digits and dashes"));
    }
    let kind = match (kind, form) {
        ("identifier", None) => PlaceholderType::Identifier,
        ("identity", None) => PlaceholderType::Identity,
        ("value", None) => PlaceholderType::Value,
        ("secret", form) => PlaceholderType::Secret(form.map(str::to_owned)),
        _ => return Err(format!("param `{text}`: the type is identifier, identity, value, secret or secret:FORM")),
    };
    Ok((name.to_owned(), kind))
}

/// Cuts the text at `{name}`; `{{` and `}}` are braces. Placeholders inside quotes would be text, so they are refused.
fn pieces(text: &str, params: &[(String, PlaceholderType)]) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut plain, mut used) = (Vec::new(), String::new(), BTreeSet::new());
    let mut quote = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let doubled = rest[next.len_utf8()..].starts_with(next);
        match next {
            '{' | '}' if doubled => {
                plain.push(next);
                rest = &rest[2..];
                continue;
            }
            '{' => {
                let end = rest.find('}').ok_or("a `{` without its `}`")?;
                let name = &rest[1..end];
                if quote.is_some() {
                    return Err(format!("`{{{name}}}` stands inside quotes; the host quotes by itself"));
                }
                let index = params
                    .iter()
                    .position(|(param, _)| param == name)
                    .ok_or_else(|| format!("`{{{name}}}` is not in params"))?;
                used.insert(index);
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Param(index));
                rest = &rest[end + 1..];
                continue;
            }
            '}' => return Err("a `}` without its `{`".to_owned()),
            '\'' | '"' if quote == Some(next) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(next),
            _ => {}
        }
        plain.push(next);
        rest = &rest[next.len_utf8()..];
    }
    pieces.push(Piece::Text(plain));
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    match params.iter().enumerate().find(|(index, _)| !used.contains(index)) {
        Some((_, (name, _))) => Err(format!("param `{name}` is not in the text")),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Acting;
    use super::*;

    fn parse(text: &str, params: &[&str], columns: &[&str]) -> Result<Template, String> {
        let permit = Permit { name: "t".to_owned(), acting: Acting::Admin, mutates: true, steps: vec![] };
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        Template::parse(permit, text, &own(params), &own(columns))
    }

    #[test]
    fn a_template_is_cut_at_its_placeholders() {
        let template = parse("ALTER ROLE {r} PASSWORD {v}", &["r:identifier", "v:secret:scram-sha-256"], &[]).unwrap();
        let text = |t: &str| Piece::Text(t.to_owned());
        let expected = vec![text("ALTER ROLE "), Piece::Param(0), text(" PASSWORD "), Piece::Param(1), text("")];
        assert_eq!(template.pieces, expected);
        assert!(!template.binds);
        assert!(parse("select {{1}} as a", &[], &["a"]).unwrap().binds);
    }

    #[test]
    fn what_could_smuggle_a_statement_is_refused() {
        for (sentence, text, params, columns, expected) in [
            ("a second statement", "SELECT 1; DROP ROLE x", &[][..], &[][..], "`;` is refused"),
            ("a comment", "SELECT 1 -- x", &[], &[], "`--` is refused"),
            ("dollar quotes", "DO $$x$$", &[], &[], "`$` is refused"),
            ("a placeholder in quotes", "SELECT '{x}'", &["x:value"], &[], "inside quotes"),
            ("a placeholder in a quoted name", "SELECT \"{x}\"", &["x:value"], &[], "inside quotes"),
            ("an unlisted placeholder", "SELECT {x}", &[], &[], "not in params"),
            ("a listed one that is not used", "SELECT 1", &["x:value"], &[], "not in the text"),
            ("an open brace", "SELECT {x", &["x:value"], &[], "without its `}`"),
            ("a closing brace", "SELECT x}", &[], &[], "without its `{`"),
            ("an open quote", "SELECT 'x", &[], &[], "not closed"),
            ("an unknown type", "SELECT {x}", &["x:number"], &[], "the type is"),
            ("a form for what is no secret", "SELECT {x}", &["x:value:raw"], &[], "the type is"),
            ("columns of a utility statement", "DROP ROLE {x}", &["x:identifier"], &["a"], "returns no columns"),
        ] {
            let problem = parse(text, params, columns).expect_err(sentence);
            assert!(problem.contains(expected), "{sentence}: {problem}");
        }
    }
}
