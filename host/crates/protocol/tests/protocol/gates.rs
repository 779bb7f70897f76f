//! The gates, asked directly: who is missing, what is in the way, and what no word makes up for.

use crate::common::{Sim, alternate, author, consumer, evidence, id, live, one_slot, policy, replace};
use keybaton_protocol::action::Action;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Outcome, RetireCause};
use keybaton_protocol::evidence::{Attestation, Evidence, EvidenceKind, Purpose};
use keybaton_protocol::gate::Missing;
use keybaton_protocol::generation::Role;
use keybaton_protocol::guard::Blocked;
use keybaton_protocol::ids::{Generation, Place};
use keybaton_protocol::policy::{Members, Policy};
use keybaton_protocol::profile::{Profile, UsageSignal};
use keybaton_protocol::step::{CallKind, PlanKind, Step};

fn because() -> String {
    "drill".to_owned()
}

fn abandon() -> Command {
    Command::Abandon { reason: because(), author: author() }
}

fn by_word(generation: u32) -> Command {
    Command::Override { generation: Generation(generation), reason: because(), author: author() }
}

fn compromise(generation: u32, disable_first: bool) -> Command {
    Command::Compromise { generation: Generation(generation), disable_first, author: author() }
}

/// `open`, what blocks, or who is missing.
fn said(answer: Result<(), Blocked>) -> String {
    match answer {
        Ok(()) => "open".to_owned(),
        Err(Blocked::Consumers(missing)) => {
            let names: Vec<_> = missing.iter().map(|(name, replica)| format!("{name}/{replica}")).collect();
            names.join(", ")
        }
        Err(blocked) => blocked.to_string(),
    }
}

fn gate(missing: Missing) -> String {
    said(if missing.open() { Ok(()) } else { Err(Blocked::Consumers(missing.0)) })
}

fn ready(sim: &Sim, generation: u32) -> String {
    gate(sim.secret.ready(Generation(generation), sim.now))
}

fn adopted(sim: &Sim, generation: u32) -> String {
    gate(sim.secret.adopted(Generation(generation), sim.now))
}

fn superseded(sim: &Sim, generation: u32) -> String {
    said(sim.secret.may_end(Generation(generation), RetireCause::Superseded, false, sim.now))
}

fn slowly() -> Policy {
    Policy { overlap_min_ms: 60_000, soak_ms: 60_000, ..policy(vec![consumer("api", &["one"])]) }
}

fn staged(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim
}

fn committed(profile: Profile, policy: Policy) -> Sim {
    let mut sim = staged(profile, policy);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim
}

#[test]
fn a_verdict_is_open_when_nobody_is_missing_and_nothing_is_in_the_way() {
    let missing = vec![(id("api"), id("one"))];
    assert!(Missing::default().open());
    assert!(!Missing(missing).open());
}

#[test]
fn no_word_and_no_evidence_makes_up_for_a_missing_successor() {
    let mut sim = committed(alternate(), slowly());
    assert_eq!(superseded(&sim, 1), "api/one");
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(superseded(&sim, 1), "open");
    assert_eq!(superseded(&sim, 2), "it is the one in use");
    sim.command(&Command::Places { places: vec![Place::only(), id("b")], author: author() });
    assert_eq!(superseded(&sim, 1), "its successor is not proven at every place");
    sim.command(&by_word(1));
    assert_eq!(superseded(&sim, 1), "its successor is not proven at every place");
    sim.command(&Command::Places { places: vec![Place::only()], author: author() });
    assert_eq!(superseded(&sim, 1), "open");
    sim.command(&Command::Revert { reason: because(), author: author() });
    assert_eq!(superseded(&sim, 1), "it is being put back");
    assert_eq!(superseded(&sim, 2), "it is the one in use");
    assert_eq!(superseded(&sim, 9), "open", "nothing is left of it");
}

#[test]
fn only_an_open_gate_lets_what_is_being_put_back_wait() {
    let mut sim = committed(replace(), slowly());
    sim.command(&abandon());
    sim.start(PlanKind::Rotate, replace(), slowly());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 3);
    sim.run();
    assert_eq!(sim.secret.role(Generation(1)), Some(Role::Retiring));
    sim.record(Event::Stated(evidence("api", "one", Purpose::Adopted, 3, EvidenceKind::Process)));
    sim.command(&Command::Revert { reason: because(), author: author() });
    assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some(), "another one's end goes on");
    assert_eq!(superseded(&sim, 2), "it is being put back");
    assert_eq!(superseded(&sim, 1), "open", "that is another one");
}

#[test]
fn who_uses_the_current_or_the_previous_one_uses_none_that_retires() {
    let mut sim = committed(replace(), slowly());
    sim.command(&abandon());
    sim.start(PlanKind::Rotate, replace(), slowly());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 3);
    sim.run();
    for (uses, first, second) in [(1, "api/one", "api/one"), (2, "open", "api/one"), (3, "open", "open")] {
        sim.record(Event::Stated(evidence("api", "one", Purpose::Adopted, uses, EvidenceKind::Process)));
        assert_eq!((superseded(&sim, 1).as_str(), superseded(&sim, 2).as_str()), (first, second), "it uses {uses}");
    }
}

#[test]
fn a_word_for_pending_lets_it_be_committed_and_in_one_slot_installed() {
    let mut sim = staged(one_slot(), slowly());
    assert_eq!(ready(&sim, 2), "api/one");
    sim.command(&by_word(2));
    assert_eq!(ready(&sim, 2), "open");
    assert_eq!(ready(&sim, 1), "api/one");
    sim.step();
    assert_eq!(sim.secret.current(), Some(Generation(1)), "{:?}", sim.done);
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(2)));
    assert!(sim.secret.generation(Generation(2)).is_some_and(|it| it.overridden.is_none()), "the word is used up");
    assert_eq!(ready(&sim, 2), "open", "it was for this");
    assert_eq!(ready(&sim, 1), "api/one", "and for nothing else");
    sim.run();
    assert!(sim.done.contains(&"install 2".to_owned()), "{:?}", sim.done);
}

#[test]
fn nobody_is_asked_to_be_ready_whose_credential_is_switched_off_first() {
    let mut sim = staged(alternate(), slowly());
    sim.command(&compromise(1, false));
    assert_eq!(ready(&sim, 2), "api/one", "there is still time");
    sim.command(&compromise(1, true));
    assert_eq!(ready(&sim, 2), "open");
    assert_eq!(ready(&sim, 1), "api/one", "it is not a successor of itself");
}

#[test]
fn a_word_that_has_expired_makes_nobody_ready() {
    let mut consumer = consumer("api", &["one"]);
    consumer.ready = EvidenceKind::Attested;
    let mut sim = staged(alternate(), policy(vec![consumer]));
    let expires_at = sim.now.plus(500);
    let word = evidence("api", "one", Purpose::Ready, 2, EvidenceKind::Attested);
    let attested = Some(Attestation { author: author(), approver: id("bob"), expires_at });
    sim.command(&Command::State(Evidence { attested, reason: "seen".to_owned(), ..word }));
    assert_eq!(ready(&sim, 2), "open");
    assert_eq!(gate(sim.secret.ready(Generation(2), expires_at)), "api/one");
}

#[test]
fn what_others_know_waits_for_consumers_only_while_a_rotation_moves_them() {
    let mut sim = Sim::issued(alternate(), slowly());
    sim.command(&compromise(1, false));
    assert_eq!(superseded(&sim, 1), "it is the one in use");
    sim.start(PlanKind::Rotate, alternate(), slowly());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    assert_eq!(superseded(&sim, 1), "api/one", "it is waited for");
    sim.command(&abandon());
    assert_eq!(superseded(&sim, 1), "open", "nobody moves anybody any more");
}

#[test]
fn what_an_ended_secret_left_behind_ends_like_itself() {
    let mut sim = committed(replace(), slowly());
    sim.command(&abandon());
    sim.say("api", "one", Purpose::Adopted, 2);
    // Its removal fails for good.
    for _ in 0..50 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Destroy => {
                sim.intend(&call);
                let outcome = crate::common::fault(keybaton_protocol::fault::FailureClass::Permanent);
                sim.record(Event::Ended { call: call.call, outcome });
                break;
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    sim.start(PlanKind::Rotate, replace(), slowly());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 3);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 3);
    sim.run_for(500_000);
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert_eq!(sim.secret.role(Generation(1)), Some(Role::Retiring));
    assert_eq!(superseded(&sim, 1), "open");
    sim.start(PlanKind::Retire, replace(), slowly());
    sim.say("api", "one", Purpose::Released, 3);
    sim.run_for(500_000);
    assert_eq!(sim.secret.current(), None);
    assert_eq!(superseded(&sim, 1), "api/one", "there is no successor to use: it has to be let go");
    sim.record(Event::Stated(evidence("api", "one", Purpose::Released, 1, EvidenceKind::Holder)));
    assert_eq!(superseded(&sim, 1), "open");
}

#[test]
fn a_retirement_keeps_the_lease_of_its_own_rotation() {
    let leased = |staged_lease_ms| Policy { staged_lease_ms, ..policy(vec![consumer("api", &["one", "two"])]) };
    let mut sim = staged(replace(), leased(5_000));
    sim.fetch("api", "one", 2);
    sim.command(&abandon());
    sim.step();
    let given_back = |sim: &Sim| said(sim.secret.may_end(Generation(2), RetireCause::RolledBack, true, sim.now));
    assert_eq!(given_back(&sim), "api/one", "the other one never fetched it");
    sim.start(PlanKind::Rotate, replace(), leased(500_000));
    sim.run_for(10_000);
    assert_eq!(given_back(&sim), "open");
    assert!(sim.done.contains(&"destroy 2".to_owned()), "{:?}", sim.done);
}

#[test]
fn the_targets_account_speaks_for_those_alone_who_cannot_answer() {
    let signal = UsageSignal { lag_ms: 0, resolution_ms: 0 };
    let mut silent = consumer("job", &["one"]);
    silent.adopted = EvidenceKind::Target;
    let mut sim = Sim::rotating(
        Profile { usage: Some(signal), ..alternate() },
        Policy { quiet_ms: 1_000, ..policy(vec![consumer("api", &["one"]), silent]) },
    );
    sim.run();
    for name in ["api", "job"] {
        sim.say(name, "one", Purpose::Ready, 2);
    }
    sim.step();
    assert_eq!(adopted(&sim, 2), "api/one, job/one");
    let mut entries = ["app_a", "app_b"].map(|slot| keybaton_protocol::event::Live {
        slot: Some(id(slot)),
        ..live(slot, keybaton_protocol::ids::Millis(0))
    });
    entries[1].live_uses = Some(1);
    sim.live = entries.to_vec();
    sim.run_for(5_000);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Adopt));
    assert_eq!(adopted(&sim, 2), "api/one");
    assert_eq!(superseded(&sim, 1), "api/one");
}

#[test]
fn counted_replicas_are_the_consumers_own() {
    let counted = |name: &str, count| {
        let mut consumer = consumer(name, &[]);
        consumer.members = Members::Count(count);
        consumer
    };
    let mut sim = staged(alternate(), policy(vec![counted("api", 2), counted("web", 1)]));
    sim.say("web", "w1", Purpose::Ready, 2);
    assert_eq!(ready(&sim, 2), "api/#1, api/#2");
    sim.say("api", "a1", Purpose::Ready, 2);
    sim.fetch("api", "a2", 2);
    assert_eq!(ready(&sim, 2), "api/a2", "who has shown itself is named");
    sim.say("api", "a3", Purpose::Ready, 2);
    assert_eq!(ready(&sim, 2), "open", "any two are enough");
}

#[test]
fn a_value_that_nobody_knows_works_wherever_it_is_live() {
    let mut sim = Sim::new();
    let mut minted = crate::common::minted(1, None);
    minted.fields.clear();
    let pins = crate::common::pins(alternate(), slowly());
    sim.command(&Command::Import { rotation: id("r1"), minted, slot: None, author: author(), pins });
    sim.run();
    sim.start(PlanKind::Rotate, alternate(), slowly());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    sim.command(&Command::Revert { reason: because(), author: author() });
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(1)), "{:#?}", sim.done);
    assert!(!sim.done.contains(&"verify 1".to_owned()), "it cannot be tried");
}

#[test]
fn a_value_that_was_refused_does_not_work() {
    let mut sim = Sim::issued(alternate(), slowly());
    sim.start(PlanKind::Rotate, alternate(), slowly());
    for _ in 0..2 {
        sim.step();
    }
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    sim.intend(&call);
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Refused("no".to_owned()) });
    assert_eq!(sim.secret.step(sim.now), Some(Step::Verify));
}
