//! A target of many places: one call per place, several at once; stragglers among places; places that come and go.

use crate::common::{Sim, alternate, author, consumer, fault, id, one_slot, policy, profile};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HostAnswer};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Digest, Generation, Ordinal, Place};
use keybaton_protocol::profile::{Overlap, Profile};
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};

fn places(names: &[&str]) -> Vec<Place> {
    names.iter().map(|name| id(name)).collect()
}

fn rotating(profile: &Profile) -> Sim {
    let mut sim = Sim::new();
    for kind in [PlanKind::Issue, PlanKind::Rotate] {
        let mut pins = crate::common::pins(profile.clone(), policy(vec![consumer("api", &["one"])]));
        pins.places = places(&["h1", "h2", "h3"]);
        let rotation = id(&format!("r-{kind}"));
        sim.command(&Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins });
        if kind == PlanKind::Issue {
            sim.run();
            sim.done.clear();
        }
    }
    sim
}

/// Intends every call that is due without waiting for any.
fn all_due(sim: &mut Sim) -> Vec<Call> {
    let mut calls = Vec::new();
    for _ in 0..20 {
        let Action::Call(call) = sim.decide() else { return calls };
        sim.intend(&call);
        calls.push(call);
    }
    panic!("it never has enough: {calls:?}")
}

fn end_all(sim: &mut Sim, calls: &[Call]) {
    for call in calls {
        let outcome = sim.answer(call);
        sim.record(Event::Ended { call: call.call, outcome });
    }
}

fn told(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| format!("{} {} at {}", call.kind, call.generation.0, call.place)).collect()
}

#[test]
fn places_are_called_at_the_same_time_and_minting_is_done_once() {
    let mut sim = rotating(&alternate());
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["create 2 at h1"]);
    end_all(&mut sim, &calls);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["install 2 at h1", "install 2 at h2", "install 2 at h3"]);
    assert!(matches!(sim.decide(), Action::Wait { waiting: Waiting::Call(_), .. }));
    end_all(&mut sim, &calls[..2]);
    assert_eq!(all_due(&mut sim).len(), 0, "verify waits for the last install");
    end_all(&mut sim, &calls[2..]);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["verify 2 at h1", "verify 2 at h2", "verify 2 at h3"]);
    end_all(&mut sim, &calls);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.step();
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["disable 1 at h1", "disable 1 at h2", "disable 1 at h3"]);
    end_all(&mut sim, &calls);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["destroy 1 at h1", "destroy 1 at h2", "destroy 1 at h3"]);
    end_all(&mut sim, &calls[1..]);
    assert!(!sim.rotation_over());
    sim.run();
    assert!(sim.secret.retirement(Generation(1), &id("h1")).is_some(), "one place is not closed");
    end_all(&mut sim, &calls[..1]);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_place_that_fails_holds_the_others_up_and_is_named() {
    let mut sim = rotating(&alternate());
    let calls = all_due(&mut sim);
    end_all(&mut sim, &calls);
    for _ in 0..3 {
        for call in all_due(&mut sim) {
            let outcome = match (call.kind, call.place.as_str()) {
                (CallKind::Install, "h2") => fault(FailureClass::Retryable),
                _ => sim.answer(&call),
            };
            sim.record(Event::Ended { call: call.call, outcome });
        }
        if let Action::Wait { until: Some(until), .. } = sim.decide() {
            sim.now = until;
        }
    }
    sim.run();
    let detail = sim.secret.hold().map(|hold| hold.detail.clone()).unwrap_or_default();
    assert!(detail.contains("install of generation 2 at h2"), "{detail}");
    // The operator takes the place out; the rotation goes on without it.
    sim.command(&Command::Places { places: places(&["h1", "h3"]), author: author() });
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Stage), "{:?}", sim.done);
}

#[test]
fn a_place_that_comes_back_is_brought_level_before_it_counts() {
    let mut sim = rotating(&alternate());
    sim.run();
    sim.command(&Command::Places { places: places(&["h1", "h2", "h3", "h4"]), author: author() });
    sim.say("api", "one", Purpose::Ready, 2);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["install 2 at h4"], "not committed before it is level");
    end_all(&mut sim, &calls);
    sim.run();
    sim.command(&Command::Places { places: places(&["h1", "h2", "h3", "h4", "h5"]), author: author() });
    sim.say("api", "one", Purpose::Adopted, 2);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["install 2 at h5"], "nor is anything ended before it is");
    end_all(&mut sim, &calls);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn pending_is_given_back_only_where_it_may_have_arrived() {
    let mut sim = rotating(&alternate());
    let calls = all_due(&mut sim);
    end_all(&mut sim, &calls);
    let calls = all_due(&mut sim);
    end_all(&mut sim, &calls[..1]);
    let outcome = fault(FailureClass::Permanent);
    let (call, ordinal, request) = (calls[1].call, Ordinal(0), Digest([7; 32]));
    sim.record(Event::Sent { call, ordinal, request, deadline: sim.now.plus(1) });
    sim.record(Event::Answered { call, ordinal, request, answer: HostAnswer::Answered });
    sim.record(Event::Ended { call, outcome: outcome.clone() });
    sim.record(Event::Ended { call: calls[2].call, outcome });
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    let count = |what: &str| sim.done.iter().filter(|done| *done == what).count();
    assert_eq!(count("destroy 2"), 2, "where nothing was sent, nothing can have arrived: {:?}", sim.done);
    assert_eq!(count("verify 2"), 2, "and of what may have, a login tells first: {:?}", sim.done);
}

#[test]
fn each_place_is_promoted_where_the_target_has_such_a_notion() {
    let mut sim = rotating(&Profile { promotes: true, ..alternate() });
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.step();
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["promote 2 at h1", "promote 2 at h2", "promote 2 at h3"]);
    end_all(&mut sim, &calls);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn with_one_slot_each_place_is_overwritten_for_itself() {
    let mut sim = rotating(&one_slot());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let calls = all_due(&mut sim);
    assert_eq!(told(&calls), ["install 2 at h1", "install 2 at h2", "install 2 at h3"]);
    end_all(&mut sim, &calls[..1]);
    let old = sim.secret.generation(Generation(1)).expect("kept");
    assert_eq!((old.liveness(&id("h1")), old.liveness(&id("h2"))), (Liveness::Absent, Liveness::Maybe));
    end_all(&mut sim, &calls[1..]);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn three_slots_are_taken_in_turn_and_none_is_entered_before_it_is_free() {
    let mut sim = Sim::new();
    let slots = profile(Overlap::Alternate(vec![id("s1"), id("s2"), id("s3")]));
    let mut taken = Vec::new();
    for round in 0..5_u32 {
        let kind = if round == 0 { PlanKind::Issue } else { PlanKind::Rotate };
        sim.start(kind, slots.clone(), policy(Vec::new()));
        let slot = sim.secret.generation(Generation(round + 1)).and_then(|it| it.slot.clone());
        taken.extend(slot.map(|slot| slot.to_string()));
        sim.run();
    }
    assert_eq!(taken, ["s1", "s2", "s3", "s1", "s2"]);
}

#[test]
fn a_create_waits_for_the_retirement_in_its_slot() {
    let mut sim = Sim::rotating(alternate(), policy(Vec::new()));
    let mut stuck = Vec::new();
    for _ in 0..40 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Destroy => {
                sim.intend(&call);
                sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Permanent) });
                stuck.push(call.operation.to_string());
            }
            Action::Wait { waiting, .. } => {
                assert_eq!(waiting, Waiting::Stuck(CallKind::Destroy, Generation(1), Place::only()));
                break;
            }
            _ => drop(sim.step()),
        }
    }
    assert_eq!(stuck, ["r2/destroy/1/-"], "a hopeless destroy is not tried for ever");
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    let pins = crate::common::pins(alternate(), policy(Vec::new()));
    let start = Command::Start {
        rotation: id("r3"),
        kind: PlanKind::Rotate,
        cause: "operator".to_owned(),
        author: author(),
        pins,
    };
    assert!(sim.refused(&start).contains("generation 1 at -"));
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert!(sim.secret.at_rest());
    sim.command(&start);
}

#[test]
fn a_soft_end_that_fails_is_tried_again_under_its_own_back_off() {
    let mut sim = Sim::rotating(alternate(), policy(Vec::new()));
    let call = sim.run_until(CallKind::Disable);
    sim.intend(&call);
    sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Retryable) });
    let Action::Wait { until: Some(until), waiting } = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!((waiting, until.since(sim.now)), (Waiting::BackOff(Step::Disable), 100));
    sim.now = until;
    let Action::Call(again) = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!((again.attempt, again.operation), (2, call.operation));
}

#[test]
fn what_a_person_changed_holds_for_the_rotations_after_it() {
    let start = |sim: &mut Sim, name: &str, declared: &[&str]| {
        let mut pins = crate::common::pins(alternate(), policy(Vec::new()));
        pins.places = places(declared);
        let kind = if name == "first" { PlanKind::Issue } else { PlanKind::Rotate };
        sim.command(&Command::Start { rotation: id(name), kind, cause: "operator".to_owned(), author: author(), pins });
        sim.run_for(3_600_000);
        assert!(sim.rotation_over(), "{name}: {:?}", sim.done);
        sim.secret.pins().unwrap().places.clone()
    };
    let mut sim = Sim::new();
    let declared = ["h1", "h2", "h3"];
    start(&mut sim, "first", &declared);
    sim.command(&Command::Places { places: places(&["h1", "h3", "h4"]), author: author() });
    assert_eq!(start(&mut sim, "second", &declared), places(&["h1", "h3", "h4"]), "h2 is gone, h4 is there");
    let current = sim.secret.current().unwrap();
    assert_eq!(sim.secret.generation(current).map(|it| it.liveness(&id("h4"))), Some(Liveness::Live));
    assert_eq!(start(&mut sim, "third", &["h1", "h5"]), places(&["h1", "h5", "h4"]), "what is declared has changed");
    sim.command(&Command::Places { places: places(&["h1", "h2"]), author: author() });
    assert_eq!(start(&mut sim, "fourth", &declared), places(&declared), "h2 is back, h4 is gone");
    assert_eq!(start(&mut sim, "fifth", &["h4", "h5"]), places(&["h2"]), "what is gone stays away, declared or not");
}

/// Everyone has switched, and one of three places does not answer any more.
fn with_a_dead_place(profile: &Profile) -> Sim {
    let mut sim = rotating(profile);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    for _ in 0..60 {
        match sim.decide() {
            Action::Call(call) if call.place.as_str() == "h3" => {
                sim.intend(&call);
                sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Permanent) });
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    assert!(!sim.rotation_over(), "{:#?}", sim.done);
    sim
}

#[test]
fn a_rotation_does_not_wait_for_a_place_that_is_away_and_its_credential_stays_named() {
    let mut sim = with_a_dead_place(&alternate());
    sim.command(&Command::Places { places: places(&["h1", "h2"]), author: author() });
    sim.run();
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert!(sim.secret.retirement(Generation(1), &id("h3")).is_some(), "it is still on there");
    assert!(!sim.secret.at_rest());
    sim.start(PlanKind::Rotate, alternate(), policy(vec![consumer("api", &["one"])]));
    assert_eq!(sim.secret.generation(Generation(3)).map(|it| it.places.len()), Some(0));
}

#[test]
fn a_scrapped_place_takes_its_credentials_with_it() {
    for away_first in [false, true] {
        let mut sim = with_a_dead_place(&alternate());
        if away_first {
            sim.command(&Command::Places { places: places(&["h1", "h2"]), author: author() });
            sim.run();
        }
        sim.command(&Command::ScrapPlace { place: id("h3"), author: author() });
        sim.run();
        assert!(sim.rotation_over() && sim.secret.at_rest(), "{away_first}: {:#?}", sim.done);
        assert_eq!(sim.secret.generations().len(), 1, "{away_first}");
        sim.start(PlanKind::Rotate, alternate(), policy(Vec::new()));
        assert!(!sim.secret.pins().is_some_and(|pins| pins.places.contains(&id("h3"))), "{away_first}");
    }
    let sim = Sim::issued(alternate(), policy(Vec::new()));
    let refusal = sim.refused(&Command::ScrapPlace { place: Place::only(), author: author() });
    assert!(refusal.contains("only place"), "{refusal}");
    let refusal = sim.refused(&Command::ScrapPlace { place: id("h9"), author: author() });
    assert!(refusal.contains("no such place"), "{refusal}");
}

#[test]
fn a_secret_that_ends_may_scrap_its_only_place() {
    let mut sim = Sim::issued(alternate(), policy(Vec::new()));
    sim.start(PlanKind::Retire, alternate(), policy(Vec::new()));
    sim.command(&Command::ScrapPlace { place: Place::only(), author: author() });
    sim.run();
    assert!(sim.rotation_over() && sim.secret.current().is_none(), "{:#?}", sim.done);
}

#[test]
fn with_one_slot_a_place_that_goes_away_before_it_was_overwritten_holds_nothing_up() {
    let mut sim = rotating(&one_slot());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let calls = all_due(&mut sim);
    end_all(&mut sim, &calls[..2]);
    sim.record(Event::Ended { call: calls[2].call, outcome: fault(FailureClass::Retryable) });
    sim.command(&Command::Places { places: places(&["h1", "h2"]), author: author() });
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert!(sim.secret.generation(Generation(1)).is_some(), "the old value is still on at the place that is away");
    sim.command(&Command::ScrapPlace { place: id("h3"), author: author() });
    sim.run();
    assert!(sim.secret.at_rest(), "{:#?}", sim.done);
}

#[test]
fn a_place_that_comes_back_while_no_rotation_runs_is_brought_level_before_anything_ends_there() {
    let mut sim = rotating(&one_slot());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let calls = all_due(&mut sim);
    end_all(&mut sim, &calls[..2]);
    sim.record(Event::Ended { call: calls[2].call, outcome: fault(FailureClass::Retryable) });
    sim.command(&Command::Places { places: places(&["h1", "h2"]), author: author() });
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    sim.command(&Command::Places { places: places(&["h1", "h2", "h3"]), author: author() });
    let install = sim.run_until(CallKind::Install);
    assert_eq!((install.generation, install.place.as_str()), (Generation(2), "h3"));
    sim.run_for(10_000);
    let standing = sim.secret.generation(Generation(2)).map(|it| it.liveness(&id("h3")));
    assert_eq!(standing, Some(Liveness::Live), "{:#?}", sim.done);
    assert!(sim.secret.at_rest(), "{:#?}", sim.done);
}
