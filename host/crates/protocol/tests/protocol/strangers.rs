//! Credentials at the target that keybaton may or may not have made: when each is named, and where.

use crate::common::{Sim, alternate, author, consumer, fault, id, live, native, policy, profile};
use keybaton_protocol::action::{Action, Call};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HostAnswer, Live, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{Digest, Millis, Ordinal};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::{CallKind, PlanKind, Step};

const REQUEST: Digest = Digest([7; 32]);

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

/// A target of two places that mints and keeps four at once; the mint of a second generation is due.
fn minting() -> (Sim, Call) {
    let mut sim = Sim::new();
    for kind in [PlanKind::Issue, PlanKind::Rotate] {
        let mut pins = crate::common::pins(profile(Overlap::Native(4)), one_consumer());
        pins.places = vec![id("h1"), id("h2")];
        let rotation = id(&format!("r-{kind}"));
        sim.command(&Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins });
        if kind == PlanKind::Issue {
            sim.run();
        }
    }
    let create = sim.run_until(CallKind::Create);
    assert_eq!(create.place.as_str(), "h1");
    (sim, create)
}

fn send(sim: &mut Sim, call: &Call) {
    let deadline = sim.now.plus(1_000);
    sim.record(Event::Sent { call: call.call, ordinal: Ordinal(0), request: REQUEST, deadline });
}

/// A look at one place that shows these.
fn look(sim: &mut Sim, place: &str, names: &[&str], made_at: Millis) {
    let call = sim.intend_by_hand(CallKind::Observe, 1, &id(place));
    let live: Vec<Live> = names.iter().map(|name| live(name, made_at)).collect();
    sim.record(Event::Ended { call, outcome: Outcome::Observed { began_at: sim.now, live } });
}

/// Whom the next decision names, as `id at place`.
fn named(sim: &Sim) -> Vec<String> {
    let Action::Record(events) = sim.decide() else { return Vec::new() };
    let stranger = |event: &Event| match event {
        Event::ForeignSeen { place, id } => Some(format!("{id} at {place}")),
        _ => None,
    };
    events.iter().filter_map(stranger).collect()
}

fn name(sim: &mut Sim) {
    let Action::Record(events) = sim.decide() else { panic!("{:?}", sim.decide()) };
    events.into_iter().for_each(|event| sim.record(event));
}

fn foreign(sim: &Sim) -> Vec<String> {
    sim.secret.foreign().iter().map(|(place, id)| format!("{id} at {place}")).collect()
}

const OLD: Millis = Millis(1);

#[test]
fn nobody_is_named_at_a_place_where_a_mint_may_be_under_way() {
    let (mut sim, create) = minting();
    sim.intend(&create);
    look(&mut sim, "h1", &["k1", "kx"], OLD);
    look(&mut sim, "h2", &["k1", "ky"], OLD);
    assert_eq!(named(&sim), ["ky at h2"], "at the other place nothing is under way");
    name(&mut sim);
    send(&mut sim, &create);
    sim.record(Event::Ended { call: create.call, outcome: fault(FailureClass::Ambiguous) });
    look(&mut sim, "h1", &["k1", "kx"], OLD);
    assert_eq!(named(&sim), [""; 0], "what was sent may still show");
    sim.now = sim.now.plus(1_001);
    look(&mut sim, "h1", &["k1", "kx"], OLD);
    assert_eq!(named(&sim), ["kx at h1"]);
    name(&mut sim);
    assert_eq!(foreign(&sim), ["kx at h1", "ky at h2"]);
}

#[test]
fn strangers_are_named_once_and_forgotten_where_they_are_gone() {
    let (mut sim, _) = minting();
    look(&mut sim, "h1", &["k1", "kx", "kz"], OLD);
    look(&mut sim, "h2", &["k1", "ky"], OLD);
    assert_eq!(named(&sim), ["kx at h1", "kz at h1", "ky at h2"]);
    name(&mut sim);
    look(&mut sim, "h1", &["k1", "kx"], OLD);
    assert_eq!(named(&sim), [""; 0], "known already");
    assert_eq!(foreign(&sim), ["kx at h1", "ky at h2"], "one is gone, and the other place was not looked at");
}

#[test]
fn who_is_gone_before_it_was_named_is_not_named() {
    let (mut sim, _) = minting();
    look(&mut sim, "h2", &["k1", "ky"], OLD);
    look(&mut sim, "h1", &["k1", "kx"], OLD);
    look(&mut sim, "h1", &["k1"], OLD);
    assert_eq!(named(&sim), ["ky at h2"]);
}

#[test]
fn an_orphan_is_a_lost_mints_at_its_own_place() {
    let (mut sim, create) = minting();
    let made_at = sim.now;
    send_lost(&mut sim, &create);
    look(&mut sim, "h2", &["k1", "kx"], made_at);
    assert_eq!(named(&sim), ["kx at h2"], "the mint was somewhere else");
    name(&mut sim);
    sim.now = sim.now.plus(1_001);
    look(&mut sim, "h1", &["k1", "kx"], made_at);
    assert_eq!(named(&sim), [""; 0]);
    sim.step();
    let orphans: Vec<_> = sim.secret.retirements().keys().filter_map(|job| job.orphan.clone()).collect();
    assert_eq!(orphans, [id("kx")]);
}

fn send_lost(sim: &mut Sim, call: &Call) {
    sim.intend(call);
    send(sim, call);
    sim.record(Event::Ended { call: call.call, outcome: fault(FailureClass::Ambiguous) });
}

#[test]
fn a_lost_install_makes_no_orphan() {
    let mut sim = Sim::rotating(native(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    let made_at = sim.now;
    send_lost(&mut sim, &install);
    sim.now = sim.now.plus(1_001);
    look(&mut sim, "-", &["k1", "k2", "kx"], made_at);
    assert_eq!(named(&sim), ["kx at -"], "an install mints nothing");
}

#[test]
fn who_is_seen_while_something_ends_or_after_a_mint_was_taken_up_is_named() {
    let mut sim = Sim::rotating(native(), one_consumer());
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    let disable = sim.run_until(CallKind::Disable);
    sim.intend(&disable);
    look(&mut sim, "-", &["k1", "k2", "kx"], OLD);
    assert_eq!(named(&sim), ["kx at -"], "what ends mints nothing");

    let (mut sim, create) = minting();
    sim.intend(&create);
    send(&mut sim, &create);
    let answer = HostAnswer::Answered;
    sim.record(Event::Answered { call: create.call, ordinal: Ordinal(0), request: REQUEST, answer });
    sim.record(Event::Interrupted { call: create.call });
    let again = sim.due();
    assert_eq!(again.resumes, [create.call]);
    sim.intend(&again);
    let outcome = sim.answer(&again);
    sim.record(Event::Ended { call: again.call, outcome });
    look(&mut sim, "h1", &["k1", "k2", "kx"], OLD);
    assert_eq!(named(&sim), ["kx at h1"], "the mint has been heard of");
}

#[test]
fn who_is_listed_at_a_target_with_slots_of_our_values_is_nobodys_stranger() {
    for (what, profile, listed, named_there) in [
        ("slots, and the host mints", alternate(), &["kx"][..], &[][..]),
        ("slots, and the target mints", Profile { minter: Minter::Target, ..alternate() }, &["k1", "kx"], &["kx at -"]),
        ("room for two, and the host mints", Profile { minter: Minter::Host, ..native() }, &["kx"], &["kx at -"]),
    ] {
        let mut sim = Sim::issued(profile, one_consumer());
        look(&mut sim, "-", listed, OLD);
        assert_eq!(named(&sim), named_there, "{what}");
        assert_eq!(sim.secret.step(sim.now), None::<Step>);
    }
}
