//! A core module and its `plugin.toml` become a component that carries its manifest.

use crate::catalog::{Inspection, inspect};
use crate::manifest::{Manifest, ManifestError, SECTION};
use std::borrow::Cow;
use wasm_encoder::{ComponentSection, CustomSection};
use wit_component::ComponentEncoder;

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The manifest is at fault.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The module is no core module built against the contract.
    #[error("the module makes no component: {0}")]
    Module(String),
    /// Module and manifest contradict each other.
    #[error("the component contradicts its manifest: {}", .0.join("; "))]
    Disagrees(Vec<String>),
}

/// Packs a core module (wasm32-unknown-unknown, built with wit-bindgen) with its manifest.
///
/// # Errors
/// When either is at fault, or they contradict each other; nothing is written.
pub fn pack(module: &[u8], manifest: &str) -> Result<(Vec<u8>, Inspection), PackError> {
    let component = encode(module, manifest)?;
    let inspection = inspect(&component);
    if inspection.problems.is_empty() {
        Ok((component, inspection))
    } else {
        Err(PackError::Disagrees(inspection.problems))
    }
}

/// As [`pack`], without holding module and manifest against each other: for the hostile components of the tests.
///
/// # Errors
/// When either is at fault.
pub fn encode(module: &[u8], manifest: &str) -> Result<Vec<u8>, PackError> {
    let section = Manifest::section_of_toml(manifest)?;
    let wrong = |error: &dyn std::fmt::Display| PackError::Module(error.to_string());
    let mut component = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| wrong(&format!("{error:#}")))?;
    CustomSection { name: Cow::Borrowed(SECTION), data: Cow::Borrowed(&section) }.append_to_component(&mut component);
    Ok(component)
}
