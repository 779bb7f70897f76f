//! Key pairs made for a guest, and `reveal`: what it may read, what is on record of it, and what gets out.

use crate::rig::{Rig, WallClock, component};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use keybaton_engine::ports::rotator::{Rotator, Until};
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::step::CallKind::{Create, Install};
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::{Catalog, CatalogError, Grants, Lock, inspect};
use keybaton_runtime::connection::{Connections, HttpTarget, Target, Tls};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use std::sync::Arc;

const GUEST: &str = "tests/guests/keysmith";

fn rig(settings: Value) -> Rig {
    // It asks for no connection; the rig wants one.
    let nowhere = HttpTarget {
        base_url: "http://127.0.0.1:1".parse().unwrap(),
        dial: None,
        check: None,
        tls: Tls::off(),
        admin: None,
        addresses: Arc::default(),
        endpoints: Vec::new(),
    };
    let mut rig = Rig::new(GUEST, Target::Http(nowhere), &[], settings);
    rig.know(1, "pending", None);
    rig
}

#[tokio::test]
async fn what_the_private_half_signs_the_public_half_verifies() {
    for (algorithm, ssh, verifies) in [
        ("ed25519", "ssh-ed25519 ", &ED25519 as &'static dyn VerificationAlgorithm),
        ("ecdsa-p256", "ecdsa-sha2-nistp256 ", &ECDSA_P256_SHA256_ASN1),
        ("ecdsa-p384", "ecdsa-sha2-nistp384 ", &ECDSA_P384_SHA384_ASN1),
        ("rsa-3072", "ssh-rsa ", &RSA_PKCS1_2048_8192_SHA256),
    ] {
        let mut rig =
            rig(json!({ "algorithm": algorithm, "subject": "CN=app,O=tests", "sans": ["dns:app.example.org"] }));
        rig.create(1).await.unwrap();
        let public = |name: &str| rig.attribute(1, name).unwrap();
        let private = KeyPair::from_pem(&rig.value(1)).unwrap();
        assert_eq!(public("spki").replace("\r\n", "\n"), private.public_key_pem().replace("\r\n", "\n"), "{algorithm}");
        let signature = private.sign(b"a message").unwrap();
        // What was handed out as the public half, not what goes with the private one.
        let spki = rcgen::SubjectPublicKeyInfo::from_pem(&public("spki")).unwrap();
        let key = UnparsedPublicKey::new(verifies, spki.der_bytes());
        key.verify(b"a message", &signature).unwrap_or_else(|_| panic!("{algorithm}: the signature does not verify"));
        key.verify(b"another message", &signature).expect_err(algorithm);
        assert!(public("openssh").starts_with(ssh) && public("openssh").ends_with(" keysmith@tests"), "{algorithm}");
        let request = rcgen::CertificateSigningRequestParams::from_pem(&public("csr")).unwrap();
        assert_eq!(request.public_key.der_bytes(), spki.der_bytes(), "{algorithm}: the request is for this key");
        let names = format!("{:?}", request.params.subject_alt_names);
        assert!(names.contains("app.example.org"), "{algorithm}: {names}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_denied_with_what_there_is() {
    for (sentence, settings, code, class, blame) in [
        (
            "an unknown algorithm",
            json!({ "algorithm": "dsa-1024" }),
            "keygen.algorithm",
            FailureClass::Denied,
            Blame::Operator,
        ),
        (
            "a subject that is none",
            json!({ "algorithm": "ed25519", "subject": "nobody" }),
            "guest.csr",
            FailureClass::Permanent,
            Blame::Guest,
        ),
        (
            "a kind of name that there is not",
            json!({ "algorithm": "ed25519", "subject": "CN=a", "sans": ["phone:1"] }),
            "guest.csr",
            FailureClass::Permanent,
            Blame::Guest,
        ),
    ] {
        let fault = rig(settings).fault(Create, 1).await;
        assert_eq!((fault.code.as_str(), fault.class, fault.blame), (code, class, blame), "{sentence}: {fault}");
    }
}

#[tokio::test]
async fn a_guest_that_may_read_a_secret_does_so_on_record_and_cannot_say_it() {
    let mut rig = rig(json!({ "algorithm": "ecdsa-p256" }));
    rig.create(1).await.unwrap();
    let (outcome, record) = rig.call(Install, 1).await;
    let Outcome::Done(facts) = outcome else { panic!("{outcome:?}") };
    let fact = |name: &str| &facts.iter().find(|(known, _)| known == name).unwrap().1;
    let key = rig.value(1);
    assert_eq!(*fact("bytes"), key.len().to_string(), "it read all of it");
    assert_eq!(fact("begins"), "_____BEGIN PRIVATE KEY_____");
    assert_eq!(fact("twice-the-same"), "true");
    let line = key.lines().nth(1).unwrap();
    for name in ["leak", "leak-of-a-line"] {
        assert!(!fact(name).contains(line), "{name}: {}", fact(name));
    }
    let clear = record.in_clear();
    assert_eq!(record.waited("\"revealed\""), [Until::Durable; 2], "each use is on record first: {clear}");
    assert!(!clear.contains(line), "and not what was read");
}

#[tokio::test]
async fn a_guest_that_asks_to_read_secrets_and_may_not_does_not_load() {
    let bytes = component(GUEST);
    let manifest = inspect(&bytes).manifest.unwrap();
    assert!(manifest.reveals(), "it is shown before it is approved");
    let mut less = Grants::all_of(&manifest);
    less.imports.remove("reveal");
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::new(folder.path(), Lock::default());
    let refused = catalog.approve(&bytes, Some(less)).expect_err("it cannot do without");
    assert!(
        matches!(&refused, CatalogError::Disagrees { problems, .. } if problems[0].contains("`reveal`")),
        "{refused}"
    );

    // Nor where the lock was edited afterwards.
    let name = catalog.approve(&bytes, None).unwrap().name.clone();
    let path = folder.path().join("keybaton.lock");
    catalog.lock().save(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"reveal\", ", "").replace(", \"reveal\"", "")).unwrap();
    let lock = Lock::load(&path).unwrap();
    assert!(!lock.active(&name).unwrap().grants.imports.contains("reveal"), "{text}");
    let catalog = Catalog::new(folder.path(), lock);
    let runtime = Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap();
    let fault = runtime.describe(&name).await.unwrap_err();
    assert!(fault.message.contains("asks for `reveal`, which is not granted"), "{fault}");
}
