//! `verify`: a request with the token alone.

use super::hub;
use crate::HttpToken;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Role, Rotator, Verdict};

#[test]
fn what_the_api_says_of_the_token_is_the_verdict() {
    for (sentence, status, body, expected) in [
        ("its user", 200, r#"{ "name": "svc-app" }"#, Ok(true)),
        ("another user", 200, r#"{ "name": "admin" }"#, Ok(false)),
        ("nobody", 200, "{}", Ok(false)),
        ("refused", 403, "", Ok(false)),
        ("not authenticated", 401, "", Ok(false)),
        ("down", 503, "", Err("http-token.status-503")),
        ("moved", 302, "", Err("http-token.status-302")),
    ] {
        let host = hub::host().http("GET", "/hub/api/user", move |_| Ok((status, body.to_owned())));
        let target = hub::target().with(7, Role::Pending, None, &["token"]);
        let (verdict, transcript) = host.run("verify", || HttpToken::verify(&context(7), &target));
        match (verdict, expected) {
            (Ok(verdict), Ok(works)) => assert_eq!(verdict == Verdict::Works, works, "{sentence}"),
            (Err(failure), Err(code)) => assert_eq!(failure.code(), code, "{sentence}"),
            (got, _) => panic!("{sentence}: {got:?}"),
        }
        assert_eq!(transcript, ["GET /hub/api/user as bearer(prefix=token token=token#7):"], "{sentence}");
    }
}

#[test]
fn a_header_of_its_own_carries_the_token_alone() {
    let mut target = hub::target().with(7, Role::Pending, None, &["token"]);
    target.settings.verify.header = Some("x-api-key".to_owned());
    target.settings.verify.prefix = None;
    let host = hub::host().http("GET", "/hub/api/user", |_| Ok((200, r#"{ "name": "svc-app" }"#.to_owned())));
    let (verdict, transcript) = host.run("verify", || HttpToken::verify(&context(7), &target));
    assert_eq!(verdict.unwrap(), Verdict::Works);
    assert_eq!(transcript, ["GET /hub/api/user as header(header=x-api-key value=token#7):"]);
}
