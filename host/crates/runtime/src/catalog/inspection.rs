//! Looking at a component without running it: what it is, what it asks, and where it contradicts itself.

use super::digest_of;
use crate::limits;
use crate::manifest::{CONTRACT, INTERFACES, Manifest, SECTION};
use keybaton_protocol::ids::Digest;
use wasmparser::{Encoding, Parser, Payload, Validator};

/// The package of the contract.
const PACKAGE: &str = "keybaton:rotator/";

/// What a component file is.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its size.
    pub bytes: usize,
    /// Its manifest, if it has a usable one.
    pub manifest: Option<Manifest>,
    /// What it imports, with versions.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Why it would not load, as lower-case fragments; empty for a sound one.
    pub problems: Vec<String>,
}

/// Looks at a component. Nothing in it runs.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut inspection = Inspection {
        digest: digest_of(bytes),
        bytes: bytes.len(),
        manifest: None,
        imports: Vec::new(),
        exports: Vec::new(),
        problems: Vec::new(),
    };
    if bytes.len() > limits::COMPONENT_BYTES {
        inspection.problems.push(format!(
            "it has {} bytes, at most {} are allowed",
            bytes.len(),
            limits::COMPONENT_BYTES
        ));
        return inspection;
    }
    if let Err(problem) = read(bytes, &mut inspection) {
        inspection.problems.push(problem);
        return inspection;
    }
    if let Err(error) = Validator::new().validate_all(bytes) {
        inspection.problems.push(format!("it is not a valid component: {}", error.message()));
    }
    compare(&mut inspection);
    inspection
}

/// The outermost sections only: what is nested is the component's own affair.
fn read(bytes: &[u8], inspection: &mut Inspection) -> Result<(), String> {
    let mut depth = 0_u32;
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| format!("it is no wasm, or cut off: {}", error.message()))?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("it is a core module, not a component: `keybaton plugin pack` makes one".to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(reader) if depth == 0 => {
                for import in reader {
                    let import = import.map_err(|error| error.message().to_owned())?;
                    inspection.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(reader) if depth == 0 => {
                for export in reader {
                    let export = export.map_err(|error| error.message().to_owned())?;
                    inspection.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                sections.push(section.data());
            }
            _ => {}
        }
    }
    match sections.as_slice() {
        [] => inspection.problems.push(format!("it carries no manifest (section `{SECTION}`)")),
        [section] => match Manifest::from_section(section) {
            Ok(manifest) => inspection.manifest = Some(manifest),
            Err(error) => inspection.problems.push(error.to_string()),
        },
        _ => inspection.problems.push("it carries more than one manifest".to_owned()),
    }
    Ok(())
}

/// Holds imports and exports against contract and manifest.
fn compare(inspection: &mut Inspection) {
    let mut problems = Vec::new();
    let mut imported = Vec::new();
    for import in &inspection.imports {
        let ours = import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
        match ours {
            Some((_, version)) if version != CONTRACT => {
                problems.push(format!("it imports `{import}`, this host speaks contract {CONTRACT}"));
            }
            Some(("types", _)) => {}
            Some((interface, _)) if INTERFACES.contains(&interface) => imported.push(interface.to_owned()),
            _ => problems.push(format!("it imports `{import}`, which this host does not have")),
        }
    }
    if let Some(manifest) = &inspection.manifest {
        for interface in imported.iter().filter(|interface| !manifest.imports.contains(*interface)) {
            problems.push(format!("it imports `{interface}`, but its manifest does not say so"));
        }
        for interface in manifest.imports.iter().filter(|interface| !imported.contains(interface)) {
            problems.push(format!("its manifest asks for `{interface}`, but it does not import that"));
        }
    }
    let export = format!("{PACKAGE}rotator@{CONTRACT}");
    if !inspection.exports.contains(&export) {
        let found = inspection.exports.iter().find(|name| name.starts_with(PACKAGE));
        problems.push(match found {
            Some(other) => format!("it exports `{other}`, this host speaks `{export}`"),
            None => format!("it does not export `{export}`"),
        });
    }
    inspection.problems.extend(problems);
}
