//! `observe`: which generation's password each role has, told by login where more than one could be.

use super::server::{Role as Here, Server, awake, holding, one, turns};
use crate::PostgresPassword;
use crate::settings::Settings;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Role, Rotator, Target};

fn seen(server: &Server, subject: &Target<Settings>) -> Vec<String> {
    let (observed, _) = server.host().run("observe", || PostgresPassword::observe(&context(1), subject));
    let shown = |generation: keybaton_rotator::Generation| {
        let uses = generation.live_uses.map_or_else(|| "-".to_owned(), |uses| uses.to_string());
        let number = generation.number.map_or_else(|| "foreign".to_owned(), |number| number.to_string());
        format!("{} {} {number} {uses}", generation.id.unwrap_or_default(), generation.state.name())
    };
    observed.unwrap().generations.into_iter().map(shown).collect()
}

#[test]
fn roles_are_named_by_the_generation_in_them() {
    let busy = Here { sessions: 4, ..awake() };
    let both = || turns().with(1, Role::Previous, Some("app_a"), &[]).with(2, Role::Current, Some("app_b"), &[]);
    let second = turns().with(1, Role::Current, Some("app_a"), &[]).with(2, Role::Pending, Some("app_b"), &[]);
    for (sentence, server, subject, expected) in [
        ("nothing there", Server::default(), turns(), vec![]),
        (
            "two in turn, with their sessions",
            Server::default().with("app_a", busy).with("app_b", awake()),
            both(),
            vec!["app_a#1 active 1 4", "app_b#2 active 2 0"],
        ),
        (
            "one switched off",
            Server::default().with("app_a", Here::default()).with("app_b", awake()),
            both(),
            vec!["app_a#1 inactive 1 0", "app_b#2 active 2 0"],
        ),
        (
            "a role whose next password is not yet installed",
            Server::default().with("app_a", awake()).with("app_b", Here::default()),
            second,
            vec!["app_a#1 active 1 0"],
        ),
        (
            "somebody else's password",
            Server::default().with("app_b", awake()),
            turns(),
            vec!["app_b#0 active foreign 0"],
        ),
        (
            "somebody's, whatever is being prepared for the role",
            Server::default().with("app_b", awake()),
            turns().with(2, Role::Pending, Some("app_b"), &[]),
            vec!["app_b#0 active foreign 0"],
        ),
        (
            "set by hand over the one of ours",
            Server::default().with("app_b", awake()),
            turns().with(2, Role::Current, Some("app_b"), &["password"]),
            vec!["app_b#0 active foreign 0"],
        ),
        (
            "one role: its sessions cannot be told apart",
            Server::default().with("app", awake()),
            one().with(1, Role::Current, None, &[]),
            vec!["app#1 active 1 -"],
        ),
    ] {
        assert_eq!(seen(&server, &subject), expected, "{sentence}");
    }
}

#[test]
fn of_two_passwords_for_one_role_the_login_that_works_tells() {
    let subject = one().with(1, Role::Current, None, &["password"]).with(2, Role::Pending, None, &["password"]);
    let server = Server::default().with("app", holding(2));
    let (observed, transcript) = server.host().run("observe", || PostgresPassword::observe(&context(2), &subject));
    assert_eq!(observed.unwrap().generations[0].number, Some(2));
    let login = |number| format!("login as password(user=app password=password#{number}):");
    assert_eq!(transcript, ["role as admin: app".to_owned(), login(1), login(2)], "what was in it comes first");

    let drifted = Server::default().with("app", awake());
    assert_eq!(seen(&drifted, &subject), ["app#0 active foreign -"], "neither works: somebody changed it");
}

#[test]
fn an_imported_password_without_a_value_is_the_one_that_is_left() {
    let subject = one().with(1, Role::Current, None, &[]).with(2, Role::Pending, None, &["password"]);
    assert_eq!(seen(&Server::default().with("app", awake()), &subject), ["app#1 active 1 -"]);
}
