//! What people may ask of a secret beyond a plain command, and what each is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::harness::{Consumers, Plan, Temper};
use keybaton_engine::views::StatusView;
use keybaton_engine::{Change, Declared, EngineError, Witness, Word};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Digest, Generation, Place};
use keybaton_protocol::policy::{AtDeadline, ConsumerKind, ConsumerPolicy, Policy, Stragglers};
use keybaton_protocol::state::Secret;
use keybaton_protocol::step::{Ending, PlanKind};
use std::sync::Arc;
use std::time::Duration;
use support::bench::{Bench, author, consumer, policy};

const ALTERNATE: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#;

/// A rotation in `stage`, of which web-1 was never heard.
async fn without_web_1(policy: Policy) -> Bench {
    let mut bench = Bench::new(ALTERNATE).await;
    bench.declared.policy = Arc::new(policy);
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    bench.consumers = Consumers::new(bench.secret());
    bench.consumers.add("web".parse().unwrap(), "web-0".parse().unwrap(), Temper::Willing);
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.begin(PlanKind::Rotate).await;
    waits(&mut bench, "for stage: web/web-1").await;
    bench
}

async fn status(bench: &Bench) -> StatusView {
    bench.engine.status(&bench.secret()).await.unwrap()
}

async fn waits(bench: &mut Bench, what: &str) {
    for _ in 0..100 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if status(bench).await.rotation.and_then(|it| it.waiting).as_deref() == Some(what) {
            return;
        }
    }
    panic!("never waited {what}: {:#?}", status(bench).await);
}

fn ending(bench: &Bench) -> Option<Ending> {
    let events = bench.journal.events(&bench.secret());
    events.iter().rev().find_map(|it| match it.event {
        Event::Finished { ending, .. } => Some(ending),
        _ => None,
    })
}

fn code<T: std::fmt::Debug>(answer: Result<T, EngineError>) -> &'static str {
    match answer {
        Err(EngineError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_vanished_is_dropped_and_comes_back_with_the_next_rotation() {
    let mut bench = without_web_1(policy()).await;
    let secret = bench.secret();
    let seen = bench.engine.members(&secret).await.unwrap();
    assert_eq!((seen.len(), seen[0].members.len()), (1, 2));
    let (here, gone) = (&seen[0].members[0], &seen[0].members[1]);
    assert_eq!((here.statements[0].purpose.as_str(), here.statements[0].evidence.as_str()), ("ready", "process"));
    assert_eq!((gone.replica.as_str(), gone.listed, gone.incarnation.is_none()), ("web-1", true, true));

    for (consumer, replica) in [("api", "web-1"), ("web", "web-9")] {
        let who = (consumer.parse().unwrap(), replica.parse().unwrap());
        assert_eq!(code(bench.engine.change_member(&secret, who, Change::Drop, author()).await), "unknown");
    }
    let who = || ("web".parse().unwrap(), "web-1".parse().unwrap());
    bench.engine.change_member(&secret, who(), Change::Drop, author()).await.unwrap();
    bench.rest().await;
    assert_eq!(ending(&bench), Some(Ending::Completed));
    let by = |event: &Event| matches!(event, Event::MembersChanged { author: by, .. } if *by == author());
    assert!(bench.journal.events(&secret).iter().any(|it| by(&it.event)), "who dropped it is on record");

    bench.begin(PlanKind::Rotate).await;
    waits(&mut bench, "for stage: web/web-1").await;
    bench.engine.change_member(&secret, who(), Change::Drop, author()).await.unwrap();
    bench.engine.change_member(&secret, who(), Change::Add, author()).await.unwrap();
    assert_eq!(bench.engine.members(&secret).await.unwrap()[0].members.len(), 2);
}

fn word(replica: Option<&str>, generation: u32, purpose: Purpose) -> Word {
    Word {
        consumer: "web".parse().unwrap(),
        replica: replica.map(|it| it.parse().unwrap()),
        generation: Generation(generation),
        purpose,
        reason: "seen on its console".to_owned(),
        author: author(),
        approver: "grace".parse().unwrap(),
        expires_at: keybaton_protocol::ids::Millis(u64::MAX),
    }
}

#[tokio::test(start_paused = true)]
async fn a_persons_word_counts_only_where_the_declaration_says_so_and_somebody_else_approved_it() {
    let strict = without_web_1(policy()).await;
    let said = word(Some("web-1"), 2, Purpose::Ready);
    assert_eq!(code(strict.engine.attest(&strict.secret(), said).await), "weak", "`holder` is asked for");

    let mut attested = policy();
    attested.consumers[0].ready = EvidenceKind::Attested;
    attested.consumers[0].adopted = EvidenceKind::Attested;
    let mut bench = without_web_1(attested).await;
    let secret = bench.secret();
    let right = || word(Some("web-1"), 2, Purpose::Ready);
    for (what, wrong, expected) in [
        ("approved by oneself", Word { approver: author(), ..right() }, "weak"),
        ("expired", Word { expires_at: keybaton_protocol::ids::Millis(1), ..right() }, "stale"),
        ("without a reason", Word { reason: String::new(), ..right() }, "invalid"),
        ("of nobody in particular", word(None, 2, Purpose::Ready), "invalid"),
        ("of a stranger", word(Some("web-9"), 2, Purpose::Ready), "unknown"),
        ("of what does not exist", word(Some("web-1"), 9, Purpose::Ready), "gone"),
        ("of what is not in question", word(Some("web-1"), 2, Purpose::Adopted), "stale"),
    ] {
        assert_eq!(code(bench.engine.attest(&secret, wrong).await), expected, "{what}");
    }
    assert_eq!(bench.engine.may_attest(&secret, right()).await.unwrap().as_str(), "web-1");
    bench.engine.attest(&secret, right()).await.unwrap();
    waits(&mut bench, "for adopt: web/web-1").await;
    let until = status(&bench).await.seq;
    bench.engine.attest(&secret, word(Some("web-1"), 2, Purpose::Adopted)).await.unwrap();
    assert!(status(&bench).await.seq > until);
    bench.rest().await;
    assert_eq!(ending(&bench), Some(Ending::Completed));
    let seen = bench.engine.members(&secret).await.unwrap();
    let word = seen[0].members[1].statements.iter().find(|it| it.purpose == "adopted").unwrap().word.clone().unwrap();
    assert_eq!((word.author.as_str(), word.approver.as_str()), ("ada", "grace"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_policy_reaches_the_running_rotation_only_when_asked() {
    let mut bench = without_web_1(policy()).await;
    let secret = bench.secret();
    assert_eq!(code(bench.engine.repolicy(&secret, author()).await), "conflict", "nothing differs");
    let hasty = Stragglers { deadline_ms: Some(2_000), then: AtDeadline::Rollback, ..policy().stragglers };
    let changed = Policy { stragglers: hasty, ..policy() };
    bench.declared = Declared { spec: Digest([4; 32]), policy: Arc::new(changed), ..bench.declared.clone() };
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    for _ in 0..20 {
        bench.round().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(status(&bench).await.rotation.is_some(), "it keeps the policy it was started with");
    bench.engine.repolicy(&secret, author()).await.unwrap();
    bench.rest().await;
    assert_eq!(ending(&bench), Some(Ending::RolledBack));
    assert_eq!(code(bench.engine.repolicy(&secret, author()).await), "conflict", "no rotation runs");
}

#[tokio::test(start_paused = true)]
async fn a_running_rotation_goes_on_with_what_is_approved_now_if_that_says_the_same_of_the_target() {
    let bench = without_web_1(policy()).await;
    let (secret, newer) = (bench.secret(), Digest([8; 32]));
    assert_eq!(code(bench.engine.repin(&secret, None, author()).await), "conflict", "it has it already");
    bench.target.approve(newer, true);
    assert_eq!(code(bench.engine.repin(&secret, None, author()).await), "conflict", "it says other things");
    bench.target.approve(newer, false);
    let other = Some(Digest([9; 32]));
    assert_eq!(code(bench.engine.repin(&secret, other, author()).await), "conflict", "another was expected");
    let (pinned, _) = bench.engine.repin(&secret, Some(newer), author()).await.unwrap();
    assert_eq!((pinned, bench.replay().pins().unwrap().component), (newer, newer));
}

#[tokio::test(start_paused = true)]
async fn places_come_and_go_by_name_and_the_last_one_stays() {
    let mut bench = without_web_1(policy()).await;
    let secret = bench.secret();
    let second: Place = "replica-b".parse().unwrap();
    bench.engine.change_place(&secret, second.clone(), Change::Add, author()).await.unwrap();
    let works = |places: &[keybaton_engine::views::PlaceView]| {
        places.iter().all(|place| place.generations.iter().any(|it| it.verified == "works" && it.state == "live"))
    };
    for _ in 0..50 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if works(&bench.engine.places(&secret).await.unwrap()) {
            break;
        }
    }
    let places = bench.engine.places(&secret).await.unwrap();
    assert!(places.len() == 2 && works(&places), "the new place is brought level: {places:#?}");
    assert_eq!(code(bench.engine.change_place(&secret, "x".parse().unwrap(), Change::Drop, author()).await), "unknown");
    bench.engine.change_place(&secret, second, Change::Drop, author()).await.unwrap();
    let left = bench.engine.places(&secret).await.unwrap();
    assert!(left.iter().any(|place| place.place == "replica-b" && !place.present), "what is left there is still named");
    let last = bench.engine.change_place(&secret, Place::only(), Change::Drop, author()).await;
    assert_eq!(code(last), "conflict", "a target without a place is none");
}

#[tokio::test(start_paused = true)]
async fn places_changed_by_hand_outlive_the_host_and_the_rotation() {
    let mut bench = Bench::new(ALTERNATE).await;
    let secret = bench.secret();
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    let second: Place = "replica-b".parse().unwrap();
    bench.engine.change_place(&secret, second.clone(), Change::Add, author()).await.unwrap();
    bench.engine.change_place(&secret, Place::only(), Change::Drop, author()).await.unwrap();
    let present = async |bench: &Bench| {
        let places = bench.engine.places(&bench.secret()).await.unwrap();
        places.into_iter().filter(|place| place.present).map(|place| place.place).collect::<Vec<_>>()
    };
    bench.reincarnate(Plan::default()).await;
    assert_eq!(present(&bench).await, ["replica-b"], "another host knows it");
    bench.begin(PlanKind::Rotate).await;
    for _ in 0..100 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(bench.replay().rotation().is_none(), "no rotation waits for a place that is away");
    assert_eq!(present(&bench).await, ["replica-b"], "the declaration's own place is not taken back by a rotation");
    let current = bench.replay().current().unwrap();
    assert_eq!(bench.replay().generation(current).unwrap().liveness(&second), Liveness::Live);
    assert_eq!(bench.replay().generation(current).unwrap().liveness(&Place::only()), Liveness::Absent);
    bench.engine.change_place(&secret, Place::only(), Change::Add, author()).await.unwrap();
    bench.reincarnate(Plan::default()).await;
    bench.rest().await;
    assert_eq!(bench.replay().generation(current).unwrap().liveness(&Place::only()), Liveness::Live, "it is level");
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    assert_eq!(present(&bench).await, ["-", "replica-b"], "until a person takes it back");
}

/// What is told beforehand, and what then follows.
async fn foreseen(mut bench: Bench, generation: u32, disable_first: bool, told: &str, follows: fn(&Event) -> bool) {
    let (secret, generation) = (bench.secret(), Generation(generation));
    let before: Secret = bench.replay();
    let seen = bench.engine.foresee_compromise(&secret, generation, disable_first).await.unwrap();
    assert!(seen.follows.iter().any(|line| line.contains(told)), "`{told}` is not among {:#?}", seen.follows);
    assert_eq!(bench.replay().seq(), before.seq(), "looking changes nothing");
    let command = Command::Compromise { generation, disable_first, author: author() };
    bench.engine.command(&secret, command).await.unwrap();
    for _ in 0..30 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if bench.journal.events(&secret).iter().skip(before.seq().0 as usize).any(|it| follows(&it.event)) {
            return;
        }
    }
    panic!("it was told that {told}: {:#?}", bench.journal.events(&secret).last());
}

#[tokio::test(start_paused = true)]
async fn what_a_compromise_breaks_is_told_beforehand_and_is_what_happens() {
    let staged = || without_web_1(policy());
    foreseen(staged().await, 2, false, "rolled back", |it| matches!(it, Event::RollingBack { .. })).await;
    foreseen(staged().await, 1, true, "generation 1 is ended without", |it| {
        matches!(it, Event::RetirementOpened { generation: Generation(1), .. })
    })
    .await;
    let mut bench = Bench::new(ALTERNATE).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    let seen = bench.engine.foresee_compromise(&bench.secret(), Generation(1), false).await.unwrap();
    assert_eq!(
        (seen.role.as_str(), seen.holders, seen.cut_off),
        ("current", vec!["web/web-0".to_owned(), "web/web-1".to_owned()], false)
    );
    assert_eq!(seen.places, ["-"]);
    let seen = bench.engine.foresee_compromise(&bench.secret(), Generation(1), true).await.unwrap();
    assert!(seen.cut_off, "{seen:#?}");
    let unknown = bench.engine.foresee_compromise(&bench.secret(), Generation(7), true).await;
    assert_eq!(code(unknown), "gone");
    foreseen(bench, 1, false, "a rotation to a new credential starts at once", |it| {
        matches!(it, Event::Started { .. })
    })
    .await;
}

/// A rotation was left after its commit, and generation 1 waits for web-1, which never says that it uses 2.
async fn left_with_web_1() -> Bench {
    let mut bench = Bench::new(ALTERNATE).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.consumers.temper(1, Temper::Clings(Generation(2)));
    bench.begin(PlanKind::Rotate).await;
    waits(&mut bench, "for adopt: web/web-1").await;
    let abandon = Command::Abandon { reason: "drill".to_owned(), author: author() };
    bench.engine.command(&bench.secret(), abandon).await.unwrap();
    for _ in 0..20 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ending = status(&bench).await.retirements;
    assert_eq!((ending[0].generation, ending[0].missing.clone()), (1, vec!["web/web-1".to_owned()]));
    bench
}

#[tokio::test(start_paused = true)]
async fn a_changed_declaration_holds_for_what_is_still_ending() {
    let mut bench = left_with_web_1().await;
    let mut shorter = policy();
    shorter.consumers[0].members = keybaton_protocol::policy::Members::Listed(vec!["web-0".parse().unwrap()]);
    bench.declared.policy = Arc::new(shorter);
    bench.declared.spec = Digest([4; 32]);
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    bench.rest().await;
    assert!(bench.replay().generation(Generation(1)).is_none(), "who was struck from the list is not waited for");

    let mut bench = left_with_web_1().await;
    let mut tighter = policy();
    tighter.consumers[0].members = keybaton_protocol::policy::Members::Listed(vec!["web-0".parse().unwrap()]);
    tighter.consumers[0].adopted = EvidenceKind::Target;
    bench.declared.policy = Arc::new(tighter);
    bench.declared.spec = Digest([4; 32]);
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    for _ in 0..20 {
        bench.round().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(&bench).await.retirements[0].missing, ["web/web-0"], "its own word is no longer enough");
    let by = |event: &Event| matches!(event, Event::ConsumerChanged { author: by, .. } if *by == author());
    assert!(bench.journal.events(&bench.secret()).iter().any(|it| by(&it.event)), "who changed it is on record");
}

#[tokio::test(start_paused = true)]
async fn what_the_host_sees_of_a_consumer_that_cannot_answer_counts_and_what_it_cannot_see_is_refused() {
    let mut watched = policy();
    watched.consumers = vec![ConsumerPolicy { kind: ConsumerKind::Endpoint, ..consumer("web", &["web-0"]) }];
    let mut bench = Bench::new(ALTERNATE).await;
    bench.declared.policy = Arc::new(watched);
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    bench.consumers = Consumers::new(bench.secret());
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.begin(PlanKind::Rotate).await;
    waits(&mut bench, "for adopt: web/web-0").await;
    let seen = |kind| Witness {
        consumer: "web".parse().unwrap(),
        replica: "web-0".parse().unwrap(),
        generation: Generation(2),
        purpose: Purpose::Adopted,
        kind,
        reason: String::new(),
    };
    let refused = bench.engine.witness(&bench.secret(), seen(EvidenceKind::Holder)).await.unwrap_err();
    assert!(refused.to_string().contains("cannot show `holder`"), "{refused}");
    bench.engine.witness(&bench.secret(), seen(EvidenceKind::Process)).await.unwrap();
    bench.rest().await;
    assert_eq!(ending(&bench), Some(Ending::Completed));
}

#[tokio::test(start_paused = true)]
async fn what_a_witness_says_is_on_record_without_the_secret() {
    let mut watched = policy();
    watched.consumers = vec![ConsumerPolicy { kind: ConsumerKind::Endpoint, ..consumer("web", &["web-0"]) }];
    let mut bench = Bench::new(ALTERNATE).await;
    bench.declared.policy = Arc::new(watched);
    bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
    bench.consumers = Consumers::new(bench.secret());
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.begin(PlanKind::Rotate).await;
    waits(&mut bench, "for adopt: web/web-0").await;
    let printable = bench.journal.values().into_iter().filter_map(|value| String::from_utf8(value).ok());
    let values: Vec<String> = printable.collect();
    assert!(!values.is_empty());
    let seen = Witness {
        consumer: "web".parse().unwrap(),
        replica: "web-0".parse().unwrap(),
        generation: Generation(2),
        purpose: Purpose::Failed,
        kind: EvidenceKind::Process,
        reason: format!("served {} and broke", values.join(" ")),
    };
    bench.engine.witness(&bench.secret(), seen).await.unwrap();
    let journal = format!("{:?}", bench.journal.events(&bench.secret()));
    assert!(journal.contains("withheld"), "{journal}");
    assert!(!values.iter().any(|value| journal.contains(value)), "{journal}");
}
