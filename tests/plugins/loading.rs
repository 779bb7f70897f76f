//! Components that must not load: what they import, what they were built for, what became of their bytes.

use crate::rig::component;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::fault::Blame;
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::{Catalog, CatalogError, Lock, inspect};
use keybaton_runtime::connection::Connections;
use std::sync::Arc;

use crate::rig::WallClock;

#[test]
fn what_contradicts_itself_is_not_approved() {
    let hostile = component("tests/guests/hostile");
    let sound = component("plugins/postgres-password");
    assert_eq!(inspect(&sound).problems, [""; 0]);
    for (sentence, bytes, expected) in [
        ("an import that the manifest does not say", component("tests/guests/smuggler"), "imports `keygen`"),
        ("another version of the contract", component("tests/guests/stranger"), "rotator@0.2.0"),
        ("a file cut off", hostile[..hostile.len() / 2].to_vec(), "cut off"),
        ("a file of nothing", Vec::new(), "no"),
        ("a file of something else", b"#!/bin/sh\nexit 0\n".to_vec(), "no wasm"),
    ] {
        let problems = inspect(&bytes).problems;
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{sentence}: {problems:?}");
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let refused = catalog.approve(&bytes, None).expect_err(sentence);
        assert!(matches!(refused, CatalogError::Disagrees { .. }), "{sentence}: {refused}");
        assert!(catalog.lock().entries().is_empty(), "{sentence}");
    }
}

#[tokio::test]
async fn bytes_that_changed_after_their_approval_do_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    let name = catalog.approve(&component("plugins/postgres-password"), None).unwrap().name.clone();
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let runtime = Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap();
    let fault = runtime.describe(&name).await.unwrap_err();
    assert!(fault.message.contains("changed after its approval"), "{fault}");
    assert_ne!(fault.blame, Blame::Guest, "the plugin did nothing: {fault}");
}

#[tokio::test]
async fn a_guest_that_does_not_say_what_it_is_is_blamed_and_says_where_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    let name = catalog.approve(&component("tests/guests/mute"), None).unwrap().name.clone();
    let runtime = Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap();
    let fault = runtime.describe(&name).await.unwrap_err();
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Guest, "guest.trap"), "{fault}");
    assert!(fault.message.contains("I do not say what I am"), "the panic hook's words: {fault}");
}
