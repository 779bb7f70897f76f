//! `preflight`: what an operator is told before a rotation starts.

use super::server::{Role as Here, Server, awake, holding, one, settings, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::{context, target};
use keybaton_rotator::{Role, Rotator};

fn check(sentence: &str, server: &Server, expected: &[(&str, bool)]) {
    let subject = turns().with(1, Role::Current, Some("app_a"), &["password"]);
    let (findings, _) = server.host().run("preflight", || PostgresPassword::preflight(&context(2), &subject));
    let findings = findings.unwrap();
    assert_eq!(findings.len(), expected.len(), "{sentence}: {findings:#?}");
    for (finding, (words, fatal)) in findings.iter().zip(expected) {
        assert!(finding.message.contains(words), "{sentence}: {}", finding.message);
        assert_eq!(finding.fatal, *fatal, "{sentence}");
    }
}

fn sound() -> Server {
    let role = || Here { member: true, acts_as_group: true, ..holding(1) };
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
        &admin(true, true).with("app_a", Here { superuser: true, ..holding(1) }),
        &[("only a superuser may alter", true)],
    );
    check("no group", &Server::default().with("app_a", holding(1)), &[("CREATE ROLE \"app_owner\" NOLOGIN", true)]);
    check("a group that logs in", &sound().with("app_owner", awake()), &[("NOLOGIN", false)]);
    check(
        "a group of superusers",
        &sound().with("app_owner", Here { superuser: true, ..Here::default() }),
        &[("superuser", true)],
    );
    check(
        "a password that is over",
        &sound().with("app_a", Here { expires: Some("999"), ..holding(1) }),
        &[("'infinity'", true)],
    );
    check(
        "one that will be",
        &sound().with("app_a", Here { expires: Some("2000"), ..holding(1) }),
        &[("VALID UNTIL", false)],
    );
    check("one that never is", &sound().with("app_a", Here { expires: Some("Infinity"), ..holding(1) }), &[]);
    check("a role in other hands", &sound().with("app_b", awake()), &[("import it", false)]);
    let own = Here { own_privileges: vec!["SELECT on orders"], ..holding(1) };
    check("privileges of its own", &sound().with("app_a", own), &[("SELECT on orders", true)]);
    let elsewhere = Here { owns: 2, owns_elsewhere: 1, ..holding(1) };
    check("objects in other databases", &sound().with("app_a", elsewhere), &[("in other databases", false)]);
}

/// A person's act at the server in an emergency: it is asked about, and the answer may be in the settings.
#[test]
fn what_somebody_did_to_the_credential_in_use_stands_in_the_way() {
    let replace = || settings(r#"{ "connection": "db", "role": "app", "existing": "replace" }"#);
    let said = |server: &Server, subject| {
        let (findings, _) = server.host().run("preflight", || PostgresPassword::preflight(&context(2), &subject));
        findings.unwrap().into_iter().map(|finding| (finding.message, finding.fatal)).collect::<Vec<_>>()
    };
    let off = || {
        let mut subject = one().with(1, Role::Current, None, &["password"]);
        subject.generations[0].facts.push(("switched".to_owned(), "off".to_owned()));
        subject
    };
    for (sentence, role, words) in [
        ("as it was left", Some(holding(1)), None),
        ("dropped", None, Some("does not exist any more")),
        ("its login taken away", Some(Here::default()), Some("ALTER ROLE \"app\" LOGIN")),
        ("another password", Some(awake()), Some("import the one that it has now")),
    ] {
        let server = role.into_iter().fold(Server::default(), |server, role| server.with("app", role));
        let fatal = said(&server, one().with(1, Role::Current, None, &["password"]));
        let warned = said(&server, target(replace()).with(1, Role::Current, None, &["password"]));
        let Some(words) = words else {
            assert_eq!((fatal, warned), (vec![], vec![]), "{sentence}");
            continue;
        };
        assert!(matches!(&fatal[..], [(text, true)] if text.contains(words)), "{sentence}: {fatal:?}");
        assert!(matches!(&warned[..], [(_, false)]), "{sentence}, given away: {warned:?}");
    }
    assert_eq!(said(&Server::default().with("app", Here::default()), off()), [], "what keybaton switched off itself");
    let adopted = one().with(1, Role::Current, None, &[]);
    assert_eq!(said(&Server::default().with("app", awake()), adopted), [], "an adopted one, whose value nobody knows");
}
