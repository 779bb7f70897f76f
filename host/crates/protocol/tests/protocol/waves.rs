//! Replicas switch in waves; a wave that fails goes back; a cry is heard once.

use crate::common::{Sim, alternate, author, consumer, id, policy};
use keybaton_protocol::action::Waiting;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Generation, Place};
use keybaton_protocol::offer;
use keybaton_protocol::policy::{Members, Policy, WaveSize};
use keybaton_protocol::step::{CallKind, PlanKind, Step};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn in_waves(sizes: &[WaveSize]) -> Policy {
    let mut policy = policy(vec![consumer("api", &NAMES)]);
    policy.waves.sizes = sizes.to_vec();
    policy
}

fn committed(policy: Policy) -> Sim {
    let mut sim = Sim::rotating(alternate(), policy);
    for name in NAMES {
        sim.fetch("api", name, 1);
    }
    sim.run();
    for name in NAMES {
        sim.say("api", name, Purpose::Ready, 2);
    }
    sim.run();
    sim
}

fn on_the_new_one(sim: &Sim) -> String {
    let told = |name: &&&str| offer(&sim.secret, &id("api"), &id(name), sim.now).use_now == Some(Generation(2));
    NAMES.iter().filter(told).copied().collect()
}

#[test]
fn waves_open_one_after_the_other_as_each_has_switched() {
    for (sizes, waves) in [
        (&[][..], &["abcdefgh"][..]),
        (&[WaveSize::Count(1), WaveSize::Percent(25), WaveSize::Rest], &["a", "abc", "abcdefgh"]),
        (&[WaveSize::Count(3)], &["abc", "abcdefgh"]),
        (&[WaveSize::Percent(50), WaveSize::Percent(50)], &["abcd", "abcdefgh"]),
        (&[WaveSize::Count(99)], &["abcdefgh"]),
    ] {
        let mut sim = committed(in_waves(sizes));
        for expected in waves {
            assert_eq!(on_the_new_one(&sim), *expected, "{sizes:?}");
            for name in expected.chars() {
                assert!(!sim.rotation_over());
                sim.say("api", &name.to_string(), Purpose::Adopted, 2);
            }
            sim.run();
        }
        assert!(sim.rotation_over(), "{sizes:?}");
    }
}

#[test]
fn a_wave_is_watched_for_its_soak_and_a_fall_back_starts_that_anew() {
    let mut policy = in_waves(&[WaveSize::Count(1), WaveSize::Rest]);
    policy.waves.soak_ms = 60_000;
    let mut sim = committed(policy);
    let missing = vec![(id("api"), id("a"))];
    assert_eq!(sim.run(), Waiting::Consumers { step: Step::Adopt, missing });
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run_for(50_000);
    assert_eq!(on_the_new_one(&sim), "a");
    sim.say("api", "a", Purpose::Adopted, 1);
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run_for(30_000);
    assert_eq!(on_the_new_one(&sim), "a", "its soak runs anew");
    sim.run_for(40_000);
    assert_eq!(on_the_new_one(&sim), "abcdefgh");
}

#[test]
fn no_wave_is_opened_out_of_turn() {
    let mut sim = committed(in_waves(&[WaveSize::Count(1), WaveSize::Count(1), WaveSize::Rest]));
    for (wave, why) in [(0, "not the next wave"), (2, "not the next wave"), (1, "the wave before has not switched")] {
        let illegal = sim.secret.clone().record(sim.now, &Event::WaveOpened { wave }).expect_err("it is not its turn");
        assert!(illegal.to_string().contains(why), "{wave}: {illegal}");
    }
    sim.command(&Command::Override { generation: Generation(1), reason: "drill".to_owned(), author: author() });
    sim.record(Event::WaveOpened { wave: 1 });
}

#[test]
fn no_more_switch_at_once_than_may_be_unavailable() {
    let mut policy = in_waves(&[]);
    policy.waves.max_unavailable = 2;
    let mut sim = committed(policy);
    assert_eq!(on_the_new_one(&sim), "ab");
    sim.say("api", "a", Purpose::Adopted, 2);
    assert_eq!(on_the_new_one(&sim), "abc");
    sim.say("api", "c", Purpose::Adopted, 2);
    assert_eq!(on_the_new_one(&sim), "abcd");
}

#[test]
fn a_failing_wave_stops_its_members_go_back_and_the_rest_hold() {
    let mut sim = committed(in_waves(&[WaveSize::Count(2), WaveSize::Count(2), WaveSize::Rest]));
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.say("api", "b", Purpose::Adopted, 2);
    sim.run();
    assert_eq!(on_the_new_one(&sim), "abcd");
    sim.say("api", "c", Purpose::Failed, 2);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::WaveFailed));
    assert_eq!(on_the_new_one(&sim), "ab", "the wave before stays where it is");
    sim.command(&Command::Release { author: author() });
    sim.run();
    assert_eq!(on_the_new_one(&sim), "abcd");
}

#[test]
fn a_failing_first_wave_goes_back_too() {
    let mut sim = committed(in_waves(&[WaveSize::Count(2), WaveSize::Rest]));
    sim.say("api", "b", Purpose::Failed, 2);
    sim.run();
    assert_eq!(on_the_new_one(&sim), "");
}

#[test]
fn a_later_joiner_starts_on_the_newest_generation() {
    let mut sim = committed(in_waves(&[WaveSize::Count(1), WaveSize::Rest]));
    let members = Members::Listed(NAMES.iter().chain(&["new"]).map(|name| id(name)).collect());
    sim.command(&Command::Members { consumer: id("api"), members, author: author() });
    assert_eq!(offer(&sim.secret, &id("api"), &id("new"), sim.now).use_now, Some(Generation(2)));
    assert_eq!(offer(&sim.secret, &id("api"), &id("h"), sim.now).use_now, Some(Generation(1)));
}

fn draining() -> Sim {
    let mut policy = policy(vec![consumer("api", &["a"]), consumer("web", &["a"])]);
    policy.soak_ms = 600_000;
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    for name in ["api", "web"] {
        sim.say(name, "a", Purpose::Ready, 2);
    }
    sim.run();
    for name in ["api", "web"] {
        sim.say(name, "a", Purpose::Adopted, 2);
    }
    sim.run();
    assert_eq!(standing(&sim), Liveness::Disabled);
    sim
}

fn standing(sim: &Sim) -> Liveness {
    sim.secret.generation(Generation(1)).map_or(Liveness::Gone, |it| it.liveness(&Place::only()))
}

#[test]
fn a_cry_in_the_soak_switches_previous_on_again_and_adopt_starts_over() {
    let mut sim = draining();
    sim.say("api", "a", Purpose::Cry, 2);
    let waiting = sim.run();
    assert_eq!(standing(&sim), Liveness::Live);
    let missing = vec![(id("api"), id("a"))];
    assert_eq!(waiting, Waiting::Consumers { step: Step::Adopt, missing }, "only the one that cried is asked again");
    assert_eq!(sim.secret.current(), Some(Generation(2)), "roles are unchanged");
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run();
    assert_eq!(standing(&sim), Liveness::Disabled);
    let operations: Vec<_> = sim
        .journal
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Intended { kind, operation, .. } if *kind == CallKind::Disable => Some(operation.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(operations, ["r2/disable/1/-", "r2/disable/1/-/again-1"], "the second is another operation");
}

#[test]
fn the_same_consumer_cries_twice_and_is_held_for_its_owner() {
    let mut sim = draining();
    sim.say("api", "a", Purpose::Cry, 2);
    sim.run();
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run();
    sim.say("api", "a", Purpose::Cry, 2);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Cried));
    assert_eq!(standing(&sim), Liveness::Disabled, "it is not switched on again");
    sim.run_for(2_000_000);
    assert_eq!(standing(&sim), Liveness::Disabled, "nor destroyed: its evidence is gone");
    sim.command(&Command::Release { author: author() });
    sim.say("api", "a", Purpose::Cry, 2);
    sim.run();
    assert_eq!(standing(&sim), Liveness::Live, "a person let it cry again");
}

#[test]
fn another_consumers_cry_bears_the_first_one_out() {
    let mut sim = draining();
    for name in ["api", "web", "api"] {
        sim.say(name, "a", Purpose::Cry, 2);
        sim.run();
        assert_eq!(standing(&sim), Liveness::Live, "{name}");
        for name in ["api", "web"] {
            sim.say(name, "a", Purpose::Adopted, 2);
        }
        sim.run();
    }
}

#[test]
fn an_optional_consumers_cry_moves_nothing() {
    let mut policy = policy(vec![consumer("api", &["a"]), consumer("web", &["a"])]);
    policy.consumers[1].required = false;
    policy.soak_ms = 600_000;
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    sim.say("api", "a", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run();
    sim.say("web", "a", Purpose::Cry, 2);
    sim.run();
    assert_eq!(standing(&sim), Liveness::Disabled);
    assert!(!sim.done.contains(&"enable 1".to_owned()), "{:#?}", sim.done);
}

#[test]
fn a_cry_is_not_heard_about_another_generation_nor_on_the_way_back() {
    let mut sim = draining();
    sim.record(Event::Stated(crate::common::evidence("api", "a", Purpose::Cry, 1, EvidenceKind::Process)));
    sim.run();
    assert_eq!(standing(&sim), Liveness::Disabled);
    sim.command(&Command::Revert { reason: "drill".to_owned(), author: author() });
    sim.say("api", "a", Purpose::Cry, 2);
    assert!(sim.secret.rotation().is_some_and(|rotation| rotation.cries.is_empty()));
}

#[test]
fn a_cry_comes_too_late_for_what_is_lost() {
    for destroys in [true, false] {
        let mut sim = draining();
        if destroys {
            let destroy = sim.run_until(CallKind::Destroy);
            sim.intend(&destroy);
        } else {
            let generation = Generation(1);
            sim.command(&Command::Compromise { generation, disable_first: false, author: author() });
        }
        sim.say("api", "a", Purpose::Cry, 2);
        assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some(), "destroys: {destroys}");
        sim.run();
        assert!(!sim.done.contains(&"enable 1".to_owned()), "{:#?}", sim.done);
    }
}

#[test]
fn a_cry_at_the_end_of_a_secret_switches_it_on_again() {
    let policy = Policy { soak_ms: 600_000, ..policy(vec![consumer("api", &["a"])]) };
    let mut sim = Sim::issued(alternate(), policy.clone());
    sim.start(PlanKind::Retire, alternate(), policy);
    sim.say("api", "a", Purpose::Released, 1);
    sim.run();
    assert_eq!(standing(&sim), Liveness::Disabled);
    sim.say("api", "a", Purpose::Cry, 1);
    let waiting = sim.run();
    assert_eq!(waiting, Waiting::Consumers { step: Step::Drain, missing: vec![(id("api"), id("a"))] });
    assert_eq!(standing(&sim), Liveness::Live);
}

#[test]
fn who_reports_the_old_one_or_only_holds_the_new_one_is_still_switching() {
    let mut policy = in_waves(&[]);
    policy.waves.max_unavailable = 2;
    let mut sim = committed(policy);
    sim.say("api", "a", Purpose::Adopted, 1);
    assert_eq!(on_the_new_one(&sim), "ab");
    sim.record(Event::Stated(crate::common::evidence("api", "a", Purpose::Adopted, 2, EvidenceKind::Holder)));
    assert_eq!(on_the_new_one(&sim), "ab");
    sim.say("api", "a", Purpose::Adopted, 2);
    assert_eq!(on_the_new_one(&sim), "abc");
}

#[test]
fn a_wave_of_nobody_who_must_switch_passes_after_its_soak() {
    let mut policy = policy(vec![consumer("api", &["a"]), consumer("web", &["a"])]);
    policy.consumers[0].required = false;
    policy.waves.sizes = vec![WaveSize::Count(1), WaveSize::Rest];
    policy.waves.soak_ms = 60_000;
    let mut sim = Sim::rotating(alternate(), policy.clone());
    for name in ["api", "web"] {
        sim.fetch(name, "a", 1);
    }
    sim.run();
    sim.say("web", "a", Purpose::Ready, 2);
    let new = |sim: &Sim| offer(&sim.secret, &id("web"), &id("a"), sim.now).use_now == Some(Generation(2));
    sim.run_for(50_000);
    assert!(!new(&sim));
    sim.run_for(20_000);
    assert!(new(&sim), "{:#?}", sim.done);

    // The same where those who must switch leave, or are let off, while their wave is open.
    let api = || id("api");
    let orders = [
        (Command::Override { generation: Generation(1), reason: "drill".to_owned(), author: author() }, 0),
        (Command::RemoveConsumer { consumer: api(), author: author() }, 70_000),
        (Command::Members { consumer: api(), members: Members::Listed(Vec::new()), author: author() }, 70_000),
        (Command::Repolicy { policy: Box::new(policy.clone()), author: author() }, 70_000),
    ];
    for (order, ms) in orders {
        let mut strict = policy.clone();
        strict.consumers[0].required = true;
        let mut sim = Sim::rotating(alternate(), strict);
        for name in ["api", "web"] {
            sim.fetch(name, "a", 1);
        }
        sim.run();
        for name in ["api", "web"] {
            sim.say(name, "a", Purpose::Ready, 2);
        }
        sim.run_for(70_000);
        assert!(!new(&sim), "{order:?}: its wave has not switched");
        sim.command(&order);
        sim.run_for(ms);
        assert!(new(&sim), "{order:?}: {:#?}", sim.done);
    }
}

#[test]
fn a_joiner_by_whom_the_open_wave_grows_starts_its_soak_anew() {
    let mut policy = in_waves(&[WaveSize::Percent(50), WaveSize::Rest]);
    policy.waves.soak_ms = 60_000;
    let mut sim = committed(policy);
    for name in ["a", "b", "c", "d"] {
        sim.say("api", name, Purpose::Adopted, 2);
    }
    let settled = |sim: &Sim| sim.secret.rotation().is_some_and(|rotation| rotation.wave.settled.is_some());
    assert!(settled(&sim));
    sim.command(&Command::AddConsumer { consumer: Box::new(consumer("aaa", &["z"])), author: author() });
    assert!(!settled(&sim), "half of nine are five");
    assert_eq!(on_the_new_one(&sim), "abcde", "who has not spoken comes last");
}
