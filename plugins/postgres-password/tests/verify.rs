//! `verify`: a login with the candidate alone.

use super::server::{Role as Here, Server, holding, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Role, Rotator, Verdict};

#[test]
fn what_the_server_says_of_the_login_is_the_verdict() {
    let role = |name: &str, acts_as_group| {
        let taken_for = (name != "app_a").then_some("app_x");
        let role = Here { member: true, acts_as_group, taken_for, ..holding(1) };
        Server::default().with("app_a", role)
    };
    for (sentence, server, works) in [
        ("its role, acting as the group", role("app_a", true), true),
        ("its role, acting for itself, as an imported one does", role("app_a", false), true),
        ("another role", role("app_x", true), false),
        ("refused", Server::default(), false),
    ] {
        let subject = turns().with(1, Role::Pending, Some("app_a"), &["password"]);
        let (verdict, transcript) = server.host().run("verify", || PostgresPassword::verify(&context(1), &subject));
        assert_eq!(verdict.unwrap() == Verdict::Works, works, "{sentence}");
        assert_eq!(transcript, ["login as password(user=app_a password=password#1):"], "{sentence}");
    }
}
