//! One or more events of every kind, with every shape that a record can take.

use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Live, Minted, Outcome, Pins, RetireCause};
use keybaton_protocol::evidence::{Attestation, Evidence, EvidenceKind, Purpose};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{CallId, Digest, Epoch, Generation, Millis, Ordinal, Place};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, WaveSize,
    Waves,
};
use keybaton_protocol::profile::{Minter, Overlap, Profile, UsageSignal};
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};
use std::str::FromStr;

pub(crate) fn text<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` follows the grammar"))
}

pub(crate) fn consumer(members: Members, role: ConsumerRole) -> ConsumerPolicy {
    ConsumerPolicy {
        name: text("billing"),
        kind: ConsumerKind::Client,
        role,
        required: role == ConsumerRole::Uses,
        members,
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: Some(86_400_000),
    }
}

pub(crate) fn policy() -> Policy {
    Policy {
        consumers: vec![
            consumer(Members::Listed(vec![text("pod-1"), text("pod-2")]), ConsumerRole::Uses),
            consumer(Members::Count(3), ConsumerRole::Verifies),
        ],
        stragglers: Stragglers {
            quorum: Quorum::Percent(80),
            deadline_ms: Some(600_000),
            then: AtDeadline::Rollback,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves {
            sizes: vec![WaveSize::Count(1), WaveSize::Percent(25), WaveSize::Rest],
            max_unavailable: 2,
            soak_ms: 30_000,
        },
        overlap_min_ms: 1_000,
        quiet_ms: 0,
        soak_ms: 60_000,
        staged_lease_ms: 300_000,
        attempts: Attempts { cap: 5, base_ms: 1_000, max_ms: 60_000 },
        call_timeout_ms: 30_000,
        accept_gap: false,
    }
}

pub(crate) fn pins(overlap: Overlap) -> Box<Pins> {
    let mut policy = policy();
    if overlap == Overlap::Replace {
        policy.stragglers.quorum = Quorum::All;
    }
    Box::new(Pins {
        spec: Digest([1; 32]),
        plugin: text("postgres-password"),
        component: Digest([2; 32]),
        profile: Profile {
            overlap,
            minter: Minter::Host,
            replaces: false,
            soft_disable: true,
            reinstall: true,
            promotes: false,
            usage: Some(UsageSignal { lag_ms: 1_000, resolution_ms: 10 }),
            settle_ms: 500,
        },
        policy,
        settings: r#"{"roles":["app_a","app_b"]}"#.to_owned(),
        target: "postgres/main".to_owned(),
        places: vec![Place::only(), text("replica-1")],
    })
}

fn started(overlap: Overlap, slot: Option<&str>, plan: Option<Vec<Step>>) -> Event {
    Event::Started {
        rotation: text("0198f0a1-0000-7000-8000-000000000001"),
        kind: PlanKind::Rotate,
        generation: Generation(7),
        slot: slot.map(text),
        cause: "every".to_owned(),
        author: text("keybaton"),
        pins: pins(overlap),
        plan,
    }
}

pub(crate) fn minted() -> Minted {
    Minted {
        id: Some(text("AKIAEXAMPLE")),
        attributes: vec![("user".to_owned(), "app_a".to_owned())],
        facts: vec![("region".to_owned(), "eu-central-1 \u{2713}".to_owned())],
        fields: vec![("password".to_owned(), text("call-3/0"))],
    }
}

pub(crate) fn ended(outcome: Outcome) -> Event {
    Event::Ended { call: CallId(3), outcome }
}

pub(crate) fn live(id: &str, known: bool) -> Live {
    let at = |at| known.then_some(Millis(at));
    Live {
        id: text(id),
        slot: known.then(|| text("app_a")),
        active: known,
        created_at: at(1),
        expires_at: at(2),
        last_used_at: at(3),
        live_uses: known.then_some(4),
    }
}

fn stated(purpose: Purpose, kind: EvidenceKind, attested: Option<Attestation>) -> Event {
    Event::Stated(Evidence {
        consumer: text("billing"),
        replica: text("pod-1"),
        incarnation: text("life-1"),
        generation: Generation(7),
        purpose,
        kind,
        reason: if purpose == Purpose::Failed { "refused: \"28P01\"".to_owned() } else { String::new() },
        attested,
        witnessed: false,
    })
}

/// All samples.
pub(crate) fn events() -> Vec<Event> {
    let mut all = starting();
    all.extend(calling());
    all.extend(consuming());
    all.extend(ending());
    all.extend(crate::rest::events());
    all
}

fn starting() -> Vec<Event> {
    let author = || text("ada");
    vec![
        started(Overlap::Alternate(vec![text("app_a"), text("app_b")]), Some("app_a"), None),
        started(Overlap::Native(2), None, None),
        started(Overlap::Replace, None, None),
        started(Overlap::None, None, None),
        started(Overlap::None, None, Some(vec![Step::Create, Step::Stage, Step::Install])),
        Event::Repolicied { policy: Box::new(policy()), author: author() },
        Event::Repinned { component: Digest([3; 32]), author: author() },
        Event::ConsumerAdded { consumer: Box::new(consumer(Members::Count(1), ConsumerRole::Uses)), author: author() },
        Event::ConsumerChanged {
            consumer: Box::new(consumer(Members::Count(2), ConsumerRole::Uses)),
            author: author(),
        },
        Event::ConsumerRemoved { consumer: text("billing"), author: author() },
        Event::PlacesChanged { places: vec![text("host-1"), text("host-2")], author: author() },
        Event::PlaceScrapped { place: text("replica-1"), author: text("ada") },
        Event::MembersChanged { consumer: text("billing"), members: Members::Count(4), author: author() },
        Event::MembersChanged {
            consumer: text("billing"),
            members: Members::Listed(vec![text("pod-3")]),
            author: author(),
        },
        Event::MemberMarked { consumer: text("billing"), replica: text("pod-3"), gone: true, author: author() },
        Event::SeenTwice { consumer: text("billing"), replica: text("pod-3"), incarnation: text("life-1") },
    ]
}

fn calling() -> Vec<Event> {
    let answered = |answer| Event::Answered { call: CallId(3), ordinal: Ordinal(0), request: Digest([4; 32]), answer };
    let fault = Fault {
        class: FailureClass::Ambiguous,
        blame: Blame::Target,
        code: "http.no-answer".to_owned(),
        message: "the request left and no answer came".to_owned(),
        retry_after_ms: Some(5_000),
    };
    vec![
        Event::Intended {
            call: CallId(3),
            kind: CallKind::Create,
            generation: Generation(7),
            place: Place::only(),
            attempt: 2,
            operation: text("rotation/create/7/-"),
            baseline: vec![text("AKIAOLD")],
            step: Step::Create,
            id: None,
            resumes: vec![CallId(2), CallId(1)],
        },
        Event::Interrupted { call: CallId(3) },
        Event::Sent { call: CallId(3), ordinal: Ordinal(0), request: Digest([4; 32]), deadline: Millis(9) },
        answered(HostAnswer::Answered),
        answered(HostAnswer::NotDone),
        answered(HostAnswer::Lost),
        ended(Outcome::Created(minted())),
        ended(Outcome::Done(vec![("id".to_owned(), "42".to_owned())])),
        ended(Outcome::Works),
        ended(Outcome::Refused("password authentication failed".to_owned())),
        ended(Outcome::Observed { began_at: Millis(8), live: vec![live("AKIA1", true), live("AKIA2", false)] }),
        ended(Outcome::Failed(fault)),
        Event::Supplied { generation: Generation(1), minted: minted(), author: text("ada") },
    ]
}

fn consuming() -> Vec<Event> {
    let word = Attestation { author: text("ada"), approver: text("grace"), expires_at: Millis(99) };
    vec![
        Event::Staged,
        Event::Fetched {
            consumer: text("billing"),
            replica: text("pod-1"),
            incarnation: text("life-1"),
            generation: Generation(7),
        },
        stated(Purpose::Ready, EvidenceKind::Holder, None),
        stated(Purpose::Failed, EvidenceKind::Process, None),
        stated(Purpose::Adopted, EvidenceKind::Attested, Some(word)),
        Event::Committed,
        Event::WaveOpened { wave: 1 },
        Event::Draining,
    ]
}

fn ending() -> Vec<Event> {
    let author = || text("ada");
    let reason = || "the billing team asked for it".to_owned();
    let mut all = vec![
        Event::RollingBack { reason: reason(), author: Some(author()) },
        Event::RollingBack { reason: reason(), author: None },
        Event::Reverting { reason: reason(), author: Some(author()) },
        Event::Reverted,
        Event::RetirementClosed { generation: Generation(6), place: Place::only(), id: None, superseded: true },
        Event::Erased { generation: Generation(6) },
        Event::ForeignSeen { place: Place::only(), id: text("AKIAFOREIGN") },
        Event::Released { author: author() },
        Event::Overridden { generation: Generation(6), reason: reason(), author: author() },
        Event::Compromised { generation: Generation(6), disable_first: true, author: author() },
        Event::Frozen { author: author() },
        Event::Thawed { author: author() },
        Event::Ticked,
        Event::ClockStepped { by_ms: 3_600_000 },
        Event::ClockStepped { by_ms: -3_600_000 },
        Event::ClockResumed,
        Event::Begun { epoch: Epoch(2) },
        Event::Restored { epoch: Epoch(2), strict: false },
        Event::Restored { epoch: Epoch(3), strict: true },
        Event::Reconciled { author: author(), next: Generation(12) },
        Event::Lost { reason: reason(), author: author(), next: Generation(12) },
        Event::Unmanaged { author: author() },
    ];
    all.extend(RetireCause::ALL.iter().map(|cause| Event::RetirementOpened {
        generation: Generation(6),
        place: Place::only(),
        cause: *cause,
        id: (*cause == RetireCause::Orphan).then(|| text("AKIAORPHAN")),
    }));
    all.extend(
        HoldReason::ALL.iter().map(|held| Event::Held { reason: *held, detail: "waiting for pod-2".to_owned() }),
    );
    all.extend(Ending::ALL.iter().map(|ending| Event::Finished { ending: *ending, reason: String::new() }));
    all
}
