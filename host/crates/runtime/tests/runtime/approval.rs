//! What may load: components that agree with their manifest, their grants and this host, byte for byte as approved.

use crate::common::{Bench, Memory, component, root};
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::step::CallKind;
use keybaton_runtime::catalog::{Catalog, Grants, Lock, inspect};
use keybaton_runtime::connection::Connections;
use keybaton_runtime::manifest::Version;
use keybaton_runtime::{Runtime, pack};
use serde_json::json;
use std::sync::Arc;

fn problems(bytes: &[u8]) -> String {
    inspect(bytes).problems.join("; ")
}

#[test]
fn a_component_that_contradicts_itself_says_how() {
    let sound = component("plugins/postgres-password");
    assert_eq!(problems(&sound), "");
    let module = b"\0asm\x01\0\0\0".to_vec();
    let manifest = std::fs::read_to_string(root().join("plugins/postgres-password/plugin.toml")).unwrap();
    let other = manifest
        .replace("imports = [\"secrets\", \"keygen\", \"sql\", \"log\"]", "imports = [\"secrets\", \"sql\", \"log\"]");
    assert_ne!(other, manifest);
    for (sentence, bytes, expected) in [
        ("cut off", sound[..sound.len() / 2].to_vec(), "cut off"),
        ("cut within its manifest", sound[..sound.len() - 10].to_vec(), "cut off"),
        ("empty", Vec::new(), "cut off"),
        ("no wasm", b"#!/bin/sh\necho".to_vec(), "no wasm"),
        ("a core module", module, "a core module"),
        ("an import its manifest does not say", component("tests/guests/smuggler"), "but its manifest does not say so"),
        (
            "built for another contract",
            component("tests/guests/stranger"),
            "this host speaks `keybaton:rotator/rotator@0.1.0`",
        ),
    ] {
        let problems = problems(&bytes);
        assert!(problems.contains(expected), "{sentence}: {problems}");
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        assert!(catalog.approve(&bytes, None).is_err(), "{sentence}: not approved");
    }
    let packed = pack::pack(&std::fs::read(core("postgres_password")).unwrap(), &other);
    let error = packed.unwrap_err().to_string();
    assert!(error.contains("imports `keygen`, but its manifest does not say so"), "{error}");
}

fn core(name: &str) -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join(format!("plugins/wasm32-unknown-unknown/release/{name}.wasm"))
}

#[test]
fn an_inspection_shows_what_is_asked() {
    let inspection = inspect(&component("plugins/http-token"));
    let manifest = inspection.manifest.unwrap();
    assert_eq!(manifest.name.as_str(), "http-token");
    assert!(inspection.imports.iter().all(|name| name.starts_with("keybaton:rotator/")), "{:?}", inspection.imports);
    assert_eq!(inspection.exports, ["keybaton:rotator/rotator@0.1.0"]);
    assert!(manifest.endpoints.iter().any(|endpoint| endpoint.is_open()));
}

#[test]
fn grants_and_manifest_disagree_readably() {
    let bytes = component("plugins/postgres-password");
    let all = Grants::all_of(inspect(&bytes).manifest.as_ref().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut less = all.clone();
    less.imports.remove("keygen");
    let mut more = all.clone();
    more.templates.insert("drop-database".to_owned());
    let mut fuel = all;
    fuel.limits.fuel += 1;
    for (grants, expected) in [
        (less, "asks for `keygen`, which is not granted"),
        (more, "`drop-database` is granted, but the manifest does not ask"),
        (fuel, "fuel: 500000001 is granted"),
    ] {
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let error = catalog.approve(&bytes, Some(grants)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_lock_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keybaton.lock");
    assert_eq!(Lock::load(&path).unwrap(), Lock::default(), "an absent one is empty");
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    catalog.approve(&component("plugins/postgres-password"), None).unwrap();
    catalog.approve(&component("plugins/http-token"), None).unwrap();
    catalog.lock_mut().set_floor("http-token".parse().unwrap(), Version(0, 1, 0));
    catalog.lock().save(&path).unwrap();
    assert_eq!(&Lock::load(&path).unwrap(), catalog.lock());
    let text = std::fs::read_to_string(&path).unwrap();
    for (sentence, from, to, expected) in [
        ("a key it does not know", "version = 1", "version = 1\nextra = 1", "unknown field"),
        ("another form", "version = 1", "version = 2", "version 2"),
        ("a digest that is none", "sha256:", "md5:", "is not a digest"),
        ("a plugin twice", "name = \"http-token\"", "name = \"postgres-password\"", "more than one digest"),
    ] {
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Lock::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{sentence}: {error}");
    }
}

#[tokio::test]
async fn only_locked_bytes_above_the_floor_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    let digest = catalog.approve(&component("plugins/postgres-password"), None).unwrap().digest;
    let file = folder.path().join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")));
    let sound = std::fs::read(&file).unwrap();
    let name = "postgres-password".parse().unwrap();
    let runtime =
        |catalog| Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(crate::common::WallClock)).unwrap();
    assert!(runtime(catalog.clone()).describe(&name).await.is_ok());
    let unknown = runtime(Catalog::new(folder.path(), Lock::default())).describe(&name).await.unwrap_err();
    assert_eq!(unknown.code, "plugin.not-approved");
    let mut raised = catalog.clone();
    raised.lock_mut().set_floor(name.clone(), Version(0, 2, 0));
    assert_eq!(runtime(raised).describe(&name).await.unwrap_err().code, "plugin.below-floor");
    let mut changed = sound;
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&file, changed).unwrap();
    let error = runtime(catalog.clone()).describe(&name).await.unwrap_err();
    assert_eq!(error.code, "plugin.changed");
    assert!(error.message.contains("was changed after its approval"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(runtime(catalog).describe(&name).await.unwrap_err().code, "plugin.file");
}

#[tokio::test]
async fn a_digest_that_is_not_locked_does_not_run() {
    let bench = Bench::unconnected("plugins/http-token");
    let mut request = bench.request(CallKind::Observe, 1, &json!({}));
    request.component = keybaton_protocol::ids::Digest([7; 32]);
    let outcome = bench.runtime.call(request, Memory::new()).await;
    assert!(matches!(&outcome, Outcome::Failed(fault) if fault.code == "plugin.not-approved"), "{outcome:?}");
}
