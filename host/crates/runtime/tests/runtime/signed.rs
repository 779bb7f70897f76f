//! Signatures of components: who may bring an upgrade, and what is refused at approval and at load.

use crate::common::{WallClock, component};
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::ids::Digest;
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::{
    Approval, Catalog, CatalogError, Lock, NAMESPACE, Signer, Trust, digest_of, signature_beside,
};
use keybaton_runtime::connection::Connections;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const RSA_KEY: &str = include_str!("../signatures/rsa.pub");
const RSA: &str = include_str!("../signatures/rsa.sig");

/// A key pair of the tests.
struct Hand(PrivateKey);

impl Hand {
    fn new(seed: u8) -> Self {
        Self(PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])))
    }

    fn signer(&self) -> Signer {
        self.0.public_key().to_openssh().unwrap().parse().unwrap()
    }

    fn signs(&self, bytes: &[u8]) -> Vec<u8> {
        self.signs_for(NAMESPACE, bytes)
    }

    fn signs_for(&self, namespace: &str, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(namespace, HashAlg::Sha512, bytes).unwrap().to_pem(LineEnding::LF).unwrap().into_bytes()
    }
}

/// The same plugin in other bytes: with a custom section that nobody reads.
fn further(bytes: &[u8]) -> Vec<u8> {
    let note = b"\x04noteagain";
    [bytes, &[0, u8::try_from(note.len()).unwrap()], note].concat()
}

fn file(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
}

fn told(error: &CatalogError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn who_signs_the_first_version_is_asked_for_from_then_on() {
    let (bytes, ours, other) = (component("plugins/http-token"), Hand::new(1), Hand::new(2));
    let (signed, by_other) = (ours.signs(&bytes), other.signs(&bytes));
    for (sentence, signature, trust, expected) in [
        ("neither signed nor asked for", None, Trust::AsLocked, Ok(None)),
        ("signed, and nobody named", Some(&signed), Trust::AsLocked, Ok(Some(ours.signer()))),
        ("signed by who was named", Some(&signed), Trust::Signer(ours.signer()), Ok(Some(ours.signer()))),
        ("signed, and left aside", Some(&signed), Trust::Unsigned, Ok(None)),
        ("unsigned under a signer", None, Trust::Signer(ours.signer()), Err("http-token is not signed")),
        ("signed by another key", Some(&by_other), Trust::Signer(ours.signer()), Err("it was made by SHA256:")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let signature = signature.map(Vec::as_slice);
        let approved = catalog.approve_as(Approval { bytes: &bytes, signature, trust, grants: None });
        let approved = approved.map(|entry| entry.signer.clone()).map_err(|error| told(&error));
        match (approved, expected) {
            (Ok(signer), Ok(expected)) => assert_eq!(signer, expected, "{sentence}"),
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{sentence}: {error}");
                assert!(catalog.lock().entries().is_empty(), "{sentence}: nothing is locked");
                assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{sentence}: nothing is kept");
            }
            (found, expected) => panic!("{sentence}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn what_is_no_signature_of_these_bytes_is_not_approved() {
    let (bytes, ours) = (component("plugins/http-token"), Hand::new(1));
    let signed = ours.signs(&bytes);
    let cut = signed[..signed.len() - 60].to_vec();
    let git = ours.signs_for("git", &bytes);
    for (sentence, signature, expected) in [
        ("of other bytes", ours.signs(&further(&bytes)), "it does not fit"),
        ("for another purpose", git, "for the namespace `git`"),
        ("truncated", cut, "it cannot be read"),
        ("by a key of a type that is not supported", RSA.as_bytes().to_vec(), "keys of type ssh-rsa are not supported"),
    ] {
        for trust in [Trust::AsLocked, Trust::Signer(ours.signer())] {
            let folder = tempfile::tempdir().unwrap();
            let mut catalog = Catalog::new(folder.path(), Lock::default());
            let approval = Approval { bytes: &bytes, signature: Some(&signature), trust, grants: None };
            let error = told(&catalog.approve_as(approval).expect_err(sentence));
            assert!(error.contains(expected), "{sentence}: {error}");
            assert!(catalog.lock().entries().is_empty(), "{sentence}");
        }
    }
}

#[test]
fn an_upgrade_comes_from_the_same_signer_unless_the_operator_says_otherwise() {
    let (first, ours, other) = (component("plugins/http-token"), Hand::new(1), Hand::new(2));
    let (next, signed) = (further(&first), ours.signs(&first));
    let (by_us, by_other) = (ours.signs(&next), other.signs(&next));
    for (sentence, signature, trust, expected) in [
        ("by the same signer", Some(&by_us), Trust::AsLocked, Ok(Some(ours.signer()))),
        ("unsigned", None, Trust::AsLocked, Err("http-token is not signed, and only what SHA256:")),
        ("by another signer", Some(&by_other), Trust::AsLocked, Err("it was made by SHA256:")),
        ("with the signature of the first", Some(&signed), Trust::AsLocked, Err("it does not fit")),
        ("by another, who is named", Some(&by_other), Trust::Signer(other.signer()), Ok(Some(other.signer()))),
        ("by the old one, where another is named", Some(&by_us), Trust::Signer(other.signer()), Err("not by SHA256:")),
        ("unsigned, which is said", None, Trust::Unsigned, Ok(None)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let approval = Approval { bytes: &first, signature: Some(&signed), ..Approval::default() };
        catalog.approve_as(approval).unwrap();
        let before = catalog.lock().clone();
        let signature = signature.map(Vec::as_slice);
        let approved = catalog.approve_as(Approval { bytes: &next, signature, trust, grants: None });
        match (approved.map(|entry| entry.signer.clone()).map_err(|error| told(&error)), expected) {
            (Ok(signer), Ok(expected)) => {
                assert_eq!(signer, expected, "{sentence}");
                let old = catalog.lock().entry(digest_of(&first)).unwrap();
                assert_eq!(
                    (old.retained, &old.signer),
                    (true, &Some(ours.signer())),
                    "{sentence}: the old one's stays"
                );
            }
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{sentence}: {error}");
                assert_eq!(*catalog.lock(), before, "{sentence}: the lock is as it was");
            }
            (found, expected) => panic!("{sentence}: {found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_component_loads_only_under_the_signature_of_its_signer() {
    let (bytes, ours, other) = (component("plugins/http-token"), Hand::new(1), Hand::new(2));
    let signed = ours.signs(&bytes);
    let digest = digest_of(&bytes);
    let sound = |_: &Path| {};
    let write = |what: Vec<u8>| move |path: &Path| std::fs::write(path, &what).unwrap();
    type Harm<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: [(&str, Harm<'_>, Option<&str>); 6] = [
        ("as it was approved", Box::new(sound), None),
        ("its signature is gone", Box::new(|path| std::fs::remove_file(path).unwrap()), Some("cannot be read")),
        ("its signature is cut off", Box::new(write(signed[..90].to_vec())), Some("it cannot be read")),
        ("another signed it", Box::new(write(other.signs(&bytes))), Some("it was made by SHA256:")),
        ("a signature of other bytes", Box::new(write(ours.signs(&further(&bytes)))), Some("it does not fit")),
        ("for another purpose", Box::new(write(ours.signs_for("file", &bytes))), Some("for the namespace `file`")),
    ];
    for (sentence, harm, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let approval = Approval { bytes: &bytes, signature: Some(&signed), ..Approval::default() };
        let name = catalog.approve_as(approval).unwrap().name.clone();
        harm(&signature_beside(&file(folder.path(), digest)));
        let runtime = Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap();
        match (runtime.describe(&name).await, expected) {
            (Ok(_), None) => {}
            (Err(fault), Some(expected)) => {
                assert_eq!(fault.code, "plugin.signature", "{sentence}: {fault}");
                assert!(fault.message.contains(expected), "{sentence}: {fault}");
            }
            (found, expected) => panic!("{sentence}: {:?}, not {expected:?}", found.err()),
        }
    }
}

#[test]
fn a_lock_names_its_signers_and_refuses_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keybaton.lock");
    let (bytes, ours) = (component("plugins/http-token"), Hand::new(1));
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    let signed = ours.signs(&bytes);
    catalog.approve_as(Approval { bytes: &bytes, signature: Some(&signed), ..Approval::default() }).unwrap();
    catalog.lock().save(&path).unwrap();
    assert_eq!(&Lock::load(&path).unwrap(), catalog.lock());
    let text = std::fs::read_to_string(&path).unwrap();
    let named = ours.signer().to_string();
    assert!(text.contains(&format!("signer = \"{named}\"")), "{text}");
    for (sentence, to, expected) in [
        ("no key", "somebody", "the signer of `http-token`: this is no OpenSSH public key"),
        ("a type that is not supported", RSA_KEY.trim(), "keys of type ssh-rsa are not supported"),
        ("nothing", "", "this is no OpenSSH public key"),
    ] {
        std::fs::write(&path, text.replace(&named, to)).unwrap();
        let error = Lock::load(&path).expect_err(sentence).to_string();
        assert!(error.contains(expected), "{sentence}: {error}");
    }
}
