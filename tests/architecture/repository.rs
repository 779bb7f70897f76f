//! Where the project is and what files it has. Build products and other people's packages are not part of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold what tools have made.
const MADE_BY_TOOLS: [&str; 3] = ["target", ".git", "node_modules"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the project")
}

/// Every file below `folder` as a path relative to it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    visit(folder, &mut found);
    let mut relative: Vec<PathBuf> =
        found.iter().map(|path| path.strip_prefix(folder).expect("found below it").to_owned()).collect();
    relative.sort();
    relative
}

/// The folders directly below `folder` that are cargo packages, sorted.
pub(crate) fn packages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.join("Cargo.toml").is_file()).collect();
    packages.sort();
    packages
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
}

/// Fails with every breach of a rule at once.
#[track_caller]
pub(crate) fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n  {}", breaches.len(), breaches.join("\n  "));
}

fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("could not read {}: {error}", folder.display())) {
        let path = entry.expect("a folder's entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !MADE_BY_TOOLS.contains(&name) {
            visit(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}
