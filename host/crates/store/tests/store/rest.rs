//! Samples of a secret at rest, with every shape that its record can take.

use crate::samples::{consumer, live, minted, pins, text};
use keybaton_protocol::calls::{CallState, Effort, Observation, OpenCall, Touched, Tries};
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{Attestation, EvidenceKind};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::generation::{Credential, Exposure, Liveness, Standing, Verified, Word};
use keybaton_protocol::ids::{CallId, Digest, Epoch, Generation, Millis, Ordinal, Place, Steady};
use keybaton_protocol::membership::{ReplicaState, Statement};
use keybaton_protocol::policy::{ConsumerRole, Members};
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::settled::{Settled, Trail};
use keybaton_protocol::step::{CallKind, Ending, Phase, PlanKind, Step};
use std::sync::Arc;

/// One of which everything is known, and one of which hardly anything is.
pub(crate) fn events() -> Vec<Event> {
    [full(), bare()].map(|it| Event::Settled(Box::new(it))).into()
}

fn bare() -> Settled {
    Settled {
        clock: Millis(1),
        steady: Steady(0),
        measured: false,
        epoch: Epoch(0),
        next: Generation(1),
        next_call: CallId(1),
        current: None,
        pins: None,
        last_rotation: None,
        mints: [].into(),
        last_mutation: [].into(),
        efforts: [].into(),
        observations: [].into(),
        unlisted: [].into(),
        slots: [].into(),
        foreign: [].into(),
        strangers: [].into(),
        consumers: [].into(),
        replicas: [].into(),
        frozen: None,
        doubtful_slots: [].into(),
        setbacks: 0,
        managed: true,
        places_by_hand: [].into(),
        finished: None,
        trail: Trail::default(),
    }
}

/// The same policy as the rotation's, in the same or in another place of memory, and an older one.
fn full() -> Settled {
    let (newest, older) = (Arc::from(pins(Overlap::Native(2))), Arc::from(pins(Overlap::Replace)));
    let again = Arc::from(pins(Overlap::Native(2)));
    let seen = |pins| Observation { call: CallId(40), began_at: Millis(70), live: vec![live("AKIA1", true)], pins };
    let effort = |orphan: Option<&str>| Effort {
        kind: CallKind::Verify,
        generation: Generation(7),
        place: Place::only(),
        orphan: orphan.map(text),
    };
    Settled {
        clock: Millis(90),
        steady: Steady(80),
        measured: true,
        epoch: Epoch(1),
        next: Generation(8),
        next_call: CallId(44),
        current: Some(current(older)),
        pins: Some(Arc::clone(&newest)),
        last_rotation: Some(text("0198f0a1-0000-7000-8000-000000000001")),
        mints: [(CallId(12), mint(Arc::clone(&newest)))].into(),
        last_mutation: [(Place::only(), CallId(41))].into(),
        efforts: [(effort(None), tries()), (effort(Some("AKIAORPHAN")), tries())].into(),
        observations: [(Place::only(), seen(newest)), (text("replica-1"), seen(again))].into(),
        unlisted: [(Place::only(), [Generation(7)].into())].into(),
        slots: [((Place::only(), None), Generation(7)), ((Place::only(), Some(text("app_a"))), Generation(7))].into(),
        foreign: [(Place::only(), text("AKIAFOREIGN"))].into(),
        strangers: [(text("replica-1"), text("AKIANEW"))].into(),
        consumers: [(text("billing"), consumer(Members::Count(3), ConsumerRole::Verifies))].into(),
        replicas: [((text("billing"), text("pod-1")), spoken()), ((text("billing"), text("pod-2")), silent())].into(),
        frozen: Some(text("ada")),
        doubtful_slots: [(Place::only(), text("app_b"))].into(),
        setbacks: 2,
        managed: false,
        places_by_hand: [(text("replica-1"), true), (text("replica-2"), false)].into(),
        finished: Some((Millis(88), Ending::Reverted, "a cry".to_owned())),
        trail: Trail {
            rotated_at: Some(Millis(60)),
            expires_at: Some(Millis(1_000)),
            not_before: Some(Millis(99)),
            failures: 1,
            closed: true,
            kind: Some(PlanKind::Retire),
            spec: Some(Digest([1; 32])),
        },
    }
}

fn standing(verified: Verified) -> Standing {
    Standing {
        liveness: Liveness::Live,
        id: Some(text("AKIA1")),
        installed: true,
        changed_at: Millis(50),
        changed_by: CallId(41),
        verified,
        seen_at: Millis(51),
        promoted: true,
        destroying: false,
    }
}

fn current(pins: Arc<keybaton_protocol::event::Pins>) -> Credential {
    let refused = Verified::Refused { at: Millis(52), reason: "password authentication failed".to_owned() };
    Credential {
        number: Generation(7),
        slot: Some(text("app_a")),
        minted: Some(minted()),
        imported: false,
        epoch: Epoch(1),
        pins,
        places: [
            (Place::only(), standing(Verified::Works)),
            (text("replica-1"), standing(refused)),
            (text("replica-2"), Standing { liveness: Liveness::Gone, ..Standing::default() }),
        ]
        .into(),
        compromised: Some(Exposure { at_once: true }),
        overridden: Some(Word::Untried),
        recalls: 1,
        doubtful: true,
    }
}

fn mint(pins: Arc<keybaton_protocol::event::Pins>) -> OpenCall {
    let (before, after) = (Standing::default(), standing(Verified::Untried));
    OpenCall {
        kind: CallKind::Create,
        step: Step::Create,
        generation: Generation(6),
        place: Place::only(),
        orphan: None,
        attempt: 2,
        operation: text("rotation/create/6/-"),
        baseline: vec![text("AKIAOLD")],
        intended_at: Millis(30),
        intended: Steady(29),
        epoch: Epoch(0),
        rotation: text("0198f0a1-0000-7000-8000-000000000000"),
        phase: Some(Phase::Prepare),
        pins,
        resumes: vec![CallId(11)],
        state: CallState::Closed,
        sents: [(Ordinal(0), Millis(35))].into(),
        acted: true,
        touched: vec![Touched { generation: Generation(6), before, after }],
        slot_before: Some((Some(text("app_b")), None)),
        stepped: true,
    }
}

fn tries() -> Tries {
    let fault = Fault {
        class: FailureClass::Retryable,
        blame: Blame::Target,
        code: "sql.unreachable".to_owned(),
        message: "the server does not answer".to_owned(),
        retry_after_ms: None,
    };
    Tries { count: 3, not_before: Millis(95), fault, exhausted: true }
}

fn spoken() -> ReplicaState {
    let word = Attestation { author: text("ada"), approver: text("grace"), expires_at: Millis(99) };
    let said = |kind: EvidenceKind| Statement {
        kind,
        at: Millis(61),
        reason: String::new(),
        attested: (kind == EvidenceKind::Attested).then(|| word.clone()),
    };
    ReplicaState {
        incarnation: text("life-2"),
        past: vec![text("life-1")],
        heard: Steady(77),
        twice: Some(Steady(76)),
        left: true,
        fetched: [(Generation(7), Steady(75))].into(),
        inherited: [Generation(7)].into(),
        cried: [Generation(7)].into(),
        ready: [(Generation(7), said(EvidenceKind::Holder))].into(),
        failed: [(Generation(7), said(EvidenceKind::Process))].into(),
        adopted: Some((Generation(7), said(EvidenceKind::Target))),
        released: [(Generation(7), said(EvidenceKind::Store))].into(),
        dropped: [(Generation(7), said(EvidenceKind::Attested))].into(),
    }
}

fn silent() -> ReplicaState {
    ReplicaState {
        incarnation: text("life-1"),
        past: Vec::new(),
        heard: Steady(0),
        twice: None,
        left: false,
        fetched: [].into(),
        inherited: [].into(),
        cried: [].into(),
        ready: [].into(),
        failed: [].into(),
        adopted: None,
        released: [].into(),
        dropped: [].into(),
    }
}
