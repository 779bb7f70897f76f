//! Calls that are lost, late, interrupted or done twice; credentials that nobody asked for.

use crate::common::{Sim, author, consumer, fault, id, live, minted, native, one_slot, policy, profile};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::calls::CallState;
use keybaton_protocol::command::Command;
use keybaton_protocol::decide::MAX_BATCH;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Live, Outcome, RetireCause};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::{Liveness, Role};
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

const REQUEST: Digest = Digest([7; 32]);

fn sent(sim: &mut Sim, call: &Call, for_ms: u64) {
    sim.intend(call);
    let deadline = sim.now.plus(for_ms);
    sim.record(Event::Sent { call: call.call, ordinal: Ordinal(0), request: REQUEST, deadline });
}

fn answered(sim: &mut Sim, call: CallId, answer: HostAnswer) {
    sim.record(Event::Answered { call, ordinal: Ordinal(0), request: REQUEST, answer });
}

/// A rotation whose create has been sent to a target that mints, and no answer came.
fn lost_mint() -> (Sim, Call) {
    let mut profile = native();
    profile.settle_ms = 1_000;
    let mut sim = Sim::rotating(profile, one_consumer());
    sim.live = vec![live("k1", Millis(1))];
    sim.step();
    let create = sim.due();
    assert_eq!((create.kind, create.baseline.clone()), (CallKind::Create, vec![id("k1")]));
    sent(&mut sim, &create, 5_000);
    answered(&mut sim, create.call, HostAnswer::Lost);
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Ambiguous) });
    (sim, create)
}

fn until(sim: &Sim) -> Millis {
    match sim.decide() {
        Action::Wait { until: Some(until), .. } => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_looked_at_before_what_was_sent_must_have_shown() {
    let (mut sim, _) = lost_mint();
    let start = sim.now;
    assert_eq!(until(&sim).since(start), 6_001, "deadline and settle time, and a moment more");
    sim.now = start.plus(6_000);
    assert!(matches!(sim.decide(), Action::Wait { .. }));
    sim.now = start.plus(6_001);
    assert_eq!(sim.due().kind, CallKind::Observe);
}

#[test]
fn a_look_that_began_too_early_closes_nothing() {
    let (mut sim, create) = lost_mint();
    let early = sim.now.plus(5_000);
    sim.now = until(&sim);
    let look = sim.due();
    sim.intend(&look);
    sim.record(Event::Ended {
        call: look.call,
        outcome: Outcome::Observed { began_at: early, live: sim.live.clone() },
    });
    let open = sim.secret.calls().get(&create.call).expect("still on record");
    assert!(sim.secret.doubt(open).is_some());
    assert_eq!(sim.due().kind, CallKind::Observe, "it is looked at again");
}

fn after_the_look(found: Vec<Live>) -> (Sim, Vec<(RetireCause, String)>, Vec<String>) {
    let (mut sim, _) = lost_mint();
    sim.now = until(&sim);
    sim.live.extend(found);
    sim.step();
    for _ in 0..9 {
        if matches!(sim.decide(), Action::Record(_)) {
            sim.step();
        }
    }
    let jobs =
        sim.secret.retirements().iter().map(|(job, retirement)| {
            (retirement.cause, job.orphan.as_ref().map_or_else(String::new, ToString::to_string))
        });
    let jobs = jobs.collect();
    let foreign = sim.secret.foreign().iter().map(|(_, id)| id.to_string()).collect();
    (sim, jobs, foreign)
}

#[test]
fn an_orphan_is_told_from_a_stranger() {
    let young = Millis(1_000_000);
    let orphan = |name: &str| (RetireCause::Orphan, name.to_owned());
    let used = Live { last_used_at: Some(young), ..live("kx", young) };
    let in_use = Live { live_uses: Some(1), ..live("kx", young) };
    let ageless = Live { created_at: None, ..live("kx", young) };
    let second = Live { ..live("ky", young) };
    for (why, found, jobs, foreign) in [
        ("absent from the baseline, younger, unused, alone", vec![live("kx", young)], vec![orphan("kx")], vec![]),
        (
            "made in the same second, by a target that tells seconds",
            vec![live("kx", Millis(999_001))],
            vec![orphan("kx")],
            vec![],
        ),
        ("older than the intent", vec![live("kx", Millis(999_000))], vec![], vec!["kx"]),
        ("used", vec![used], vec![], vec!["kx"]),
        ("in use", vec![in_use], vec![], vec!["kx"]),
        ("of unknown age", vec![ageless], vec![], vec!["kx"]),
        ("not the only one", vec![live("kx", young), second], vec![], vec!["kx", "ky"]),
        ("nothing at all", vec![], vec![], vec![]),
    ] {
        let (_, found_jobs, found_foreign) = after_the_look(found);
        assert_eq!((found_jobs, found_foreign), (jobs, foreign.into_iter().map(str::to_owned).collect()), "{why}");
    }
}

#[test]
fn an_orphan_is_ended_before_there_is_room_for_another_mint() {
    let (mut sim, ..) = after_the_look(vec![live("kx", Millis(1_000_000))]);
    let waiting = sim.run();
    assert!(sim.done.contains(&"destroy 2".to_owned()), "{waiting:?} {:#?}", sim.done);
    assert!(!sim.live.iter().any(|live| live.id == id("kx")));
    assert!(sim.live.iter().any(|live| live.id == id("k1")), "the current one is left alone");
    assert_eq!(
        sim.secret.generation(Generation(2)).map(|it| it.minted.is_some()),
        Some(true),
        "and it was minted anew"
    );
    let open = sim.secret.calls().values().filter(|call| call.state != CallState::Closed).count();
    assert_eq!(open, 0, "nothing is left open");
}

#[test]
fn a_stranger_counts_against_the_room_and_is_named_to_the_operator() {
    let (mut sim, ..) = after_the_look(vec![live("kx", Millis(1))]);
    sim.now = sim.now.plus(10_000);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Quota));
    let detail = sim.secret.hold().map(|hold| hold.detail.clone()).unwrap_or_default();
    assert!(detail.contains("room for 2") && detail.contains("k1, kx"), "{detail}");
    sim.live.retain(|live| live.id != id("kx"));
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert!(sim.secret.foreign().is_empty(), "it has gone");
    assert_eq!(sim.secret.generation(Generation(2)).map(|it| it.minted.is_some()), Some(true));
}

#[test]
fn a_mint_that_comes_after_the_rotation_is_over_opens_a_retirement() {
    let (mut sim, create) = lost_mint();
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    assert!(sim.rotation_over());
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    sim.step();
    let job = sim.secret.retirements().keys().next().expect("a retirement is open");
    assert_eq!(job.orphan, Some(id("k2")));
    sim.live.push(live("k2", sim.now));
    sim.run_for(20_000);
    assert!(!sim.live.iter().any(|live| live.id == id("k2")));
    assert!(sim.secret.at_rest(), "{:#?}", sim.secret);
}

#[test]
fn a_late_answer_that_it_was_never_done_settles_the_doubt() {
    let (mut sim, create) = lost_mint();
    answered(&mut sim, create.call, HostAnswer::NotDone);
    assert!(sim.secret.calls().is_empty());
}

#[test]
fn a_failure_after_the_target_answered_a_mint_is_in_doubt_whatever_the_guest_calls_it() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    answered(&mut sim, create.call, HostAnswer::Answered);
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Retryable) });
    let open = sim.secret.calls().get(&create.call).expect("on record");
    assert!(sim.secret.doubt(open).is_some());
}

#[test]
fn a_failure_with_something_sent_and_unanswered_is_in_doubt() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Retryable) });
    assert!(sim.secret.calls().contains_key(&create.call));
    let plain = Sim::rotating(native(), one_consumer());
    assert!(plain.secret.calls().is_empty());
}

#[test]
fn an_interrupted_call_is_taken_up_under_the_same_operation_with_its_record() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    answered(&mut sim, create.call, HostAnswer::Answered);
    assert_eq!(sim.secret.running_calls().collect::<Vec<_>>(), [create.call]);
    sim.record(Event::Interrupted { call: create.call });
    let again = sim.due();
    assert_eq!((again.kind, &again.operation), (CallKind::Create, &create.operation));
    assert_eq!((again.resumes.clone(), again.attempt, again.baseline.clone()), (vec![create.call], 1, create.baseline));
    sim.intend(&again);
    sim.record(Event::Interrupted { call: again.call });
    let third = sim.due();
    assert_eq!(third.resumes, [again.call, create.call], "newest first");
    sim.intend(&third);
    sim.record(Event::Ended { call: third.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    assert!(!matches!(sim.decide(), Action::Record(_)), "the same credential twice is one");
}

#[test]
fn an_interrupted_call_with_something_unanswered_is_not_taken_up_but_looked_after() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    sim.record(Event::Interrupted { call: create.call });
    assert!(matches!(sim.decide(), Action::Wait { waiting: Waiting::Doubt(_), .. }), "{:?}", sim.decide());
    sim.now = until(&sim);
    assert_eq!(sim.due().kind, CallKind::Observe);
}

#[test]
fn an_interrupted_look_is_simply_looked_again() {
    let mut sim = Sim::rotating(native(), one_consumer());
    let look = sim.due();
    assert_eq!(look.kind, CallKind::Observe);
    sim.intend(&look);
    assert_eq!(sim.decide(), Action::Wait { until: None, waiting: Waiting::Call(look.call) });
    sim.record(Event::Interrupted { call: look.call });
    let again = sim.due();
    assert_eq!((again.kind, again.resumes), (CallKind::Observe, vec![]));
}

/// One slot, everybody ready, and the install's answer never came; `holds` says whose value is there.
fn lost_install(holds: Generation) -> Sim {
    let mut sim = Sim::rotating(one_slot(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let install = sim.due();
    assert_eq!(install.kind, CallKind::Install);
    sent(&mut sim, &install, 1_000);
    answered(&mut sim, install.call, HostAnswer::Lost);
    sim.record(Event::Ended { call: install.call, outcome: fault(FailureClass::Ambiguous) });
    sim.now = until(&sim);
    sim.step();
    for _ in 0..2 {
        let Action::Call(call) = sim.decide() else { break };
        if call.kind != CallKind::Verify {
            break;
        }
        let works = call.generation == holds;
        sim.intend(&call);
        let outcome = if works { Outcome::Works } else { Outcome::Refused("no".to_owned()) };
        sim.record(Event::Ended { call: call.call, outcome });
    }
    sim
}

#[test]
fn one_slot_and_no_answer_the_login_that_works_is_the_truth() {
    let place = Place::only();
    let new = lost_install(Generation(2));
    assert_eq!(new.secret.generation(Generation(2)).map(|it| it.liveness(&place)), Some(Liveness::Live));
    assert_eq!(new.done.iter().filter(|done| *done == "install 2").count(), 1, "it had worked");

    let mut old = lost_install(Generation(1));
    assert_eq!(old.secret.generation(Generation(1)).map(|it| it.liveness(&place)), Some(Liveness::Live));
    let again = old.due();
    assert_eq!((again.kind, again.attempt, again.operation.as_str()), (CallKind::Install, 2, "r2/install/2/-"));
    old.run();
    assert_eq!(old.secret.generation(Generation(2)).map(|it| it.liveness(&place)), Some(Liveness::Live));

    let mut neither = lost_install(Generation(9));
    assert_eq!(neither.run(), Waiting::Held(HoldReason::Drift));
    assert_eq!(neither.secret.generations().len(), 2, "both are kept");
}

#[test]
fn one_slot_left_in_the_middle_is_told_by_the_value_that_works() {
    for works in [1, 2] {
        let sim = left_in_the_middle(works);
        assert_eq!(sim.secret.current(), Some(Generation(works)), "{:#?}", sim.done);
    }
}

fn left_in_the_middle(value: u32) -> Sim {
    let mut sim = Sim::rotating(one_slot(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let install = sim.due();
    sent(&mut sim, &install, 1_000);
    sim.record(Event::Ended { call: install.call, outcome: fault(FailureClass::Ambiguous) });
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    assert_eq!(sim.secret.current(), Some(Generation(1)), "nobody knows yet");
    let start = Command::Start {
        rotation: id("r9"),
        kind: PlanKind::Rotate,
        cause: "operator".to_owned(),
        author: author(),
        pins: crate::common::pins(one_slot(), one_consumer()),
    };
    assert!(sim.refused(&start).contains("no telling yet"));
    sim.now = sim.now.plus(1_001);
    for _ in 0..9 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify => {
                sim.intend(&call);
                let works = call.generation == Generation(value);
                let outcome = if works { Outcome::Works } else { Outcome::Refused("no".to_owned()) };
                sim.record(Event::Ended { call: call.call, outcome });
            }
            Action::Call(call) => assert_eq!(call.kind, CallKind::Observe, "only looks and logins"),
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => {}
        }
        sim.step();
    }
    if value == 2 {
        assert_eq!(sim.secret.role(Generation(1)), Some(Role::Previous));
    }
    sim.command(&start);
    sim
}

#[test]
fn two_hosts_the_old_ones_outcome_counts_and_its_next_request_does_not_leave() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    sim.record(Event::Interrupted { call: create.call });
    let late = Event::Sent { call: create.call, ordinal: Ordinal(1), request: REQUEST, deadline: sim.now };
    assert!(sim.secret.record(sim.now, &late).is_err());
    answered(&mut sim, create.call, HostAnswer::Answered);
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    assert!(sim.secret.generation(Generation(2)).is_some_and(|it| it.minted.is_some()));
}

#[test]
fn a_rollback_waits_for_the_mint_in_flight_and_then_ends_what_it_made() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.live = vec![live("k1", Millis(1))];
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    assert_eq!(sim.run(), Waiting::Call(create.call));
    answered(&mut sim, create.call, HostAnswer::Answered);
    sim.live.push(live("k2", sim.now));
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    sim.run_for(20_000);
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(!sim.live.iter().any(|live| live.id == id("k2")), "{:#?}", sim.done);
}

#[test]
fn an_outcome_that_does_not_fit_its_call_is_refused() {
    let mut sim = Sim::rotating(native(), one_consumer());
    let look = sim.due();
    sim.intend(&look);
    for outcome in [Outcome::Works, Outcome::Done(Vec::new()), Outcome::Created(minted(2, None))] {
        assert!(sim.secret.record(sim.now, &Event::Ended { call: look.call, outcome }).is_err());
    }
    let never = Event::Ended { call: CallId(99), outcome: Outcome::Works };
    assert!(sim.secret.record(sim.now, &never).is_err(), "it was never intended");
    assert!(sim.secret.record(sim.now, &Event::Interrupted { call: CallId(99) }).is_err());
}

/// Orphans whose end is about to be put on record.
fn loose(sim: &Sim) -> Vec<String> {
    let Action::Record(events) = sim.decide() else { return Vec::new() };
    let orphan = |event: &Event| match event {
        Event::RetirementOpened { cause: RetireCause::Orphan, id, .. } => id.as_ref().map(ToString::to_string),
        _ => None,
    };
    events.iter().filter_map(orphan).collect()
}

#[test]
fn a_late_mint_is_told_from_the_one_that_took_its_place() {
    let created = |call, name| Event::Ended { call, outcome: Outcome::Created(minted(2, Some(name))) };

    let (mut sim, create) = lost_mint();
    sim.now = until(&sim);
    sim.step();
    sim.record(created(create.call, "kx"));
    assert_eq!(loose(&sim), ["kx"], "no look had shown it, and it is live");

    let (mut sim, create) = lost_mint();
    sim.now = until(&sim);
    for _ in 0..2 {
        sim.step();
    }
    assert_eq!(sim.done.last().map(String::as_str), Some("create 2"));
    sim.record(created(create.call, "k2"));
    assert_eq!(loose(&sim), [""; 0], "the same operation, and the same credential");
    let mut other = lost_mint();
    other.0.now = until(&other.0);
    for _ in 0..2 {
        other.0.step();
    }
    other.0.record(created(other.1.call, "k9"));
    assert_eq!(loose(&other.0), ["k9"], "another one");
}

#[test]
fn an_orphan_that_is_ended_already_is_not_ended_twice() {
    for opened in [false, true] {
        let (mut sim, create) = lost_mint();
        sim.now = until(&sim);
        sim.live.push(live("kx", Millis(1_000_000)));
        sim.step();
        if opened {
            sim.step();
        }
        sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("kx"))) });
        assert_eq!(loose(&sim).len(), usize::from(!opened), "opened: {opened}");
        sim.run();
        assert!(!sim.live.iter().any(|live| live.id == id("kx")), "{:#?}", sim.done);
        assert_eq!(sim.secret.step(sim.now), Some(Step::Stage));
    }
}

#[test]
fn the_record_of_a_mint_speaks_through_the_call_that_took_it_up() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sent(&mut sim, &create, 5_000);
    answered(&mut sim, create.call, HostAnswer::Answered);
    sim.record(Event::Interrupted { call: create.call });
    let again = sim.due();
    sim.intend(&again);
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    assert_eq!(loose(&sim), [""; 0], "the call that took it up brings the same");
    assert!(sim.secret.generation(Generation(2)).is_some_and(|it| it.minted.is_none()));
    sim.record(Event::Ended { call: again.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    assert!(sim.secret.generation(Generation(2)).is_some_and(|it| it.minted.is_some()));
}

#[test]
fn a_mint_counts_while_something_else_ends_at_the_same_place() {
    let roomy = profile(Overlap::Native(3));
    let mut sim = Sim::rotating(roomy.clone(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    sim.run();
    assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some());
    sim.start(PlanKind::Rotate, roomy, one_consumer());
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Stage), "{:#?}", sim.done);
}

#[test]
fn a_stranger_is_named_while_a_generation_ends_at_the_same_place() {
    let mut sim = Sim::rotating(native(), Policy { soak_ms: 60_000, ..one_consumer() });
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some());
    sim.live = ["k1", "k2", "kx"].iter().map(|name| live(name, Millis(1))).collect();
    sim.look();
    sim.run();
    assert_eq!(sim.secret.foreign().iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["kx"]);
}

#[test]
fn one_decision_puts_a_bounded_number_of_events_on_record() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.live.extend((10..80).map(|number| live(&format!("k{number}"), Millis(1))));
    sim.look();
    for expected in [MAX_BATCH, MAX_BATCH] {
        let Action::Record(events) = sim.decide() else { panic!("{:?}", sim.decide()) };
        assert_eq!(events.len(), expected);
        sim.step();
    }
    let Action::Record(events) = sim.decide() else { panic!("{:?}", sim.decide()) };
    let named = events.iter().filter(|event| matches!(event, Event::ForeignSeen { .. })).count();
    assert_eq!(named, 70 - 2 * MAX_BATCH);
}

/// One slot, everybody ready; each install is answered, and then these values work and all others are refused.
fn one_slot_where_works(working: &[u32]) -> Sim {
    let mut sim = Sim::rotating(one_slot(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    for _ in 0..60 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify => {
                sim.intend(&call);
                let works = working.contains(&call.generation.0);
                let outcome = if works { Outcome::Works } else { Outcome::Refused("no".to_owned()) };
                sim.record(Event::Ended { call: call.call, outcome });
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    sim
}

#[test]
fn an_install_that_was_answered_and_did_not_take_is_not_tried_for_ever() {
    let sim = one_slot_where_works(&[1]);
    let installs = sim.done.iter().filter(|done| *done == "install 2").count();
    assert_eq!(installs, 1, "{:#?}", sim.done);
    let (_, ending, reason) = sim.secret.finished().cloned().expect("it is over");
    assert_eq!(ending, Ending::RolledBack);
    assert!(reason.contains("what works there is still generation 1"), "{reason}");
    assert_eq!(sim.secret.current(), Some(Generation(1)));
}

#[test]
fn an_install_after_which_no_value_works_is_held_as_drift() {
    let mut sim = one_slot_where_works(&[]);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Drift), "{:#?}", sim.done);
    assert_eq!(sim.secret.generations().len(), 2, "both are kept");
}

#[test]
fn what_was_held_as_drift_is_looked_at_again_before_it_is_held_again() {
    let mut sim = one_slot_where_works(&[]);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Drift), "{:#?}", sim.done);
    let tried = |sim: &Sim| sim.done.iter().filter(|done| done.starts_with("verify")).count();
    let before = tried(&sim);
    sim.command(&Command::Release { author: author() });
    for refused in [2, 1] {
        let again = sim.run_until(CallKind::Verify);
        assert_eq!(again.generation, Generation(refused), "{:#?}", sim.done);
        sim.intend(&again);
        sim.record(Event::Ended { call: again.call, outcome: Outcome::Refused("no".to_owned()) });
    }
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Drift), "nothing was mended: {:#?}", sim.done);
    assert_eq!(tried(&sim), before + 2);
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert_eq!(sim.secret.hold(), None, "a person put one of them back: {:#?}", sim.done);
}
