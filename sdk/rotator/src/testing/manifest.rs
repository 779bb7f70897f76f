//! A plugin's manifest, as far as calls are held to it in native tests. The host has the last word on manifests.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    #[serde(default)]
    sql: Sql,
    #[serde(default)]
    http: Http,
}

#[derive(Debug, Default, Deserialize)]
struct Sql {
    template: Vec<Template>,
}

#[derive(Debug, Default, Deserialize)]
struct Http {
    endpoint: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Template {
    name: String,
    text: String,
    pub(super) params: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) acting: String,
    mutates: bool,
    #[serde(default)]
    steps: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    method: String,
    path: String,
    acting: String,
    mutates: bool,
    #[serde(default)]
    captures: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
}

impl Manifest {
    pub(super) fn parse(plugin_toml: &str) -> Self {
        let manifest: Self = toml::from_str(plugin_toml).expect("plugin.toml parses");
        manifest.sql.template.iter().for_each(Template::check);
        manifest
    }

    pub(super) fn template(&self, name: &str) -> &Template {
        let known: BTreeMap<_, _> =
            self.sql.template.iter().map(|template| (template.name.as_str(), template)).collect();
        known.get(name).unwrap_or_else(|| panic!("plugin.toml has no statement `{name}`, only {:?}", known.keys()))
    }

    /// Whether an endpoint allows this request in this step.
    pub(super) fn allows(&self, method: &str, path: &str, acting: &str, captures: &[&str], step: &str) -> bool {
        self.http.endpoint.iter().any(|endpoint| {
            endpoint.method == method
                && endpoint.acting == acting
                && fits(&endpoint.path, path)
                && captures.iter().all(|locator| endpoint.captures.iter().any(|known| known == "*" || known == locator))
                && permits(endpoint.mutates, &endpoint.steps, step)
        })
    }
}

impl Template {
    fn check(&self) {
        for param in &self.params {
            let name = param.split(':').next().unwrap_or_default();
            assert!(self.text.contains(&format!("{{{name}}}")), "`{}` does not use `{name}`", self.name);
        }
    }

    /// Type and, where it is fixed, form of the parameter at this position.
    pub(super) fn param(&self, position: usize) -> (&str, Option<&str>) {
        let mut words = self.params[position].splitn(3, ':').skip(1);
        (words.next().unwrap_or_default(), words.next())
    }

    pub(super) fn permits(&self, step: &str) -> bool {
        permits(self.mutates, &self.steps, step)
    }
}

fn permits(mutates: bool, steps: &[String], step: &str) -> bool {
    let read_only = ["preflight", "observe", "verify"].contains(&step);
    !(mutates && read_only) && (steps.is_empty() || steps.iter().any(|allowed| allowed == step))
}

/// Whether a path, without its query, fits a pattern of segments, `{x}` and a last `{x*}`.
fn fits(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut given = path.split('/');
    for wanted in pattern.split('/') {
        if wanted.ends_with("*}") {
            return given.next().is_some_and(|segment| !segment.is_empty());
        }
        let Some(segment) = given.next() else { return false };
        let fits = match (wanted.find('{'), wanted.rfind('}')) {
            (Some(open), Some(close)) => {
                segment.len() > open + wanted.len() - close - 1
                    && segment.starts_with(&wanted[..open])
                    && segment.ends_with(&wanted[close + 1..])
            }
            _ => wanted == segment,
        };
        if !fits {
            return false;
        }
    }
    given.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn paths_fit_their_patterns() {
        for (pattern, path, expected) in [
            ("/a/{x}/b", "/a/1/b", true),
            ("/a/{x}/b", "/a/1/c", false),
            ("/a/{x}/b", "/a/1/b/c", false),
            ("/a/{x}/b", "/a//b", false),
            ("/users('{x}')", "/users('me')", true),
            ("/users('{x}')", "/users('')", false),
            ("/{x*}", "/a/b/c?q=1", true),
            ("/{x*}", "/", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
