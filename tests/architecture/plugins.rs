//! All plugins have the same files with the same modules in the same order, so that a difference means something.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::repository::{assert_none, files, packages, read, root};

/// What every plugin has, whatever it rotates.
const NEEDED: [&str; 5] = ["Cargo.toml", "README.md", "plugin.toml", "src/lib.rs", "src/settings.rs"];

/// The files of a plugin that can be compared: its tests are its own, a lock file is cargo's.
fn shape(plugin: &Path) -> BTreeSet<PathBuf> {
    let own = |path: &PathBuf| !path.starts_with("tests") && !path.ends_with("Cargo.lock");
    files(plugin).into_iter().filter(own).collect()
}

fn modules(source: &str) -> Vec<&str> {
    source.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect()
}

#[test]
fn all_plugins_have_the_same_files() {
    let plugins = packages(&root().join("plugins"));
    let mut breaches = Vec::new();
    for plugin in &plugins {
        let missing = NEEDED.iter().filter(|needed| !plugin.join(needed).is_file());
        breaches.extend(missing.map(|needed| format!("{} has no {needed}", plugin.display())));
        let (own, first) = (shape(plugin), shape(&plugins[0]));
        for path in own.symmetric_difference(&first) {
            breaches.push(format!("{} and {} differ in {}", plugin.display(), plugins[0].display(), path.display()));
        }
    }
    assert_none(&breaches);
}

#[test]
fn all_plugins_name_their_modules_in_the_same_order() {
    let plugins = packages(&root().join("plugins"));
    let sources: Vec<String> = plugins.iter().map(|plugin| read(&plugin.join("src/lib.rs"))).collect();
    let orders: BTreeSet<Vec<&str>> = sources.iter().map(|source| modules(source)).collect();
    assert!(orders.len() <= 1, "the orders are: {orders:?}");
}

#[test]
fn modules_are_read_in_their_order() {
    assert_eq!(modules("//! x\nmod settings;\n\nmod calls;\npub mod b;\n    mod inner;\n"), ["settings", "calls"]);
}
