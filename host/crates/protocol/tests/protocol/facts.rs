//! What can be read of a secret, and when there is nothing left to do.

use crate::common::{Sim, alternate, author, consumer, fault, id, live, minted, native, one_slot, policy, profile};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Role;
use keybaton_protocol::ids::{Epoch, Generation, Millis, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::step::{CallKind, PlanKind};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn abandon() -> Command {
    Command::Abandon { reason: "drill".to_owned(), author: author() }
}

#[test]
fn everything_on_record_can_be_read() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.live = vec![live("k1", Millis(7))];
    sim.run();
    sim.now = sim.now.plus(5);
    sim.record(Event::Frozen { author: author() });
    let secret = &sim.secret;
    assert_eq!(secret.name().to_string(), "prod/app");
    assert_eq!(secret.seq().0, sim.journal.len() as u64);
    assert_eq!((secret.clock(), secret.epoch()), (sim.now, Epoch(0)));
    assert_eq!(
        (secret.next_generation(), secret.pending(), secret.previous()),
        (Generation(3), Some(Generation(2)), None)
    );
    assert_eq!(secret.frozen(), Some(&author()));
    assert_eq!(secret.consumers().keys().map(ToString::to_string).collect::<Vec<_>>(), ["api"]);
    let seen = secret.observations().get(&Place::only()).expect("it was looked at");
    assert_eq!(seen.live.iter().map(|live| live.id.to_string()).collect::<Vec<_>>(), ["k1"]);
    assert!(secret.efforts().is_empty() && secret.foreign().is_empty() && secret.hold().is_none());
    assert_eq!(secret.pinned().count(), 3, "the rotation's, and each credential's");
    let roles = [1, 2, 3].map(|number| secret.role(Generation(number)));
    assert_eq!(roles, [Some(Role::Current), Some(Role::Pending), None]);
}

#[test]
fn a_failed_attempt_can_be_read() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let create = sim.due();
    sim.intend(&create);
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Retryable) });
    let tried: Vec<_> = sim.secret.efforts().iter().map(|(effort, tries)| (effort.kind, tries.count)).collect();
    assert_eq!(tried, [(CallKind::Create, 1)]);
}

#[test]
fn a_rotation_a_job_a_call_or_something_minted_is_not_rest() {
    let mut sim = Sim::issued(alternate(), one_consumer());
    assert!(sim.secret.at_rest());
    let call = sim.intend_by_hand(CallKind::Observe, 1, &Place::only());
    assert!(!sim.secret.at_rest(), "a look is under way");
    sim.record(Event::Ended { call, outcome: Outcome::Observed { began_at: sim.now, live: Vec::new() } });
    assert!(sim.secret.at_rest());
    sim.start(PlanKind::Retire, alternate(), one_consumer());
    assert!(!sim.secret.at_rest(), "a rotation runs");

    let mut sim = Sim::rotating(profile(Overlap::Native(4)), one_consumer());
    sim.step();
    let create = sim.due();
    sim.intend(&create);
    sim.command(&abandon());
    sim.record(Event::Ended { call: create.call, outcome: Outcome::Created(minted(2, Some("k2"))) });
    let erased = Event::Erased { generation: Generation(2) };
    sim.record(erased);
    assert_eq!(sim.secret.generations().len(), 1);
    assert!(!sim.secret.at_rest(), "what was minted is nobody's job yet");
    sim.step();
    assert_eq!(sim.secret.retirements().len(), 1);
    assert!(!sim.secret.at_rest(), "its end is open");
    sim.run();
    assert!(sim.secret.at_rest());
}

#[test]
fn an_interrupted_call_that_sent_nothing_and_is_not_wanted_does_not_disturb_rest() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let create = sim.due();
    sim.intend(&create);
    sim.record(Event::Interrupted { call: create.call });
    assert!(!sim.secret.at_rest());
    sim.command(&abandon());
    sim.run();
    assert!(!sim.secret.calls().contains_key(&create.call) && sim.secret.at_rest(), "{:#?}", sim.secret);
}

#[test]
fn slots_that_hold_something_are_passed_over() {
    let slots = profile(Overlap::Alternate(vec![id("s1"), id("s2"), id("s3")]));
    let mut sim = Sim::rotating(slots.clone(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&abandon());
    sim.run();
    sim.start(PlanKind::Rotate, slots, one_consumer());
    let taken = [2, 3].map(|number| sim.secret.generation(Generation(number)).and_then(|it| it.slot.clone()));
    assert_eq!(taken, [Some(id("s2")), Some(id("s3"))]);
}

#[test]
fn a_rotation_must_start_only_for_a_compromised_current_and_where_none_runs() {
    let exposed = |sim: &mut Sim| {
        let generation = Generation(1);
        sim.command(&Command::Compromise { generation, disable_first: false, author: author() });
    };
    let mut sim = Sim::issued(one_slot(), one_consumer());
    assert!(!sim.secret.must_rotate());
    exposed(&mut sim);
    assert!(sim.secret.must_rotate());
    let mut restored = Sim { secret: sim.secret.clone(), ..Sim::new() };
    restored.command(&Command::Restore { epoch: Epoch(1) });
    assert!(!restored.secret.must_rotate(), "it is to be compared first");
    sim.start(PlanKind::Rotate, one_slot(), one_consumer());
    assert!(!sim.secret.must_rotate(), "one runs");
}

#[test]
fn what_a_call_told_of_a_generation_is_told_to_the_next_one_and_the_newest_counts() {
    let tell = |sim: &mut Sim, kind, facts: &[(&str, &str)]| {
        let call = sim.run_until(kind);
        sim.intend(&call);
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sim.record(Event::Ended { call: call.call, outcome: Outcome::Done(facts) });
        let minted = sim.secret.generation(Generation(1)).and_then(|it| it.minted.clone()).expect("it was minted");
        minted.facts.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let mut sim = Sim::new();
    sim.start(PlanKind::Issue, alternate(), one_consumer());
    let installed = tell(&mut sim, CallKind::Install, &[("switched", "on"), ("zone", "a")]);
    assert_eq!(installed, ["switched=on", "zone=a"]);
    sim.run();
    sim.start(PlanKind::Rotate, alternate(), one_consumer());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(tell(&mut sim, CallKind::Disable, &[("switched", "off")]), ["switched=off", "zone=a"]);
}
