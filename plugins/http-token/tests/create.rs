//! `create`: one token remains of one operation, whatever became of earlier attempts.

use super::hub::{self, TOKENS};
use crate::HttpToken;
use keybaton_rotator::testing::{context, label};
use keybaton_rotator::{FailureClass, Generation, Role, Rotator};

const MINTED: &str =
    r#"{ "id": "a7", "token": "[secret]", "created": "2026-11-22T03:19:00Z", "expires_at": "2026-12-22T03:19:00Z" }"#;
const BODY: &str = r#"{"expires_in":2592000,"note":"[keybaton op-7]"}"#;

#[test]
fn the_token_is_the_hosts_and_its_id_the_plugins() {
    let host = hub::host().http("GET", TOKENS, |_| Ok((200, hub::list(&[hub::listed("a1", "[keybaton op-6]")])))).http(
        "POST",
        TOKENS,
        |_| Ok((201, MINTED.to_owned())),
    );
    let (created, transcript) = host.run("create", || HttpToken::create(&context(7), &hub::target(), &[]));
    let created = created.unwrap();
    assert_eq!(created.generation.id.as_deref(), Some("a7"));
    assert_eq!(created.generation.expires_unix, Some(1_797_909_540));
    assert_eq!(created.generation.fact("operation"), Some("op-7"));
    assert_eq!(created.generation.fact("created"), Some("1795317540"));
    let secrets: Vec<_> = created.secrets.iter().map(|(name, secret)| (name.as_str(), label(secret))).collect();
    assert_eq!(secrets, [("token", "json:/token")]);
    assert_eq!(transcript, [format!("GET {TOKENS} as admin:"), format!("POST {TOKENS} as admin: {BODY}")]);
}

#[test]
fn a_token_whose_answer_was_lost_is_deleted_first_and_no_other() {
    let tokens = [
        hub::listed("a1", "made by hand"),
        hub::listed("a2", "[keybaton op-7] by service keybaton"),
        hub::listed("a3", "[keybaton op-70]"),
        hub::listed("a4", "[keybaton op-7]"),
    ];
    let host = hub::host()
        .http("GET", TOKENS, move |_| Ok((200, hub::list(&tokens))))
        .http("DELETE", &format!("{TOKENS}/a2"), |_| Ok((204, String::new())))
        .http("POST", TOKENS, |_| Ok((201, MINTED.to_owned())));
    let mut target = hub::target();
    let known = Generation { number: Some(3), id: Some("a4".to_owned()), ..Generation::default() };
    target.generations.push(known);
    let (created, transcript) = host.run("create", || HttpToken::create(&context(7), &target, &[]));
    created.unwrap();
    assert_eq!(
        transcript,
        [
            format!("GET {TOKENS} as admin:"),
            "log Warn: deleting the token of an attempt whose answer was lost".to_owned(),
            format!("DELETE {TOKENS}/a2 as admin:"),
            format!("POST {TOKENS} as admin: {BODY}"),
        ]
    );
}

#[test]
fn an_id_that_the_answer_lacks_is_looked_for_by_its_marker() {
    for (sentence, notes, expected) in [
        ("one token has it", &["[keybaton op-7]"][..], Ok("b0")),
        ("none has it", &["else"], Err("http-token.id-unknown")),
        ("two have it", &["[keybaton op-7]", "[keybaton op-7]"], Err("http-token.id-unknown")),
    ] {
        let tokens: Vec<_> = notes.iter().enumerate().map(|(at, note)| hub::listed(&format!("b{at}"), note)).collect();
        let mut looks = 0;
        let host = hub::host()
            .http("GET", TOKENS, move |_| {
                looks += 1;
                Ok((200, hub::list(if looks == 1 { &[] } else { &tokens })))
            })
            .http("POST", TOKENS, |_| Ok((201, r#"{ "token": "[secret]" }"#.to_owned())));
        let (created, _) = host.run("create", || HttpToken::create(&context(7), &hub::target(), &[]));
        match (created, expected) {
            (Ok(created), Ok(id)) => assert_eq!(created.generation.id.as_deref(), Some(id), "{sentence}"),
            (Err(failure), Err(code)) => assert_eq!(failure.code(), code, "{sentence}"),
            (got, _) => panic!("{sentence}: {got:?}"),
        }
    }
}

#[test]
fn a_refusal_is_of_the_class_that_the_status_has() {
    for (status, class) in [
        (403, FailureClass::Permanent),
        (404, FailureClass::Permanent),
        (302, FailureClass::Permanent),
        (429, FailureClass::Retryable),
        (503, FailureClass::Retryable),
    ] {
        let host = hub::host()
            .http("GET", TOKENS, |_| Ok((200, hub::list(&[]))))
            .http("POST", TOKENS, move |_| Ok((status, String::new())));
        let (created, _) = host.run("create", || HttpToken::create(&context(7), &hub::target(), &[]));
        assert_eq!(created.unwrap_err().class(), class, "minting: {status}");

        let host = hub::host().http("GET", TOKENS, move |_| Ok((status, String::new())));
        let (observed, _) = host.run("observe", || HttpToken::observe(&context(7), &hub::target()));
        assert_eq!(observed.unwrap_err().class(), class, "listing: {status}");
    }
}

#[test]
fn a_minted_token_needs_no_install() {
    let target = hub::target().with(7, Role::Pending, None, &["token"]);
    let (facts, transcript) = hub::host().run("install", || HttpToken::install(&context(7), &target));
    assert!(facts.unwrap().is_empty() && transcript.is_empty());
}
