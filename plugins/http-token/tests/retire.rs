//! `destroy`: absent is success, and a token that cannot be named is not guessed.

use super::hub::{self, TOKENS};
use crate::HttpToken;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Context, FailureClass, Role, Rotator};

#[test]
fn a_token_is_deleted_by_its_id() {
    for (sentence, id, status, expected) in [
        ("there", "a7", 204, Ok("deleted")),
        ("gone", "a7", 404, Ok("absent")),
        ("an id that is no plain segment", "a/../7", 204, Ok("deleted")),
        ("not allowed", "a7", 403, Err("http-token.status-403")),
    ] {
        let path = format!("{TOKENS}/{}", if id == "a7" { "a7" } else { "a%2F..%2F7" });
        let host = hub::host().http("DELETE", &path, move |_| Ok((status, String::new())));
        let ctx = Context { id: Some(id.to_owned()), ..context(7) };
        let (facts, transcript) = host.run("destroy", || HttpToken::destroy(&ctx, &hub::target()));
        match (facts, expected) {
            (Ok(facts), Ok(what)) => assert_eq!(facts, [(what.to_owned(), id.to_owned())], "{sentence}"),
            (Err(failure), Err(code)) => assert_eq!(failure.code(), code, "{sentence}"),
            (got, _) => panic!("{sentence}: {got:?}"),
        }
        assert_eq!(transcript, [format!("DELETE {path} as admin:")], "{sentence}");
    }
}

#[test]
fn a_token_without_an_id_is_not_guessed() {
    let target = hub::target().with(7, Role::Previous, None, &["token"]);
    let (facts, transcript) = hub::host().run("destroy", || HttpToken::destroy(&context(7), &target));
    assert_eq!(facts.unwrap_err().code(), "http-token.id-unknown");
    assert!(transcript.is_empty());
}

#[test]
fn there_is_no_soft_way() {
    for answer in [
        HttpToken::disable(&context(7), &hub::target()),
        HttpToken::enable(&context(7), &hub::target()),
        HttpToken::promote(&context(7), &hub::target()),
    ] {
        assert_eq!(answer.unwrap_err().class(), FailureClass::Unsupported);
    }
}
