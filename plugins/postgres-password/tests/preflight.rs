//! `preflight`: what an operator is told before a rotation starts.

use super::server::{Role as Here, Server, awake, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Role, Rotator};

fn check(sentence: &str, server: &Server, expected: &[(&str, bool)]) {
    let subject = turns().with(1, Role::Current, Some("app_a"), &[]);
    let (findings, _) = server.host().run("preflight", || PostgresPassword::preflight(&context(2), &subject));
    let findings = findings.unwrap();
    assert_eq!(findings.len(), expected.len(), "{sentence}: {findings:#?}");
    for (finding, (words, fatal)) in findings.iter().zip(expected) {
        assert!(finding.message.contains(words), "{sentence}: {}", finding.message);
        assert_eq!(finding.fatal, *fatal, "{sentence}");
    }
}

fn sound() -> Server {
    let role = || Here { member: true, acts_as_group: true, ..awake() };
    Server::default().with("app_a", role()).with("app_owner", Here::default())
}

#[test]
fn each_rule_says_what_to_do() {
    let admin = |createrole, may_signal| Server { limited: Some((createrole, may_signal)), ..sound() };
    check("all is well", &sound(), &[]);
    check("the admin may not alter roles", &admin(false, true), &[("may not alter roles", true)]);
    check("nor end sessions", &admin(true, false), &[("pg_signal_backend", false)]);
    check(
        "nor alter this one, from 16 on",
        &admin(true, true).with("app_b", Here::default()),
        &[("WITH ADMIN OPTION", true)],
    );
    check(
        "a superuser is out of reach",
        &admin(true, true).with("app_a", Here { superuser: true, ..awake() }),
        &[("only a superuser may alter", true)],
    );
    check("no group", &Server::default().with("app_a", awake()), &[("CREATE ROLE \"app_owner\" NOLOGIN", true)]);
    check("a group that logs in", &sound().with("app_owner", awake()), &[("NOLOGIN", false)]);
    check(
        "a group of superusers",
        &sound().with("app_owner", Here { superuser: true, ..Here::default() }),
        &[("superuser", true)],
    );
    check(
        "a password that is over",
        &sound().with("app_a", Here { expires: Some("999"), ..awake() }),
        &[("'infinity'", true)],
    );
    check(
        "one that will be",
        &sound().with("app_a", Here { expires: Some("2000"), ..awake() }),
        &[("VALID UNTIL", false)],
    );
    check("one that never is", &sound().with("app_a", Here { expires: Some("Infinity"), ..awake() }), &[]);
    check("a role in other hands", &sound().with("app_b", awake()), &[("import it", false)]);
    let own = Here { own_privileges: vec!["SELECT on orders"], ..awake() };
    check("privileges of its own", &sound().with("app_a", own), &[("SELECT on orders", true)]);
    let elsewhere = Here { owns: 2, owns_elsewhere: 1, ..awake() };
    check("objects in other databases", &sound().with("app_a", elsewhere), &[("in other databases", false)]);
}
