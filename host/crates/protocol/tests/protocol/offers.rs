//! What each replica of each consumer is told in every part of a rotation: what it may read, what it is to use now,
//! and what it is asked to say.

use crate::common::{Sim, alternate, author, consumer, id, native, one_slot, policy, replace, verifier};
use keybaton_protocol::action::Action;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Generation, Incarnation, Place, Replica};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::{CallKind, PlanKind, Step};
use keybaton_protocol::{Known, offer};

/// Two replicas that use the secret, and one that verifies what they present.
fn everybody() -> Policy {
    policy(vec![consumer("api", &["one", "two"]), verifier("gateway", &["one"])])
}

/// `reads 2 1, uses 1: ready 2` of one replica.
fn told(sim: &Sim, name: &str, replica: &str) -> String {
    let told = offer(&sim.secret, &id(name), &id(replica), sim.now);
    let numbers = |all: Vec<Generation>| all.iter().map(|it| it.0.to_string()).collect::<Vec<_>>().join(" ");
    let reads = numbers(told.generations.iter().map(|it| it.generation).collect());
    let uses = numbers(told.use_now.into_iter().collect());
    let asked: Vec<_> = told.asked.iter().map(|ask| format!("{} {}", ask.purpose, ask.generation.0)).collect();
    format!("reads {reads}, uses {uses}: {}", asked.join(", "))
}

fn each_is_told(sim: &Sim, when: &str, expected: [&str; 3]) {
    let found = [("api", "one"), ("api", "two"), ("gateway", "one")].map(|(name, replica)| told(sim, name, replica));
    assert_eq!(found, expected, "{when}");
}

fn ready(sim: &mut Sim) {
    for (name, replica) in [("api", "one"), ("api", "two"), ("gateway", "one")] {
        sim.say(name, replica, Purpose::Ready, 2);
    }
}

fn restart(sim: &mut Sim, name: &str, replica: &str, generation: u32) {
    let (consumer, replica) = (id(name), id::<Replica>(replica));
    let lives = sim.secret.replicas().get(&(id(name), replica.clone())).map_or(1, |it| it.past.len() + 2);
    let incarnation: Incarnation = id(&format!("life-{lives}"));
    let generation = Generation(generation);
    sim.record(Event::Fetched { consumer, replica, incarnation, generation });
}

#[test]
fn on_the_way_forward_each_is_told_what_concerns_it() {
    let mut sim = Sim::issued(alternate(), everybody());
    each_is_told(&sim, "at rest", ["reads 1, uses 1: "; 3]);
    sim.start(PlanKind::Rotate, alternate(), everybody());
    for step in [Step::Create, Step::Install, Step::Verify, Step::Stage] {
        assert_eq!(sim.secret.step(sim.now), Some(step));
        each_is_told(&sim, step.name(), ["reads 1, uses 1: "; 3]);
        sim.step();
    }
    each_is_told(&sim, "staged", ["reads 2 1, uses 1: ready 2"; 3]);
    for replica in ["one", "two"] {
        sim.fetch("api", replica, 1);
        sim.fetch("api", replica, 2);
    }
    each_is_told(&sim, "fetched", ["reads 2 1, uses 1: ready 2"; 3]);
    sim.say("api", "one", Purpose::Ready, 2);
    each_is_told(
        &sim,
        "one is ready",
        ["reads 2 1, uses 1: ", "reads 2 1, uses 1: ready 2", "reads 2 1, uses 1: ready 2"],
    );
    ready(&mut sim);
    sim.run();
    each_is_told(
        &sim,
        "committed",
        ["reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: "],
    );
    assert_eq!(offer(&sim.secret, &id("api"), &id("one"), sim.now).staged_lease_ms, None);
    restart(&mut sim, "api", "two", 1);
    assert_eq!(told(&sim, "api", "two"), "reads 2 1, uses 2: adopted 2", "its readiness is asked for no more");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.command(&Command::State(Sim::life(2, "api", "two", Purpose::Adopted, 2)));
    each_is_told(&sim, "all have adopted", ["reads 2 1, uses 2: "; 3]);
    sim.record(Event::Draining);
    each_is_told(&sim, "it drains", ["reads 2 1, uses 2: ", "reads 2 1, uses 2: ", "reads 2 1, uses 2: dropped 1"]);
    sim.say("gateway", "one", Purpose::Dropped, 1);
    assert_eq!(told(&sim, "gateway", "one"), "reads 2, uses 2: ");
}

/// What a replica knows that was told this last.
fn knows(sim: &Sim, name: &str, replica: &str) -> Known {
    let told = offer(&sim.secret, &id(name), &id(replica), sim.now);
    Known { generations: told.generations.iter().map(|it| it.generation).collect(), use_now: told.use_now }
}

fn is_news(sim: &Sim, name: &str, replica: &str, known: &Known) -> bool {
    offer(&sim.secret, &id(name), &id(replica), sim.now).is_news_to(known)
}

#[test]
fn it_is_news_when_something_is_asked_or_other_generations_may_be_read_or_another_is_to_be_used() {
    let mut sim = Sim::issued(alternate(), everybody());
    let known = knows(&sim, "api", "one");
    assert!(!is_news(&sim, "api", "one", &known), "at rest");
    assert!(is_news(&sim, "api", "one", &Known::default()), "to who knows nothing");
    let more = Known { generations: [Generation(1), Generation(9)].into(), use_now: known.use_now };
    assert!(is_news(&sim, "api", "one", &more), "to who believes that there is another");
    assert!(is_news(&sim, "api", "one", &Known { use_now: None, ..known.clone() }), "to who was not told to use it");
    sim.start(PlanKind::Rotate, alternate(), everybody());
    for step in [Step::Create, Step::Install, Step::Verify, Step::Stage] {
        assert!(!is_news(&sim, "api", "one", &known), "{step:?}");
        sim.step();
    }
    assert!(is_news(&sim, "api", "one", &known), "staged");
    let known = knows(&sim, "api", "one");
    assert!(is_news(&sim, "api", "one", &known), "what is asked is urgent, known or not");
    sim.fetch("api", "one", 2);
    sim.say("api", "one", Purpose::Ready, 2);
    assert!(!is_news(&sim, "api", "one", &known), "it has said that it is ready");
    ready(&mut sim);
    sim.run();
    assert!(is_news(&sim, "api", "one", &known), "it is to switch");
    let switched = Known { use_now: Some(Generation(2)), ..known };
    sim.say("api", "one", Purpose::Adopted, 2);
    assert!(!is_news(&sim, "api", "one", &switched), "it has switched");
    assert!(!is_news(&sim, "gateway", "one", &switched), "a verifier is not asked before it drains");
    sim.say("api", "two", Purpose::Adopted, 2);
    sim.record(Event::Draining);
    assert!(is_news(&sim, "gateway", "one", &switched), "a verifier is asked to drop the old one");
    sim.say("gateway", "one", Purpose::Dropped, 1);
    let call = sim.run_until(CallKind::Destroy);
    assert!(!is_news(&sim, "api", "one", &switched), "the old one may still be read");
    sim.intend(&call);
    assert!(is_news(&sim, "api", "one", &switched), "the old one may be read no more");
}

#[test]
fn what_is_being_destroyed_is_read_by_verifiers_alone_and_used_by_nobody() {
    let mut policy = everybody();
    policy.waves.max_unavailable = 1;
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    for replica in ["one", "two"] {
        sim.fetch("api", replica, 1);
    }
    ready(&mut sim);
    sim.run();
    each_is_told(&sim, "one at a time", ["reads 2 1, uses 2: adopted 2", "reads 2 1, uses 1: ", "reads 2 1, uses 2: "]);
    sim.command(&Command::Override { generation: Generation(1), reason: "drill".to_owned(), author: author() });
    let call = sim.run_until(CallKind::Destroy);
    assert_eq!(told(&sim, "api", "two"), "reads 2 1, uses 2: adopted 2", "its end is open: nobody is sent to it");
    sim.intend(&call);
    each_is_told(
        &sim,
        "a destroy is intended",
        ["reads 2, uses 2: adopted 2", "reads 2, uses 2: adopted 2", "reads 2 1, uses 2: dropped 1"],
    );
}

#[test]
fn who_fetched_what_is_given_back_is_asked_to_let_it_go() {
    for abandons in [false, true] {
        let mut sim = Sim::rotating(replace(), everybody());
        sim.run();
        sim.fetch("api", "one", 2);
        sim.fetch("gateway", "one", 2);
        let (reason, author) = ("drill".to_owned(), author());
        let order = if abandons { Command::Abandon { reason, author } } else { Command::Rollback { reason, author } };
        sim.command(&order);
        let verifies = if abandons { "reads 1 2, uses 1: dropped 2" } else { "reads 1, uses 1: dropped 2" };
        each_is_told(&sim, "given back", ["reads 1, uses 1: released 2", "reads 1, uses 1: ", verifies]);
        sim.say("api", "one", Purpose::Released, 2);
        sim.say("gateway", "one", Purpose::Dropped, 2);
        each_is_told(&sim, "let go", ["reads 1, uses 1: "; 3]);
    }
}

#[test]
fn what_is_gone_is_read_by_nobody() {
    let mut sim = Sim::rotating(replace(), everybody());
    sim.run();
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    assert_eq!(told(&sim, "gateway", "one"), "reads 1 2, uses 1: ", "others may still present it");
    let call = sim.run_until(CallKind::Destroy);
    sim.intend(&call);
    assert_eq!(told(&sim, "gateway", "one"), "reads 1 2, uses 1: ");
    let outcome = sim.answer(&call);
    sim.record(Event::Ended { call: call.call, outcome });
    assert_eq!(told(&sim, "gateway", "one"), "reads 1, uses 1: ");
}

#[test]
fn at_the_end_of_a_secret_everybody_is_asked_to_let_go() {
    let mut sim = Sim::issued(alternate(), everybody());
    sim.start(PlanKind::Retire, alternate(), everybody());
    each_is_told(
        &sim,
        "it ends",
        ["reads 1, uses 1: released 1", "reads 1, uses 1: released 1", "reads 1, uses 1: dropped 1"],
    );
    sim.say("api", "one", Purpose::Released, 1);
    sim.say("gateway", "one", Purpose::Dropped, 1);
    each_is_told(&sim, "two let go", ["reads , uses 1: ", "reads 1, uses 1: released 1", "reads , uses 1: "]);
    sim.command(&Command::Override { generation: Generation(1), reason: "drill".to_owned(), author: author() });
    let call = sim.run_until(CallKind::Destroy);
    assert_eq!(told(&sim, "api", "two"), "reads 1, uses 1: released 1");
    sim.intend(&call);
    assert_eq!(told(&sim, "api", "two"), "reads , uses 1: released 1", "it is being destroyed");
}

#[test]
fn what_a_rotation_left_is_still_asked_about_and_not_by_the_next_one() {
    let mut sim = Sim::rotating(replace(), everybody());
    sim.run();
    ready(&mut sim);
    sim.run();
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    each_is_told(
        &sim,
        "left",
        ["reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: dropped 1"],
    );
    sim.start(PlanKind::Rotate, replace(), everybody());
    each_is_told(&sim, "the next one prepares", ["reads 2 1, uses 2: "; 3]);
}

/// One slot, everybody ready, and the install is due.
fn before_the_install() -> Sim {
    let mut sim = Sim::rotating(one_slot(), everybody());
    sim.run();
    ready(&mut sim);
    assert!(matches!(sim.decide(), Action::Call(ref call) if call.kind == CallKind::Install));
    sim
}

#[test]
fn with_one_slot_host_and_consumer_may_both_start_again_before_the_install() {
    let mut sim = before_the_install();
    let Action::Call(install) = sim.decide() else { panic!("{:?}", sim.decide()) };
    sim.intend(&install);
    sim.record(Event::Interrupted { call: install.call });
    restart(&mut sim, "api", "one", 1);
    for _ in 0..2 {
        let call = sim.due();
        assert_eq!(call.kind, CallKind::Verify, "nothing is overwritten under it");
        sim.intend(&call);
        let old = call.generation == Generation(1);
        let outcome = if old { Outcome::Works } else { Outcome::Refused("not yet".to_owned()) };
        sim.record(Event::Ended { call: call.call, outcome });
    }
    assert!(matches!(sim.decide(), Action::Wait { .. }), "nothing is overwritten under it: {:?}", sim.decide());
    each_is_told(
        &sim,
        "it holds the old value only",
        ["reads 2 1, uses 1: ready 2", "reads 2 1, uses 1: ", "reads 2 1, uses 1: "],
    );
    sim.command(&Command::State(Sim::life(2, "api", "one", Purpose::Ready, 2)));
    sim.run();
    each_is_told(
        &sim,
        "and then it is",
        ["reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: adopted 2", "reads 2 1, uses 2: "],
    );
    restart(&mut sim, "api", "two", 2);
    assert_eq!(told(&sim, "api", "two"), "reads 2 1, uses 2: adopted 2", "its readiness is asked for no more");
    sim.command(&Command::State(Sim::life(2, "api", "one", Purpose::Adopted, 2)));
    assert_eq!(told(&sim, "gateway", "one"), "reads 2 1, uses 2: ", "one has not switched");
    sim.command(&Command::State(Sim::life(2, "api", "two", Purpose::Adopted, 2)));
    assert_eq!(told(&sim, "gateway", "one"), "reads 2 1, uses 2: dropped 1");
    sim.say("gateway", "one", Purpose::Dropped, 1);
    sim.run();
    assert!(sim.rotation_over(), "{:#?}", sim.done);
}

#[test]
fn with_one_slot_nobody_is_asked_to_be_ready_for_what_is_put_back_or_issued() {
    let mut sim = before_the_install();
    while sim.secret.current() == Some(Generation(1)) {
        sim.step();
    }
    sim.command(&Command::Revert { reason: "drill".to_owned(), author: author() });
    assert!(matches!(sim.decide(), Action::Call(call) if call.kind == CallKind::Install && call.generation.0 == 1));
    restart(&mut sim, "api", "one", 1);
    assert_eq!(told(&sim, "api", "one"), "reads 2 1, uses 2: ", "current until the target has taken the other");
    sim.run();
    assert_eq!(told(&sim, "api", "one"), "reads 1 2, uses 1: adopted 1", "going back is for everyone at once");

    let mut first = Sim::new();
    first.start(PlanKind::Issue, one_slot(), everybody());
    let create = first.run_until(CallKind::Create);
    first.intend(&create);
    let outcome = first.answer(&create);
    first.record(Event::Ended { call: create.call, outcome });
    assert_eq!(first.secret.step(first.now), Some(Step::Install));
    each_is_told(&first, "issued", ["reads , uses : "; 3]);
    first.step();
    first.step();
    first.record(Event::Committed);
    let places = vec![Place::only(), id("b")];
    first.command(&Command::Places { places, author: author() });
    assert_eq!(first.secret.step(first.now), Some(Step::Install));
    each_is_told(&first, "issued, with a place that came later", ["reads 1, uses 1: "; 3]);
}

#[test]
fn an_ask_says_when_patience_ends() {
    let deadline = |sim: &Sim| {
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        told.asked.first().map(|ask| ask.deadline.map(|at| at.since(sim.secret.clock())))
    };
    let in_time = |deadline_ms| {
        let mut policy = policy(vec![consumer("api", &["one"])]);
        policy.stragglers.deadline_ms = deadline_ms;
        let mut sim = Sim::rotating(native(), policy);
        sim.run();
        sim
    };
    assert_eq!(deadline(&in_time(None)), Some(None));
    let mut sim = in_time(Some(20_000));
    assert_eq!(deadline(&sim), Some(Some(20_000)));
    sim.now = sim.now.plus(500);
    sim.record(Event::Ticked);
    assert_eq!(deadline(&sim), Some(Some(19_500)));
    sim.record(Event::Held { reason: HoldReason::Operator, detail: String::new() });
    assert_eq!(deadline(&sim), Some(None), "nobody is waited for while it is held");

    let mut policy = everybody();
    policy.stragglers.deadline_ms = Some(20_000);
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    ready(&mut sim);
    sim.run();
    assert_eq!(deadline(&sim), Some(Some(20_000)));
    for replica in ["one", "two"] {
        sim.say("api", replica, Purpose::Adopted, 2);
    }
    sim.run();
    let told = offer(&sim.secret, &id("gateway"), &id("one"), sim.now);
    assert_eq!(told.asked.iter().map(|ask| ask.deadline).collect::<Vec<_>>(), [None], "time is no matter here");
}

#[test]
fn strangers_are_told_nothing() {
    let sim = Sim::issued(alternate(), everybody());
    assert_eq!(told(&sim, "web", "one"), "reads , uses 1: ");
}
