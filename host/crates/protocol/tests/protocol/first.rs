//! The first credential: what is there already is looked at, and stays as it is unless the declaration gives it away.

use crate::common::{Sim, alternate, author, consumer, id, live, native, one_slot, pins, policy, replace};
use keybaton_protocol::action::Action;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Live, Outcome};
use keybaton_protocol::ids::{Generation, Millis};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{CallKind, PlanKind};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn first(profile: Profile) -> Sim {
    let mut sim = Sim::new();
    sim.start(PlanKind::Issue, profile, one_consumer());
    sim
}

fn there(name: &str, slot: Option<&str>, active: bool) -> Live {
    Live { slot: slot.map(id), active, ..live(name, Millis(7)) }
}

#[test]
fn where_it_overwrites_what_is_there_a_look_comes_first() {
    for (sentence, profile, looks) in [
        ("one slot", one_slot(), true),
        ("slots taken in turn", alternate(), true),
        ("one slot that is given away", Profile { replaces: true, ..one_slot() }, false),
        ("one that takes nobody's place", replace(), false),
        ("a target that mints, for other reasons", native(), true),
    ] {
        let expected = if looks { CallKind::Observe } else { CallKind::Create };
        assert_eq!(first(profile).due().kind, expected, "{sentence}");
    }
    let mut later = Sim::rotating(one_slot(), one_consumer());
    later.live = vec![there("app#0", None, true)];
    assert_eq!(later.due().kind, CallKind::Create, "a later one follows what is known");
}

#[test]
fn what_is_in_use_and_not_known_here_stays_as_it_is() {
    let given_away = || Profile { replaces: true, ..one_slot() };
    for (sentence, profile, occupant, goes_on) in [
        ("nothing", one_slot(), None, true),
        ("somebody's", one_slot(), Some(there("app#0", None, true)), false),
        ("somebody's, given away", given_away(), Some(there("app#0", None, true)), true),
        ("one that is switched off", one_slot(), Some(there("app#0", None, false)), true),
        ("somebody's in its slot", alternate(), Some(there("app_a#0", Some("app_a"), true)), false),
        ("somebody's in the other slot", alternate(), Some(there("app_b#0", Some("app_b"), true)), true),
    ] {
        let mut sim = first(profile);
        sim.live = occupant.into_iter().collect();
        sim.run();
        assert_eq!(sim.secret.current().is_some(), goes_on, "{sentence}: {:?}", sim.done);
        if goes_on {
            continue;
        }
        assert!(sim.rotation_over() && sim.secret.at_rest(), "{sentence}: {:?}", sim.done);
        assert!(!sim.done.iter().any(|done| done.starts_with("create")), "{sentence}: {:?}", sim.done);
        let told = sim
            .journal
            .iter()
            .any(|(_, event)| matches!(event, Event::RollingBack { reason, .. } if reason.contains("#0 is in use")));
        assert!(told, "{sentence}: {:?}", sim.journal);
        sim.live.clear();
        sim.start(PlanKind::Issue, one_slot(), one_consumer());
        sim.run();
        assert_eq!(sim.secret.current(), Some(Generation(2)), "{sentence}: it starts again once the way is free");
    }
}

#[test]
fn every_place_is_looked_at() {
    let mut sim = Sim::new();
    let mut pins = pins(one_slot(), one_consumer());
    pins.places = vec![id("h1"), id("h2")];
    let rotation = id("r1");
    let cause = "operator".to_owned();
    sim.command(&Command::Start { rotation, kind: PlanKind::Issue, cause, author: author(), pins });
    for (place, there) in [("h1", Vec::new()), ("h2", vec![there("app#0", None, true)])] {
        let look = sim.due();
        assert_eq!((look.kind, look.place.as_str()), (CallKind::Observe, place));
        sim.intend(&look);
        sim.record(Event::Ended { call: look.call, outcome: Outcome::Observed { began_at: sim.now, live: there } });
    }
    let Action::Record(events) = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert!(matches!(&events[0], Event::RollingBack { reason, .. } if reason.starts_with("at h2 app#0")), "{events:?}");
}
