//! Who may depend on whom, and what must not be reachable from where.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use crate::repository::{assert_none, files, read, root};

/// Each crate of the workspace and the crates of the workspace it may name. Tests and benchmarks may name all.
const ARROWS: [(&str, &[&str]); 9] = [
    ("keybaton-protocol", &[]),
    ("keybaton-schedule", &["keybaton-protocol"]),
    ("keybaton-engine", &["keybaton-protocol", "keybaton-schedule"]),
    ("keybaton-store", &["keybaton-engine", "keybaton-protocol"]),
    ("keybaton-runtime", &["keybaton-engine", "keybaton-protocol", "keybaton-schedule"]),
    ("keybaton-api", &["keybaton-engine", "keybaton-protocol"]),
    ("keybaton-consumer", &[]),
    ("keybaton-test-support", &[]),
    (
        "keybaton",
        &[
            "keybaton-api",
            "keybaton-consumer",
            "keybaton-engine",
            "keybaton-protocol",
            "keybaton-runtime",
            "keybaton-schedule",
            "keybaton-store",
            "keybaton-test-support",
        ],
    ),
];
/// Crates at the end of all arrows.
const MAY_NAME_ALL: [&str; 2] = ["keybaton-tests", "keybaton-bench"];
/// What a crate's own tests may name beyond its arrows.
const FIXTURES: [&str; 2] = ["keybaton-test-support", "keybaton-consumer"];

/// What must not be reachable from a crate, by however many steps; `*` ends a name's beginning.
const ABSENT: [(&str, &[&str]); 6] = [
    ("keybaton-protocol", PURE),
    ("keybaton-schedule", PURE),
    (
        "keybaton-engine",
        &["wasmtime*", "rusqlite", "libsqlite3-sys", "sqlx*", "tokio-postgres", "reqwest", "axum", "hyper"],
    ),
    ("keybaton-store", &["wasmtime*", "keybaton-runtime", "keybaton-api", "reqwest", "axum"]),
    ("keybaton-runtime", &["rusqlite", "libsqlite3-sys", "keybaton-store", "keybaton-api", "axum", "wasmtime-wasi*"]),
    ("keybaton-api", &["wasmtime*", "rusqlite", "libsqlite3-sys", "keybaton-store", "keybaton-runtime"]),
];
const PURE: &[&str] = &[
    "tokio*",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "hyper*",
    "reqwest",
    "axum",
    "rustls*",
    "rusqlite",
    "wasmtime*",
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "tempfile",
    "tracing*",
    "log4rs",
    "aws-lc*",
    "ring",
];

/// The resolved graph: a package's name to those it depends on. Names stand for all their versions.
#[derive(Default)]
struct Graph {
    normal: BTreeMap<String, BTreeSet<String>>,
    for_tests: BTreeMap<String, BTreeSet<String>>,
    workspace: BTreeSet<String>,
}

impl Graph {
    fn of_the_project() -> Self {
        let host = Command::new(env!("CARGO")).args(["-vV"]).output().expect("cargo runs");
        let host = String::from_utf8(host.stdout).expect("cargo prints UTF-8");
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--offline", "--filter-platform", host])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
        Self::read(&serde_json::from_slice(&metadata.stdout).expect("cargo prints JSON"))
    }

    fn read(metadata: &Value) -> Self {
        let mut names = BTreeMap::new();
        let mut macros = BTreeSet::new();
        for package in list(&metadata["packages"]) {
            let (id, name) = (text(&package["id"]), text(&package["name"]));
            names.insert(id, name);
            // A macro runs in the compiler: what it depends on is in nobody's program.
            if list(&package["targets"]).iter().any(|target| target["kind"][0] == "proc-macro") {
                macros.insert(name);
            }
        }
        let members = list(&metadata["workspace_members"]).iter().map(|id| names[text(id)].to_owned());
        let mut graph = Self { workspace: members.collect(), ..Self::default() };
        for node in list(&metadata["resolve"]["nodes"]) {
            let from = names[text(&node["id"])];
            for dependency in list(&node["deps"]).iter().filter(|_| !macros.contains(from)) {
                let to = names[text(&dependency["pkg"])].to_owned();
                let kinds = list(&dependency["dep_kinds"]);
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    graph.normal.entry(from.to_owned()).or_default().insert(to.clone());
                }
                if kinds.iter().any(|kind| kind["kind"] == "dev") {
                    graph.for_tests.entry(from.to_owned()).or_default().insert(to);
                }
            }
        }
        graph
    }

    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            for next in self.normal.get(name).into_iter().flatten() {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

/// Arrows of the workspace that are not in the table.
fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let table = BTreeMap::from(ARROWS);
    let mut breaches = Vec::new();
    for name in graph.workspace.iter().filter(|name| !MAY_NAME_ALL.contains(&name.as_str())) {
        let Some(allowed) = table.get(name.as_str()) else {
            breaches.push(format!("{name} is not in the table of arrows"));
            continue;
        };
        let inside = |to: &&String| graph.workspace.contains(*to) && !allowed.contains(&to.as_str());
        for to in graph.normal.get(name).into_iter().flatten().filter(inside) {
            breaches.push(format!("{name} must not depend on {to}"));
        }
        for to in graph
            .for_tests
            .get(name)
            .into_iter()
            .flatten()
            .filter(inside)
            .filter(|to| !FIXTURES.contains(&to.as_str()) && *to != name)
        {
            breaches.push(format!("{name}'s tests must not depend on {to}"));
        }
    }
    breaches
}

/// What can be reached although it must not be.
fn unwelcome(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for (from, absent) in ABSENT {
        for reached in graph.reachable(from) {
            if absent.iter().any(|pattern| matches(pattern, reached)) {
                breaches.push(format!("{reached} is reachable from {from}"));
            }
        }
    }
    breaches
}

/// Where the host names the embedded store: the one place that opens it to serve, and what works on it offline.
const NAMES_THE_STORE: [&str; 7] = [
    "host/src/wiring/stores.rs",
    // The key-encryption key is the store's own type.
    "host/src/wiring/keys.rs",
    "host/src/commands/access.rs",
    "host/src/commands/doctor.rs",
    "host/src/commands/init.rs",
    "host/src/commands/key.rs",
    "host/src/commands/stores.rs",
];

/// Files of the host that name the store and have its ports.
fn past_the_ports<'a>(files: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let names = files.filter(|(path, text)| text.contains("keybaton_store") && !NAMES_THE_STORE.contains(path));
    names.map(|(path, _)| format!("{path} names the store: it has the engine's ports")).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list in cargo's metadata")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text in cargo's metadata")
}

#[test]
fn every_arrow_of_the_workspace_is_in_the_table() {
    let graph = Graph::of_the_project();
    for (name, _) in ARROWS {
        assert!(graph.workspace.contains(name), "{name} is in the table but not in the workspace");
    }
    assert_none(&wrong_arrows(&graph));
}

#[test]
fn nothing_unwelcome_is_reachable() {
    assert_none(&unwelcome(&Graph::of_the_project()));
}

#[test]
fn only_the_wiring_and_offline_commands_name_the_store() {
    let host = files(&root().join("host/src")).into_iter().map(|path| format!("host/src/{}", path.display()));
    let host: Vec<(String, String)> = host.map(|path| (path.clone(), read(&root().join(path)))).collect();
    for path in NAMES_THE_STORE {
        assert!(host.iter().any(|(own, text)| own == path && text.contains("keybaton_store")), "{path} does not");
    }
    assert_none(&past_the_ports(host.iter().map(|(path, text)| (path.as_str(), text.clone()))));
    let breach = [("host/src/wiring/host.rs", "use keybaton_store::Store;".to_owned())];
    assert_eq!(past_the_ports(breach.into_iter()).len(), 1);
}

#[test]
fn the_rules_catch_what_breaks_them() {
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph =
            Graph { workspace: ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect(), ..Default::default() };
        for (from, to) in arrows {
            graph.normal.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[("keybaton-store", "keybaton-runtime")], "keybaton-store must not depend on keybaton-runtime"),
        (&[("keybaton-protocol", "keybaton-schedule")], "keybaton-protocol must not depend on keybaton-schedule"),
        (
            &[("keybaton-engine", "x"), ("x", "y"), ("y", "wasmtime-environ")],
            "wasmtime-environ is reachable from keybaton-engine",
        ),
        (&[("keybaton-schedule", "x"), ("x", "mio"), ("mio", "x")], "mio is reachable from keybaton-schedule"),
    ];
    for (arrows, breach) in table {
        let graph = graph(arrows);
        let found = [wrong_arrows(&graph), unwelcome(&graph)].concat();
        assert!(found.iter().any(|found| found == breach), "{arrows:?}: {found:?}");
    }
    let mut stranger = graph(&[]);
    stranger.workspace.insert("keybaton-new".into());
    assert_eq!(wrong_arrows(&stranger), ["keybaton-new is not in the table of arrows"]);
}
