//! Proofs of possession against vectors that were computed by another implementation (Python's hmac and hashlib).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use keybaton_engine::proof::{ProofError, check, prove};
use keybaton_engine::requests::{Challenge, Nonce};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Epoch, Generation};
use serde_json::Value;

struct Vector {
    title: String,
    fields: Vec<(String, Vec<u8>)>,
    salt: Vec<u8>,
    epoch: Epoch,
    challenge: Challenge,
    nonce: Nonce,
    proof: Vec<u8>,
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("proof-vectors.json")).unwrap();
    all.iter()
        .map(|v| {
            let text = |name: &str| v[name].as_str().unwrap();
            Vector {
                title: text("title").to_owned(),
                fields: v["fields"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), hex(v))).collect(),
                salt: hex(&v["salt"]),
                epoch: Epoch(u32::try_from(v["epoch"].as_u64().unwrap()).unwrap()),
                challenge: Challenge {
                    secret: text("secret").parse().unwrap(),
                    consumer: text("consumer").parse().unwrap(),
                    replica: text("replica").parse().unwrap(),
                    incarnation: text("incarnation").parse().unwrap(),
                    rotation: text("rotation").parse().unwrap(),
                    generation: Generation(u32::try_from(v["generation"].as_u64().unwrap()).unwrap()),
                    purpose: Purpose::from_name(text("purpose")).unwrap(),
                },
                nonce: Nonce(hex(&v["nonce"]).try_into().unwrap()),
                proof: hex(&v["proof"]),
            }
        })
        .collect()
}

fn borrowed(v: &Vector) -> Vec<(&str, &[u8])> {
    v.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

#[test]
fn a_proof_is_what_the_vectors_say_whatever_the_order_of_the_fields() {
    for v in vectors() {
        let mut fields = borrowed(&v);
        for _ in 0..2 {
            let proof = prove(&fields, &v.salt, &v.challenge, v.epoch, &v.nonce);
            assert_eq!(proof.as_slice(), v.proof, "{}", v.title);
            check(&fields, &v.salt, &v.challenge, v.epoch, &v.nonce, &proof).unwrap();
            fields.reverse();
        }
    }
}

#[test]
fn a_proof_is_refused_when_any_one_part_differs() {
    let v = vectors().remove(0);
    let fields = borrowed(&v);
    let refused = |what: &str, challenge: &Challenge, epoch, nonce: &Nonce, salt: &[u8], fields: &[(&str, &[u8])]| {
        let verdict = check(fields, salt, challenge, epoch, nonce, &v.proof);
        assert_eq!(verdict, Err(ProofError::Mismatch), "{what}");
    };
    let other = |change: fn(&mut Challenge)| {
        let mut challenge = v.challenge.clone();
        change(&mut challenge);
        challenge
    };
    let cases: [(&str, Challenge); 6] = [
        ("purpose", other(|c| c.purpose = Purpose::Adopted)),
        ("rotation", other(|c| c.rotation = "another".parse().unwrap())),
        ("consumer", other(|c| c.consumer = "other".parse().unwrap())),
        ("replica", other(|c| c.replica = "web-1".parse().unwrap())),
        ("incarnation", other(|c| c.incarnation = "i2".parse().unwrap())),
        ("generation", other(|c| c.generation = Generation(3))),
    ];
    for (what, challenge) in &cases {
        refused(what, challenge, v.epoch, &v.nonce, &v.salt, &fields);
    }
    refused("epoch", &v.challenge, Epoch(1), &v.nonce, &v.salt, &fields);
    refused("nonce", &v.challenge, v.epoch, &Nonce([0; 32]), &v.salt, &fields);
    refused("salt", &v.challenge, v.epoch, &v.nonce, &[9; 32], &fields);
    refused("value", &v.challenge, v.epoch, &v.nonce, &v.salt, &[("password", b"wrong")]);
    refused("field name", &v.challenge, v.epoch, &v.nonce, &v.salt, &[("passwore", v.fields[0].1.as_slice())]);
    let short = check(&fields, &v.salt, &v.challenge, v.epoch, &v.nonce, &v.proof[..31]);
    assert_eq!(short, Err(ProofError::Mismatch), "a proof that is cut short");
}

#[test]
fn bytes_do_not_move_between_neighbouring_parts() {
    let v = vectors().remove(0);
    let fields = borrowed(&v);
    let mut one = v.challenge.clone();
    let mut two = v.challenge.clone();
    one.replica = "ab".parse().unwrap();
    one.incarnation = "c".parse().unwrap();
    two.replica = "a".parse().unwrap();
    two.incarnation = "bc".parse().unwrap();
    let proof = |challenge| prove(&fields, &v.salt, challenge, v.epoch, &v.nonce);
    assert_ne!(proof(&one), proof(&two));
}

#[test]
fn nothing_is_proven_without_a_secret_field() {
    let v = vectors().remove(0);
    let verdict = check(&[], &v.salt, &v.challenge, v.epoch, &v.nonce, &v.proof);
    assert_eq!(verdict, Err(ProofError::NoSecretField));
}
