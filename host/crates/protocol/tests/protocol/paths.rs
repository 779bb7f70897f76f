//! The way each strategy goes when everything answers, told as the list of what was done.

use crate::common::{Sim, alternate, consumer, native, one_slot, policy, replace};
use keybaton_protocol::action::Waiting;
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::Generation;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{Ending, PlanKind, Step};

fn rotate(profile: Profile) -> Vec<String> {
    let mut sim = Sim::rotating(profile, policy(vec![consumer("api", &["one"])]));
    let waiting = sim.run();
    assert!(matches!(waiting, Waiting::Consumers { step: Step::Stage, .. }), "{waiting:?} {:#?}", sim.done);
    sim.fetch("api", "one", 2);
    sim.say("api", "one", Purpose::Ready, 2);
    let waiting = sim.run();
    assert!(matches!(waiting, Waiting::Consumers { step: Step::Adopt, .. }), "{waiting:?} {:#?}", sim.done);
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over(), "{:#?}", sim.done);
    assert_eq!(sim.secret.finished().map(|it| it.1), Some(Ending::Completed));
    assert_eq!(sim.secret.current(), Some(Generation(2)));
    assert_eq!(sim.secret.generations().len(), 1);
    assert!(sim.secret.at_rest());
    sim.done
}

#[test]
fn each_strategy_takes_its_steps_in_order() {
    for (profile, expected) in [
        (
            native(),
            "observe 2, create 2, install 2, verify 2, staged, committed, draining, retirement-opened, \
                    disable 1, destroy 1, retirement-closed, erased, finished",
        ),
        (
            alternate(),
            "create 2, install 2, verify 2, staged, committed, draining, retirement-opened, \
                       disable 1, destroy 1, retirement-closed, erased, finished",
        ),
        (
            replace(),
            "create 2, install 2, verify 2, staged, committed, draining, retirement-opened, \
                     destroy 1, retirement-closed, erased, finished",
        ),
        (one_slot(), "create 2, staged, install 2, verify 2, committed, erased, finished"),
    ] {
        assert_eq!(rotate(profile).join(", "), expected);
    }
}

#[test]
fn a_secret_that_ends_waits_for_everyone_to_let_go() {
    for profile in [native(), alternate(), replace(), one_slot()] {
        let consumers = policy(vec![consumer("api", &["one"])]);
        let mut sim = Sim::issued(profile.clone(), consumers.clone());
        sim.fetch("api", "one", 1);
        sim.start(PlanKind::Retire, profile, consumers);
        assert!(matches!(sim.run(), Waiting::Consumers { .. }));
        sim.say("api", "one", Purpose::Released, 1);
        sim.run();
        assert!(sim.rotation_over(), "{:#?}", sim.done);
        assert_eq!(sim.secret.current(), None);
        assert!(sim.secret.generations().is_empty());
    }
}
