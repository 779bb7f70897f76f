//! Any order of events: what is refused leaves no trace, what is accepted can be replayed, nothing panics, and whatever
//! is decided or admitted is legal.

use crate::common::{
    Sim, alternate, author, consumer, evidence, fault, id, live, minted, native, one_slot, pins, policy,
    told_by_one_record,
};
use keybaton_protocol::action::Action;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Outcome, RetireCause};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{CallId, Digest, Epoch, Generation, Millis, OperationId, Ordinal, Place, Seq};
use keybaton_protocol::policy::{AtDeadline, Policy};
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};
use keybaton_protocol::{Secret, admit, decide, offer, status};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    Event(Event),
    Command(Command),
    /// Carry out what is decided; the outcome of a call is drawn.
    Decide(u8),
    Pass(u64),
    /// Put on record whole, where it is at rest.
    Settle,
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop_oneof![Just(native()), Just(alternate()), Just(one_slot()), Just(crate::common::replace())]
}

fn policies() -> impl Strategy<Value = Policy> {
    (0_u64..3, 0_u64..3, prop::option::of(1_u64..50), prop::sample::select(AtDeadline::ALL)).prop_map(
        |(overlap, soak, deadline_ms, then)| {
            let mut policy = policy(vec![consumer("api", &["one", "two"])]);
            policy.overlap_min_ms = overlap * 2_000;
            policy.soak_ms = soak * 2_000;
            policy.stragglers.deadline_ms = deadline_ms;
            policy.stragglers.then = then;
            policy
        },
    )
}

fn generation() -> impl Strategy<Value = Generation> {
    (1_u32..5).prop_map(Generation)
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![4 => Just(Place::only()), 1 => Just(id("b"))]
}

fn replica() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["one", "two", "three"][..])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let class = prop::sample::select(FailureClass::ALL).prop_map(fault);
    prop_oneof![
        Just(Outcome::Created(minted(2, Some("k2")))),
        Just(Outcome::Created(minted(3, None))),
        Just(Outcome::Done(vec![("id".to_owned(), "c9".to_owned())])),
        Just(Outcome::Works),
        Just(Outcome::Refused("no".to_owned())),
        (0_u64..3_000_000).prop_map(|at| Outcome::Observed {
            began_at: Millis(at),
            live: vec![live("k1", Millis(at)), live("k7", Millis(at))],
        }),
        class,
    ]
}

fn intent() -> impl Strategy<Value = Event> {
    let orphan = prop::option::weighted(0.1, Just(id("k7")));
    (1_u32..9, prop::sample::select(CallKind::ALL), generation(), place(), orphan).prop_map(
        |(call, kind, generation, place, id)| Event::Intended {
            call: CallId(call),
            kind,
            generation,
            operation: OperationId::of(&crate::common::id("r1"), kind.name(), generation, &place, None),
            place,
            attempt: 1,
            baseline: Vec::new(),
            step: Step::Create,
            id,
            resumes: Vec::new(),
        },
    )
}

fn calls() -> impl Strategy<Value = Event> {
    let call = || (1_u32..9).prop_map(CallId);
    let request = Digest([7; 32]);
    let answer = prop::sample::select(&[HostAnswer::Answered, HostAnswer::NotDone, HostAnswer::Lost][..]);
    prop_oneof![
        3 => intent(),
        2 => (call(), outcome()).prop_map(|(call, outcome)| Event::Ended { call, outcome }),
        1 => call().prop_map(|call| Event::Interrupted { call }),
        1 => (call(), 0_u32..2, 0_u64..2_000_000).prop_map(move |(call, ordinal, at)| {
            Event::Sent { call, ordinal: Ordinal(ordinal), request, deadline: Millis(at) }
        }),
        1 => (call(), 0_u32..2, answer).prop_map(move |(call, ordinal, answer)| {
            Event::Answered { call, ordinal: Ordinal(ordinal), request, answer }
        }),
    ]
}

fn retirements() -> impl Strategy<Value = Event> {
    let cause = prop::sample::select(RetireCause::ALL);
    let orphan = || prop::option::weighted(0.2, Just(id("k7")));
    prop_oneof![
        (generation(), place(), cause, orphan()).prop_map(|(generation, place, cause, id)| Event::RetirementOpened {
            generation,
            place,
            cause,
            id
        }),
        (generation(), place(), orphan(), any::<bool>()).prop_map(|(generation, place, id, superseded)| {
            Event::RetirementClosed { generation, place, id, superseded }
        }),
        generation().prop_map(|generation| Event::Erased { generation }),
        place().prop_map(|place| Event::ForeignSeen { place, id: id("k7") }),
    ]
}

fn course() -> impl Strategy<Value = Event> {
    let reason = || "drawn".to_owned();
    prop_oneof![
        Just(Event::Staged),
        Just(Event::Committed),
        Just(Event::Draining),
        Just(Event::Reverted),
        Just(Event::Ticked),
        Just(Event::ClockResumed),
        prop::sample::select(vec![-7_200_000_i64, -1, 0, 900, 86_400_000])
            .prop_map(|by_ms| Event::ClockStepped { by_ms }),
        (0_u32..3).prop_map(|wave| Event::WaveOpened { wave }),
        Just(Event::RollingBack { reason: reason(), author: None }),
        Just(Event::Reverting { reason: reason(), author: None }),
        prop::sample::select(Ending::ALL).prop_map(move |ending| Event::Finished { ending, reason: reason() }),
        prop::sample::select(HoldReason::ALL).prop_map(|reason| Event::Held { reason, detail: String::new() }),
        Just(Event::Released { author: author() }),
        (1_u32..4, any::<bool>()).prop_map(|(epoch, strict)| Event::Restored { epoch: Epoch(epoch), strict }),
        (1_u32..4).prop_map(|epoch| Event::Begun { epoch: Epoch(epoch) }),
        generation().prop_map(move |next| Event::Lost { reason: "drawn".to_owned(), author: author(), next }),
        generation().prop_map(|next| Event::Reconciled { author: author(), next }),
        prop::collection::vec(place(), 0..3).prop_map(|places| Event::PlacesChanged { places, author: author() }),
        Just(Event::Supplied { generation: Generation(1), minted: minted(1, None), author: author() }),
    ]
}

fn starts() -> impl Strategy<Value = Command> {
    (prop::sample::select(PlanKind::ALL), profiles(), policies(), 0_u8..9).prop_map(|(kind, profile, policy, n)| {
        let rotation = id(&format!("r{n}"));
        let pins = pins(profile, policy);
        if kind == PlanKind::Adopt {
            return Command::Import { rotation, minted: minted(1, None), slot: None, author: author(), pins };
        }
        Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins }
    })
}

fn people() -> impl Strategy<Value = Command> {
    let reason = || "drawn".to_owned();
    prop_oneof![
        3 => starts(),
        1 => Just(Command::Rollback { reason: reason(), author: author() }),
        1 => Just(Command::Revert { reason: reason(), author: author() }),
        1 => Just(Command::Abandon { reason: reason(), author: author() }),
        1 => Just(Command::Release { author: author() }),
        1 => Just(Command::Freeze { author: author() }),
        2 => Just(Command::Thaw { author: author() }),
        1 => generation().prop_map(move |generation| {
            Command::Override { generation, reason: reason(), author: author() }
        }),
        1 => (generation(), any::<bool>()).prop_map(|(generation, disable_first)| {
            Command::Compromise { generation, disable_first, author: author() }
        }),
        1 => policies().prop_map(|policy| Command::Repolicy { policy: Box::new(policy), author: author() }),
        1 => (1_u32..9).prop_map(|next| Command::Reconcile { author: author(), next: Generation(next) }),
        1 => (1_u32..4).prop_map(|epoch| Command::Restore { epoch: Epoch(epoch) }),
        1 => (1_u32..9).prop_map(move |next| {
            Command::AcceptLost { reason: reason(), author: author(), next: Generation(next) }
        }),
        1 => Just(Command::RemoveConsumer { consumer: id("api"), author: author() }),
    ]
}

fn replicas() -> impl Strategy<Value = Command> {
    let life = || prop::sample::select(&["life-1", "life-1", "life-2"][..]);
    let kind = prop::sample::select(EvidenceKind::ALL);
    prop_oneof![
        (replica(), life(), generation()).prop_map(|(replica, life, generation)| Command::Fetch {
            consumer: id("api"),
            replica: id(replica),
            incarnation: id(life),
            generation,
        }),
        (replica(), life(), generation(), prop::sample::select(Purpose::ALL), kind).prop_map(
            |(replica, life, generation, purpose, kind)| {
                let mut word = evidence("api", replica, purpose, generation.0, kind);
                word.incarnation = id(life);
                Command::State(word)
            }
        ),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => any::<u8>().prop_map(Move::Decide),
        2 => people().prop_map(Move::Command),
        3 => replicas().prop_map(Move::Command),
        1 => course().prop_map(Move::Event),
        1 => calls().prop_map(Move::Event),
        1 => retirements().prop_map(Move::Event),
        1 => (0_u64..5_000).prop_map(Move::Pass),
        1 => Just(Move::Settle),
    ]
}

/// Records an event, and checks what has to hold of any event.
fn check(secret: &mut Secret, journal: &mut Vec<(Millis, Event)>, now: Millis, event: &Event) -> bool {
    let before = secret.clone();
    match secret.record(now, event) {
        Ok(()) => {
            assert_eq!(secret.seq().0, before.seq().0 + 1, "an accepted event counts");
            journal.push((now, event.clone()));
            true
        }
        Err(illegal) => {
            assert_eq!(*secret, before, "a refused event changes nothing: {illegal}");
            false
        }
    }
}

fn carry_out(sim: &mut Sim, journal: &mut Vec<(Millis, Event)>, drawn: u8) {
    match decide(&sim.secret, sim.now) {
        Action::Record(events) => {
            for event in events {
                assert!(check(&mut sim.secret, journal, sim.now, &event), "decided and illegal: {event:?}");
            }
        }
        Action::Call(call) => {
            assert!(check(&mut sim.secret, journal, sim.now, &call.intent()), "decided and illegal: {call:?}");
            let outcome = match drawn {
                0..200 => sim.answer(&call),
                200..225 => fault(FailureClass::Retryable),
                225..240 => fault(FailureClass::Ambiguous),
                240..248 => fault(FailureClass::Permanent),
                _ => return,
            };
            assert!(check(&mut sim.secret, journal, sim.now, &Event::Ended { call: call.call, outcome }));
        }
        Action::Wait { until, .. } => sim.now = until.unwrap_or(sim.now).max(sim.now),
        Action::Idle => {}
    }
}

fn play(profile: Profile, policy: Policy, moves: Vec<Move>) {
    let mut sim = Sim::rotating(profile, policy);
    let mut journal = sim.journal.clone();
    for step in moves {
        match step {
            Move::Event(event) => drop(check(&mut sim.secret, &mut journal, sim.now, &event)),
            Move::Command(command) => {
                let Ok(events) = admit(&sim.secret, &command, sim.now) else { continue };
                for event in events {
                    assert!(check(&mut sim.secret, &mut journal, sim.now, &event), "admitted and illegal: {event:?}");
                }
            }
            Move::Decide(drawn) => carry_out(&mut sim, &mut journal, drawn),
            Move::Pass(ms) => sim.now = sim.now.plus(ms),
            Move::Settle => {
                let Some(settled) = sim.secret.as_settled(sim.now) else { continue };
                let settled = Event::Settled(Box::new(settled));
                assert!(
                    check(&mut sim.secret, &mut journal, sim.now, &settled),
                    "made of this very state, and illegal"
                );
            }
        }
        told_by_one_record(&sim.secret, sim.now).expect("at rest, one record tells everything");
        let shown = status(&sim.secret, sim.now);
        assert_eq!(shown.seq, sim.secret.seq());
        drop(offer(&sim.secret, &id("api"), &id("one"), sim.now));
    }
    let mut replayed = Secret::new(id("prod/app"));
    for (at, event) in &journal {
        replayed.record(*at, event).expect("what was accepted once is accepted again");
    }
    assert_eq!(replayed, sim.secret, "recovery is replay");
    let newest = journal.iter().rposition(|(_, event)| matches!(event, Event::Settled(_)));
    let mut resumed = Secret::resuming(id("prod/app"), Seq(newest.unwrap_or(0) as u64));
    for (at, event) in &journal[newest.unwrap_or(0)..] {
        resumed.replay(*at, event).expect("what was accepted once is accepted again");
    }
    assert_eq!(resumed, sim.secret, "also from the newest record of it at rest on");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_is_survived_and_can_be_replayed(
        profile in profiles(),
        policy in policies(),
        moves in prop::collection::vec(moves(), 1..60),
    ) {
        play(profile, policy, moves);
    }
}
