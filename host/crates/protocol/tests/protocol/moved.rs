//! A credential carries what it was made with: it ends there, whatever the declaration says by then.

use crate::common::{Sim, alternate, author, consumer, fault, id, native, one_slot, pins, policy, profile};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Outcome, Pins};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{Digest, Generation, Slot};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Overlap, Profile};
use keybaton_protocol::step::{CallKind, PlanKind, Step};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn with(profile: Profile, settings: &str, target: &str) -> Box<Pins> {
    Box::new(Pins { settings: settings.to_owned(), target: target.to_owned(), ..*pins(profile, one_consumer()) })
}

fn start(sim: &mut Sim, pins: Box<Pins>) {
    let rotation = id("moved");
    sim.command(&Command::Start {
        rotation,
        kind: PlanKind::Rotate,
        cause: "operator".to_owned(),
        author: author(),
        pins,
    });
}

/// Goes on to the end, everybody answering at once; answers every call that was made.
fn through(sim: &mut Sim, generation: u32) -> Vec<Call> {
    let mut calls = Vec::new();
    for _ in 0..80 {
        match sim.decide() {
            Action::Call(call) => {
                calls.push(call);
                sim.step();
            }
            Action::Wait { waiting: Waiting::Consumers { step, .. }, .. } => {
                let purpose = if step == Step::Stage { Purpose::Ready } else { Purpose::Adopted };
                sim.say("api", "one", purpose, generation);
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            Action::Record(_) => drop(sim.step()),
            Action::Wait { .. } | Action::Idle => break,
        }
    }
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    calls
}

#[test]
fn a_credential_ends_at_the_target_and_with_the_settings_it_was_made_with() {
    let other_roles = || profile(Overlap::Alternate(vec![id("app_c"), id("app_d")]));
    for (what, before, after) in [
        ("other roles", with(alternate(), "a/b", "db"), with(other_roles(), "c/d", "db")),
        ("another server", with(alternate(), "a/b", "db"), with(alternate(), "a/b", "db-2")),
        ("one role instead of two", with(alternate(), "a/b", "db"), with(one_slot(), "c", "db")),
        ("another only role", with(one_slot(), "a", "db"), with(one_slot(), "c", "db")),
        ("another account", with(native(), "one", "cloud"), with(native(), "two", "cloud-2")),
    ] {
        let mut sim = Sim::new();
        let rotation = id("first");
        let (kind, cause) = (PlanKind::Issue, "operator".to_owned());
        sim.command(&Command::Start { rotation, kind, cause, author: author(), pins: before.clone() });
        sim.run();
        start(&mut sim, after.clone());
        let calls = through(&mut sim, 2);
        let ends: Vec<_> = calls.iter().filter(|call| call.kind == CallKind::Destroy).collect();
        assert_eq!(ends.len(), 1, "{what}: {:#?}", sim.done);
        let pins = &ends[0].pins;
        assert_eq!((pins.settings.as_str(), pins.target.as_str()), (&*before.settings, &*before.target), "{what}");
        assert_eq!(ends[0].generation, Generation(1), "{what}");
        let installs = calls.iter().filter(|call| call.kind == CallKind::Install);
        for install in installs {
            assert_eq!((&install.pins.settings, &install.pins.target), (&after.settings, &after.target), "{what}");
        }
    }
}

#[test]
fn with_one_slot_other_settings_of_the_same_role_end_nothing_that_is_not_there() {
    let mut sim = Sim::new();
    let (kind, cause) = (PlanKind::Issue, "operator".to_owned());
    let pins = with(one_slot(), r#"{"role":"app"}"#, "db");
    sim.command(&Command::Start { rotation: id("first"), kind, cause, author: author(), pins });
    sim.run();
    start(&mut sim, with(one_slot(), r#"{"role": "app"}"#, "db"));
    for _ in 0..80 {
        match sim.decide() {
            // The install has overwritten it: what differs between the settings is a space.
            Action::Call(call) if call.kind == CallKind::Verify && call.generation == Generation(1) => {
                sim.intend(&call);
                sim.record(Event::Ended { call: call.call, outcome: Outcome::Refused("no".to_owned()) });
            }
            Action::Wait { waiting: Waiting::Consumers { step, .. }, .. } => {
                let purpose = if step == Step::Stage { Purpose::Ready } else { Purpose::Adopted };
                sim.say("api", "one", purpose, 2);
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            Action::Wait { .. } | Action::Idle => break,
            _ => drop(sim.step()),
        }
    }
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert!(!sim.done.iter().any(|done| done == "destroy 1"), "it would empty the role in use: {:#?}", sim.done);
}

#[test]
fn two_roles_taken_in_turn_begin_with_the_one_that_is_not_in_use() {
    let mut sim = Sim::new();
    let mut taken_over = crate::common::minted(1, None);
    taken_over.attributes = vec![("username".to_owned(), "app_a".to_owned())];
    let pins = with(one_slot(), "role: app_a", "db");
    sim.command(&Command::Import { rotation: id("first"), minted: taken_over, slot: None, author: author(), pins });
    sim.run();
    start(&mut sim, with(alternate(), "roles: a, b", "db"));
    let slot = sim.secret.generation(Generation(2)).and_then(|it| it.slot.clone());
    assert_eq!(slot.as_ref().map(Slot::as_str), Some("app_b"));
}

#[test]
fn other_bytes_and_another_policy_reach_what_is_ending() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    let disable = sim.run_until(CallKind::Disable);
    sim.intend(&disable);
    sim.record(Event::Ended { call: disable.call, outcome: fault(FailureClass::Permanent) });
    sim.command(&Command::Abandon { reason: "the plugin has a bug".to_owned(), author: author() });
    sim.run();
    let mended = Digest([9; 32]);
    sim.command(&Command::Repin { component: mended, author: author() });
    let again = sim.due();
    assert_eq!((again.kind, again.pins.component), (CallKind::Disable, mended));
    sim.command(&Command::Repolicy { policy: Box::new(Policy { soak_ms: 77, ..one_consumer() }), author: author() });
    assert!(sim.secret.retirements().values().all(|it| it.pins.policy.soak_ms == 77));
    sim.run_for(1_000);
    assert!(sim.secret.retirements().is_empty(), "{:#?}", sim.done);
    let refusal = sim.refused(&Command::Repolicy { policy: Box::new(one_consumer()), author: author() });
    assert!(refusal.contains("nothing is ending"), "{refusal}");
}
