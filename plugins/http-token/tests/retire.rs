//! `destroy`: absent is success, and a token that cannot be named is not guessed.

use super::hub::{self, TOKENS};
use crate::HttpToken;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Context, FailureClass, Generation, Role, Rotator};

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
fn an_id_that_was_given_to_another_token_is_left_alone() {
    let generation = |number, role: Role, operation: &str| Generation {
        number: Some(number),
        id: Some("a7".to_owned()),
        role: role.name().to_owned(),
        facts: vec![("operation".to_owned(), operation.to_owned())],
        ..Generation::default()
    };
    let ours = hub::listed("a7", "[keybaton op-7]");
    for (sentence, others, listed, deleted) in [
        ("our token", vec![], vec![ours.clone()], true),
        ("a newer generation's", vec![generation(8, Role::Current, "op-8")], vec![ours], false),
        ("somebody else's", vec![], vec![hub::listed("a7", "made by hand")], false),
        ("gone", vec![], vec![hub::listed("a8", "[keybaton op-7]")], false),
    ] {
        let mut target = hub::target();
        target.generations = others;
        target.generations.push(generation(7, Role::Previous, "op-7"));
        let host = hub::host().http("GET", TOKENS, move |_| Ok((200, hub::list(&listed)))).http(
            "DELETE",
            &format!("{TOKENS}/a7"),
            |_| Ok((204, String::new())),
        );
        let (facts, transcript) = host.run("destroy", || HttpToken::destroy(&context(7), &target));
        assert_eq!(facts.unwrap()[0].0, if deleted { "deleted" } else { "absent" }, "{sentence}");
        assert_eq!(transcript.iter().any(|line| line.starts_with("DELETE")), deleted, "{sentence}");
    }
}

#[test]
fn a_token_that_is_named_apart_is_deleted_if_it_is_still_that_one() {
    for (sentence, name, facts, deleted) in [
        ("still there", "a7#minted-1795317540", vec![("operation".to_owned(), "op-1".to_owned())], true),
        ("minted at another time", "a7#minted-1795317000", vec![("operation".to_owned(), "op-1".to_owned())], false),
        ("a generation's own", "a7#minted-1795317540", vec![("operation".to_owned(), "op-7".to_owned())], false),
    ] {
        let listed = hub::listed("a7", "[keybaton op-7]");
        let host = hub::host().http("GET", TOKENS, move |_| Ok((200, hub::list(std::slice::from_ref(&listed))))).http(
            "DELETE",
            &format!("{TOKENS}/a7"),
            |_| Ok((204, String::new())),
        );
        let mut target = hub::target();
        let known = Generation { number: Some(1), id: Some("a7".to_owned()), facts, ..Generation::default() };
        target.generations.push(known);
        let ctx = Context { id: Some(name.to_owned()), ..context(7) };
        let (facts, transcript) = host.run("destroy", || HttpToken::destroy(&ctx, &target));
        let said = if deleted { "deleted" } else { "absent" };
        assert_eq!(facts.unwrap(), [(said.to_owned(), name.to_owned())], "{sentence}");
        assert_eq!(transcript.iter().any(|line| line.starts_with("DELETE")), deleted, "{sentence}");
    }
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
