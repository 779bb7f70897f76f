//! A secret at rest in one record: when it is written, what it has to tell, and what refuses it.

use crate::common::{
    Sim, alternate, author, consumer, fault, id, live, minted, native, one_slot, policy, replace, told_by_one_record,
};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{Digest, Epoch, Millis, Ordinal, Place, Seq, Steady};
use keybaton_protocol::profile::Profile;
use keybaton_protocol::settled::{Settled, Trail};
use keybaton_protocol::step::{CallKind, PlanKind};
use keybaton_protocol::{Secret, decide};

/// Rotates, with one consumer that does what it is asked.
fn rotate(sim: &mut Sim, profile: &Profile) {
    sim.start(PlanKind::Rotate, profile.clone(), policy(vec![consumer("api", &["one"])]));
    sim.run();
    let made = sim.secret.pending().expect("a rotation runs").0;
    sim.fetch("api", "one", made);
    sim.say("api", "one", Purpose::Ready, made);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, made);
    sim.run_for(60_000);
    assert!(sim.secret.at_rest(), "{:#?}", sim.done);
}

/// A secret that has rotated a few times.
fn rotated(profile: &Profile, times: u32) -> Sim {
    let mut sim = Sim::issued(profile.clone(), policy(vec![consumer("api", &["one"])]));
    (0..times).for_each(|_| rotate(&mut sim, profile));
    sim
}

/// Where the records are, by sequence.
fn settled(sim: &Sim) -> Vec<usize> {
    let settled = |(at, (_, event)): (usize, &(Millis, Event))| matches!(event, Event::Settled(_)).then_some(at + 1);
    sim.journal.iter().enumerate().filter_map(settled).collect()
}

#[test]
fn a_load_reads_as_much_after_thirty_rotations_as_after_six() {
    for profile in [alternate(), native(), one_slot(), replace()] {
        let longest = |times| {
            let mut sim = rotated(&profile, 1);
            let mut longest = 0;
            for _ in 1..times {
                rotate(&mut sim, &profile);
                longest = longest.max(sim.secret.unsettled());
                assert!(sim.secret.unsettled() < 64, "it is at rest: {}", sim.secret.unsettled());
            }
            assert!(!settled(&sim).is_empty(), "{:?}", profile.overlap);
            (longest, sim)
        };
        let ((few, _), (many, sim)) = (longest(6), longest(30));
        assert_eq!(few, many.min(few), "{:?}: it does not grow", profile.overlap);
        assert!(many < 64, "{:?}: {many}", profile.overlap);
        let newest = *settled(&sim).last().unwrap();
        let mut loaded = Secret::resuming(id("prod/app"), Seq(newest as u64 - 1));
        for (at, event) in &sim.journal[newest - 1..] {
            loaded.replay(*at, event).unwrap();
        }
        assert_eq!(loaded, sim.secret, "{:?}", profile.overlap);
    }
}

#[test]
fn it_is_written_with_the_last_event_of_a_rotation_and_never_while_something_is_open() {
    let mut sim = rotated(&native(), 1);
    while settled(&sim).is_empty() {
        rotate(&mut sim, &native());
    }
    for at in settled(&sim) {
        let before = &sim.journal[at - 2];
        assert!(matches!(before.1, Event::Finished { .. }), "{before:?}");
        assert_eq!(before.0, sim.journal[at - 1].0, "in the same write");
    }
    sim.start(PlanKind::Rotate, native(), policy(Vec::new()));
    assert_eq!(sim.secret.as_settled(sim.now), None, "a rotation runs");
}

#[test]
fn what_is_open_held_or_told_wrongly_is_refused() {
    let sim = rotated(&alternate(), 2);
    let said = sim.secret.as_settled(sim.now).expect("it is at rest");
    let refused = |secret: &Secret, said: &Settled| {
        let mut after = secret.clone();
        let illegal = after.record(sim.now, &Event::Settled(Box::new(said.clone()))).expect_err("it is refused");
        assert_eq!(after, *secret, "and changes nothing");
        illegal.why.to_string()
    };
    for (what, wrong) in BLANKS.iter().filter(|(what, _)| !NOT_HERE.contains(what) && *what != "trail") {
        let mut told = said.clone();
        wrong(&mut told);
        assert_eq!(refused(&sim.secret, &told), "it says something else than how the secret stands", "{what}");
    }
    let mut held = sim.secret.clone();
    held.record(sim.now, &Event::Restored { epoch: Epoch(1), strict: true }).unwrap();
    assert_eq!(refused(&held, &said), "the secret is held");
    let mut looked = rotated(&alternate(), 2);
    looked.intend_by_hand(CallKind::Observe, 3, &Place::only());
    assert_eq!(refused(&looked.secret, &said), "the secret is not at rest");
    let nothing = Secret::new(id("prod/app"));
    assert_eq!(refused(&nothing, &said), "it says something else than how the secret stands", "out of nothing");
}

#[test]
fn what_the_host_keeps_beside_it_is_carried_and_changes_nothing() {
    let sim = rotated(&native(), 1);
    let mut said = sim.secret.as_settled(sim.now).unwrap();
    let mut plain = sim.secret.clone();
    plain.record(sim.now, &Event::Settled(Box::new(said.clone()))).unwrap();
    said.trail = Trail { failures: 3, closed: true, spec: Some(Digest([9; 32])), ..Trail::default() };
    let mut carried = sim.secret.clone();
    carried.record(sim.now, &Event::Settled(Box::new(said))).unwrap();
    assert_eq!(plain, carried);
}

/// A way to leave out a field.
type Blank = (&'static str, fn(&mut Settled));

/// Each field, left out. `trail` is the host's.
const BLANKS: &[Blank] = &[
    ("clock", |it| it.clock = Millis(0)),
    ("steady", |it| it.steady = Steady(0)),
    ("measured", |it| it.measured = false),
    ("epoch", |it| it.epoch = Epoch(0)),
    ("next", |it| it.next = keybaton_protocol::ids::Generation(1)),
    ("next_call", |it| it.next_call = keybaton_protocol::ids::CallId(1)),
    ("current", |it| it.current = None),
    ("pins", |it| it.pins = None),
    ("last_rotation", |it| it.last_rotation = None),
    ("mints", |it| it.mints.clear()),
    ("last_mutation", |it| it.last_mutation.clear()),
    ("efforts", |it| it.efforts.clear()),
    ("observations", |it| it.observations.clear()),
    ("unlisted", |it| it.unlisted.clear()),
    ("slots", |it| it.slots.clear()),
    ("foreign", |it| it.foreign.clear()),
    ("strangers", |it| it.strangers.clear()),
    ("consumers", |it| it.consumers.clear()),
    ("replicas", |it| it.replicas.clear()),
    ("frozen", |it| it.frozen = None),
    ("doubtful_slots", |it| it.doubtful_slots.clear()),
    ("setbacks", |it| it.setbacks = 0),
    ("managed", |it| it.managed = true),
    ("places_by_hand", |it| it.places_by_hand.clear()),
    ("finished", |it| it.finished = None),
];

/// Fields that a secret which simply rotates does not have.
const NOT_HERE: &[&str] = &[
    "epoch",
    "mints",
    "efforts",
    "unlisted",
    "foreign",
    "strangers",
    "frozen",
    "doubtful_slots",
    "setbacks",
    "managed",
    "places_by_hand",
];

/// What a person left behind: frozen, undeclared, at another place, and in a later epoch.
fn ordered() -> Sim {
    let mut sim = Sim::unmeasured();
    sim.record(Event::Begun { epoch: Epoch(2) });
    sim.start(PlanKind::Issue, alternate(), policy(vec![consumer("api", &["one"])]));
    sim.run();
    sim.fetch("api", "one", 1);
    sim.record(Event::PlacesChanged { places: vec![Place::only(), id("b")], author: author() });
    sim.record(Event::Unmanaged { author: author() });
    sim.record(Event::Frozen { author: author() });
    sim
}

/// What strangers left behind, one of them not named yet, and a look that was not whole.
fn seen() -> Sim {
    let mut sim = rotated(&native(), 1);
    let at = sim.now;
    sim.live.push(live("k7", at));
    sim.look();
    sim.run();
    sim.live.push(live("k8", at));
    sim.look();
    let ours = std::mem::take(&mut sim.live);
    sim.now = sim.now.plus(1);
    sim.look();
    sim.live = ours;
    sim
}

/// A mint whose answer never came, and a rotation that was given back for it.
fn lost() -> Sim {
    let mut sim = rotated(&native(), 1);
    sim.start(PlanKind::Rotate, native(), policy(vec![consumer("api", &["one"])]));
    let mint = sim.run_until(CallKind::Create);
    sim.intend(&mint);
    let deadline = sim.now.plus(1_000);
    sim.record(Event::Sent { call: mint.call, ordinal: Ordinal(0), request: Digest([7; 32]), deadline });
    sim.record(Event::Ended { call: mint.call, outcome: fault(FailureClass::Ambiguous) });
    sim.record(Event::RollingBack { reason: "no answer".to_owned(), author: None });
    sim.run_for(60_000);
    sim
}

/// A slot that nobody knows the content of since a restore.
fn doubted() -> Sim {
    let mut sim = rotated(&alternate(), 1);
    sim.command(&Command::Restore { epoch: Epoch(1) });
    sim.run();
    if sim.secret.restored().is_some() {
        let next = sim.secret.next_generation();
        sim.command(&Command::Reconcile { author: author(), next });
    }
    sim
}

#[test]
fn a_record_that_leaves_a_field_out_does_not_tell_the_state() {
    let sims = [rotated(&alternate(), 2), ordered(), seen(), lost(), doubted()];
    for sim in &sims {
        told_by_one_record(&sim.secret, sim.now).unwrap();
    }
    let tells = |sim: &Sim, blank: fn(&mut Settled)| {
        let said = sim.secret.as_settled(sim.now).expect("it is at rest");
        let replayed = |said: Settled| {
            let mut alone = Secret::resuming(id("prod/app"), sim.secret.seq());
            alone.replay(sim.now, &Event::Settled(Box::new(said))).unwrap();
            alone
        };
        let whole = replayed(said.clone());
        let mut less = said;
        blank(&mut less);
        replayed(less) == whole
    };
    for (field, blank) in BLANKS {
        assert!(sims.iter().any(|sim| !tells(sim, *blank)), "no state has `{field}`, or it is not told");
    }
}

#[test]
fn an_answer_that_comes_after_it_finds_what_it_made() {
    let mut sim = lost();
    let settled = sim.secret.as_settled(sim.now).unwrap();
    let (mint, _) = settled.mints.first_key_value().expect("the mint is remembered");
    let mint = *mint;
    sim.record(Event::Settled(Box::new(settled)));
    sim.record(Event::Ended { call: mint, outcome: Outcome::Created(minted(3, Some("k3"))) });
    assert!(!sim.secret.at_rest(), "what it made has to end");
    assert!(matches!(decide(&sim.secret, sim.now), keybaton_protocol::action::Action::Record(_)));
}
