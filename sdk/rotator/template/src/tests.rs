//! The plugin on a scripted host that is held to `plugin.toml`.

use super::{MyRotator, SCHEMA, Settings};
use keybaton_rotator::testing::{Host, check_about, context, target};
use keybaton_rotator::{Context, Role, Rotator, Target, Verdict};

const KEYS: &str = "/accounts/a%20b/keys";

fn host() -> Host {
    Host::new(include_str!("../plugin.toml"))
}

fn subject() -> Target<Settings> {
    target(Settings { connection: "service".to_owned(), account: "a b".to_owned() })
}

#[test]
fn the_plugin_says_of_itself_what_its_manifest_says() {
    check_about(&MyRotator::ABOUT, include_str!("../plugin.toml"));
    assert!(SCHEMA.contains("\"account\""));
}

#[test]
fn a_key_whose_answer_was_lost_is_revoked_before_the_next_is_minted() {
    let listed = r#"[{ "id": "k1", "label": "op-2", "created": 1, "last_used": null }]"#;
    let host = host()
        .http("GET", KEYS, move |_| Ok((200, listed.to_owned())))
        .http("DELETE", &format!("{KEYS}/k1"), |_| Ok((204, String::new())))
        .http("POST", KEYS, |_| Ok((201, r#"{ "id": "k2", "label": "op-2", "created": 2 }"#.to_owned())));
    let (created, transcript) = host.run("create", || MyRotator::create(&context(2), &subject(), &[]));
    assert_eq!(created.unwrap().generation.id.as_deref(), Some("k2"));
    assert_eq!(
        transcript,
        [
            format!("GET {KEYS} as admin:"),
            format!("DELETE {KEYS}/k1 as admin:"),
            format!("POST {KEYS} as admin: {{\"label\":\"op-2\"}}"),
        ]
    );
}

#[test]
fn a_refused_key_is_a_verdict_and_a_service_that_is_down_a_failure() {
    for (status, expected) in [(200, Some(true)), (401, Some(false)), (503, None)] {
        let host = host().http("GET", "/whoami", move |_| Ok((status, String::new())));
        let subject = subject().with(2, Role::Pending, None, &["key"]);
        let (verdict, _) = host.run("verify", || MyRotator::verify(&context(2), &subject));
        assert_eq!(verdict.ok().map(|verdict| verdict == Verdict::Works), expected, "{status}");
    }
}

#[test]
fn a_key_that_is_gone_is_destroyed() {
    let host = host().http("DELETE", &format!("{KEYS}/k1"), |_| Ok((404, String::new())));
    let ctx = Context { id: Some("k1".to_owned()), ..context(1) };
    let (facts, _) = host.run("destroy", || MyRotator::destroy(&ctx, &subject()));
    assert!(facts.unwrap().is_empty());
}
