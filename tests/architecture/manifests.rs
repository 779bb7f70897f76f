//! Every crate takes its versions from the workspace's one list and its lints from the workspace; the two pure
//! crates forbid clocks, chance and IO to themselves.

use std::path::{Path, PathBuf};

use crate::repository::{assert_none, files, read, root};

/// Packages outside the workspace: they are built for wasm32, with features of their own.
const OUTSIDE: [&str; 3] = ["plugins", "sdk/rotator", "tests/guests"];
const PURE_CRATES: [&str; 2] = ["host/crates/protocol", "host/crates/schedule"];

/// How a dependency is named without a version of its own; the second is a crate that tests itself with a feature.
const FROM_THE_LIST: [&str; 2] = ["workspace = true", "path = \".\""];

fn members() -> Vec<PathBuf> {
    let manifests = files(root()).into_iter().filter(|path| path.ends_with("Cargo.toml"));
    manifests
        .filter(|path| path.parent() != Some(Path::new("")) && !OUTSIDE.iter().any(|o| path.starts_with(o)))
        .collect()
}

/// Dependencies with a version of their own, and a manifest without the workspace's lints.
fn own_ways(name: &str, manifest: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && line.contains('=')
            && !FROM_THE_LIST.iter().any(|way| line.contains(way))
        {
            breaches.push(format!("{name}: `{line}` is not from the workspace's list"));
        }
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        breaches.push(format!("{name}: the workspace's lints are not switched on"));
    }
    breaches
}

#[test]
fn versions_and_lints_come_from_the_workspace() {
    let members = members();
    assert!(members.len() >= 9, "the workspace has lost members: {members:?}");
    let own = members.iter().flat_map(|path| own_ways(&path.display().to_string(), &read(&root().join(path))));
    assert_none(&own.collect::<Vec<_>>());
}

#[test]
fn a_version_of_its_own_and_missing_lints_are_caught() {
    let well =
        "[lints]\nworkspace = true\n[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }\n";
    assert_eq!(own_ways("x", well), Vec::<String>::new());
    assert_eq!(own_ways("x", &well.replace("a.workspace = true", "a = \"1\"")).len(), 1);
    assert_eq!(own_ways("x", &well.replace("[lints]", "[other]")).len(), 1);
}

#[test]
fn the_pure_crates_forbid_clocks_chance_and_io() {
    let [one, other] = PURE_CRATES.map(|folder| read(&root().join(folder).join("clippy.toml")));
    assert_eq!(one, other, "the two files say different things");
    for forbidden in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "chrono::Utc::now",
        "chrono::Local::now",
        "std::thread::sleep",
        "std::hash::RandomState::new",
        "std::env::var",
        "std::fs::read",
        "std::fs::File",
        "std::net::TcpStream",
        "std::process::Command",
        "std::println",
    ] {
        assert!(one.contains(&format!("\"{forbidden}\"")), "{forbidden} is not forbidden");
    }
}
