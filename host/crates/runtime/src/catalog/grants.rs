//! What an operator granted a plugin: never more than its manifest asks, and nothing it does not ask.

use crate::capabilities::keygen::FLOOR_BITS;
use crate::limits::Limits;
use crate::manifest::Manifest;
use std::collections::BTreeSet;

/// The grants of one approved component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Interfaces that are linked.
    pub imports: BTreeSet<String>,
    /// Statements, by name; their text is pinned by the component's digest.
    pub templates: BTreeSet<String>,
    /// Endpoints, by name.
    pub endpoints: BTreeSet<String>,
    /// Least entropy of a generated password, in bits; below 128 only for a target that cannot hold that.
    pub password_floor_bits: u32,
    /// Limits of each call.
    pub limits: Limits,
}

impl Grants {
    /// Everything that the manifest asks, at the host's floor.
    #[must_use]
    pub fn all_of(manifest: &Manifest) -> Self {
        Self {
            imports: manifest.imports.clone(),
            templates: manifest.templates.iter().map(|template| template.permit.name.clone()).collect(),
            endpoints: manifest.endpoints.iter().map(|endpoint| endpoint.permit.name.clone()).collect(),
            password_floor_bits: FLOOR_BITS,
            limits: manifest.limits,
        }
    }

    pub(crate) fn template(&self, name: &str) -> bool {
        self.templates.contains(name)
    }

    pub(crate) fn endpoint(&self, name: &str) -> bool {
        self.endpoints.contains(name)
    }

    /// Where manifest and grants disagree, for people. Statements and endpoints may be granted in part: a call of
    /// another one is denied. Interfaces may not: a component does not load without them.
    #[must_use]
    pub fn differences(&self, manifest: &Manifest) -> Vec<String> {
        let asked = Self::all_of(manifest);
        let mut differences = Vec::new();
        for import in asked.imports.difference(&self.imports) {
            differences.push(format!("the manifest asks for `{import}`, which is not granted"));
        }
        for (what, granted, asked) in [
            ("interface", &self.imports, &asked.imports),
            ("statement", &self.templates, &asked.templates),
            ("endpoint", &self.endpoints, &asked.endpoints),
        ] {
            for extra in granted.difference(asked) {
                differences.push(format!("the {what} `{extra}` is granted, but the manifest does not ask for it"));
            }
        }
        for (what, granted, asked) in [
            ("fuel", self.limits.fuel, asked.limits.fuel),
            ("memory-bytes", self.limits.memory_bytes as u64, asked.limits.memory_bytes as u64),
            ("host-calls", u64::from(self.limits.host_calls), u64::from(asked.limits.host_calls)),
        ] {
            if granted > asked {
                differences.push(format!("{what}: {granted} is granted, the manifest asks for {asked}"));
            }
        }
        differences
    }
}
