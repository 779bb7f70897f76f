//! What operators ask for, what they get, and what they are told instead.

use crate::common::{
    Sim, alternate, author, consumer, fault, id, live, minted, native, one_slot, pins, policy, replace,
};
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Generation, Millis, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};
use keybaton_protocol::view::would_break;
use keybaton_protocol::{Stand, offer, status};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn start(kind: PlanKind, profile: Profile) -> Command {
    let pins = pins(profile, one_consumer());
    Command::Start { rotation: id("r9"), kind, cause: "operator".to_owned(), author: author(), pins }
}

fn because() -> String {
    "drill".to_owned()
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

/// Committed, and the consumer uses generation 2.
fn adopted(profile: Profile, policy: Policy) -> Sim {
    let mut sim = committed(profile, policy);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

fn committed(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.fetch("api", "one", 2);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    assert_eq!(sim.secret.stand(), Stand::Commit);
    sim
}

#[test]
fn what_cannot_be_done_is_refused_with_what_can() {
    let idle = Sim::issued(alternate(), one_consumer());
    let rollback = Command::Rollback { reason: because(), author: author() };
    let revert = Command::Revert { reason: because(), author: author() };
    let abandon = Command::Abandon { reason: because(), author: author() };
    for (command, why) in [
        (&rollback, "nothing to give back"),
        (&revert, "rotate to a new generation"),
        (&abandon, "can be started as it is"),
        (&start(PlanKind::Issue, alternate()), "has a credential already"),
        (&start(PlanKind::Adopt, alternate()), "use import"),
    ] {
        let refusal = idle.refused(command);
        assert!(refusal.contains(why), "{refusal}");
    }
    let new = Sim::new();
    assert!(new.refused(&start(PlanKind::Rotate, alternate())).contains("no credential yet"));
    let preparing = Sim::rotating(alternate(), one_consumer());
    assert!(preparing.refused(&revert).contains("roll it back"));
    assert!(preparing.refused(&start(PlanKind::Rotate, alternate())).contains("r2 is running"));
    let committed = committed(alternate(), one_consumer());
    assert!(committed.refused(&rollback).contains("revert"));
}

#[test]
fn a_revert_puts_previous_back_and_ends_the_other() {
    for profile in [alternate(), native(), replace(), one_slot()] {
        let mut policy = one_consumer();
        policy.overlap_min_ms = 60_000;
        let mut sim = committed(profile.clone(), policy);
        if profile == one_slot() {
            assert_eq!(sim.run(), Waiting::Consumers { step: Step::Adopt, missing: vec![(id("api"), id("one"))] });
        }
        sim.say("api", "one", Purpose::Adopted, 2);
        sim.command(&Command::Revert { reason: because(), author: author() });
        sim.run_for(1_000);
        assert_eq!(sim.secret.current(), Some(Generation(1)), "{:?}", sim.done);
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        assert_eq!(told.use_now, Some(Generation(1)));
        sim.say("api", "one", Purpose::Adopted, 1);
        sim.run_for(200_000);
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::Reverted), "{profile:?} {:#?}", sim.done);
        assert_eq!(sim.secret.generations().keys().copied().collect::<Vec<_>>(), [Generation(1)]);
        assert_eq!(did(&sim, "install 1"), profile == one_slot(), "only one slot has to be written again");
    }
}

#[test]
fn a_revert_switches_previous_on_again_until_its_destroy_is_intended() {
    let mut policy = one_consumer();
    policy.soak_ms = 60_000;
    let mut sim = adopted(alternate(), policy.clone());
    sim.run();
    assert!(did(&sim, "disable 1"));
    sim.command(&Command::Revert { reason: because(), author: author() });
    sim.run();
    assert!(did(&sim, "enable 1") && did(&sim, "verify 1") && did(&sim, "reverted"), "{:?}", sim.done);

    let mut late = adopted(alternate(), policy);
    late.run();
    late.now = late.now.plus(3_750);
    for _ in 0..200 {
        match late.decide() {
            Action::Call(call) if call.kind == CallKind::Destroy => {
                late.intend(&call);
                break;
            }
            Action::Wait { until: Some(until), .. } => late.now = until,
            _ => drop(late.step()),
        }
    }
    let refusal = late.refused(&Command::Revert { reason: because(), author: author() });
    assert!(refusal.contains("destroy of the previous credential has been intended"), "{refusal}");
}

#[test]
fn a_revert_does_not_try_previous_before_it_is_on_again() {
    let mut policy = one_consumer();
    policy.soak_ms = 60_000;
    let mut sim = adopted(alternate(), policy);
    sim.run();
    sim.command(&Command::Revert { reason: because(), author: author() });
    for _ in 0..100 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Enable => {
                sim.intend(&call);
                sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Retryable) });
                break;
            }
            _ => drop(sim.step()),
        }
    }
    let Action::Wait { until: Some(until), .. } = sim.decide() else { panic!("{:?}", sim.decide()) };
    sim.now = until;
    sim.run();
    assert!(did(&sim, "reverted") && sim.secret.hold().is_none(), "{:?}", sim.done);
}

#[test]
fn a_disable_that_fails_after_its_revert_hinders_no_later_one() {
    let mut sim = adopted(alternate(), one_consumer());
    for _ in 0..100 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Disable => {
                sim.intend(&call);
                sim.command(&Command::Revert { reason: because(), author: author() });
                sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Permanent) });
                break;
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    assert!(sim.done.iter().any(|done| done == "disable 1"), "{:?}", sim.done);
    assert!(sim.secret.efforts().is_empty(), "{:#?}", sim.secret.efforts());
}

#[test]
fn a_revert_is_refused_where_the_target_forbids_it_or_the_value_is_unknown() {
    let mut profile = one_slot();
    profile.reinstall = false;
    let sim = adopted(profile, one_consumer());
    let refusal = sim.refused(&Command::Revert { reason: because(), author: author() });
    assert!(refusal.contains("forbids putting the previous value back"), "{refusal}");
}

#[test]
fn abandon_before_commit_ends_pending_and_leaves_the_secret_startable() {
    let mut sim = Sim::rotating(replace(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&Command::Abandon { reason: because(), author: author() });
    assert!(sim.rotation_over() && sim.secret.current() == Some(Generation(1)));
    assert!(matches!(sim.run(), Waiting::Consumers { .. }), "who fetched it is asked to let it go");
    let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
    assert_eq!(told.asked.iter().map(|ask| ask.purpose).collect::<Vec<_>>(), [Purpose::Released]);
    sim.command(&start(PlanKind::Rotate, replace()));
    sim.say("api", "one", Purpose::Released, 2);
    sim.run();
    assert!(did(&sim, "destroy 2") && sim.secret.generation(Generation(2)).is_none());
}

#[test]
fn abandon_names_what_stands_in_the_way_of_a_start() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&Command::Abandon { reason: because(), author: author() });
    sim.step();
    let refusal = sim.refused(&start(PlanKind::Rotate, alternate()));
    assert!(refusal.contains("generation 2 at -"), "{refusal}");
    sim.say("api", "one", Purpose::Released, 2);
    sim.run();
    sim.command(&start(PlanKind::Rotate, alternate()));
}

#[test]
fn abandon_after_commit_leaves_the_evidence_gate_and_the_overlap_in_place() {
    let mut policy = one_consumer();
    policy.overlap_min_ms = 60_000;
    let mut sim = committed(alternate(), policy);
    sim.command(&Command::Abandon { reason: because(), author: author() });
    sim.run_for(200_000);
    assert!(!did(&sim, "disable 1"), "nobody has adopted");
    let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
    assert_eq!(told.asked.iter().map(|ask| ask.purpose).collect::<Vec<_>>(), [Purpose::Adopted]);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(did(&sim, "disable 1") && did(&sim, "destroy 1"), "{:?}", sim.done);
    assert!(sim.secret.at_rest());

    let mut early = committed(alternate(), {
        let mut policy = one_consumer();
        policy.overlap_min_ms = 60_000;
        policy
    });
    early.say("api", "one", Purpose::Adopted, 2);
    early.command(&Command::Abandon { reason: because(), author: author() });
    early.run_for(50_000);
    assert!(!did(&early, "disable 1"), "the overlap's minimum is not over");
    early.run_for(20_000);
    assert!(did(&early, "destroy 1"));
}

#[test]
fn a_freeze_stops_new_mutations_and_a_thaw_lets_them_go_on() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.command(&Command::Freeze { author: author() });
    assert_eq!(sim.run(), Waiting::Frozen);
    assert!(sim.done.is_empty(), "{:?}", sim.done);
    sim.command(&Command::Freeze { author: author() });
    sim.command(&Command::Thaw { author: author() });
    sim.command(&Command::Thaw { author: author() });
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Stage));
    let mut idle = Sim::issued(alternate(), one_consumer());
    idle.command(&Command::Freeze { author: author() });
    assert!(idle.refused(&start(PlanKind::Rotate, alternate())).contains("thaw"));
    assert_eq!(idle.decide(), Action::Idle);
}

#[test]
fn what_was_sent_before_a_freeze_finishes() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let Action::Call(call) = sim.decide() else { panic!("a create is due") };
    sim.intend(&call);
    sim.command(&Command::Freeze { author: author() });
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Created(minted(2, None)) });
    assert!(sim.secret.generation(Generation(2)).is_some_and(|it| it.minted.is_some()));
}

#[test]
fn an_override_lets_a_credential_end_with_its_author_and_the_one_in_use_is_refused() {
    let mut sim = committed(alternate(), one_consumer());
    let word =
        |generation| Command::Override { generation: Generation(generation), reason: because(), author: author() };
    assert!(sim.refused(&word(2)).contains("the one in use"));
    assert!(sim.refused(&word(7)).contains("does not exist"));
    sim.command(&word(1));
    sim.run();
    assert!(sim.rotation_over() && did(&sim, "destroy 1"));
}

#[test]
fn no_override_ends_a_credential_whose_successor_is_not_proven() {
    let mut sim = committed(alternate(), one_consumer());
    let places = vec![Place::only(), id("b")];
    sim.command(&Command::Places { places, author: author() });
    sim.command(&Command::Override { generation: Generation(1), reason: because(), author: author() });
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!((call.kind, call.place.as_str()), (CallKind::Install, "b"), "a new place is brought level first");
}

#[test]
fn a_compromised_pending_is_given_back() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.command(&Command::Compromise { generation: Generation(2), disable_first: false, author: author() });
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(did(&sim, "destroy 2"), "without waiting for anybody: {:?}", sim.done);
}

#[test]
fn a_compromised_previous_ends_at_once_and_nothing_restores_it() {
    let mut policy = one_consumer();
    policy.overlap_min_ms = 60_000;
    let mut sim = committed(alternate(), policy);
    assert_eq!(would_break(&sim.secret, Generation(1)), [], "it never fetched it here");
    sim.command(&Command::Compromise { generation: Generation(1), disable_first: false, author: author() });
    let refusal = sim.refused(&Command::Revert { reason: because(), author: author() });
    assert!(refusal.contains("nothing restores it"), "{refusal}");
    sim.run();
    assert!(did(&sim, "disable 1") && did(&sim, "destroy 1"), "{:?}", sim.done);
}

#[test]
fn a_compromised_current_goes_back_to_a_clean_previous() {
    let mut policy = one_consumer();
    policy.overlap_min_ms = 60_000;
    let mut sim = adopted(alternate(), policy);
    sim.run();
    sim.command(&Command::Compromise { generation: Generation(2), disable_first: false, author: author() });
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(1)));
    assert!(!did(&sim, "disable 2"), "consumers are still on it: {:?}", sim.done);
    sim.say("api", "one", Purpose::Adopted, 1);
    sim.run();
    assert!(did(&sim, "destroy 2") && sim.rotation_over(), "and then there is no overlap: {:?}", sim.done);
}

#[test]
fn a_compromised_current_with_nothing_to_go_back_to_asks_for_a_rotation() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    sim.fetch("api", "one", 1);
    assert_eq!(would_break(&sim.secret, Generation(1)), [(id("api"), id("one"))], "said beforehand");
    sim.command(&Command::Compromise { generation: Generation(1), disable_first: false, author: author() });
    assert_eq!(sim.decide(), Action::Idle);
    assert!(sim.secret.must_rotate() && status(&sim.secret, sim.now).must_rotate);
    let events = sim.journal.len();
    sim.command(&Command::Compromise { generation: Generation(1), disable_first: false, author: author() });
    assert_eq!(sim.journal.len(), events, "said twice is said once");
    sim.command(&Command::Compromise { generation: Generation(1), disable_first: true, author: author() });
    sim.run();
    assert!(did(&sim, "disable 1") && did(&sim, "destroy 1"), "first of all, as was asked: {:?}", sim.done);
    sim.command(&start(PlanKind::Rotate, alternate()));
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(2)), "nobody is waited for whose credential is gone");
}

#[test]
fn a_full_quota_gives_up_a_compromised_one_only_where_it_is_not_in_use_or_that_was_asked() {
    for at_once in [false, true] {
        let mut sim = Sim::issued(native(), one_consumer());
        sim.live.push(live("theirs", Millis(1)));
        sim.command(&Command::Compromise { generation: Generation(1), disable_first: false, author: author() });
        sim.command(&start(PlanKind::Rotate, native()));
        if at_once {
            sim.command(&Command::Compromise { generation: Generation(1), disable_first: true, author: author() });
        }
        let waiting = sim.run();
        assert_eq!(did(&sim, "destroy 1"), at_once, "{:?}", sim.done);
        assert_eq!(did(&sim, "create 2"), at_once, "{:?}", sim.done);
        assert_eq!(waiting == Waiting::Held(HoldReason::Quota), !at_once, "{waiting:?}");
        assert!(sim.live.iter().any(|live| live.id == id("theirs")));
    }
}

#[test]
fn an_import_changes_nothing_at_the_target() {
    for (fields, calls) in [(true, &["verify 1"][..]), (false, &[])] {
        let mut sim = Sim::new();
        let mut minted = minted(1, None);
        if !fields {
            minted.fields.clear();
        }
        let (rotation, pins) = (id("r1"), pins(alternate(), one_consumer()));
        sim.command(&Command::Import { rotation, minted, slot: None, author: author(), pins });
        sim.run();
        let made: Vec<_> = sim.done.iter().filter(|done| done.contains(' ')).collect();
        assert_eq!(made, calls);
        assert_eq!(sim.secret.current(), Some(Generation(1)));
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        assert_eq!(told.generations.len(), usize::from(fields), "an unknown value cannot be served");
        sim.command(&start(PlanKind::Rotate, alternate()));
        let slot = sim.secret.generation(Generation(2)).and_then(|it| it.slot.clone());
        assert_eq!(slot, Some(id("app_b")), "the existing one is the first of the two");
    }
}

#[test]
fn an_import_that_does_not_work_is_forgotten_and_left_at_the_target() {
    let mut sim = Sim::new();
    let (rotation, pins) = (id("r1"), pins(alternate(), one_consumer()));
    sim.command(&Command::Import { rotation, minted: minted(1, None), slot: None, author: author(), pins });
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    sim.intend(&call);
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Refused("wrong password".to_owned()) });
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(sim.secret.current().is_none() && sim.secret.at_rest());
    assert!(!sim.done.iter().any(|done| done.starts_with("destroy") || done.starts_with("disable")));
}

#[test]
fn rotations_that_are_given_back_in_a_row_are_not_started_by_schedule_any_more() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    for _ in 0..3 {
        sim.start(PlanKind::Rotate, alternate(), one_consumer());
        sim.run();
        sim.say("api", "one", Purpose::Failed, sim.secret.next_generation().0 - 1);
        sim.run();
    }
    assert_eq!(sim.secret.setbacks(), 3);
    let Command::Start { rotation, kind, author: who, pins, .. } = start(PlanKind::Rotate, alternate()) else {
        panic!("a start")
    };
    let scheduled = Command::Start { rotation, kind, cause: "every".to_owned(), author: who, pins };
    let refusal = sim.refused(&scheduled);
    assert!(refusal.contains("3 rotations were given back"), "{refusal}");
    sim.command(&Command::Release { author: author() });
    sim.command(&scheduled);
}

#[test]
fn an_operators_rollback_is_no_setback() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.command(&Command::Rollback { reason: because(), author: author() });
    sim.run();
    assert_eq!((sim.secret.setbacks(), sim.rotation_over()), (0, true));
}

#[test]
fn a_secret_with_something_left_of_a_rotation_cannot_end_yet() {
    let mut sim = committed(alternate(), one_consumer());
    sim.command(&Command::Abandon { reason: because(), author: author() });
    let refusal = sim.refused(&start(PlanKind::Retire, alternate()));
    assert!(refusal.contains("these have to end first: generation 1"), "{refusal}");
}

#[test]
fn abandoning_the_end_of_a_secret_leaves_it_as_it_is_until_it_was_touched() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    sim.start(PlanKind::Retire, alternate(), one_consumer());
    sim.run();
    sim.command(&Command::Abandon { reason: because(), author: author() });
    assert_eq!(sim.decide(), Action::Idle);
    assert_eq!(sim.secret.generation(Generation(1)).map(|it| it.liveness(&Place::only())), Some(Liveness::Live));

    let mut policy = one_consumer();
    policy.soak_ms = 60_000;
    let mut sim = Sim::issued(alternate(), policy.clone());
    sim.start(PlanKind::Retire, alternate(), policy);
    sim.say("api", "one", Purpose::Released, 1);
    sim.run();
    assert!(did(&sim, "disable 1"));
    sim.command(&Command::Abandon { reason: because(), author: author() });
    assert_eq!(sim.secret.current(), None, "what was switched off ends");
    sim.run_for(100_000);
    assert!(did(&sim, "destroy 1") && sim.secret.at_rest());
}

#[test]
fn a_policy_changes_in_mid_rotation_only_by_name_and_only_to_what_can_be_done() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    let mut bad = one_consumer();
    bad.attempts.cap = 0;
    assert!(sim.refused(&Command::Repolicy { policy: Box::new(bad), author: author() }).contains("no attempt"));
    let nobody = Box::new(policy(Vec::new()));
    sim.command(&Command::Repolicy { policy: nobody, author: author() });
    sim.run();
    assert!(sim.rotation_over(), "nobody is waited for any more");
    let idle = sim.refused(&Command::Repolicy { policy: Box::new(one_consumer()), author: author() });
    assert!(idle.contains("from its declaration"), "{idle}");
}

#[test]
fn other_plugin_bytes_carry_on_only_between_calls() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let repin = Command::Repin { component: keybaton_protocol::ids::Digest([8; 32]), author: author() };
    let Action::Call(call) = sim.decide() else { panic!("a create is due") };
    sim.intend(&call);
    assert!(sim.refused(&repin).contains("under way"));
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Created(minted(2, None)) });
    sim.command(&repin);
    let Action::Call(call) = sim.decide() else { panic!("an install is due") };
    assert_eq!(call.pins.component, keybaton_protocol::ids::Digest([8; 32]));
}

#[test]
fn an_unmanaged_secret_keeps_its_credential() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    sim.command(&Command::Unmanage { author: author() });
    assert!(!sim.secret.managed() && sim.decide() == Action::Idle);
    sim.command(&start(PlanKind::Rotate, alternate()));
    assert!(sim.secret.managed(), "a declaration that comes back takes it up again");
}
