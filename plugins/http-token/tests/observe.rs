//! `observe` and `preflight`: the list as the host is told of it.

use super::hub::{self, TOKENS};
use crate::HttpToken;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Generation, Rotator, State};

#[test]
fn each_token_is_told_with_what_the_api_says_of_it() {
    let used = hub::listed("a2", "n").replace("null", "\"2026-11-22T04:00:00Z\"").replace("\"a2\"", "12");
    let tokens = [hub::listed("a1", "made by hand"), used];
    let host = hub::host().http("GET", TOKENS, move |_| Ok((200, hub::list(&tokens))));
    let mut target = hub::target();
    target.generations.push(Generation { number: Some(3), id: Some("12".to_owned()), ..Generation::default() });
    let (observed, _) = host.run("observe", || HttpToken::observe(&context(3), &target));
    let generations = observed.unwrap().generations;
    let [foreign, known] = &generations[..] else { panic!("{generations:?}") };
    assert_eq!((foreign.number, foreign.id.as_deref(), foreign.last_used_unix), (None, Some("a1"), None));
    assert_eq!(foreign.fact("note"), Some("made by hand"));
    assert_eq!((known.number, known.id.as_deref()), (Some(3), Some("12")));
    assert_eq!(known.created_unix, Some(1_795_317_540));
    assert_eq!(known.last_used_unix, Some(1_795_320_000));
    assert_eq!(known.state, State::Active);
}

#[test]
fn an_id_that_was_given_to_another_token_is_not_taken_for_ours() {
    // The list says that all of them were minted at this time.
    let minted = 1_795_317_540_u64;
    for (sentence, note, facts, known) in [
        ("our marker", "[keybaton op-3]", vec![("operation", "op-3".to_owned())], true),
        ("another's marker", "[keybaton op-2]", vec![("operation", "op-3".to_owned())], false),
        ("words of somebody's", "made by hand", vec![("operation", "op-3".to_owned())], false),
        ("our time", "n", vec![("created", minted.to_string())], true),
        ("our time, rounded", "n", vec![("created", (minted - 1).to_string())], true),
        ("another time", "n", vec![("created", (minted - 60).to_string())], false),
        (
            "our marker, another time",
            "[keybaton op-3]",
            vec![("operation", "op-3".to_owned()), ("created", (minted - 60).to_string())],
            false,
        ),
        ("imported: known by its id alone", "made by hand", vec![], true),
    ] {
        let host = hub::host().http("GET", TOKENS, move |_| Ok((200, hub::list(&[hub::listed("12", note)]))));
        let mut target = hub::target();
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        target.generations.push(Generation { number: Some(3), id: Some("12".to_owned()), facts, ..Default::default() });
        let (observed, _) = host.run("observe", || HttpToken::observe(&context(3), &target));
        let seen = &observed.unwrap().generations[0];
        let expected = if known { (Some(3), "12") } else { (None, "12#minted-1795317540") };
        assert_eq!((seen.number, seen.id.as_deref().unwrap()), expected, "{sentence}");
    }
}

#[test]
fn a_list_that_cannot_be_read_is_no_empty_list() {
    for (sentence, body, code) in [
        ("no JSON", "<html>", "http.unexpected-body"),
        ("no array", r#"{ "tokens": [] }"#, "http-token.list-unreadable"),
        ("a token without an id", r#"{ "api_tokens": [{ "note": "x" }] }"#, "http-token.list-unreadable"),
    ] {
        let host = hub::host().http("GET", TOKENS, move |_| Ok((200, body.to_owned())));
        let (observed, _) = host.run("observe", || HttpToken::observe(&context(3), &hub::target()));
        assert_eq!(observed.unwrap_err().code(), code, "{sentence}");
    }
}

#[test]
fn preflight_says_what_is_in_the_way() {
    let four: Vec<_> = (0..4).map(|at| hub::listed(&at.to_string(), "")).collect();
    for (sentence, status, body, expected) in [
        ("room for more", 200, hub::list(&four[..3]), vec![]),
        ("no room", 200, hub::list(&four), vec![("4 tokens are live", false)]),
        ("not allowed", 403, String::new(), vec![("may not do this", true)]),
        ("not there", 404, String::new(), vec![("check the path", true)]),
    ] {
        let host = hub::host().http("GET", TOKENS, move |_| Ok((status, body.clone())));
        let (findings, _) = host.run("preflight", || HttpToken::preflight(&context(3), &hub::target()));
        let findings = findings.unwrap();
        assert_eq!(findings.len(), expected.len(), "{sentence}");
        for (finding, (words, fatal)) in findings.iter().zip(expected) {
            assert!(finding.message.contains(words) && finding.fatal == fatal, "{sentence}: {finding:?}");
        }
    }
    let host = hub::host().http("GET", TOKENS, |_| Ok((503, String::new())));
    let (findings, _) = host.run("preflight", || HttpToken::preflight(&context(3), &hub::target()));
    assert_eq!(findings.unwrap_err().code(), "http-token.status-503", "an API that is down is no finding");
}
