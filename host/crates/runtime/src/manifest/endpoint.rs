//! HTTP endpoints: a method and a path pattern. A path that could be read in two ways fits nothing.

use super::Permit;
use std::fmt;

/// What may stand in a path parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParamType {
    Identity,
    Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(String),
    /// Text before, the parameter, text after.
    Param(String, usize, String),
}

/// A path with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// `{x*}` at the end: one or more whole segments.
    tail: bool,
    names: Vec<String>,
}

/// One endpoint of a manifest or of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name, acting and steps.
    pub permit: Permit,
    /// Upper case.
    pub method: String,
    /// The path.
    pub path: PathPattern,
    /// Names of query parameters that may be sent.
    pub query: Vec<String>,
    types: Vec<ParamType>,
    /// Locators that may be captured.
    pub captures: Vec<String>,
}

/// How a request fits an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Decoded path parameters that must match the connection's identities.
    pub identities: Vec<String>,
}

impl Endpoint {
    pub(super) fn parse(
        permit: Permit,
        method: &str,
        path: &str,
        query: &[String],
        params: &[String],
        captures: &[String],
    ) -> Result<Self, String> {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(format!("method `{}`: expected one in upper case", method.escape_debug()));
        }
        let path = PathPattern::parse(path)?;
        let types = path.types(params)?;
        for locator in captures {
            if locator != "*" {
                crate::capabilities::http::locator::Locator::parse(locator)?;
            }
        }
        Ok(Self { permit, method: method.to_owned(), path, query: query.to_vec(), types, captures: captures.to_vec() })
    }

    /// An endpoint as a connection lists it: concrete, and narrower than what a manifest asks.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case fragment.
    pub fn concrete(
        method: &str,
        path: &str,
        query: &[String],
        params: &[String],
        captures: &[String],
    ) -> Result<Self, String> {
        let permit = Permit { name: path.to_owned(), acting: super::Acting::Nobody, mutates: false, steps: Vec::new() };
        let endpoint = Self::parse(permit, method, path, query, params, captures)?;
        if endpoint.is_open() { Err("a connection lists concrete endpoints only".to_owned()) } else { Ok(endpoint) }
    }

    /// Whether it leaves path or captures to the connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.path.tail || self.captures.iter().any(|locator| locator == "*")
    }

    /// Whether the request fits, and with which identities.
    #[must_use]
    pub fn fits(&self, method: &str, target: &str) -> Option<Fit> {
        if method != self.method {
            return None;
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let values = self.path.matches(path)?;
        if !query.is_none_or(|query| self.query_fits(query)) {
            return None;
        }
        let identities = values
            .into_iter()
            .filter(|(index, _)| self.types.get(*index) == Some(&ParamType::Identity))
            .map(|(_, value)| value)
            .collect();
        Some(Fit { identities })
    }

    /// Whether a capture is listed.
    #[must_use]
    pub fn captures(&self, locator: &str) -> bool {
        self.captures.iter().any(|listed| listed == "*" || listed == locator)
    }

    fn query_fits(&self, query: &str) -> bool {
        query.split('&').all(|pair| {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            is_plain(pair, b"/?") && self.query.iter().any(|listed| listed == name)
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => write!(f, "/{text}")?,
                Segment::Param(before, index, after) => {
                    write!(f, "/{before}{{{}}}{after}", self.names.get(*index).map_or("?", String::as_str))?;
                }
            }
        }
        if self.tail { write!(f, "/{{{}*}}", self.names.last().map_or("?", String::as_str)) } else { Ok(()) }
    }
}

impl PathPattern {
    /// Reads `/a/{b}/c('{d}')/{e*}`.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or_else(|| format!("path `{text}` does not begin with `/`"))?;
        let mut pattern = Self { segments: Vec::new(), tail: false, names: Vec::new() };
        for segment in rest.split('/') {
            if pattern.tail {
                return Err("`{x*}` stands only at the end".to_owned());
            }
            pattern.segment(segment)?;
        }
        Ok(pattern)
    }

    fn segment(&mut self, segment: &str) -> Result<(), String> {
        let Some((before, rest)) = segment.split_once('{') else {
            if segment.contains('}') || !is_plain(segment, b"") {
                return Err(format!("path segment `{segment}` is not plain"));
            }
            self.segments.push(Segment::Text(segment.to_owned()));
            return Ok(());
        };
        let (name, after) = rest.split_once('}').ok_or("a `{` without its `}`")?;
        if after.contains(['{', '}']) {
            return Err(format!("path segment `{segment}` has more than one parameter"));
        }
        let bare = name.strip_suffix('*').unwrap_or(name);
        if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(format!("`{{{name}}}`: expected lower-case letters, digits and dashes"));
        }
        if !is_plain(before, b"") || !is_plain(after, b"") {
            return Err(format!("path segment `{segment}` is not plain"));
        }
        self.names.push(bare.to_owned());
        if bare.len() < name.len() {
            if !before.is_empty() || !after.is_empty() {
                return Err(format!("`{{{name}}}` takes whole segments"));
            }
            self.tail = true;
        } else {
            self.segments.push(Segment::Param(before.to_owned(), self.names.len() - 1, after.to_owned()));
        }
        Ok(())
    }

    fn types(&self, params: &[String]) -> Result<Vec<ParamType>, String> {
        let mut types = vec![None; self.names.len()];
        for param in params {
            let (name, kind) = param.split_once(':').unwrap_or((param, ""));
            let index = self
                .names
                .iter()
                .position(|n| n == name)
                .ok_or_else(|| format!("param `{name}` is not in the path"))?;
            types[index] = Some(match kind {
                "identity" => ParamType::Identity,
                "value" => ParamType::Value,
                _ => return Err(format!("param `{param}`: the type is identity or value")),
            });
        }
        let missing = |index: usize| format!("`{{{}}}` is not in params", self.names[index]);
        types.into_iter().enumerate().map(|(index, kind)| kind.ok_or_else(|| missing(index))).collect()
    }

    /// The decoded parameters of a path that fits.
    fn matches(&self, path: &str) -> Option<Vec<(usize, String)>> {
        let given: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let fixed = self.segments.len();
        if (self.tail && given.len() <= fixed) || (!self.tail && given.len() != fixed) {
            return None;
        }
        let mut values = Vec::new();
        for (segment, given) in self.segments.iter().zip(&given) {
            if !is_safe(given) {
                return None;
            }
            match segment {
                Segment::Text(text) if text == given => {}
                Segment::Param(before, index, after) => {
                    let value = given.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    values.push((*index, decode(value).filter(|value| !value.is_empty())?));
                }
                Segment::Text(_) => return None,
            }
        }
        for given in &given[fixed..] {
            if given.is_empty() || !is_safe(given) {
                return None;
            }
        }
        if self.tail {
            values.push((self.names.len() - 1, decode(&given[fixed..].join("/"))?));
        }
        Some(values)
    }
}

/// Only `pchar` of RFC 3986 section 3.3 (and `more`), every `%` followed by two hex digits.
fn is_plain(text: &str, more: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => matches!(bytes.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)),
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        | b':' | b'@' => true,
        byte => byte.is_ascii_alphanumeric() || more.contains(byte),
    })
}

/// A segment that every server reads as one segment of just this text.
fn is_safe(segment: &str) -> bool {
    is_plain(segment, b"")
        && decode(segment).is_some_and(|text| {
            text != "."
                && text != ".."
                && !text.contains(['/', '\\', '?', '#', '%'])
                && !text.contains(char::is_control)
        })
}

/// Percent-decoded text; none if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Acting;
    use super::*;

    fn endpoint(path: &str, params: &[&str]) -> Result<Endpoint, String> {
        let permit = Permit { name: "e".to_owned(), acting: Acting::Admin, mutates: true, steps: vec![] };
        let params: Vec<String> = params.iter().map(|p| (*p).to_owned()).collect();
        Endpoint::parse(permit, "POST", path, &["limit".to_owned()], &params, &[])
    }

    #[test]
    fn a_path_fits_only_as_it_is_meant() {
        let tokens = endpoint("/hub/api/users/{user}/tokens", &["user:identity"]).unwrap();
        let odata = endpoint("/v1/apps(appId='{id}')/add", &["id:value"]).unwrap();
        let open = endpoint("/api/{rest*}", &["rest:value"]).unwrap();
        for (sentence, endpoint, path, expected) in [
            ("the path itself", &tokens, "/hub/api/users/app/tokens", Some(vec!["app"])),
            ("an encoded letter is decoded", &tokens, "/hub/api/users/%61pp/tokens", Some(vec!["app"])),
            ("an encoded slash", &tokens, "/hub/api/users/a%2Fb/tokens", None),
            ("a double encoding", &tokens, "/hub/api/users/a%252Fb/tokens", None),
            ("dots", &tokens, "/hub/api/users/../tokens", None),
            ("encoded dots", &tokens, "/hub/api/users/%2e%2E/tokens", None),
            ("an empty parameter", &tokens, "/hub/api/users//tokens", None),
            ("a longer path", &tokens, "/hub/api/users/app/tokens/1", None),
            ("a fragment", &tokens, "/hub/api/users/app/tokens#x", None),
            ("a listed query", &tokens, "/hub/api/users/app/tokens?limit=5", Some(vec!["app"])),
            ("another query", &tokens, "/hub/api/users/app/tokens?limit=5&as=root", None),
            ("a backslash", &tokens, "/hub/api/users/a\\b/tokens", None),
            ("a control character", &tokens, "/hub/api/users/a%0Ab/tokens", None),
            ("a parameter within a segment", &odata, "/v1/apps(appId='7')/add", Some(vec![])),
            ("without its frame", &odata, "/v1/apps(appId=7)/add", None),
            ("whole segments", &open, "/api/a/b", Some(vec![])),
            ("no segment", &open, "/api", None),
            ("dots in whole segments", &open, "/api/a/../b", None),
        ] {
            let fit = endpoint.fits("POST", path).map(|fit| fit.identities);
            let expected = expected.map(|list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(fit, expected, "{sentence}: {path}");
        }
        assert_eq!(tokens.fits("GET", "/hub/api/users/app/tokens"), None, "another method");
    }

    #[test]
    fn a_pattern_says_the_type_of_each_parameter() {
        for (path, params, expected) in [
            ("a/b", &[][..], "does not begin"),
            ("/a/{b}", &[], "not in params"),
            ("/a", &["b:value"], "not in the path"),
            ("/a/{b}", &["b:text"], "identity or value"),
            ("/{a*}/b", &["a:value"], "only at the end"),
            ("/{a}{b}", &["a:value", "b:value"], "more than one"),
            ("/a b", &[], "not plain"),
        ] {
            let problem = endpoint(path, params).expect_err(path);
            assert!(problem.contains(expected), "{path}: {problem}");
        }
    }
}
