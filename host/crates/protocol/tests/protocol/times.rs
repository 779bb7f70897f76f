//! Waiting: overlaps, soaks, quiet, leases, deadlines, back-off.

use crate::common::{Sim, alternate, consumer, evidence, fault, id, live, policy};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, Outcome};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{Generation, Millis};
use keybaton_protocol::policy::{AtDeadline, Policy};
use keybaton_protocol::profile::{Profile, UsageSignal};
use keybaton_protocol::status;
use keybaton_protocol::step::{CallKind, Ending, Phase, Step};

const HOUR_MS: u64 = 3_600_000;

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

/// Generation 2 is current and adopted, and previous is about to end.
fn adopted(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

#[test]
fn previous_lives_on_for_the_overlap_and_is_kept_switched_off_for_the_soak() {
    let mut policy = one_consumer();
    policy.overlap_min_ms = HOUR_MS;
    policy.soak_ms = 2 * HOUR_MS;
    let mut sim = adopted(alternate(), policy);
    sim.run_for(HOUR_MS - 10_000);
    assert!(!did(&sim, "disable 1"), "the overlap is not over");
    sim.run_for(20_000);
    assert!(did(&sim, "disable 1") && !did(&sim, "destroy 1"));
    sim.run_for(2 * HOUR_MS - 30_000);
    assert!(!did(&sim, "destroy 1"), "the soak is not over");
    sim.run_for(60_000);
    assert!(did(&sim, "destroy 1") && sim.rotation_over());
}

#[test]
fn quiet_is_counted_past_the_lag_between_two_looks() {
    let mut policy = one_consumer();
    policy.quiet_ms = 60_000;
    let mut profile = alternate();
    profile.usage = Some(UsageSignal { lag_ms: 5_000, resolution_ms: 1_000 });
    let mut sim = adopted(profile, policy);
    let mut old = live("app_a", Millis(0));
    old.slot = Some(id("app_a"));
    old.last_used_at = Some(sim.now);
    sim.live = vec![old];
    sim.run();
    assert_eq!(sim.done.iter().filter(|done| *done == "observe 1").count(), 1, "{:?}", sim.done);
    sim.run_for(65_000);
    assert!(!did(&sim, "disable 1"), "quiet, lag and resolution are not over");
    // A use shows at the second look: it starts anew.
    sim.live[0].last_used_at = Some(sim.now);
    sim.run_for(10_000);
    assert!(!did(&sim, "disable 1"), "it was used");
    sim.run_for(60_000);
    assert!(!did(&sim, "disable 1"), "not quiet for long enough since");
    sim.run_for(80_000);
    assert!(did(&sim, "disable 1"), "{:?}", sim.done);
}

#[test]
fn open_sessions_of_the_old_credential_keep_it_alive() {
    let mut policy = one_consumer();
    policy.quiet_ms = 1_000;
    let mut profile = alternate();
    profile.usage = Some(UsageSignal { lag_ms: 0, resolution_ms: 0 });
    let mut sim = adopted(profile, policy);
    let mut old = live("app_a", Millis(0));
    old.slot = Some(id("app_a"));
    old.live_uses = Some(3);
    sim.live = vec![old];
    sim.run_for(60_000);
    assert!(!did(&sim, "disable 1"));
    sim.live[0].live_uses = Some(0);
    sim.run_for(10_000);
    assert!(did(&sim, "disable 1") && sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn use_of_previous_takes_back_adoptions_that_rested_on_the_targets_account() {
    let mut policy = one_consumer();
    policy.quiet_ms = 1_000;
    policy.consumers[0].adopted = EvidenceKind::Target;
    let mut profile = alternate();
    profile.usage = Some(UsageSignal { lag_ms: 0, resolution_ms: 0 });
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.command(&Command::State(evidence("api", "one", Purpose::Adopted, 2, EvidenceKind::Target)));
    let mut old = live("app_a", Millis(0));
    old.slot = Some(id("app_a"));
    old.live_uses = Some(1);
    sim.live = vec![old];
    sim.run();
    let shown = status(&sim.secret, sim.now);
    assert_eq!(shown.consumers[0].replicas[0].adopted, None);
}

#[test]
fn a_target_that_settles_is_asked_again_before_it_is_believed() {
    let mut profile = alternate();
    profile.settle_ms = 5_000;
    let mut sim = Sim::rotating(profile, one_consumer());
    for _ in 0..2 {
        sim.step();
    }
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!(call.kind, CallKind::Verify);
    sim.intend(&call);
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Refused("not yet".to_owned()) });
    let Action::Wait { until: Some(until), waiting } = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!((waiting, until.since(sim.now)), (Waiting::BackOff(Step::Verify), 100));
    sim.now = until;
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Stage), "the second try worked: {:?}", sim.done);
}

#[test]
fn a_value_that_is_refused_once_the_target_has_settled_is_given_back() {
    let mut profile = alternate();
    profile.settle_ms = 1_000;
    let mut sim = Sim::rotating(profile, one_consumer());
    for _ in 0..2 {
        sim.step();
    }
    for _ in 0..30 {
        match sim.decide() {
            Action::Call(call) if call.kind == CallKind::Verify => {
                sim.intend(&call);
                sim.record(Event::Ended { call: call.call, outcome: Outcome::Refused("wrong".to_owned()) });
            }
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => break,
        }
    }
    let verified = sim.done.iter().filter(|done| *done == "verify 2").count();
    assert!((5..=12).contains(&verified), "{verified} tries in a second at 100 ms");
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
    assert!(sim.secret.finished().is_some_and(|it| it.2.contains("wrong")));
}

#[test]
fn the_pause_doubles_up_to_its_longest() {
    let attempts = one_consumer().attempts;
    for (failed, expected) in
        [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (64, 1_000), (9_999, 1_000)]
    {
        assert_eq!(attempts.pause_ms(failed), expected, "after {failed} failures");
    }
}

#[test]
fn failures_are_retried_after_a_pause_up_to_the_cap_and_then_quarantined() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    for (attempt, pause) in [(1, 100), (2, 200), (3, 0)] {
        let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
        assert_eq!((call.kind, call.attempt), (CallKind::Create, attempt));
        assert_eq!(call.operation.as_str(), "r2/create/2/-", "the same on every attempt");
        sim.intend(&call);
        sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Retryable) });
        if attempt < 3 {
            let Action::Wait { until: Some(until), .. } = sim.decide() else { panic!("{:?}", sim.decide()) };
            assert_eq!(until.since(sim.now), pause);
            sim.now = until;
        }
    }
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Quarantined));
    let held = sim.secret.hold().expect("it is held");
    assert!(held.detail.contains("create of generation 2 at - failed after 3 attempts"), "{}", held.detail);
    sim.command(&Command::Release { author: crate::common::author() });
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Stage), "released, it is tried again");
}

#[test]
fn the_targets_own_wish_for_a_pause_is_honoured() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
    sim.intend(&call);
    let Outcome::Failed(mut failed) = fault(FailureClass::Retryable) else { unreachable!("a fault") };
    failed.retry_after_ms = Some(30_000);
    sim.record(Event::Ended { call: call.call, outcome: Outcome::Failed(failed) });
    let Action::Wait { until: Some(until), .. } = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert_eq!(until.since(sim.now), 30_000);
}

#[test]
fn a_hopeless_failure_before_commit_gives_pending_back_and_after_it_waits_for_a_person() {
    for class in [FailureClass::Permanent, FailureClass::Denied, FailureClass::Unsupported] {
        let mut sim = Sim::rotating(alternate(), one_consumer());
        let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
        sim.intend(&call);
        sim.record(Event::Ended { call: call.call, outcome: fault(class) });
        sim.run();
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{class}");
        assert_eq!(sim.secret.setbacks(), 1);

        let mut sim = Sim::rotating(Profile { promotes: true, ..alternate() }, one_consumer());
        sim.run();
        sim.say("api", "one", Purpose::Ready, 2);
        sim.step();
        let Action::Call(call) = sim.decide() else { panic!("{:?}", sim.decide()) };
        assert_eq!(call.kind, CallKind::Promote);
        sim.intend(&call);
        sim.record(Event::Ended { call: call.call, outcome: fault(class) });
        assert_eq!(sim.run(), Waiting::Held(HoldReason::Quarantined), "{class}");
    }
}

#[test]
fn what_failed_for_good_before_commit_holds_nothing_once_it_is_given_back() {
    for kind in [CallKind::Install, CallKind::Verify] {
        let mut sim = Sim::rotating(alternate(), one_consumer());
        let call = next(&mut sim, kind);
        sim.intend(&call);
        sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Permanent) });
        sim.run_for(200_000);
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack), "{kind}: {:?}", sim.done);
        assert_eq!(sim.secret.hold(), None, "{kind}: {:?}", sim.done);
    }
}

/// Goes on until a call of this kind is next.
fn next(sim: &mut Sim, kind: CallKind) -> Call {
    for _ in 0..100 {
        match sim.decide() {
            Action::Call(call) if call.kind == kind => return call,
            Action::Wait { until: Some(until), .. } => sim.now = until,
            _ => drop(sim.step()),
        }
    }
    panic!("no {kind}: {:?}", sim.done)
}

fn silent(then: AtDeadline) -> Sim {
    let mut policy = one_consumer();
    policy.stragglers.deadline_ms = Some(20_000);
    policy.stragglers.then = then;
    policy.stragglers.max_age_ms = Some(HOUR_MS);
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run_for(19_000);
    assert!(sim.secret.hold().is_none() && sim.secret.stand() == keybaton_protocol::Stand::Prepare);
    sim.run_for(2_000);
    sim
}

#[test]
fn stragglers_are_held_for_and_the_hold_lifts_by_itself() {
    let mut sim = silent(AtDeadline::Hold);
    let held = sim.secret.hold().expect("it is held");
    assert_eq!(held.reason, HoldReason::Stragglers);
    assert_eq!(held.detail, "stage: no answer in time from api one");
    assert_eq!(status(&sim.secret, sim.now).held.map(|held| held.escalated), Some(false));
    assert_eq!(status(&sim.secret, sim.now.plus(2 * HOUR_MS)).held.map(|held| held.escalated), Some(true));
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    assert_eq!(sim.secret.step(sim.now), Some(Step::Adopt), "it goes on once they have answered");
    sim.run_for(60_000);
    assert_eq!(sim.secret.hold().map(|hold| hold.reason), Some(HoldReason::Stragglers), "adopt has a deadline too");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn stragglers_send_pending_back_where_the_policy_says_so() {
    let mut sim = silent(AtDeadline::Rollback);
    sim.run();
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::RolledBack));
}

#[test]
fn stragglers_are_passed_over_by_name_where_the_policy_says_so() {
    let mut sim = silent(AtDeadline::Force);
    sim.run_for(60_000);
    let overrides: Vec<_> = sim
        .journal
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Overridden { generation, author, .. } => Some((generation.0, author.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(overrides, [(2, "policy".to_owned()), (1, "policy".to_owned())]);
    assert!(sim.rotation_over());
    let current = sim.secret.generation(Generation(2)).expect("it is current");
    assert!(current.overridden.is_none(), "the word was for its commit, not for its own end");
}

#[test]
fn pending_is_kept_until_the_staged_lease_of_whoever_fetched_it_is_over() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: crate::common::author() });
    sim.run_for(9_000);
    assert_eq!(sim.secret.rotation().map(|it| it.phase), Some(Phase::RollingBack));
    assert!(!did(&sim, "disable 2"), "its lease has not run out");
    sim.run_for(3_000);
    assert!(did(&sim, "destroy 2") && sim.rotation_over());
}

#[test]
fn a_fetch_in_time_renews_the_staged_lease_and_leaves_few_traces() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    let events = sim.journal.len();
    sim.now = sim.now.plus(100);
    sim.fetch("api", "one", 2);
    assert_eq!(sim.journal.len(), events, "a fetch right after the last one is not news");
    sim.now = sim.now.plus(2_399);
    sim.fetch("api", "one", 2);
    assert_eq!(sim.journal.len(), events, "nor is it until a quarter of the lease has passed");
    sim.now = sim.now.plus(1);
    sim.fetch("api", "one", 2);
    assert_eq!(sim.journal.len(), events + 1, "then it is");
}

#[test]
fn a_consumer_that_cannot_answer_has_switched_when_the_target_says_so() {
    let mut policy = one_consumer();
    policy.quiet_ms = 10_000;
    policy.consumers[0].adopted = EvidenceKind::Target;
    let mut profile = alternate();
    profile.usage = Some(UsageSignal { lag_ms: 0, resolution_ms: 0 });
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let [mut old, mut new] = ["app_a", "app_b"].map(|slot| {
        let mut entry = live(slot, Millis(0));
        entry.slot = Some(id(slot));
        entry
    });
    old.live_uses = Some(1);
    new.live_uses = Some(0);
    sim.live = vec![old, new];
    sim.run_for(60_000);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Adopt), "the old one is in use");
    sim.live[0].live_uses = Some(0);
    sim.run_for(60_000);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Adopt), "nor has the new one been seen in use");
    sim.live[1].last_used_at = Some(sim.now);
    sim.run_for(60_000);
    assert!(sim.rotation_over(), "{:#?}", sim.done);
}

/// Committed, and the target's account is taken for who cannot answer; with what it tells of both slots.
fn watched(seen: impl Fn(Millis) -> [(Option<u32>, Option<Millis>); 2]) -> Sim {
    let mut policy = Policy { quiet_ms: 1_000, soak_ms: HOUR_MS, ..one_consumer() };
    policy.consumers[0].adopted = EvidenceKind::Target;
    let signal = UsageSignal { lag_ms: 0, resolution_ms: 0 };
    let mut sim = Sim::rotating(Profile { usage: Some(signal), ..alternate() }, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.step();
    let switched = sim.secret.rotation().and_then(|it| it.switched).expect("it is committed").at;
    sim.live = ["app_a", "app_b"]
        .iter()
        .zip(seen(switched))
        .map(|(slot, (live_uses, last_used_at))| keybaton_protocol::event::Live {
            slot: Some(id(slot)),
            live_uses,
            last_used_at,
            ..live(slot, Millis(0))
        })
        .collect();
    sim.run_for(30_000);
    sim
}

#[test]
fn the_new_credential_is_in_use_once_a_session_or_a_later_use_shows() {
    for (what, live_uses, after_ms, used) in [
        ("a session", Some(1), None, true),
        ("no session", Some(0), None, false),
        ("nothing told", None, None, false),
        ("used after the switch", None, Some(1), true),
        ("used at the switch", None, Some(0), false),
    ] {
        let sim = watched(|at| [(None, None), (live_uses, after_ms.map(|after_ms| at.plus(after_ms)))]);
        assert_eq!(sim.secret.step(sim.now) != Some(Step::Adopt), used, "{what}");
    }
}

#[test]
fn the_old_credential_is_in_use_while_a_session_or_a_later_use_shows() {
    for (what, live_uses, after_ms, used) in [
        ("a session", Some(1), None, true),
        ("no session", Some(0), None, false),
        ("used after the switch", None, Some(1), true),
        ("used at the switch", None, Some(0), false),
    ] {
        let mut sim = watched(|at| [(live_uses, after_ms.map(|after_ms| at.plus(after_ms))), (Some(1), None)]);
        let quiet = sim.secret.rotation().and_then(|it| it.quiet.values().next().copied()).expect("it was looked at");
        let first = sim.journal.iter().filter(|(_, event)| matches!(event, Event::Intended { .. })).count();
        assert!(first > 3, "{what}");
        if after_ms.is_none() {
            assert_eq!(!quiet.clean, used, "{what}");
            assert_eq!(sim.secret.step(sim.now) == Some(Step::Adopt), used, "{what}");
        } else {
            // An old use is news at the first look only.
            sim.run_for(30_000);
            assert_ne!(sim.secret.step(sim.now), Some(Step::Adopt), "{what}");
        }
    }
}

#[test]
fn what_is_switched_off_is_not_listened_to() {
    let mut sim = watched(|_| [(Some(0), None), (Some(1), None)]);
    assert!(did(&sim, "disable 1"), "{:#?}", sim.done);
    sim.command(&Command::State(evidence("api", "one", Purpose::Adopted, 2, EvidenceKind::Target)));
    sim.live[0].live_uses = Some(1);
    sim.look();
    assert!(status(&sim.secret, sim.now).consumers[0].replicas[0].adopted.is_some());
}

#[test]
fn a_silent_consumers_target_is_looked_at_as_soon_as_that_is_due() {
    let sim = watched(|_| [(Some(0), None), (Some(0), None)]);
    let Action::Wait { until: Some(until), waiting } = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert!(matches!(waiting, Waiting::Consumers { step: Step::Adopt, .. }), "{waiting:?}");
    let at = |now| keybaton_protocol::decide(&sim.secret, now);
    assert!(matches!(at(Millis(until.0 - 1)), Action::Wait { until: Some(again), .. } if again == until));
    assert!(matches!(at(until), Action::Call(call) if call.kind == CallKind::Observe), "{:?}", at(until));
}

#[test]
fn stragglers_after_commit_and_at_the_end_of_a_secret_are_held_for() {
    let mut policy = one_consumer();
    policy.stragglers.deadline_ms = Some(20_000);
    policy.stragglers.then = AtDeadline::Rollback;
    let mut sim = Sim::rotating(alternate(), policy.clone());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run_for(30_000);
    assert_eq!(sim.secret.hold().map(|hold| hold.reason), Some(HoldReason::Stragglers), "{:#?}", sim.done);
    assert_eq!(sim.secret.current(), Some(Generation(2)), "it cannot be given back any more");

    let mut sim = Sim::issued(alternate(), policy.clone());
    sim.start(keybaton_protocol::step::PlanKind::Retire, alternate(), policy);
    sim.run_for(30_000);
    assert_eq!(sim.secret.hold().map(|hold| hold.reason), Some(HoldReason::Stragglers), "{:#?}", sim.done);
    sim.say("api", "one", Purpose::Released, 1);
    sim.run();
    assert!(sim.rotation_over(), "the hold lifts by itself: {:#?}", sim.done);
}

#[test]
fn targets_that_mint_or_count_are_looked_at_before_a_mint() {
    use crate::common::{native, replace};
    use keybaton_protocol::profile::Minter;
    for (what, profile, looks) in [
        ("mints and counts", native(), true),
        ("counts", Profile { minter: Minter::Host, ..native() }, true),
        ("mints", Profile { minter: Minter::Target, ..replace() }, true),
        ("neither", replace(), false),
    ] {
        let mut sim = Sim::rotating(profile, one_consumer());
        sim.run();
        assert_eq!(did(&sim, "observe 2"), looks, "{what}");
        assert_eq!(sim.secret.step(sim.now), Some(Step::Stage), "{what}");
    }
}
