//! After a restore the journal is older than the target and the consumers. Nothing ends by what it says, and there is
//! always a way on.

use crate::common::{Sim, alternate, author, consumer, id, live, native, one_slot, policy, verifier};
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::comparison::{Outcome, compare};
use keybaton_protocol::event::{Event, HoldReason};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Epoch, Generation, Millis, Place};
use keybaton_protocol::offer;
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{Ending, Phase, PlanKind, Step};

/// Far longer than any lease, soak or pause.
const LONG_MS: u64 = 10_000_000;

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

fn restore(sim: &mut Sim) {
    sim.done.clear();
    sim.command(&Command::Restore { epoch: Epoch(1) });
}

fn reconcile() -> Command {
    Command::Reconcile { author: author(), next: Generation(7) }
}

fn accept_lost() -> Command {
    Command::AcceptLost { reason: "the server was rebuilt".to_owned(), author: author(), next: Generation(9) }
}

fn outcome(sim: &Sim) -> Outcome {
    compare(&sim.secret, None).expect("it is held by a restore").outcome
}

/// Generation 2 is staged and fetched; then the database is restored.
fn restored_while_staged(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.fetch("api", "one", 2);
    restore(&mut sim);
    sim
}

fn switched(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.fetch("api", "one", 1);
    sim.fetch("api", "one", 2);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim
}

#[test]
fn it_does_nothing_until_it_was_compared() {
    let mut sim = restored_while_staged(alternate(), one_consumer());
    assert!(sim.refused(&reconcile()).contains("not been observed"));
    assert_eq!(outcome(&sim), Outcome::Comparing);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Reconcile));
    assert_eq!(sim.done, ["observe 1", "verify 1", "verify 2"], "a look and two logins, and nothing else");
    for request in [
        Command::Abandon { reason: String::new(), author: author() },
        Command::Rollback { reason: String::new(), author: author() },
        Command::Revert { reason: String::new(), author: author() },
    ] {
        assert!(sim.refused(&request).contains("reconcile it"), "it may be in the middle of what is in use");
    }
}

#[test]
fn a_pending_credential_that_works_becomes_current_and_does_not_end() {
    for profile in [alternate(), native()] {
        let mut sim = restored_while_staged(profile, one_consumer());
        sim.run();
        assert_eq!(outcome(&sim), Outcome::Ahead, "the target shows a newer one than the current one");
        sim.command(&reconcile());
        assert_eq!(sim.secret.next_generation(), Generation(7), "past the highest any consumer reports");
        sim.run_for(LONG_MS);
        assert_eq!(sim.secret.rotation().map(|it| it.phase), Some(Phase::Prepare), "{:?}", sim.done);
        sim.say("api", "one", Purpose::Ready, 2);
        sim.run();
        sim.say("api", "one", Purpose::Adopted, 2);
        sim.run_for(LONG_MS);
        assert!(sim.rotation_over() && sim.secret.current() == Some(Generation(2)), "{:?}", sim.done);
        assert!(did(&sim, "destroy 1") && !did(&sim, "disable 2") && !did(&sim, "destroy 2"), "{:?}", sim.done);
    }
}

#[test]
fn whoever_uses_the_pending_one_says_so_and_it_does_not_end() {
    let mut sim = restored_while_staged(alternate(), one_consumer());
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(outcome(&sim), Outcome::Comparing);
    sim.refuses = &[2];
    sim.run();
    assert_eq!(outcome(&sim), Outcome::Ahead, "consumers report it");
    sim.command(&reconcile());
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "disable 2") && !did(&sim, "destroy 2"), "{:?}", sim.done);
}

#[test]
fn a_lease_of_before_the_restore_never_lapses() {
    let mut sim = restored_while_staged(alternate(), one_consumer());
    sim.run();
    sim.command(&reconcile());
    sim.command(&Command::Rollback { reason: "not this one".to_owned(), author: author() });
    let waiting = sim.run_for(LONG_MS);
    let missing = vec![(id("api"), id("one"))];
    assert_eq!(waiting, Waiting::Consumers { step: Step::Disable, missing }, "{:?}", sim.done);
    let asked: Vec<_> = offer(&sim.secret, &id("api"), &id("one"), sim.now).asked;
    let asked: Vec<_> = asked.iter().map(|ask| (ask.purpose, ask.generation.0)).collect();
    assert_eq!(asked, [(Purpose::Released, 2), (Purpose::Adopted, 1)]);
    sim.say("api", "one", Purpose::Released, 2);
    sim.run();
    assert!(did(&sim, "disable 2") && did(&sim, "destroy 2") && sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn pending_ends_only_once_everyone_who_must_says_what_it_uses() {
    let required = policy(vec![consumer("api", &["one", "two"]), verifier("gate", &["g"])]);
    let mut optional = consumer("batch", &["b"]);
    optional.required = false;
    let mut policy = required;
    policy.consumers.push(optional);
    let mut sim = restored_while_staged(alternate(), policy);
    sim.fetch("batch", "b", 2);
    sim.run();
    sim.command(&reconcile());
    sim.command(&Command::Rollback { reason: "not this one".to_owned(), author: author() });
    sim.say("api", "one", Purpose::Released, 2);
    let waiting = sim.run_for(LONG_MS);
    let missing = vec![(id("batch"), id("b")), (id("api"), id("two"))];
    assert_eq!(waiting, Waiting::Consumers { step: Step::Disable, missing }, "fetched it, or must be heard");
    sim.say("api", "two", Purpose::Adopted, 1);
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "disable 2"), "an optional one that fetched it may hold it: {:?}", sim.done);
    sim.command(&Command::Override { generation: Generation(2), reason: "it is gone".to_owned(), author: author() });
    sim.run();
    assert!(did(&sim, "destroy 2") && sim.rotation_over(), "on an author's word: {:?}", sim.done);
}

#[test]
fn an_override_of_before_the_restore_opens_nothing() {
    let mut sim = switched(alternate(), one_consumer());
    sim.command(&Command::Override { generation: Generation(1), reason: "drill".to_owned(), author: author() });
    restore(&mut sim);
    sim.run();
    sim.command(&reconcile());
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "disable 1") && !did(&sim, "destroy 1"), "{:?}", sim.done);
}

#[test]
fn what_was_switched_off_before_the_restore_is_not_removed_on_that_soak() {
    let mut policy = one_consumer();
    policy.soak_ms = 60_000;
    let mut sim = switched(alternate(), policy);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(did(&sim, "disable 1"), "{:?}", sim.done);
    restore(&mut sim);
    sim.run();
    sim.command(&reconcile());
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "destroy 1") && !did(&sim, "disable 1"), "somebody may have put it back: {:?}", sim.done);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(did(&sim, "disable 1") && !did(&sim, "destroy 1"), "it is switched off anew: {:?}", sim.done);
    sim.run_for(70_000);
    assert!(did(&sim, "destroy 1") && sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn what_an_abandoned_rotation_left_ends_on_words_of_after_the_restore_alone() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    restore(&mut sim);
    sim.run();
    sim.command(&reconcile());
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "disable 2"), "{:?}", sim.done);
    sim.say("api", "one", Purpose::Adopted, 1);
    sim.run();
    assert!(did(&sim, "destroy 2") && sim.secret.at_rest(), "{:?}", sim.done);
}

#[test]
fn what_was_said_before_the_restore_is_taken_back() {
    let mut policy = one_consumer();
    policy.overlap_min_ms = 60_000;
    let mut sim = switched(alternate(), policy);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    restore(&mut sim);
    sim.run();
    sim.command(&Command::Reconcile { author: author(), next: Generation(3) });
    let waiting = sim.run();
    assert!(matches!(waiting, Waiting::Consumers { step: Step::Adopt, .. }), "{waiting:?}");
}

#[test]
fn previous_is_put_back_where_it_is_the_one_that_works() {
    let mut sim = switched(alternate(), one_consumer());
    restore(&mut sim);
    sim.refuses = &[2];
    sim.run_for(5_000);
    assert!(did(&sim, "verify 1"), "{:?}", sim.done);
    sim.command(&reconcile());
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(1)), "{:?}", sim.done);
}

#[test]
fn a_pending_credential_that_was_never_made_is_given_back() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    restore(&mut sim);
    sim.run();
    assert_eq!(outcome(&sim), Outcome::Matches);
    sim.command(&reconcile());
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(!sim.done.iter().any(|done| done.starts_with("destroy")), "{:?}", sim.done);
}

#[test]
fn a_refused_credential_is_tried_again_and_may_be_put_back() {
    let mut sim = Sim::issued(one_slot(), one_consumer());
    restore(&mut sim);
    sim.refuses = &[1];
    sim.run_for(60_000);
    let tried = sim.done.iter().filter(|done| *done == "verify 1").count();
    assert!((20..90).contains(&tried), "with pauses up to the longest, without an end: {tried}");
    let compared = compare(&sim.secret, None).unwrap();
    assert_eq!((compared.outcome, compared.refused.len()), (Outcome::Lost, 1));
    assert!(
        compared.next_attempt > Some(sim.now)
            && compared.advice(sim.secret.name()).contains("reconcile prod/app --accept lost"),
        "{compared:?}"
    );
    let refusal = sim.refused(&reconcile());
    assert!(refusal.contains("not seen to work") && refusal.contains("--accept lost"), "{refusal}");
    sim.refuses = &[];
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert_eq!(outcome(&sim), Outcome::Matches, "tried at once, as was asked");
    sim.command(&reconcile());
    sim.run();
    assert_eq!(sim.decide(), Action::Idle);
}

#[test]
fn a_target_that_does_not_answer_is_tried_for_as_long_as_it_takes() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    restore(&mut sim);
    sim.silent = true;
    sim.run_for(60_000);
    assert!(sim.done.len() > 20, "more often than the policy's attempts: {}", sim.done.len());
    let compared = compare(&sim.secret, None).unwrap();
    assert_eq!((compared.outcome, compared.unreachable.len()), (Outcome::Unreachable, 1), "{compared:?}");
    sim.silent = false;
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert_eq!(outcome(&sim), Outcome::Matches);
    assert!(sim.secret.efforts().is_empty());
}

#[test]
fn an_accepted_loss_leaves_the_target_alone_and_leads_to_a_first_credential() {
    for profile in [one_slot(), alternate(), native()] {
        let mut sim = Sim::issued(profile.clone(), one_consumer());
        restore(&mut sim);
        assert!(sim.refused(&accept_lost()).contains("has not been tried"));
        sim.refuses = &[1];
        sim.run_for(5_000);
        let without = Command::AcceptLost { reason: String::new(), author: author(), next: Generation(1) };
        assert!(sim.refused(&without).contains("needs a reason"));
        sim.done.clear();
        sim.command(&accept_lost());
        sim.run_for(LONG_MS);
        let called: Vec<_> = sim.done.iter().filter(|done| done.contains(' ')).collect();
        assert!(called.is_empty(), "{called:?}");
        assert_eq!((sim.secret.current(), sim.secret.generations().len()), (None, 0));
        assert_eq!(sim.secret.next_generation(), Generation(9), "numbers jump past what anybody holds");
        let listed = usize::from(profile == native());
        assert_eq!(sim.secret.foreign().len(), listed, "what is at the target is foreign from now on");
        sim.start(PlanKind::Issue, profile, one_consumer());
        sim.run();
        assert_eq!(sim.secret.current(), Some(Generation(9)), "{:?}", sim.done);
    }
}

#[test]
fn a_credential_that_works_is_not_lost() {
    let mut sim = restored_while_staged(alternate(), one_consumer());
    sim.refuses = &[1];
    sim.run_for(5_000);
    assert!(sim.refused(&accept_lost()).contains("it is not lost"));
    assert_eq!(outcome(&sim), Outcome::Ahead);
}

#[test]
fn a_newer_credential_that_works_is_used_where_the_current_one_is_refused() {
    let mut sim = restored_while_staged(alternate(), one_consumer());
    sim.refuses = &[1];
    sim.run_for(5_000);
    sim.command(&reconcile());
    let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
    assert_eq!(told.use_now, Some(Generation(2)), "what a replica is told to use works at the target");
}

#[test]
fn with_one_slot_the_value_that_is_there_becomes_current() {
    let mut sim = restored_while_staged(one_slot(), one_consumer());
    sim.refuses = &[1];
    sim.run_for(5_000);
    assert_eq!(outcome(&sim), Outcome::Ahead);
    sim.command(&reconcile());
    for _ in 0..20 {
        sim.step();
    }
    assert_eq!(sim.secret.current(), Some(Generation(2)), "it is there already: {:?}", sim.done);
    let back = Command::Rollback { reason: "drill".to_owned(), author: author() };
    assert!(sim.refused(&back).contains("pending has become current"), "there is nothing to go back to");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run_for(LONG_MS);
    assert!(sim.rotation_over() && sim.secret.current() == Some(Generation(2)), "{:?}", sim.done);
}

#[test]
fn unknown_credentials_at_the_target_are_named_and_left_alone() {
    let mut sim = Sim::issued(native(), one_consumer());
    restore(&mut sim);
    sim.live.push(live("theirs", Millis(1)));
    sim.run();
    let compared = compare(&sim.secret, None).unwrap();
    assert_eq!(compared.outcome, Outcome::Foreign);
    assert_eq!(compared.foreign, [(Place::only(), id("theirs"))]);
    sim.command(&reconcile());
    sim.run_for(LONG_MS);
    assert!(sim.live.iter().any(|live| live.id == id("theirs")));
}

#[test]
fn a_generation_that_the_journal_does_not_know_is_ahead() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    restore(&mut sim);
    sim.run();
    let compared = compare(&sim.secret, Some(Generation(5))).unwrap();
    assert_eq!((compared.outcome, compared.newer, compared.newer_known), (Outcome::Ahead, Some(Generation(5)), false));
}

#[test]
fn some_places_may_refuse_what_others_take() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    let places = vec![Place::only(), id("b")];
    sim.command(&Command::Places { places, author: author() });
    restore(&mut sim);
    while !did(&sim, "verify 1") {
        sim.step();
    }
    sim.refuses = &[1];
    sim.run_for(5_000);
    assert_eq!(outcome(&sim), Outcome::Partly);
    assert!(sim.refused(&accept_lost()).contains("it is not lost"));
    sim.command(&Command::Places { places: vec![Place::only()], author: author() });
    assert_eq!(outcome(&sim), Outcome::Matches, "a place that is gone is not waited for");
}

#[test]
fn a_slot_that_may_hold_a_newer_value_is_not_written_before_everyone_uses_current() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    restore(&mut sim);
    sim.run();
    sim.command(&reconcile());
    let asked = offer(&sim.secret, &id("api"), &id("one"), sim.now).asked;
    assert_eq!(asked.iter().map(|ask| (ask.purpose, ask.generation.0)).collect::<Vec<_>>(), [(Purpose::Adopted, 1)]);
    sim.start(PlanKind::Rotate, alternate(), one_consumer());
    sim.run_for(LONG_MS);
    assert!(!did(&sim, "create 7") && !did(&sim, "install 7"), "{:?}", sim.done);
    sim.say("api", "one", Purpose::Adopted, 1);
    sim.run();
    assert!(did(&sim, "install 7"), "{:?}", sim.done);
}

#[test]
fn a_journal_that_an_earlier_version_restored_still_loads() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.record(Event::Restored { epoch: Epoch(1), strict: false });
    sim.run();
    sim.record(Event::Reconciled { author: author(), next: Generation(7) });
    sim.record(Event::RollingBack { reason: "restored".to_owned(), author: Some(author()) });
    sim.run_for(20_000);
    assert!(sim.rotation_over() && did(&sim, "destroy 2"), "by the rules it was written by: {:?}", sim.done);
}

#[test]
fn a_journal_that_begins_in_a_later_epoch_takes_it_at_its_start() {
    let mut sim = Sim::new();
    sim.record(Event::Begun { epoch: Epoch(3) });
    assert_eq!(sim.secret.epoch(), Epoch(3));
    assert!(sim.secret.record(sim.now, &Event::Begun { epoch: Epoch(4) }).is_err(), "it has begun");
    sim.start(PlanKind::Issue, alternate(), one_consumer());
    sim.run();
    let standing = sim.secret.generation(Generation(1)).map(|it| it.liveness(&Place::only()));
    assert_eq!(standing, Some(Liveness::Live));
}

#[test]
fn epochs_count_up() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    restore(&mut sim);
    assert!(sim.secret.record(sim.now, &Event::Restored { epoch: Epoch(1), strict: true }).is_err());
}
