//! Declarations under `schedules/`: texts to specs, with everything that is wrong with all of them. Opens no file.

mod cadence;
mod check;
mod consumers;
mod policy;
mod refer;
mod secret;
mod settings;
mod share;

pub(crate) use consumers::usual_evidence;
pub use policy::default_policy;

use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Problems, Sources, Span, render};
use crate::spec::Spec;
use crate::yaml::{Kind, Node, Reader, documents};
use share::Shared;

/// Keys of a file.
const FILE_KEYS: &[&str] = &["secrets"];

/// Every kind of mapping of the format, by its name in the schema, and its keys.
pub const KEYS: &[(&str, &[&str])] = &[
    ("File", FILE_KEYS),
    ("Secret", secret::SECRET_KEYS),
    ("CadenceFields", cadence::CADENCE_KEYS),
    ("WindowFields", cadence::WINDOW_KEYS),
    ("StaggerFields", secret::STAGGER_KEYS),
    ("OverlapFields", policy::OVERLAP_KEYS),
    ("ConsumerFields", consumers::CONSUMER_KEYS),
    ("StragglersFields", policy::STRAGGLERS_KEYS),
    ("WavesFields", policy::WAVES_KEYS),
    ("LimitsFields", policy::LIMITS_KEYS),
    ("AttemptsFields", policy::ATTEMPTS_KEYS),
];

/// A text to read, with the name that diagnostics give it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'t> {
    /// The file's name.
    pub name: &'t str,
    /// What is in it.
    pub text: &'t str,
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The specs, in the order of the files; with any diagnostic, those that could be read.
    pub specs: Vec<Spec>,
    /// All that is wrong, by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts.
    pub sources: Sources,
}

impl Loaded {
    /// The diagnostics as text for people.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        render(&self.diagnostics, &self.sources, colour)
    }

    /// Turns something that is wrong with a spec into a diagnostic at its line and column.
    ///
    /// `pointer` is a JSON pointer (RFC 6901) from the secret's mapping, such as `/settings/role`; what it does not
    /// lead to is shown at the nearest value above it.
    #[must_use]
    pub fn finding(&self, spec: &Spec, pointer: &str, code: &'static str, message: &str) -> Diagnostic {
        let mut problems = Problems::default();
        problems.push(Diagnostic::new(code, self.span_of(spec, pointer), message));
        problems.finish(&self.sources).remove(0)
    }

    /// Where the value stands that a JSON pointer leads to from the secret's mapping.
    #[must_use]
    pub fn span_of(&self, spec: &Spec, pointer: &str) -> Span {
        let file = spec.origin.file;
        let documents = documents(self.sources.text(file), file, &mut Problems::default());
        let secrets = documents.iter().filter_map(|document| document.get("secrets"));
        let nodes = secrets.flat_map(|node| match &node.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Scalar(_) | Kind::Map(_) => &[],
        });
        let mut found = nodes.filter(|node| node.span == spec.origin);
        found.next().map_or(spec.origin, |node| node.follow(pointer).span)
    }
}

/// Reads declarations. All errors of all files come together.
#[must_use]
pub fn load(inputs: &[Input<'_>], catalog: &Catalog) -> Loaded {
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let mut shared = Shared::default();
    let mut declared = Vec::new();
    for input in inputs {
        let file = sources.add(input.name, input.text);
        for document in documents(input.text, file, &mut problems) {
            let mut reader = Reader { problems: &mut problems };
            for node in entries(&mut reader, &document, "secrets", FILE_KEYS) {
                declared.extend(secret::read(&mut reader, &mut shared, catalog, node));
            }
        }
    }
    let specs = check::all(declared, &mut problems);
    Loaded { specs, diagnostics: problems.finish(&sources), sources }
}

/// The list under the one key of a document.
pub(crate) fn entries<'n>(
    reader: &mut Reader<'_>,
    document: &'n Node,
    key: &'static str,
    known: &'static [&'static str],
) -> &'n [Node] {
    if let Kind::Scalar(scalar) = &document.kind
        && scalar.plain
        && scalar.text.is_empty()
    {
        return &[]; // an empty document
    }
    let Some(fields) = reader.fields(document, "the file", known) else { return &[] };
    match reader.need(&fields, key) {
        Some(Node { kind: Kind::List(items), .. }) => items,
        Some(node) => {
            reader.wrong(node, &format!("`{key}`"), "a list");
            &[]
        }
        None => &[],
    }
}
