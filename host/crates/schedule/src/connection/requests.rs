//! Requests that an HTTP connection lets pass where a plugin leaves the choice open. Parses; sends nothing.

use crate::diagnostic::Diagnostic;
use crate::units::{listed, shortened};
use crate::yaml::{Kind, Node, Reader};

/// Keys of an entry of `endpoints`.
pub(super) const REQUEST_KEYS: &[&str] = &["method", "path", "query", "params", "captures"];

/// Most requests of one connection.
const MAX_REQUESTS: usize = 256;

const METHODS: &[(&str, &str)] =
    &[("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("HEAD", "HEAD")];

/// A kind of request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedRequest {
    /// The method, upper case.
    pub method: String,
    /// The path from the origin, with `{parameters}` that are segments or parts of one.
    pub path: String,
    /// Names of query parameters that may be sent.
    pub query: Vec<String>,
    /// What each parameter of the path is, by name.
    pub params: Vec<(String, Param)>,
    /// Locators of secrets that may be taken out of the answer.
    pub captures: Vec<String>,
}

/// What a parameter of a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Param {
    /// An identity at the target: it must fit the connection's `identities`.
    Identity,
    /// Any value.
    Value,
}

/// Reads `endpoints`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<AllowedRequest>> {
    let before = reader.problems.len();
    let requests = reader.list(node, "`endpoints`", request)?;
    if requests.len() > MAX_REQUESTS {
        let message = format!("more than {MAX_REQUESTS} endpoints");
        reader.push(Diagnostic::new("too-many", node.span, message));
    }
    (reader.problems.len() == before).then_some(requests)
}

fn request(reader: &mut Reader<'_>, node: &Node) -> Option<AllowedRequest> {
    let fields = reader.fields(node, "the endpoint", REQUEST_KEYS)?;
    let method = reader.need(&fields, "method").and_then(|node| reader.choice(node, "`method`", METHODS));
    let path = reader.need(&fields, "path").and_then(|node| path(reader, node));
    let mut texts = |key: &str| match fields.get(key) {
        Some(node) => {
            reader.set(node, &format!("`{key}`"), |reader, item| reader.text(item, "this").map(str::to_owned))
        }
        None => Some(Vec::new()),
    };
    let (query, captures) = (texts("query"), texts("captures"));
    let params = fields.get("params").map_or(Some(Vec::new()), |node| params(reader, node));
    let (path, names) = path?;
    let params = params?;
    let typed: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !typed.contains(&name.as_str())) {
        let at = fields.get("path").map_or(fields.span, |node| node.span);
        let problem = Diagnostic::new("missing-key", at, format!("`params` does not say what `{{{name}}}` is"));
        reader.push(problem.expected("`identity` or `value` for each parameter of the path"));
    }
    if let Some(name) = typed.iter().find(|name| !names.iter().any(|known| known == *name)) {
        let at = fields.get("params").and_then(|node| node.get(name)).map_or(fields.span, |node| node.span);
        reader.push(Diagnostic::new("conflict", at, format!("the path has no parameter `{{{name}}}`")));
    }
    Some(AllowedRequest { method: method?.to_owned(), path, query: query?, params, captures: captures? })
}

fn params(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<(String, Param)>> {
    let Kind::Map(entries) = &node.kind else {
        reader.wrong(node, "`params`", "a mapping from each parameter of the path to `identity` or `value`");
        return None;
    };
    let kinds = [("identity", Param::Identity), ("value", Param::Value)];
    let read = |(key, value): &(crate::yaml::Key, Node)| {
        Some((key.text().to_owned(), reader.choice(value, "a parameter", &kinds)?))
    };
    let mut params: Vec<_> = entries.iter().map(read).collect::<Option<_>>()?;
    params.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some(params)
}

/// A path and the names of its parameters.
fn path(reader: &mut Reader<'_>, node: &Node) -> Option<(String, Vec<String>)> {
    let text = reader.text(node, "`path`")?;
    let names = names(text);
    if let Err(why) = &names {
        let message = format!("`{}` {why}", shortened(text));
        let problem = Diagnostic::new("bad-path", node.span, message);
        reader.push(problem.expected(format!("a path such as {}", listed(&["/api/users/{user}/tokens"], "or"))));
    }
    names.ok().map(|names| (text.to_owned(), names))
}

fn names(path: &str) -> Result<Vec<String>, &'static str> {
    let rest = path.strip_prefix('/').ok_or("does not begin with a slash")?;
    let mut names = Vec::new();
    for segment in rest.split('/') {
        let (before, name, after) = match segment.split_once('{') {
            None => (segment, None, ""),
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}').ok_or("has a `{` without its `}`")?;
                (before, Some(name), after)
            }
        };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b));
        if !plain(before) || !plain(after) || matches!(segment, "." | "..") {
            return Err("has more than plain segments with one parameter each");
        }
        let Some(name) = name else { continue };
        let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || !letters {
            return Err("has a parameter whose name is not of lower-case letters, digits and dashes");
        }
        names.push(name.to_owned());
    }
    Ok(names)
}
