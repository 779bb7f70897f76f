//! Decisions seldom met: what a call is given, what it waits for, and what is done when something goes wrong late.

use crate::common::{
    Sim, alternate, author, consumer, fault, id, live, minted, native, one_slot, pins, policy, replace,
};
use keybaton_protocol::Stand;
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Digest, Generation, Millis, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};

const REQUEST: Digest = Digest([7; 32]);

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn because() -> String {
    "drill".to_owned()
}

fn abandon() -> Command {
    Command::Abandon { reason: because(), author: author() }
}

fn compromise(generation: u32, disable_first: bool) -> Command {
    Command::Compromise { generation: Generation(generation), disable_first, author: author() }
}

fn staged(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim
}

fn adopted(profile: Profile, policy: Policy) -> Sim {
    let mut sim = staged(profile, policy);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

/// One slot, everybody ready, committed, and the install is due.
fn before_the_install(profile: Profile) -> Sim {
    let mut sim = staged(profile, one_consumer());
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run_until(CallKind::Install);
    sim
}

/// One of the call's requests leaves and is answered.
fn acts(sim: &mut Sim, call: keybaton_protocol::ids::CallId) {
    let (ordinal, request, deadline) = (Ordinal(0), REQUEST, sim.now.plus(1_000));
    sim.record(Event::Sent { call, ordinal, request, deadline });
    sim.record(Event::Answered { call, ordinal, request, answer: HostAnswer::Answered });
}

/// Goes on with logins of which those with these values work.
fn find_out(sim: &mut Sim, working: &[u32]) {
    for _ in 0..60 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify => {
                sim.intend(&call);
                let works = working.contains(&call.generation.0);
                let outcome = if works { Outcome::Works } else { Outcome::Refused("no".to_owned()) };
                end(sim, call.call, outcome);
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

fn end(sim: &mut Sim, call: keybaton_protocol::ids::CallId, outcome: Outcome) {
    sim.record(Event::Ended { call, outcome });
}

fn values(sim: &Sim) -> Vec<u32> {
    sim.due().values.iter().map(|generation| generation.0).collect()
}

#[test]
fn a_call_is_given_every_value_that_shall_live_and_a_login_only_its_own() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    for (kind, expected) in [(CallKind::Create, &[1][..]), (CallKind::Install, &[1, 2]), (CallKind::Verify, &[2])] {
        sim.run_until(kind);
        assert_eq!(values(&sim), expected, "{kind}");
    }
    let mut sim = adopted(alternate(), one_consumer());
    for kind in [CallKind::Disable, CallKind::Destroy] {
        sim.run_until(kind);
        assert_eq!(values(&sim), [1, 2], "{kind}: a target that is told the whole keeps the other");
    }
    let mut sim = adopted(alternate(), Policy { soak_ms: 60_000, ..one_consumer() });
    sim.run();
    sim.command(&Command::Places { places: vec![Place::only(), id("b")], author: author() });
    sim.run_until(CallKind::Install);
    assert_eq!(values(&sim), [1, 2], "previous may be switched on again");
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.run_until(CallKind::Observe);
    assert_eq!(values(&sim), [1], "where a target shows no values, a look tells them by logging in");
}

#[test]
fn a_call_is_not_given_what_ends_unless_it_is_live_or_what_it_is_about() {
    let mut sim = staged(replace(), one_consumer());
    sim.fetch("api", "one", 2);
    sim.command(&abandon());
    sim.start(PlanKind::Rotate, replace(), one_consumer());
    sim.run_until(CallKind::Install);
    assert_eq!(values(&sim), [1, 2, 3], "what was given back is still live");
    sim.run();
    sim.say("api", "one", Purpose::Released, 2);
    let destroy = sim.run_until(CallKind::Destroy);
    assert_eq!(values(&sim), [1, 2, 3], "it is what the call is about");
    sim.intend(&destroy);
    acts(&mut sim, destroy.call);
    end(&mut sim, destroy.call, fault(FailureClass::Permanent));
    assert_eq!(
        sim.secret.generation(Generation(2)).map(|it| it.liveness(&Place::only())),
        Some(Liveness::MaybeDisabled)
    );
    sim.command(&Command::Places { places: vec![Place::only(), id("b")], author: author() });
    sim.run_until(CallKind::Install);
    assert_eq!(values(&sim), [1, 3], "it may be removed already");

    let mut unknown = minted(1, None);
    unknown.fields.clear();
    let mut sim = Sim::new();
    let imported = Command::Import {
        rotation: id("r1"),
        minted: unknown,
        slot: None,
        author: author(),
        pins: pins(alternate(), one_consumer()),
    };
    sim.command(&imported);
    sim.run();
    sim.start(PlanKind::Rotate, alternate(), one_consumer());
    sim.run_until(CallKind::Install);
    assert_eq!(values(&sim), [2], "nobody knows the other");
}

#[test]
fn a_call_waits_for_the_one_that_runs_and_for_the_one_in_doubt() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    assert_eq!(sim.decide(), Action::Wait { until: None, waiting: Waiting::Call(install.call) });
    let (ordinal, deadline) = (Ordinal(0), sim.now.plus(5_000));
    sim.record(Event::Sent { call: install.call, ordinal, request: REQUEST, deadline });
    sim.record(Event::Answered { call: install.call, ordinal, request: REQUEST, answer: HostAnswer::Lost });
    end(&mut sim, install.call, fault(FailureClass::Ambiguous));
    let until = Some(deadline.plus(1));
    assert_eq!(sim.decide(), Action::Wait { until, waiting: Waiting::Doubt(install.call) });
}

#[test]
fn a_full_target_refuses_a_start_and_names_what_ends_there() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.live = vec![live("k1", Millis(1))];
    sim.step();
    let create = sim.due();
    sim.intend(&create);
    sim.command(&abandon());
    end(&mut sim, create.call, Outcome::Created(minted(2, Some("kx"))));
    sim.record(Event::Erased { generation: Generation(2) });
    sim.step();
    let start = |profile, policy| Command::Start {
        rotation: id("r9"),
        kind: PlanKind::Rotate,
        cause: "operator".to_owned(),
        author: author(),
        pins: pins(profile, policy),
    };
    let refusal = sim.refused(&start(native(), one_consumer()));
    assert!(refusal.contains("generation 2 (kx) at -"), "{refusal}");
    let mut hopeless = one_consumer();
    hopeless.attempts.cap = 0;
    let refusal = Sim::issued(native(), one_consumer()).refused(&start(native(), hopeless));
    assert!(refusal.contains("no attempt is allowed"), "{refusal}");
}

#[test]
fn one_slot_left_before_it_was_touched_is_as_it_was() {
    let mut sim = staged(one_slot(), one_consumer());
    sim.command(&abandon());
    assert_eq!((sim.secret.current(), sim.secret.previous()), (Some(Generation(1)), None), "nothing was committed");
    let mut sim = before_the_install(one_slot());
    sim.command(&abandon());
    assert_eq!(sim.secret.current(), Some(Generation(1)));
    let mut sim = before_the_install(one_slot());
    let install = sim.due();
    sim.intend(&install);
    end(&mut sim, install.call, Outcome::Done(Vec::new()));
    sim.command(&abandon());
    assert_eq!(sim.secret.current(), Some(Generation(1)), "nobody has looked yet");
    find_out(&mut sim, &[2]);
    assert_eq!(sim.secret.current(), Some(Generation(2)), "it was overwritten");
    let missing = vec![(id("api"), id("one"))];
    assert_eq!(sim.run(), Waiting::Consumers { step: Step::Adopt, missing }, "and the old value is kept for them");
}

#[test]
fn the_only_slot_is_overwritten_for_everybody_who_is_ready_or_by_somebodys_word() {
    let restarts = |sim: &mut Sim| {
        sim.record(Event::Fetched {
            consumer: id("api"),
            replica: id("one"),
            incarnation: id("life-2"),
            generation: Generation(1),
        });
    };
    let mut sim = before_the_install(one_slot());
    restarts(&mut sim);
    let missing = vec![(id("api"), id("one"))];
    assert_eq!(sim.run(), Waiting::Consumers { step: Step::Stage, missing });
    sim.command(&Command::Override { generation: Generation(2), reason: because(), author: author() });
    sim.run();
    assert!(did(&sim, "install 2"), "{:#?}", sim.done);
}

#[test]
fn a_compromised_pending_is_given_back_unless_the_only_slot_cannot_be_cleared_of_it() {
    let mut sim = before_the_install(one_slot());
    sim.command(&compromise(2, false));
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{:#?}", sim.done);
    assert!(!did(&sim, "install 2"), "nothing restores it");

    let mut sim = before_the_install(one_slot());
    sim.step();
    sim.command(&compromise(2, false));
    find_out(&mut sim, &[2]);
    assert!(did(&sim, "install 1"), "the current value is put in again: {:#?}", sim.done);

    let mut sim = before_the_install(Profile { reinstall: false, ..one_slot() });
    sim.step();
    sim.command(&compromise(2, false));
    find_out(&mut sim, &[2]);
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::Abandoned), "{:#?}", sim.done);
    assert_eq!(sim.secret.current(), Some(Generation(2)), "it is what the target has");
    assert!(sim.secret.must_rotate());
}

#[test]
fn with_one_slot_nothing_is_called_current_before_the_target_took_it() {
    let mut sim = before_the_install(one_slot());
    for class in [FailureClass::Retryable, FailureClass::Permanent] {
        let install = sim.run_until(CallKind::Install);
        sim.intend(&install);
        end(&mut sim, install.call, fault(class));
        assert_eq!(sim.secret.current(), Some(Generation(1)), "{class}");
    }
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{:#?}", sim.done);
    assert!(!did(&sim, "install 1"), "nothing had happened, so nothing is put back");
}

#[test]
fn with_one_slot_a_rollback_after_the_install_puts_the_current_value_in_again() {
    for (working, outcome) in [(1, fault(FailureClass::Ambiguous)), (2, Outcome::Done(Vec::new()))] {
        let mut sim = before_the_install(one_slot());
        let install = sim.due();
        sim.intend(&install);
        acts(&mut sim, install.call);
        end(&mut sim, install.call, outcome);
        sim.command(&Command::Rollback { reason: because(), author: author() });
        for _ in 0..60 {
            match sim.decide() {
                Action::Call(call) if call.kind == CallKind::Verify && !did(&sim, "install 1") => {
                    sim.intend(&call);
                    let works = call.generation.0 == working;
                    let outcome = if works { Outcome::Works } else { Outcome::Refused("no".to_owned()) };
                    end(&mut sim, call.call, outcome);
                }
                Action::Wait { until: Some(until), .. } => sim.now = until,
                _ => drop(sim.step()),
            }
        }
        let endings = format!("generation {working} works");
        assert_eq!(did(&sim, "install 1"), working == 2, "{endings}: {:#?}", sim.done);
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{endings}: {:#?}", sim.done);
        assert_eq!(sim.secret.current(), Some(Generation(1)));
        assert_eq!(sim.secret.generations().len(), 1, "{endings}");
    }
    let mut sim = before_the_install(Profile { reinstall: false, ..one_slot() });
    sim.step();
    let refusal = sim.refused(&Command::Rollback { reason: because(), author: author() });
    assert!(refusal.contains("cannot be put in again"), "{refusal}");
}

#[test]
fn a_compromised_current_with_no_way_back_goes_on_to_the_end_or_stops_at_once() {
    for (disable_first, ending) in [(false, Ending::Completed), (true, Ending::Abandoned)] {
        let mut sim = adopted(alternate(), one_consumer());
        let destroy = sim.run_until(CallKind::Destroy);
        sim.intend(&destroy);
        sim.command(&compromise(2, disable_first));
        sim.step();
        if !sim.rotation_over() {
            end(&mut sim, destroy.call, Outcome::Done(Vec::new()));
            sim.run();
        }
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(ending), "{:#?}", sim.done);
    }
}

#[test]
fn a_previous_that_cannot_be_switched_on_again_is_held_for_a_person() {
    let mut sim = adopted(alternate(), Policy { soak_ms: 60_000, ..one_consumer() });
    sim.run();
    sim.command(&Command::Revert { reason: because(), author: author() });
    let enable = sim.run_until(CallKind::Enable);
    sim.intend(&enable);
    end(&mut sim, enable.call, fault(FailureClass::Permanent));
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Quarantined), "{:#?}", sim.done);
    let detail = sim.secret.hold().map(|hold| hold.detail.clone()).unwrap_or_default();
    assert!(detail.contains("enable of generation 1 at -"), "{detail}");
}

#[test]
fn a_revert_to_what_others_know_is_left() {
    let mut sim = adopted(alternate(), Policy { soak_ms: 60_000, ..one_consumer() });
    sim.run();
    sim.command(&Command::Revert { reason: because(), author: author() });
    assert_eq!(sim.secret.stand(), Stand::Reverting);
    sim.command(&compromise(1, false));
    sim.step();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::Abandoned));
    assert_eq!(sim.secret.current(), Some(Generation(2)));
    sim.run();
    assert!(did(&sim, "destroy 1") && !did(&sim, "enable 1"), "{:#?}", sim.done);
}

#[test]
fn a_place_that_refuses_the_value_after_commit_is_held_for_a_person() {
    let mut sim = adopted(alternate(), Policy { overlap_min_ms: 600_000, ..one_consumer() });
    sim.command(&Command::Places { places: vec![Place::only(), id("b")], author: author() });
    let verify = sim.run_until(CallKind::Verify);
    assert_eq!(verify.place.as_str(), "b");
    sim.intend(&verify);
    end(&mut sim, verify.call, Outcome::Refused("no such role".to_owned()));
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Quarantined), "{:#?}", sim.done);
    let detail = sim.secret.hold().map(|hold| hold.detail.clone()).unwrap_or_default();
    assert_eq!(detail, "generation 2 was refused at b: no such role");
    assert!(!did(&sim, "verify 1"), "there are two slots: the old one's value says nothing");
}

#[test]
fn a_login_into_the_only_slot_is_tried_again_after_a_pause() {
    let mut sim = before_the_install(Profile { settle_ms: 1_000, ..one_slot() });
    let install = sim.due();
    sim.intend(&install);
    let (ordinal, deadline) = (Ordinal(0), sim.now);
    sim.record(Event::Sent { call: install.call, ordinal, request: REQUEST, deadline });
    end(&mut sim, install.call, fault(FailureClass::Ambiguous));
    sim.command(&abandon());
    let verify = sim.run_until(CallKind::Verify);
    assert_eq!(verify.generation, Generation(1));
    sim.intend(&verify);
    let at = sim.now;
    let changed = sim.secret.generation(Generation(2)).map(|it| it.at(&Place::only()).changed_at);
    assert!(changed.is_some_and(|changed| changed.plus(1_000) < at.plus(100)), "it has settled by then");
    end(&mut sim, verify.call, Outcome::Refused("not yet".to_owned()));
    // What was refused after the target settled is the other's turn; its first try needs no pause.
    let other = sim.due();
    assert_eq!((other.kind, other.generation), (CallKind::Verify, Generation(2)));
    let mut early = before_the_install(Profile { settle_ms: 1_000, ..one_slot() });
    let install = early.due();
    early.intend(&install);
    end(&mut early, install.call, Outcome::Done(Vec::new()));
    early.command(&abandon());
    let verify = early.run_until(CallKind::Verify);
    early.intend(&verify);
    let at = early.now;
    end(&mut early, verify.call, Outcome::Refused("not yet".to_owned()));
    early.step();
    let again = at.plus(100);
    let waiting = Waiting::BackOff(Step::Verify);
    assert_eq!(early.decide(), Action::Wait { until: Some(again), waiting: waiting.clone() });
    let when = |ms: u64| keybaton_protocol::decide(&early.secret, at.plus(ms));
    assert_eq!(when(99), Action::Wait { until: Some(again), waiting });
    for ms in [100, 101] {
        assert!(matches!(when(ms), Action::Call(call) if call.kind == CallKind::Verify), "{ms}: {:?}", when(ms));
    }
}
