//! What is live at the target is not always ours: nothing is ended before it is known to be this generation, and a look
//! that leaves out what works tells nothing.

use crate::common::{Sim, alternate, author, consumer, fault, id, native, policy};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Digest, Generation, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Profile, UsageSignal};
use keybaton_protocol::step::{CallKind, Ending};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn end(sim: &mut Sim, call: &Call, outcome: Outcome) {
    sim.record(Event::Ended { call: call.call, outcome });
}

/// The call leaves, the target answers that it refuses, and nobody knows how much of it was done.
fn refused_half_way(sim: &mut Sim, call: &Call) {
    let (ordinal, request, deadline) = (Ordinal(0), Digest([7; 32]), sim.now.plus(1_000));
    sim.intend(call);
    sim.record(Event::Sent { call: call.call, ordinal, request, deadline });
    sim.record(Event::Answered { call: call.call, ordinal, request, answer: HostAnswer::Answered });
    end(sim, call, fault(FailureClass::Permanent));
}

/// Goes on; logins with these values are refused, and all others work.
fn go_on_refusing(sim: &mut Sim, refused: &[u32]) {
    for _ in 0..100 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify && refused.contains(&call.generation.0) => {
                sim.intend(&call);
                end(sim, &call, Outcome::Refused("login refused".to_owned()));
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            Action::Wait { .. } | Action::Idle => return,
            _ => drop(sim.step()),
        }
    }
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

fn adopted(policy: Policy) -> Sim {
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

#[test]
fn a_rollback_leaves_alone_what_its_install_never_put_there() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    refused_half_way(&mut sim, &install);
    go_on_refusing(&mut sim, &[2]);
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{:#?}", sim.done);
    assert!(did(&sim, "verify 2"), "a login with its own value tells: {:#?}", sim.done);
    assert!(!did(&sim, "disable 2") && !did(&sim, "destroy 2"), "somebody else's is there: {:#?}", sim.done);
}

#[test]
fn a_rollback_ends_what_a_login_shows_to_be_its_own() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    refused_half_way(&mut sim, &install);
    go_on_refusing(&mut sim, &[]);
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{:#?}", sim.done);
    assert!(did(&sim, "disable 2") && did(&sim, "destroy 2"), "{:#?}", sim.done);
}

#[test]
fn where_no_login_can_tell_nothing_is_touched_and_a_person_is_asked() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.command(&Command::Override { generation: Generation(2), reason: "early".to_owned(), author: author() });
    let install = sim.run_until(CallKind::Install);
    refused_half_way(&mut sim, &install);
    for _ in 0..40 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify => {
                sim.intend(&call);
                end(&mut sim, &call, fault(FailureClass::Permanent));
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    assert_eq!(sim.run(), Waiting::Stuck(CallKind::Verify, Generation(2), Place::only()), "{:#?}", sim.done);
    assert!(!did(&sim, "disable 2"), "the word was given before anybody knew of this: {:#?}", sim.done);
    sim.command(&Command::Override { generation: Generation(2), reason: "it is ours".to_owned(), author: author() });
    sim.run();
    assert!(did(&sim, "destroy 2") && sim.rotation_over(), "{:#?}", sim.done);
}

#[test]
fn a_password_that_somebody_set_by_hand_is_not_ended_with_the_generation_it_replaced() {
    let mut sim = adopted(one_consumer());
    sim.now = sim.now.plus(3_600_000);
    go_on_refusing(&mut sim, &[1]);
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert!(did(&sim, "verify 1") && !did(&sim, "disable 1") && !did(&sim, "destroy 1"), "{:#?}", sim.done);
    assert!(did(&sim, "erased"), "its value opens nothing any more");
}

#[test]
fn before_a_predecessor_is_switched_off_its_successor_is_seen_to_work_once_more() {
    let mut sim = adopted(Policy { overlap_min_ms: 3_600_000, ..one_consumer() });
    sim.run();
    sim.done.clear();
    go_on_refusing(&mut sim, &[2]);
    assert!(did(&sim, "verify 2") && !did(&sim, "disable 1"), "days have passed: {:#?}", sim.done);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Quarantined), "{:#?}", sim.done);
    sim.command(&Command::Release { author: author() });
    go_on_refusing(&mut sim, &[]);
    assert!(did(&sim, "destroy 1") && sim.rotation_over(), "{:#?}", sim.done);

    let mut quick = adopted(one_consumer());
    quick.done.clear();
    quick.run();
    assert!(!did(&quick, "verify 1") && !did(&quick, "verify 2"), "a look counts for a minute: {:#?}", quick.done);
}

#[test]
fn an_install_that_certainly_did_nothing_leaves_nothing_to_be_ended() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    end(&mut sim, &install, fault(FailureClass::Permanent));
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(!did(&sim, "verify 2") && !did(&sim, "destroy 2"), "{:#?}", sim.done);
}

#[test]
fn an_old_install_whose_answer_comes_late_does_not_switch_on_what_was_switched_off() {
    let mut sim = Sim::rotating(alternate(), Policy { soak_ms: 60_000, ..one_consumer() });
    let first = sim.run_until(CallKind::Install);
    sim.intend(&first);
    let (ordinal, request, deadline) = (Ordinal(0), Digest([7; 32]), sim.now.plus(10));
    sim.record(Event::Sent { call: first.call, ordinal, request, deadline });
    sim.record(Event::Interrupted { call: first.call });
    sim.run_until(CallKind::Install);
    sim.run();
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    let disable = sim.run_until(CallKind::Disable);
    sim.intend(&disable);
    end(&mut sim, &disable, Outcome::Done(Vec::new()));
    end(&mut sim, &first, Outcome::Done(Vec::new()));
    let standing = sim.secret.generation(Generation(2)).map(|it| it.liveness(&Place::only()));
    assert_eq!(standing, Some(Liveness::Disabled));
}

/// Two keys live at once, whose use the target tells; previous is watched.
fn watched() -> Sim {
    let usage = Some(UsageSignal { lag_ms: 0, resolution_ms: 1_000 });
    let profile = Profile { usage, ..native() };
    let mut sim = Sim::rotating(profile, Policy { quiet_ms: 5_000, ..one_consumer() });
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run_until(CallKind::Observe);
    sim
}

#[test]
fn a_look_that_leaves_out_what_works_is_no_quiet_and_is_said() {
    let mut sim = watched();
    sim.live.clear();
    for _ in 0..60 {
        match sim.decide() {
            Action::Wait { until: Some(until), .. } => sim.now = until,
            Action::Call(call) if matches!(call.kind, CallKind::Disable | CallKind::Destroy) => {
                panic!("absence counts as quiet: {:#?}", sim.done)
            }
            _ => drop(sim.step()),
        }
    }
    assert!(did(&sim, "verify 1"), "whether it works is tried: {:#?}", sim.done);
    let hold = sim.secret.hold().expect("it is held");
    assert_eq!(hold.reason, HoldReason::Quarantined);
    assert!(hold.detail.contains("lists no generation 1"), "{}", hold.detail);
}

#[test]
fn what_somebody_else_ended_may_be_missing_from_a_look() {
    let mut sim = watched();
    sim.live.retain(|live| live.id != id("k1"));
    go_on_refusing(&mut sim, &[1]);
    assert!(sim.rotation_over(), "{:#?}", sim.done);
}

#[test]
fn a_look_that_leaves_out_the_one_in_use_closes_no_doubt_and_names_nobody() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.live.clear();
    sim.live.push(crate::common::live("theirs", sim.now));
    sim.look();
    let listed = |seen: &keybaton_protocol::calls::Observation| seen.live.iter().any(|it| it.id == id("theirs"));
    assert!(!sim.secret.observations().values().any(listed) && sim.secret.foreign().is_empty());
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!((call.kind, call.generation), (CallKind::Verify, Generation(1)));
}
