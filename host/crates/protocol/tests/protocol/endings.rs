//! How credentials end, job by job: when one is open, when it closes, and what is erased.

use crate::common::{Sim, alternate, author, consumer, fault, id, live, native, one_slot, policy, profile, replace};
use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Outcome, RetireCause};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Overlap, Profile};
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};

const REQUEST: Digest = Digest([7; 32]);

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn slowly() -> Policy {
    Policy { overlap_min_ms: 60_000, soak_ms: 60_000, ..one_consumer() }
}

fn abandon() -> Command {
    Command::Abandon { reason: "drill".to_owned(), author: author() }
}

fn by_word(generation: u32) -> Command {
    Command::Override { generation: Generation(generation), reason: "drill".to_owned(), author: author() }
}

fn compromise(generation: u32) -> Command {
    Command::Compromise { generation: Generation(generation), disable_first: false, author: author() }
}

fn committed(profile: Profile, policy: Policy) -> Sim {
    let mut sim = Sim::rotating(profile, policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim
}

fn adopted(profile: Profile, policy: Policy) -> Sim {
    let mut sim = committed(profile, policy);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

fn did(sim: &Sim, what: &str) -> bool {
    sim.done.iter().any(|done| done == what)
}

fn end(sim: &mut Sim, call: CallId) {
    sim.record(Event::Ended { call, outcome: Outcome::Done(Vec::new()) });
}

fn interrupt(sim: &mut Sim, call: CallId, acts: bool) {
    if acts {
        let (ordinal, deadline) = (Ordinal(0), sim.now.plus(5_000));
        sim.record(Event::Sent { call, ordinal, request: REQUEST, deadline });
        sim.record(Event::Answered { call, ordinal, request: REQUEST, answer: HostAnswer::Answered });
    }
    sim.record(Event::Interrupted { call });
}

fn standing(sim: &Sim, generation: u32, place: &str) -> Liveness {
    sim.secret.generation(Generation(generation)).map_or(Liveness::Gone, |it| it.liveness(&id(place)))
}

/// A rotation of nobody's secret at two places; previous is about to be destroyed at both.
fn two_places() -> (Sim, Call, Call) {
    let mut sim = Sim::new();
    for kind in [PlanKind::Issue, PlanKind::Rotate] {
        let mut pins = crate::common::pins(replace(), policy(Vec::new()));
        pins.places = vec![id("h1"), id("h2")];
        let rotation = id(&format!("r-{kind}"));
        sim.command(&Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins });
        if kind == PlanKind::Issue {
            sim.run();
        }
    }
    let first = sim.run_until(CallKind::Destroy);
    sim.intend(&first);
    let second = sim.due();
    assert_eq!((first.place.as_str(), second.place.as_str()), ("h1", "h2"));
    (sim, first, second)
}

/// Whether the retirement at the first place is closed by what is decided next.
fn closes(sim: &Sim) -> bool {
    let at_first = |event: &Event| matches!(event, Event::RetirementClosed { place, .. } if place.as_str() == "h1");
    matches!(sim.decide(), Action::Record(events) if events.iter().any(at_first))
}

#[test]
fn a_retirement_closes_while_calls_about_something_else_are_open() {
    let (mut sim, first, _) = two_places();
    assert!(!closes(&sim), "it has not ended");
    sim.intend_by_hand(CallKind::Observe, 1, &id("h1"));
    sim.intend_by_hand(CallKind::Promote, 2, &id("h1"));
    let elsewhere = sim.due();
    assert_eq!((elsewhere.kind, elsewhere.place.as_str()), (CallKind::Destroy, "h2"));
    sim.intend(&elsewhere);
    end(&mut sim, first.call);
    assert!(closes(&sim), "a look, the successor's own call, and the other place are not about it");
}

#[test]
fn a_retirement_closes_though_an_earlier_call_was_taken_up_or_had_no_effect() {
    for resumed in [true, false] {
        let (mut sim, first, _) = two_places();
        interrupt(&mut sim, first.call, false);
        let mut again = sim.due();
        assert_eq!((again.kind, again.place.as_str()), (CallKind::Destroy, "h1"));
        if !resumed {
            again.resumes.clear();
        }
        sim.intend(&again);
        end(&mut sim, again.call);
        assert!(closes(&sim), "resumed: {resumed}");
        sim.run();
        assert!(sim.rotation_over() && sim.secret.at_rest(), "{:#?}", sim.secret.calls());
    }
}

#[test]
fn a_retirement_stays_open_while_a_call_about_it_is_in_doubt() {
    let (mut sim, first, _) = two_places();
    interrupt(&mut sim, first.call, true);
    let mut again = sim.due();
    again.resumes.clear();
    sim.intend(&again);
    end(&mut sim, again.call);
    assert_eq!(standing(&sim, 1, "h1"), Liveness::Gone);
    assert!(!closes(&sim));
    let erased = Event::Erased { generation: Generation(1) };
    let second = sim.due();
    sim.intend(&second);
    end(&mut sim, second.call);
    sim.step();
    assert!(sim.secret.record(sim.now, &erased).is_err(), "nor is it erased");
    sim.run_for(20_000);
    assert!(sim.rotation_over() && did(&sim, "observe 1"), "until it was looked after: {:#?}", sim.done);
}

#[test]
fn an_orphans_end_does_not_hold_up_the_generation_whose_mint_made_it() {
    let mut sim = Sim::rotating(profile(Overlap::Native(4)), one_consumer());
    sim.live = vec![live("k1", Millis(1))];
    sim.step();
    let create = sim.due();
    sim.intend(&create);
    let (ordinal, deadline) = (Ordinal(0), sim.now.plus(1_000));
    sim.record(Event::Sent { call: create.call, ordinal, request: REQUEST, deadline });
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Ambiguous) });
    sim.now = sim.now.plus(1_001);
    sim.live.push(live("kx", Millis(1_000_000)));
    sim.step();
    sim.step();
    let opened = sim.secret.retirements().values().next().map(|retirement| retirement.mark);
    let disable = sim.run_until(CallKind::Disable);
    assert_eq!(disable.orphan, Some(id("kx")));
    let at = sim.journal.iter().position(|(_, event)| matches!(event, Event::RetirementOpened { .. }));
    let mark = at.map(|at| at as u64 + 1);
    assert_eq!(opened, mark, "marked by its place in the journal");
    assert_eq!(disable.operation.as_str(), format!("r2/disable/2/-/orphan-{}", mark.unwrap_or_default()));
    sim.intend(&disable);
    interrupt(&mut sim, disable.call, true);
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    let own = sim.run_until(CallKind::Disable);
    assert_eq!(own.orphan, None);
    sim.intend(&own);
    end(&mut sim, own.call);
    let destroy = sim.intend_by_hand(CallKind::Destroy, 2, &Place::only());
    end(&mut sim, destroy);
    sim.step();
    assert!(sim.secret.generation(Generation(2)).is_none(), "{:#?}", sim.done);
    assert!(!sim.secret.retirements().is_empty(), "the orphan's own end is open");
    sim.run();
    assert!(sim.rotation_over() && sim.secret.at_rest());
    let superseded = |event: &Event| matches!(event, Event::RetirementClosed { superseded: true, .. });
    assert!(!sim.journal.iter().any(|(_, event)| superseded(event)), "nothing took its place");
}

#[test]
fn nothing_is_erased_that_lingers_or_whose_retirement_is_open() {
    let mut sim = Sim::rotating(replace(), one_consumer());
    sim.run();
    sim.command(&abandon());
    let erased = Event::Erased { generation: Generation(2) };
    assert!(sim.secret.clone().record(sim.now, &erased).is_err(), "it lingers, and nothing has been opened");
    let destroy = sim.run_until(CallKind::Destroy);
    sim.intend(&destroy);
    end(&mut sim, destroy.call);
    assert_eq!(standing(&sim, 2, "-"), Liveness::Gone);
    assert!(sim.secret.clone().record(sim.now, &erased).is_err(), "its retirement is open");
    sim.step();
    assert!(sim.secret.at_rest());
}

#[test]
fn what_is_gone_is_forgotten_though_its_users_start_again() {
    let mut sim = adopted(alternate(), one_consumer());
    let destroy = sim.run_until(CallKind::Destroy);
    sim.intend(&destroy);
    end(&mut sim, destroy.call);
    sim.record(Event::Fetched {
        consumer: id("api"),
        replica: id("one"),
        incarnation: id("life-2"),
        generation: Generation(1),
    });
    sim.run();
    assert!(sim.secret.generation(Generation(1)).is_none(), "its value can open nothing: {:#?}", sim.done);
    let state = sim.secret.replicas().values().next().expect("it was heard of");
    assert!(state.fetched.is_empty(), "and nothing is known of it any more");
}

#[test]
fn an_ended_secret_is_forgotten_though_its_users_start_again() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    sim.start(PlanKind::Retire, alternate(), one_consumer());
    sim.say("api", "one", Purpose::Released, 1);
    let destroy = sim.run_until(CallKind::Destroy);
    sim.intend(&destroy);
    end(&mut sim, destroy.call);
    sim.record(Event::Fetched {
        consumer: id("api"),
        replica: id("one"),
        incarnation: id("life-2"),
        generation: Generation(1),
    });
    sim.run();
    assert!(sim.rotation_over() && sim.secret.current().is_none(), "{:#?}", sim.done);
}

#[test]
fn one_slots_previous_value_is_kept_while_its_wave_has_failed() {
    let mut sim = committed(one_slot(), one_consumer());
    sim.say("api", "one", Purpose::Failed, 2);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::WaveFailed));
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.secret.generation(Generation(1)).is_some(), "a person is to look first");
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn with_one_slot_the_second_rotation_is_as_careful_as_the_first() {
    let mut sim = adopted(one_slot(), one_consumer());
    sim.run();
    assert!(sim.rotation_over());
    sim.start(PlanKind::Rotate, one_slot(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 3);
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    assert_eq!((standing(&sim, 2, "-"), standing(&sim, 3, "-")), (Liveness::Maybe, Liveness::Maybe));
}

/// One slot, an existing credential whose value nobody knows, and a rotation left after its commit.
fn left_with_an_unknown_value() -> Sim {
    let mut sim = Sim::new();
    let mut minted = crate::common::minted(1, None);
    minted.fields.clear();
    let pins = crate::common::pins(one_slot(), one_consumer());
    sim.command(&Command::Import { rotation: id("r1"), minted, slot: None, author: author(), pins });
    sim.run();
    sim.start(PlanKind::Rotate, one_slot(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    interrupt(&mut sim, install.call, true);
    sim.command(&abandon());
    sim
}

#[test]
fn the_only_slot_is_never_emptied_of_what_may_be_in_it() {
    let mut sim = Sim::rotating(Profile { reinstall: false, ..one_slot() }, one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.step();
    sim.command(&abandon());
    for generation in [1, 2] {
        let call = sim.intend_by_hand(CallKind::Verify, generation, &Place::only());
        sim.record(Event::Ended { call, outcome: Outcome::Refused("no".to_owned()) });
    }
    let waiting = sim.run();
    assert!(matches!(waiting, Waiting::Blocked(Step::Destroy, _)), "{waiting:?} {:#?}", sim.done);
    let mut by_hand = sim.secret.clone();
    let destroy = Event::Intended {
        call: CallId(
            sim.journal.iter().filter(|(_, event)| matches!(event, Event::Intended { .. })).count() as u32 + 1,
        ),
        kind: CallKind::Destroy,
        generation: Generation(2),
        place: Place::only(),
        attempt: 1,
        operation: keybaton_protocol::ids::OperationId::of(&id("r2"), "destroy", Generation(2), &Place::only(), None),
        baseline: Vec::new(),
        step: Step::Destroy,
        id: None,
        resumes: Vec::new(),
    };
    let refusal = by_hand.record(sim.now, &destroy).expect_err("it would leave nothing");
    assert!(refusal.to_string().contains("goes when its successor is installed"), "{refusal}");
}

#[test]
fn the_only_slot_cannot_be_told_by_a_value_that_nobody_knows() {
    let mut sim = left_with_an_unknown_value();
    sim.now = sim.now.plus(10_000);
    sim.step();
    for _ in 0..9 {
        if let Action::Call(call) = sim.decide() {
            assert_eq!((call.kind, call.generation), (CallKind::Verify, Generation(9)), "nothing can be tried");
        }
        sim.step();
    }
    let waiting = sim.run();
    assert!(matches!(waiting, Waiting::Blocked(Step::Destroy, _)), "{waiting:?} {:#?}", sim.done);
    sim.start(PlanKind::Rotate, one_slot(), one_consumer());
}

#[test]
fn only_one_slot_leaves_it_open_which_value_works() {
    let mut sim = committed(replace(), one_consumer());
    sim.command(&abandon());
    sim.command(&Command::Places { places: vec![Place::only(), id("b")], author: author() });
    sim.start(PlanKind::Rotate, replace(), one_consumer());
}

#[test]
fn a_word_or_a_compromise_lets_what_was_left_end_before_its_overlap_is_over() {
    for order in [by_word(1), compromise(1)] {
        let mut sim = adopted(replace(), Policy { overlap_min_ms: 600_000, ..one_consumer() });
        sim.command(&abandon());
        sim.run();
        assert!(!did(&sim, "destroy 1"));
        sim.command(&order);
        sim.run();
        assert!(did(&sim, "destroy 1"), "{order:?} {:#?}", sim.done);
    }
}

#[test]
fn the_steps_of_an_end_are_shown_as_they_come() {
    let mut sim = adopted(alternate(), slowly());
    assert_eq!(sim.run(), Waiting::Timer(Step::Drain));
    assert_eq!(sim.secret.step(sim.now), Some(Step::Drain));
    let disable = sim.run_until(CallKind::Disable);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Disable));
    sim.intend(&disable);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Disable), "the answer is out");
    end(&mut sim, disable.call);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Destroy));
    let destroy = sim.run_until(CallKind::Destroy);
    sim.intend(&destroy);
    end(&mut sim, destroy.call);
    assert_eq!(sim.secret.step(sim.now), Some(Step::Destroy), "it is not erased");
}

#[test]
fn a_login_says_nothing_about_what_is_switched_off_where_there_are_slots() {
    let mut sim = adopted(alternate(), Policy { soak_ms: 60_000, ..one_consumer() });
    sim.run();
    assert_eq!(standing(&sim, 1, "-"), Liveness::Disabled);
    let call = sim.intend_by_hand(CallKind::Verify, 1, &Place::only());
    sim.record(Event::Ended { call, outcome: Outcome::Works });
    assert_eq!(standing(&sim, 1, "-"), Liveness::Disabled);
}

#[test]
fn two_ends_of_different_credentials_and_a_mint_go_on_at_the_same_time() {
    let mut sim = adopted(replace(), one_consumer());
    sim.command(&abandon());
    let destroy = sim.run_until(CallKind::Destroy);
    sim.intend(&destroy);
    sim.start(PlanKind::Rotate, replace(), one_consumer());
    let create = sim.due();
    assert_eq!((create.kind, create.generation), (CallKind::Create, Generation(3)));
}

#[test]
fn two_mints_wait_for_each_other_whatever_they_are_for() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.step();
    let create = sim.due();
    sim.intend(&create);
    let (ordinal, deadline) = (Ordinal(0), sim.now.plus(60_000));
    sim.record(Event::Sent { call: create.call, ordinal, request: REQUEST, deadline });
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Ambiguous) });
    sim.command(&abandon());
    sim.start(PlanKind::Rotate, native(), one_consumer());
    sim.run();
    let mints = sim.done.iter().filter(|done| done.starts_with("create")).count();
    assert_eq!(mints, 1, "what each of them left could not be told apart: {:#?}", sim.done);
    assert!(matches!(sim.decide(), Action::Wait { waiting: Waiting::Doubt(_), .. }));
}

#[test]
fn closed_calls_are_forgotten_when_a_rotation_ends() {
    let mut sim = Sim::rotating(alternate(), policy(Vec::new()));
    let first = sim.run_until(CallKind::Install);
    sim.intend(&first);
    interrupt(&mut sim, first.call, true);
    sim.run();
    assert!(sim.rotation_over() && sim.secret.calls().is_empty(), "{:#?}", sim.secret.calls());
}

#[test]
fn a_rotation_does_not_end_otherwise_than_it_went() {
    let refused = |sim: &Sim, ending| {
        let over = Event::Finished { ending, reason: String::new() };
        assert!(sim.secret.clone().record(sim.now, &over).is_err(), "{ending} {:#?}", sim.done);
    };
    let mut back = Sim::rotating(replace(), one_consumer());
    back.run();
    back.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    for ending in [Ending::Completed, Ending::RolledBack, Ending::Reverted] {
        refused(&back, ending);
    }
    for reverts in [false, true] {
        let mut sim = adopted(replace(), one_consumer());
        if reverts {
            sim.command(&Command::Revert { reason: "drill".to_owned(), author: author() });
            refused(&sim, Ending::Completed);
            sim.run();
            sim.record(Event::Stated(crate::common::evidence(
                "api",
                "one",
                Purpose::Adopted,
                1,
                EvidenceKind::Process,
            )));
        }
        let destroy = sim.run_until(CallKind::Destroy);
        refused(&sim, Ending::Completed);
        sim.intend(&destroy);
        end(&mut sim, destroy.call);
        let Action::Record(events) = sim.decide() else { panic!("{:?}", sim.decide()) };
        for event in events {
            if let Event::Finished { ending, .. } = &event {
                for other in Ending::ALL.iter().filter(|other| *other != ending && **other != Ending::Abandoned) {
                    refused(&sim, *other);
                }
            }
            sim.record(event);
        }
        let expected = if reverts { Ending::Reverted } else { Ending::Completed };
        assert_eq!(sim.secret.finished().map(|it| it.1), Some(expected));
    }
}

#[test]
fn no_cause_stands_in_for_another() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    sim.start(PlanKind::Retire, alternate(), one_consumer());
    for cause in RetireCause::ALL {
        let place = Place::only();
        let opened = Event::RetirementOpened { generation: Generation(1), place, cause: *cause, id: None };
        assert!(sim.secret.clone().record(sim.now, &opened).is_err(), "{cause}: nobody has let it go");
    }
}
