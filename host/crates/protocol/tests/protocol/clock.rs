//! The clock: what passes while one process measures, what a step of the wall clock moves and what it does not, and what
//! is known where nobody measured.

use crate::common::{Sim, alternate, author, consumer, fault, id, live, native, policy};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::calls::CallState;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Live, Outcome};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Profile, UsageSignal};
use keybaton_protocol::step::{CallKind, PlanKind, Step};
use keybaton_protocol::{decide, offer, status};

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// An hour ahead, and an hour back.
const STEPS: [i64; 2] = [3_600_000, -3_600_000];
const REQUEST: Digest = Digest([7; 32]);

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

/// The same day, so that an hour back is not before 1970.
fn at_noon() -> Sim {
    let mut sim = Sim::new();
    sim.now = sim.now.plus(DAY_MS);
    sim
}

fn rotating(mut sim: Sim, profile: Profile, policy: Policy) -> Sim {
    sim.start(PlanKind::Issue, profile.clone(), policy.clone());
    sim.run();
    sim.start(PlanKind::Rotate, profile, policy);
    sim.done.clear();
    sim
}

/// Generation 2 is current and adopted; the overlap runs.
fn draining(mut sim: Sim, overlap_min_ms: u64) -> Sim {
    sim = rotating(sim, alternate(), Policy { overlap_min_ms, ..one_consumer() });
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(sim.run(), Waiting::Timer(Step::Drain));
    sim
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

fn count(sim: &Sim, what: &str) -> usize {
    sim.done.iter().filter(|done| *done == what).count()
}

/// When it is looked at again by itself.
fn until(sim: &Sim) -> Millis {
    match sim.decide() {
        Action::Wait { until: Some(until), .. } => until,
        other => panic!("{other:?}\n{:#?}", sim.done),
    }
}

fn sent(sim: &mut Sim, call: &Call, for_ms: u64) {
    sim.intend(call);
    let deadline = sim.now.plus(for_ms);
    sim.record(Event::Sent { call: call.call, ordinal: Ordinal(0), request: REQUEST, deadline });
}

/// A mint has been sent, may take effect for five seconds, and no answer came; the target takes a second to settle.
fn in_doubt() -> (Sim, CallId) {
    let profile = Profile { settle_ms: SECOND_MS, ..native() };
    let mut sim = rotating(at_noon(), profile, one_consumer());
    sim.live = vec![live("k1", Millis(1))];
    sim.step();
    let create = sim.due();
    assert_eq!(create.kind, CallKind::Create);
    sent(&mut sim, &create, 5 * SECOND_MS);
    sim.record(Event::Answered { call: create.call, ordinal: Ordinal(0), request: REQUEST, answer: HostAnswer::Lost });
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Ambiguous) });
    (sim, create.call)
}

fn in_doubt_still(sim: &Sim, call: CallId) -> bool {
    sim.secret.calls().get(&call).is_some_and(|it| matches!(it.state, CallState::Doubt { .. }))
}

#[test]
fn a_timer_is_over_when_its_time_has_passed_and_not_a_moment_before() {
    let mut sim = draining(at_noon(), HOUR_MS);
    let end = sim.now.plus(HOUR_MS);
    sim.now = Millis(end.0 - 1);
    assert_eq!(sim.run(), Waiting::Timer(Step::Drain));
    assert_eq!(until(&sim), end, "it is looked at when it is over");
    sim.now = end;
    sim.run();
    assert!(did(&sim, "disable 1"), "{:#?}", sim.done);
}

#[test]
fn what_is_decided_holds_at_the_instant_of_the_decision_not_at_the_last_event() {
    let sim = draining(at_noon(), 2 * SECOND_MS);
    let later = sim.now.plus(2 * SECOND_MS);
    assert!(matches!(decide(&sim.secret, sim.now), Action::Wait { .. }));
    assert!(matches!(decide(&sim.secret, later), Action::Record(_)), "nothing has to be put on record first");
}

#[test]
fn a_short_timer_costs_no_record_and_a_long_one_a_few() {
    for (overlap_ms, ticks) in
        [(2 * SECOND_MS, 0..=0), (HOUR_MS - 1, 0..=0), (HOUR_MS, 3..=3), (DAY_MS, 3..=3), (7 * DAY_MS, 27..=28)]
    {
        let mut sim = draining(at_noon(), overlap_ms);
        sim.run_for(overlap_ms);
        assert!(sim.rotation_over(), "{overlap_ms}: {:?}", sim.done);
        let ticked = count(&sim, "ticked");
        assert!(ticks.contains(&ticked), "{overlap_ms} ms: {ticked} ticks");
    }
}

#[test]
fn a_step_of_the_clock_ends_no_timer_and_stops_none() {
    for by_ms in STEPS {
        let mut sim = draining(at_noon(), HOUR_MS / 2);
        sim.now = sim.now.plus(HOUR_MS / 4);
        sim.step_clock(by_ms);
        assert_eq!(sim.run(), Waiting::Timer(Step::Drain), "{by_ms}");
        assert_eq!(until(&sim).since(sim.now), HOUR_MS / 4, "{by_ms}: as long to go as before");
        sim.run_for(HOUR_MS / 4);
        assert!(sim.rotation_over(), "{by_ms}: {:?}", sim.done);
    }
}

#[test]
fn time_beside_a_step_has_passed() {
    for by_ms in STEPS {
        let mut sim = draining(at_noon(), HOUR_MS / 2);
        // Half the time passes and the clock is set, and both are put on record together.
        sim.now = sim.now.plus(HOUR_MS / 2);
        sim.step_clock(by_ms);
        sim.run();
        assert!(sim.rotation_over(), "{by_ms}: {:?}", sim.done);
    }
}

#[test]
fn a_clock_that_goes_ahead_and_back_has_never_been_away() {
    let mut sim = draining(at_noon(), 2 * SECOND_MS);
    sim.step_clock(STEPS[0]);
    sim.step_clock(STEPS[1]);
    assert_eq!(until(&sim).since(sim.now), 2 * SECOND_MS, "not an hour more");
}

#[test]
fn an_event_is_dated_before_the_last_one_after_a_step_alone() {
    let mut sim = draining(at_noon(), HOUR_MS);
    let before = sim.secret.clock();
    let earlier = before.shifted(STEPS[1]);
    sim.secret.record(earlier, &Event::Ticked).expect("time is a fact");
    assert_eq!(sim.secret.clock(), before, "without one, now is the last event's instant at least");
    sim.secret.record(earlier, &Event::ClockStepped { by_ms: STEPS[1] }).expect("a step is a fact");
    assert_eq!(sim.secret.clock(), earlier);
}

#[test]
fn a_doubt_is_closed_once_its_time_has_passed_however_the_clock_is_set() {
    for by_ms in STEPS {
        let (mut sim, call) = in_doubt();
        sim.now = sim.now.plus(2 * SECOND_MS);
        sim.step_clock(by_ms);
        assert_eq!(until(&sim).since(sim.now), 4 * SECOND_MS + 1, "{by_ms}: three to its deadline, one to settle");
        sim.look();
        assert!(in_doubt_still(&sim, call), "{by_ms}: a look now tells nothing");
        sim.now = sim.now.plus(4 * SECOND_MS);
        sim.look();
        assert!(in_doubt_still(&sim, call), "{by_ms}: nor a moment too early");
        sim.now = sim.now.plus(1);
        sim.look();
        assert!(!in_doubt_still(&sim, call), "{by_ms}");
    }
}

#[test]
fn a_look_that_began_before_the_clock_was_set_back_closes_nothing_by_its_old_reading() {
    let (mut sim, call) = in_doubt();
    let look = sim.intend_by_hand(CallKind::Observe, 1, &Place::only());
    let began_at = sim.now;
    sim.now = sim.now.plus(SECOND_MS);
    sim.step_clock(STEPS[1]);
    sim.record(Event::Ended { call: look, outcome: Outcome::Observed { began_at, live: sim.live.clone() } });
    assert!(in_doubt_still(&sim, call), "by its own reading it began long after the deadline");
}

#[test]
fn an_interrupted_calls_requests_keep_their_time_too() {
    for by_ms in STEPS {
        let profile = Profile { settle_ms: SECOND_MS, ..native() };
        let mut sim = rotating(at_noon(), profile, one_consumer());
        sim.live = vec![live("k1", Millis(1))];
        sim.step();
        let create = sim.due();
        sent(&mut sim, &create, 5 * SECOND_MS);
        sim.record(Event::ClockResumed);
        sim.record(Event::Interrupted { call: create.call });
        sim.step_clock(by_ms);
        assert_eq!(until(&sim).since(sim.now), 6 * SECOND_MS + 1, "{by_ms}");
    }
}

#[test]
fn a_pause_after_a_failure_is_as_long_as_it_was() {
    for by_ms in STEPS {
        let mut sim = rotating(at_noon(), alternate(), one_consumer());
        let create = sim.due();
        sim.intend(&create);
        sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Retryable) });
        sim.step_clock(by_ms);
        assert_eq!(until(&sim).since(sim.now), 100, "{by_ms}");
    }
}

#[test]
fn a_refusal_is_final_once_the_target_has_had_its_time_to_settle() {
    for by_ms in STEPS {
        let profile = Profile { settle_ms: 10 * SECOND_MS, ..alternate() };
        let mut sim = rotating(at_noon(), profile, one_consumer());
        let refuse = |sim: &mut Sim| {
            let verify = sim.run_until(CallKind::Verify);
            sim.intend(&verify);
            sim.record(Event::Ended { call: verify.call, outcome: Outcome::Refused("not yet".to_owned()) });
        };
        refuse(&mut sim);
        sim.step_clock(by_ms);
        refuse(&mut sim);
        assert!(sim.decide() != Action::Idle && !did(&sim, "rolling-back"), "{by_ms}");
        assert!(until(&sim).since(sim.now) <= SECOND_MS, "{by_ms}: it is tried again soon");
        assert_eq!(sim.secret.step(sim.now), Some(Step::Verify), "{by_ms}: a step is no time to settle");
    }
}

#[test]
fn a_staged_lease_runs_out_after_its_own_time() {
    for by_ms in STEPS {
        let mut sim = rotating(at_noon(), alternate(), one_consumer());
        sim.run();
        sim.fetch("api", "one", 2);
        sim.step_clock(by_ms);
        sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
        sim.run_for(9 * SECOND_MS);
        assert!(!did(&sim, "disable 2"), "{by_ms}: its lease has not run out");
        sim.run_for(SECOND_MS);
        assert!(sim.rotation_over(), "{by_ms}: {:?}", sim.done);
    }
}

#[test]
fn patience_with_stragglers_and_the_deadline_they_are_told_keep_their_length() {
    for by_ms in STEPS {
        let mut policy = one_consumer();
        policy.stragglers.deadline_ms = Some(20 * SECOND_MS);
        let mut sim = rotating(at_noon(), alternate(), policy);
        sim.run();
        sim.now = sim.now.plus(5 * SECOND_MS);
        sim.step_clock(by_ms);
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        let deadline = told.asked.first().and_then(|ask| ask.deadline).expect("it is asked, and until when");
        assert_eq!(deadline.since(sim.now), 15 * SECOND_MS, "{by_ms}");
        sim.run_for(15 * SECOND_MS - 1);
        assert!(sim.secret.hold().is_none(), "{by_ms}");
        sim.run_for(2);
        sim.run();
        assert_eq!(sim.secret.hold().map(|hold| hold.reason), Some(HoldReason::Stragglers), "{by_ms}");
    }
}

#[test]
fn what_people_are_shown_keeps_its_date() {
    let mut sim = draining(at_noon(), HOUR_MS);
    let started_at = |sim: &Sim| status(&sim.secret, sim.now).rotation.map(|it| it.started_at);
    let before = started_at(&sim);
    sim.step_clock(STEPS[1]);
    assert_eq!(started_at(&sim), before);
}

/// Committed; the target tells of use, and its account is taken for the consumer's. `old` and `new` are what it tells of
/// the last use of either slot, as instants from the switch.
fn watched(steps: &[i64], old_ms: Option<i64>, new_ms: Option<i64>) -> Sim {
    let mut policy = Policy { quiet_ms: SECOND_MS, ..one_consumer() };
    policy.consumers[0].adopted = EvidenceKind::Target;
    let signal = UsageSignal { lag_ms: 0, resolution_ms: 0 };
    let mut sim = rotating(at_noon(), Profile { usage: Some(signal), ..alternate() }, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.step();
    let switched = sim.secret.rotation().and_then(|it| it.switched).expect("it is committed").at;
    for by_ms in steps {
        sim.step_clock(*by_ms);
    }
    sim.live = [("app_a", old_ms), ("app_b", new_ms)]
        .into_iter()
        .map(|(slot, used_ms)| Live {
            slot: Some(id(slot)),
            last_used_at: used_ms.map(|used_ms| switched.shifted(used_ms)),
            ..live(slot, Millis(0))
        })
        .collect();
    sim.run_for(500);
    sim
}

#[test]
fn a_use_of_the_old_credential_is_seen_whichever_reading_of_the_clock_was_the_right_one() {
    let quiet = |sim: &Sim| {
        let seen = sim.secret.rotation().and_then(|it| it.quiet.values().next().copied());
        seen.expect("it was looked at").clean
    };
    let half = 1_800_000;
    assert!(!quiet(&watched(&[STEPS[1]], Some(-half), None)), "it was an hour ahead at the switch");
    assert!(!quiet(&watched(&[STEPS[0]], Some(half), None)), "it was right at the switch, and is ahead now");
    assert!(quiet(&watched(&[STEPS[0]], Some(-half), None)), "a use before the switch by either");
}

#[test]
fn a_use_of_the_new_credential_counts_if_it_came_after_the_switch_by_every_reading_of_the_clock() {
    let used = |sim: &Sim| sim.secret.rotation().is_some_and(|it| it.aim_used);
    let half = 1_800_000;
    assert!(used(&watched(&[], None, Some(1))));
    assert!(!used(&watched(&[STEPS[0]], None, Some(half))), "an hour ahead since, perhaps rightly");
    assert!(!used(&watched(&STEPS, None, Some(half))), "and back again");
    assert!(used(&watched(&STEPS, None, Some(2 * half + 1))));
}

#[test]
fn where_nobody_measured_nothing_has_passed() {
    let mut sim = draining(at_noon(), 2 * SECOND_MS);
    sim.now = sim.now.plus(365 * DAY_MS);
    sim.record(Event::ClockResumed);
    assert_eq!(sim.run(), Waiting::Timer(Step::Drain), "the host was away for a year, or its clock was set");
    assert_eq!(until(&sim).since(sim.now), 2 * SECOND_MS);

    let (mut sim, call) = in_doubt();
    sim.now = sim.now.plus(365 * DAY_MS);
    sim.record(Event::ClockResumed);
    sim.look();
    assert!(in_doubt_still(&sim, call), "what was sent may have left the moment before");
    assert_eq!(until(&sim).since(sim.now), 6 * SECOND_MS + 1);
}

#[test]
fn a_process_that_ends_takes_at_most_six_hours_or_a_quarter_of_a_long_timer_with_it() {
    for (overlap_ms, lost_ms) in [(4 * HOUR_MS, HOUR_MS), (30 * DAY_MS, 6 * HOUR_MS)] {
        let mut sim = draining(at_noon(), overlap_ms);
        sim.run_for(overlap_ms - 1);
        sim.now = sim.now.plus(DAY_MS);
        sim.record(Event::ClockResumed);
        assert_eq!(sim.run(), Waiting::Timer(Step::Drain));
        sim.run_for(lost_ms);
        assert!(sim.rotation_over(), "{overlap_ms}: {:?}", sim.done);
    }
}

#[test]
fn the_dates_of_a_process_whose_clock_is_behind_do_not_go_back_without_a_step() {
    let mut sim = draining(at_noon(), HOUR_MS);
    let before = sim.secret.clock();
    sim.now = before.shifted(STEPS[1]);
    sim.record(Event::ClockResumed);
    assert_eq!(sim.secret.clock(), before);
    sim.step_clock(0);
    assert_eq!(sim.secret.clock(), before.shifted(STEPS[1]), "a step says that they do");
}

/// Journals from before time was measured fold as they did.
mod before_time_was_measured {
    use super::*;

    #[test]
    fn an_event_adds_a_small_capped_step_to_a_timer() {
        let mut sim = draining(Sim::unmeasured(), HOUR_MS);
        sim.now = sim.now.plus(365 * DAY_MS);
        assert_eq!(sim.run(), Waiting::Timer(Step::Drain), "a year at once is one small step");
        assert!(!did(&sim, "disable 1"));
        for _ in 0..10 {
            sim.now = sim.now.plus(365 * DAY_MS);
            sim.run();
        }
        assert!(!did(&sim, "disable 1"), "ten more jumps are ten more steps of sixteen");
    }

    #[test]
    fn a_clock_that_goes_back_moves_nothing() {
        let mut sim = draining(Sim::unmeasured(), SECOND_MS);
        let before = sim.secret.clock();
        sim.now = Millis(5);
        sim.run();
        assert_eq!(sim.secret.clock(), before, "now is the last event's instant at least");
        assert!(!sim.rotation_over());
    }

    #[test]
    fn each_step_is_put_on_record() {
        let mut sim = draining(Sim::unmeasured(), DAY_MS);
        sim.run_for(25 * HOUR_MS);
        assert!(sim.rotation_over(), "{:?}", sim.done);
        let ticks = count(&sim, "ticked");
        assert!((8..=17).contains(&ticks), "{ticks} ticks");
    }

    #[test]
    fn the_first_process_that_measures_goes_on_from_where_they_stand() {
        let mut sim = draining(Sim::unmeasured(), 32 * SECOND_MS);
        sim.now = sim.now.plus(2 * SECOND_MS);
        sim.run();
        sim.now = sim.now.plus(DAY_MS);
        sim.record(Event::ClockResumed);
        assert_eq!(until(&sim).since(sim.now), 30 * SECOND_MS);
        sim.run_for(30 * SECOND_MS);
        assert!(sim.rotation_over(), "{:?}", sim.done);
        assert_eq!(sim.secret.current(), Some(Generation(2)));
    }
}
