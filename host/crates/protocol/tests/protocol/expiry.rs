//! Credentials that end by themselves: nobody is waited for on account of one that nobody can use any more, and nothing
//! ends by a date alone.

use crate::common::{Sim, alternate, author, consumer, one_slot, policy, replace};
use keybaton_protocol::action::Waiting;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Generation, Millis};
use keybaton_protocol::policy::{AtDeadline, Policy};
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{PlanKind, Step};

/// What the first credential lives by itself, in seconds.
const LIFE_S: u64 = 3_600;

fn patient() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn impatient(then: AtDeadline) -> Policy {
    let mut policy = patient();
    policy.stragglers.deadline_ms = Some(60_000);
    policy.stragglers.then = then;
    policy
}

/// The first credential expires in an hour; the one that is to follow never does.
fn rotating(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::new();
    sim.life_s = Some(LIFE_S);
    sim.start(PlanKind::Issue, profile.clone(), policy.clone());
    sim.run();
    sim.life_s = None;
    sim.done.clear();
    sim.start(PlanKind::Rotate, profile, policy);
    sim.run();
    sim
}

fn words(sim: &Sim) -> Vec<(u32, String, String)> {
    let word = |event: &Event| match event {
        Event::Overridden { generation, author, reason } => Some((generation.0, author.to_string(), reason.clone())),
        _ => None,
    };
    sim.journal.iter().filter_map(|(_, event)| word(event)).collect()
}

fn at_expiry(sim: &Sim) -> Millis {
    sim.secret.expires_at(Generation(1)).expect("it was told")
}

#[test]
fn the_end_that_a_credential_has_by_itself_is_read_off_what_made_it() {
    let sim = rotating(alternate(), patient());
    assert_eq!(at_expiry(&sim), Millis(1_000_000 + LIFE_S * 1_000));
    assert_eq!(sim.secret.expires_at(Generation(2)), None);
}

#[test]
fn before_the_commit_nobody_is_waited_for_from_so_long_before_the_expiry_as_the_policy_says() {
    let mut policy = patient();
    policy.stragglers.before_expiry_ms = 600_000;
    let mut sim = rotating(alternate(), policy);
    let yields_at = Millis(at_expiry(&sim).0 - 600_000);
    sim.now = Millis(yields_at.0 - 1);
    assert!(matches!(sim.run(), Waiting::Consumers { step: Step::Stage, .. }));
    sim.now = yields_at;
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(2)));
    let (generation, author, reason) = words(&sim).remove(0);
    assert_eq!((generation, author.as_str()), (2, "policy"));
    assert!(reason.contains("expires") && reason.contains("api one"), "{reason}");
    assert!(matches!(sim.run(), Waiting::Consumers { step: Step::Adopt, .. }), "the old one works, and is waited for");
}

#[test]
fn an_expired_credential_that_is_refused_is_waited_for_no_longer_and_one_that_works_is() {
    for refused in [false, true] {
        let mut sim = rotating(alternate(), patient());
        sim.say("api", "one", Purpose::Ready, 2);
        sim.run();
        sim.now = at_expiry(&sim).plus(1);
        if refused {
            sim.refuses = &[1];
        }
        sim.run_for(60_000);
        assert_eq!(sim.rotation_over(), refused, "{:?}", sim.done);
        let said: Vec<_> = words(&sim).into_iter().map(|(generation, author, _)| (generation, author)).collect();
        let expected = if refused { vec![(1, "policy".to_owned())] } else { Vec::new() };
        assert_eq!(said, expected, "{:?}", sim.done);
        assert!(
            !sim.done.iter().any(|it| it.starts_with("destroy 1") || it.starts_with("disable 1")),
            "{:?}",
            sim.done
        );
    }
}

#[test]
fn with_one_slot_the_install_waits_until_the_expired_one_is_refused() {
    for refused in [false, true] {
        let mut sim = rotating(one_slot(), patient());
        sim.now = at_expiry(&sim).plus(1);
        if refused {
            sim.refuses = &[1];
        }
        sim.run_for(60_000);
        assert_eq!(sim.done.iter().any(|it| it == "install 2"), refused, "{:?}", sim.done);
    }
}

#[test]
fn a_hold_for_stragglers_is_lifted_by_the_expiry_of_what_they_are_to_leave() {
    let mut sim = rotating(alternate(), impatient(AtDeadline::Hold));
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run_for(120_000);
    assert_eq!(sim.secret.hold().map(|hold| hold.reason), Some(HoldReason::Stragglers));
    sim.now = at_expiry(&sim).plus(1);
    sim.run_for(120_000);
    assert_eq!(sim.secret.hold(), None, "it still works: it is waited for, and nobody has to come");
    sim.refuses = &[1];
    sim.run_for(120_000);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn certificates_side_by_side_are_never_held_for_stragglers() {
    let mut sim = rotating(replace(), impatient(AtDeadline::Hold));
    sim.run_for(120_000);
    assert_eq!((sim.secret.hold(), sim.secret.current()), (None, Some(Generation(2))), "{:?}", sim.done);
    sim.run_for(600_000);
    assert_eq!(sim.secret.hold(), None);
    assert!(!sim.rotation_over(), "the old one is kept until everybody has switched, or it expires");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn certificates_go_back_at_the_deadline_where_the_policy_says_so() {
    let mut sim = rotating(replace(), impatient(AtDeadline::Rollback));
    sim.run_for(120_000);
    assert_eq!(sim.secret.current(), Some(Generation(1)));
}

/// The first one has expired, is refused everywhere, and its users are waited for no longer; the target is still settling
/// nothing, and nothing has ended yet.
fn given_up(profile: Profile) -> Sim {
    let mut policy = patient();
    policy.overlap_min_ms = 600_000;
    let mut sim = rotating(profile, policy);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.now = at_expiry(&sim).plus(1);
    sim.refuses = &[1];
    sim.run();
    assert_eq!(words(&sim).len(), 1, "{:?}", sim.done);
    sim
}

#[test]
fn a_credential_that_was_given_up_as_expired_and_works_again_is_waited_for_again() {
    let mut sim = given_up(alternate());
    sim.refuses = &[];
    sim.run_for(3_600_000);
    assert!(!sim.done.iter().any(|it| it == "disable 1" || it == "destroy 1"), "{:?}", sim.done);
    assert!(!sim.rotation_over(), "whoever uses it is waited for");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run_for(3_600_000);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn a_persons_word_about_an_expired_credential_stands_although_it_works() {
    let mut sim = given_up(alternate());
    sim.command(&Command::Override { generation: Generation(1), reason: "seen".to_owned(), author: author() });
    sim.refuses = &[];
    sim.run_for(3_600_000);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}
