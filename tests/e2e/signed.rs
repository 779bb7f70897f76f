//! Signed plugins: the real `ssh-keygen` signs, the real binary adds, approves and loads, or refuses.

use crate::host::{Installation, component};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `DONE`, `INVALID` and `REFUSED` of `keybaton --help`.
const DONE: i32 = 0;
const INVALID: i32 = 4;
const REFUSED: i32 = 5;

const PLUGIN: &str = "postgres-password";

/// Nothing listens there: plugins are described and settings validated all the same.
const NOWHERE: &str = "connections:\n  - name: main\n    kind: postgres\n    \
                       endpoint: { host: 127.0.0.1, port: 1, dbname: postgres }\n    tls: { mode: disable }\n    \
                       admin: { user: admin, env: NOT_SET }\n    \
                       allow: { namespaces: [team], plugins: [postgres-password], identities: ['*'], loopback: true }\n";

const DECLARED: &str = "secrets:\n  - name: team/one\n    plugin: postgres-password\n    connection: main\n    \
                        settings: { roles: [one_a, one_b], group: one_owner }\n    cadence: { manual: true }\n    \
                        consumers: {}\n    overlap: { minimum: 0s, quiet: 1s, soak: 0s }\n    \
                        stragglers: { deadline: 10m, then: hold }\n";

fn keygen(args: &[&str], file: &Path) -> String {
    let ran = Command::new("ssh-keygen").args(args).arg(file).output();
    let ran = ran.unwrap_or_else(|error| panic!("ssh-keygen: {error}; `scripts/setup servers` installs it"));
    assert!(ran.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// A key pair of this type; answers the private key's file, beside which `.pub` lies, and its fingerprint.
fn pair(folder: &Path, kind: &str) -> (String, String) {
    let file = folder.join(format!("key-{kind}"));
    keygen(&["-q", "-t", kind, "-N", "", "-C", "release@example.org", "-f"], &file);
    let told = keygen(&["-l", "-f"], &file.with_extension("pub"));
    (file.display().to_string(), told.split_whitespace().nth(1).unwrap().to_owned())
}

fn sign(key: &str, file: &Path) {
    let _none = std::fs::remove_file(file.with_extension("wasm.sig"));
    keygen(&["-q", "-Y", "sign", "-n", "keybaton-plugin", "-f", key], file);
}

/// A component of its own: with a custom section that nobody reads.
fn version(folder: &Path, note: u8) -> PathBuf {
    let mut bytes = std::fs::read(component(PLUGIN)).unwrap();
    bytes.extend_from_slice(&[0, 6, 4, b'n', b'o', b't', b'e', note]);
    let file = folder.join(format!("version-{note}.wasm"));
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Its line in `plugin list`.
async fn approved(host: &mut Installation) -> Value {
    let listed = host.done(&["plugin", "list"]).await;
    let all = listed["plugins"].as_array().unwrap();
    all.iter().find(|one| one["state"] == "approved").cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_signer_of_a_plugin_brings_its_next_version() {
    let mut host = Installation::init("signed", NOWHERE).await;
    let folder = host.folder.path().to_owned();
    let (ours, our_print) = pair(&folder, "ed25519");
    let (other, other_print) = pair(&folder, "ecdsa");
    host.up(&[]).await;

    let first = version(&folder, 1);
    sign(&ours, &first);
    let first = first.display().to_string();
    let added = host.done(&["plugin", "add", &first]).await;
    assert_eq!(added["signer"]["fingerprint"], our_print.as_str(), "the signature beside it was taken: {added:#}");
    let refused = host.ends(&["plugin", "approve", PLUGIN, "--signer", &format!("{other}.pub")], REFUSED).await;
    assert!(refused.out.contains(&our_print) && refused.out.contains(&other_print), "{}", refused.out);
    let locked = host.done(&["plugin", "approve", PLUGIN, "--signer", &format!("{ours}.pub")]).await;
    assert_eq!(locked["signer"]["fingerprint"], our_print.as_str(), "{locked:#}");
    let shown = host.run_as_given(&["plugin", "list"], "").await;
    assert!(shown.out.contains(&our_print), "{}", shown.out);

    let next = version(&folder, 2);
    let path = next.display().to_string();
    host.done(&["plugin", "add", &path]).await;
    let unsigned = host.ends(&["plugin", "approve", PLUGIN], REFUSED).await.json();
    assert!(unsigned["help"].as_str().is_some_and(|help| help.contains("--unsigned")), "{unsigned:#}");
    sign(&other, &next);
    host.done(&["plugin", "add", &path]).await;
    let by_other = host.ends(&["plugin", "approve", PLUGIN], REFUSED).await;
    assert!(by_other.out.contains(&format!("made by {other_print}, not by {our_print}")), "{}", by_other.out);
    assert_eq!(approved(&mut host).await["digest"], locked["digest"], "what was approved stays");
    sign(&ours, &next);
    host.done(&["plugin", "add", &path]).await;
    let upgraded = host.done(&["plugin", "approve", PLUGIN]).await;
    assert_ne!(upgraded["digest"], locked["digest"]);
    assert_eq!(upgraded["signer"]["fingerprint"], our_print.as_str(), "{upgraded:#}");

    let third = version(&folder, 3);
    sign(&other, &third);
    host.done(&["plugin", "add", third.to_str().unwrap()]).await;
    let key = std::fs::read_to_string(format!("{other}.pub")).unwrap();
    let named = host.done(&["plugin", "approve", PLUGIN, "--signer", key.trim()]).await;
    assert_eq!(named["signer"]["fingerprint"], other_print.as_str(), "the operator named another: {named:#}");

    let declared = host.folder.write("one.yaml", DECLARED.as_bytes()).unwrap().display().to_string();
    host.down().await;
    host.up(&[]).await;
    let asked = host.run(&["plan", &declared]).await;
    assert!(asked.out.contains("NOT_SET is not set") && !asked.out.contains("signature"), "it was run: {}", asked.out);
    let digest = named["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    std::fs::remove_file(host.dir.join(format!("components/{digest}.wasm.sig"))).unwrap();
    host.down().await;
    host.up(&[]).await;
    let blocked = host.run(&["plan", &declared]).await;
    assert!(blocked.out.contains("its signature") && blocked.out.contains("cannot be read"), "{}", blocked.out);
    let listed = approved(&mut host).await;
    assert!(listed["differences"][0].as_str().is_some_and(|why| why.contains(&other_print)), "{listed:#}");
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_does_not_hold_is_neither_shown_nor_kept() {
    let mut host = Installation::init("mis-signed", NOWHERE).await;
    let folder = host.folder.path().to_owned();
    let (ours, our_print) = pair(&folder, "ed25519");
    let file = version(&folder, 1);
    sign(&ours, &file);
    let path = file.display().to_string();
    let signature = file.with_extension("wasm.sig").display().to_string();
    let shown = host.ends(&["plugin", "inspect", &path], DONE).await.json();
    assert_eq!(shown["signer"]["fingerprint"], our_print.as_str(), "inspected without a host: {shown:#}");

    host.up(&[]).await;
    let edited = version(&folder, 2).display().to_string();
    let looked = host.ends(&["plugin", "inspect", &edited, "--signature", &signature], INVALID).await.json();
    assert!(looked["signer"].is_null() && looked["differences"][0].as_str().is_some(), "{looked:#}");
    host.ends(&["plugin", "add", &edited, "--signature", &signature], INVALID).await;
    host.ends(&["plugin", "add", &path, "--signature", &path], INVALID).await;
    host.ends(&["plugin", "add", &path, "--signature", "/nonexistent.sig"], INVALID).await;
    assert_eq!(host.done(&["plugin", "list"]).await["plugins"].as_array().unwrap().len(), 0);
    host.ends(&["plugin", "add", &path], DONE).await;
    for signer in ["ssh-ed25519 nonsense", "/nonexistent.pub"] {
        host.ends(&["plugin", "approve", PLUGIN, "--signer", signer], INVALID).await;
    }
    host.down().await;
}
