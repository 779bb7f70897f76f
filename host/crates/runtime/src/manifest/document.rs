//! The manifest as written: `plugin.toml`, or JSON in the component's section. Unknown keys are errors.

use super::{Acting, CONTRACT, Endpoint, INTERFACES, Manifest, Permit, Stage, Template};
use crate::limits::{self, Limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The name of the component's custom section.
pub const SECTION: &str = "keybaton:manifest";
/// Statements and endpoints of one plugin.
const PERMITS: usize = 64;
/// Bytes of one statement or path.
const TEXT: usize = 4 << 10;
/// Characters of the summary.
const SUMMARY: usize = 200;

/// A manifest that cannot be used, with all its problems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML or JSON of the right shape.
    #[error("the manifest does not parse: {detail}")]
    Shape {
        /// What the parser said, with its place.
        detail: String,
    },
    /// It parses but makes no sense.
    #[error("the manifest is not usable: {}", problems.join("; "))]
    Problems {
        /// Lower-case fragments.
        problems: Vec<String>,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    name: String,
    version: String,
    contract: String,
    summary: String,
    imports: BTreeSet<String>,
    #[serde(default)]
    reveal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsAsked>,
    #[serde(default, skip_serializing_if = "Sql::is_empty")]
    sql: Sql,
    #[serde(default, skip_serializing_if = "Http::is_empty")]
    http: Http,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsAsked {
    fuel: Option<u64>,
    memory_bytes: Option<usize>,
    host_calls: Option<u32>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sql {
    #[serde(default)]
    template: Vec<TemplateText>,
}

impl Sql {
    fn is_empty(&self) -> bool {
        self.template.is_empty()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateText {
    name: String,
    text: String,
    #[serde(default)]
    params: Vec<String>,
    #[serde(default)]
    columns: Vec<String>,
    acting: String,
    mutates: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    #[serde(default)]
    endpoint: Vec<EndpointText>,
}

impl Http {
    fn is_empty(&self) -> bool {
        self.endpoint.is_empty()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointText {
    name: String,
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<String>,
    #[serde(default)]
    params: Vec<String>,
    acting: String,
    mutates: bool,
    #[serde(default)]
    captures: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
}

impl Document {
    pub(super) fn from_toml(text: &str) -> Result<Self, ManifestError> {
        toml::from_str(text).map_err(|error| ManifestError::Shape { detail: error.to_string().trim_end().to_owned() })
    }

    pub(super) fn from_section(bytes: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice(bytes).map_err(|error| ManifestError::Shape { detail: error.to_string() })
    }

    pub(super) fn to_section(&self) -> Result<Vec<u8>, ManifestError> {
        // Fields in the order of their declaration, sets sorted: the same manifest always gives the same bytes.
        serde_json::to_vec(self).map_err(|error| ManifestError::Shape { detail: error.to_string() })
    }

    pub(super) fn check(self) -> Result<Manifest, ManifestError> {
        let mut problems = Vec::new();
        let limits = self.limits(&mut problems);
        self.words(&mut problems);
        let templates: Vec<Template> =
            self.sql.template.iter().filter_map(|text| keep(template(text), &mut problems)).collect();
        let endpoints: Vec<Endpoint> =
            self.http.endpoint.iter().filter_map(|text| keep(endpoint(text), &mut problems)).collect();
        self.names(&mut problems);
        let name = keep(self.name.parse().map_err(|error| format!("name: {error}")), &mut problems);
        let version = keep(self.version.parse().map_err(|error| format!("version: {error}")), &mut problems);
        match (name, version) {
            (Some(name), Some(version)) if problems.is_empty() => Ok(Manifest {
                name,
                version,
                contract: self.contract,
                summary: self.summary,
                imports: self.imports,
                templates,
                endpoints,
                limits,
            }),
            _ => Err(ManifestError::Problems { problems }),
        }
    }

    fn words(&self, problems: &mut Vec<String>) {
        if self.contract != CONTRACT {
            problems.push(format!(
                "it is built for contract {}, this host speaks {CONTRACT}",
                limits::cut(&self.contract, 40)
            ));
        }
        if self.summary.is_empty() || self.summary.chars().count() > SUMMARY || self.summary.contains(char::is_control)
        {
            problems.push(format!("summary: expected one line of at most {SUMMARY} characters"));
        }
        for import in &self.imports {
            if !INTERFACES.contains(&import.as_str()) {
                problems.push(format!("imports: `{}` is none of {}", limits::cut(import, 40), INTERFACES.join(", ")));
            }
        }
        if self.reveal != self.imports.contains("reveal") {
            problems.push("`reveal = true` and \"reveal\" in imports go together".to_owned());
        }
        for (import, section, used) in
            [("sql", "sql.template", !self.sql.is_empty()), ("http", "http.endpoint", !self.http.is_empty())]
        {
            if used != self.imports.contains(import) {
                problems.push(format!("`{import}` in imports and [[{section}]] go together"));
            }
        }
    }

    fn names(&self, problems: &mut Vec<String>) {
        for (what, names) in [
            ("sql.template", self.sql.template.iter().map(|t| t.name.as_str()).collect::<Vec<_>>()),
            ("http.endpoint", self.http.endpoint.iter().map(|e| e.name.as_str()).collect()),
        ] {
            if names.len() > PERMITS {
                problems.push(format!("{what}: more than {PERMITS}"));
            }
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name) {
                    problems.push(format!("{what}: `{}` is there twice", limits::cut(name, 64)));
                }
            }
        }
    }

    fn limits(&self, problems: &mut Vec<String>) -> Limits {
        let defaults = Limits::default();
        let Some(asked) = self.limits else { return defaults };
        let limits = Limits {
            fuel: asked.fuel.unwrap_or(defaults.fuel),
            memory_bytes: asked.memory_bytes.unwrap_or(defaults.memory_bytes),
            host_calls: asked.host_calls.unwrap_or(defaults.host_calls),
        };
        for (what, asked, most) in [
            ("fuel", limits.fuel, limits::FUEL_CEILING),
            ("memory-bytes", limits.memory_bytes as u64, limits::MEMORY_BYTES as u64),
            ("host-calls", u64::from(limits.host_calls), u64::from(limits::HOST_CALLS_CEILING)),
        ] {
            if asked == 0 || asked > most {
                problems.push(format!("limits: {what} is {asked}, expected 1 to {most}"));
            }
        }
        limits
    }
}

fn keep<T>(result: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn permit(name: &str, acting: &str, mutates: bool, steps: &[String]) -> Result<Permit, String> {
    // A plugin name and a permit's name follow the same grammar.
    let checked: keybaton_protocol::ids::PluginName =
        name.parse().map_err(|_| format!("`{}` is no name for a statement or endpoint", limits::cut(name, 64)))?;
    let acting = match acting {
        "none" => Acting::Nobody,
        "admin" => Acting::Admin,
        "candidate" => Acting::Candidate,
        other => return Err(format!("{name}: acting `{}` is none of none, admin, candidate", limits::cut(other, 40))),
    };
    let steps = steps
        .iter()
        .map(|step| {
            Stage::from_name(step).ok_or_else(|| format!("{name}: there is no step `{}`", limits::cut(step, 40)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let permit = Permit { name: checked.as_str().to_owned(), acting, mutates, steps };
    for step in &permit.steps {
        permit.allows(*step, acting).map_err(|problem| format!("{name}: steps: {problem}"))?;
    }
    Ok(permit)
}

fn template(text: &TemplateText) -> Result<Template, String> {
    let permit = permit(&text.name, &text.acting, text.mutates, &text.steps)?;
    if text.text.len() > TEXT {
        return Err(format!("{}: more than {TEXT} bytes", text.name));
    }
    Template::parse(permit, &text.text, &text.params, &text.columns).map_err(|why| format!("{}: {why}", text.name))
}

fn endpoint(text: &EndpointText) -> Result<Endpoint, String> {
    let permit = permit(&text.name, &text.acting, text.mutates, &text.steps)?;
    if text.path.len() > TEXT {
        return Err(format!("{}: more than {TEXT} bytes", text.name));
    }
    Endpoint::parse(permit, &text.method, &text.path, &text.query, &text.params, &text.captures)
        .map_err(|why| format!("{}: {why}", text.name))
}
