//! Consumers that are right, and consumers that lie: what is given out, what is believed, and what each lie is told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::harness::{Temper, acknowledgement};
use keybaton_engine::proof::ProofError;
use keybaton_engine::requests::{Acknowledgement, Challenge, Delivery, Fetch};
use keybaton_engine::{EngineError, Options};
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{Generation, RotationId};
use keybaton_protocol::step::{Ending, PlanKind};
use std::time::Duration;
use support::bench::Bench;

const ALTERNATE: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#;

/// A rotation that waits in `stage` for two replicas of `web`.
async fn staged() -> Bench {
    let mut bench = Bench::new(ALTERNATE).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.begin(PlanKind::Rotate).await;
    for _ in 0..50 {
        if fetch(&bench, "web", "web-0", "i1").await.unwrap().asks.iter().any(|ask| ask.purpose == Purpose::Ready) {
            return bench;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never staged");
}

async fn fetch(bench: &Bench, consumer: &str, replica: &str, life: &str) -> Result<Delivery, EngineError> {
    bench
        .engine
        .fetch(Fetch {
            secret: bench.secret(),
            consumer: consumer.parse().unwrap(),
            replica: replica.parse().unwrap(),
            incarnation: life.parse().unwrap(),
        })
        .await
}

fn challenge(bench: &Bench, rotation: &RotationId, generation: u32, purpose: Purpose) -> Challenge {
    Challenge {
        secret: bench.secret(),
        consumer: "web".parse().unwrap(),
        replica: "web-0".parse().unwrap(),
        incarnation: "i1".parse().unwrap(),
        rotation: rotation.clone(),
        generation: Generation(generation),
        purpose,
    }
}

/// What web-0 holds of a generation, and a right statement about it.
async fn right(bench: &Bench, generation: u32, purpose: Purpose) -> Acknowledgement {
    let delivery = fetch(bench, "web", "web-0", "i1").await.unwrap();
    let it = delivery.generations.iter().find(|it| it.generation.0 == generation).unwrap();
    let fields: Vec<_> = it.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let challenge = challenge(bench, &delivery.rotation, generation, purpose);
    acknowledgement(&bench.engine, &fields, it.salt.expose(), challenge, EvidenceKind::Process).await.unwrap()
}

async fn refused(bench: &Bench, said: Acknowledgement) -> ProofError {
    match bench.engine.acknowledge(said).await {
        Err(EngineError::Proof(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn statements(bench: &Bench) -> usize {
    bench.journal.events(&bench.secret()).iter().filter(|it| matches!(it.event, Event::Stated(_))).count()
}

#[tokio::test(start_paused = true)]
async fn a_right_statement_is_journalled_once_and_its_nonce_is_used_up() {
    let bench = staged().await;
    let before = statements(&bench);
    let said = right(&bench, 2, Purpose::Ready).await;
    bench.engine.acknowledge(said.clone()).await.unwrap();
    assert_eq!(statements(&bench), before + 1);
    assert_eq!(refused(&bench, said).await, ProofError::Nonce, "replayed");
    assert_eq!(statements(&bench), before + 1);
}

#[tokio::test(start_paused = true)]
async fn every_lie_is_refused_with_a_reason_of_its_own_and_leaves_no_trace_in_the_journal() {
    type Lie = fn(&mut Acknowledgement);
    let lies: [(&str, Lie, ProofError); 9] = [
        ("a wrong proof", |said| said.proof[0] ^= 1, ProofError::Mismatch),
        ("half a proof", |said| said.proof.truncate(16), ProofError::Mismatch),
        ("a nonce of its own", |said| said.nonce.0[0] ^= 1, ProofError::Nonce),
        ("another purpose", |said| said.challenge.purpose = Purpose::Adopted, ProofError::Purpose),
        ("another generation", |said| said.challenge.generation = Generation(1), ProofError::Generation),
        ("another rotation", |said| said.challenge.rotation = "old".parse().unwrap(), ProofError::Generation),
        ("another replica's name", |said| said.challenge.replica = "web-1".parse().unwrap(), ProofError::Stranger),
        ("another life", |said| said.challenge.incarnation = "i2".parse().unwrap(), ProofError::Stranger),
        ("the target's own word", |said| said.kind = EvidenceKind::Target, ProofError::Kind),
    ];
    let bench = staged().await;
    for (lie, tell, expected) in lies {
        let before = bench.journal.events(&bench.secret()).len();
        let mut said = right(&bench, 2, Purpose::Ready).await;
        tell(&mut said);
        assert_eq!(refused(&bench, said).await, expected, "{lie}");
        assert_eq!(bench.journal.events(&bench.secret()).len(), before, "{lie}");
    }
    let said = right(&bench, 2, Purpose::Ready).await;
    tokio::time::sleep(Duration::from_millis(Options::default().nonce_ms + 1)).await;
    assert_eq!(refused(&bench, said).await, ProofError::Nonce, "too late");
}

#[tokio::test(start_paused = true)]
async fn a_proof_made_with_the_old_secret_does_not_pass_for_the_new_one() {
    let bench = staged().await;
    let delivery = fetch(&bench, "web", "web-0", "i1").await.unwrap();
    let old = delivery.generations.iter().find(|it| it.generation.0 == 1).unwrap();
    let fields: Vec<_> = old.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let challenge = challenge(&bench, &delivery.rotation, 2, Purpose::Ready);
    let said =
        acknowledgement(&bench.engine, &fields, old.salt.expose(), challenge, EvidenceKind::Process).await.unwrap();
    assert_eq!(refused(&bench, said).await, ProofError::Mismatch);
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_does_not_exist_is_stale() {
    let bench = staged().await;
    let mut said = right(&bench, 2, Purpose::Ready).await;
    let asked = challenge(&bench, &said.challenge.rotation, 9, Purpose::Ready);
    said.nonce = bench.engine.challenge(asked.clone()).await.unwrap().nonce;
    said.challenge = asked;
    assert_eq!(refused(&bench, said).await, ProofError::Stale);
}

#[tokio::test(start_paused = true)]
async fn strangers_are_told_the_same_of_secrets_that_exist_and_of_those_that_do_not() {
    let bench = staged().await;
    let there = fetch(&bench, "other", "o-1", "i1").await.unwrap_err();
    assert!(matches!(there, EngineError::NotYours { .. }), "{there:?}");
    let mut elsewhere = Fetch {
        secret: "payments/nothing".parse().unwrap(),
        consumer: "other".parse().unwrap(),
        replica: "o-1".parse().unwrap(),
        incarnation: "i1".parse().unwrap(),
    };
    assert!(matches!(bench.engine.fetch(elsewhere.clone()).await, Err(EngineError::NotYours { .. })));
    elsewhere.secret = bench.secret();
    assert!(matches!(bench.engine.fetch(elsewhere).await, Err(EngineError::NotYours { .. })));
    let mut ask = challenge(&bench, &RotationId::none(), 1, Purpose::Ready);
    ask.consumer = "other".parse().unwrap();
    assert!(matches!(bench.engine.challenge(ask).await, Err(EngineError::NotYours { .. })));
}

#[tokio::test(start_paused = true)]
async fn pending_is_given_out_only_after_its_fetch_is_on_record() {
    let bench = staged().await;
    let delivery = fetch(&bench, "web", "web-1", "i7").await.unwrap();
    let pending: Vec<_> = delivery.generations.iter().filter(|it| it.role == "pending").collect();
    assert_eq!(pending.len(), 1);
    assert!(!pending[0].use_now, "not before commit");
    let on_record = bench.journal.events(&bench.secret()).iter().any(|it| {
        matches!(&it.event, Event::Fetched { replica, generation, .. }
            if replica.as_str() == "web-1" && *generation == pending[0].generation)
    });
    assert!(on_record);
}

#[tokio::test(start_paused = true)]
async fn a_restart_withdraws_what_the_last_life_said_and_the_last_life_is_refused() {
    let mut bench = staged().await;
    let said = right(&bench, 2, Purpose::Ready).await;
    bench.engine.acknowledge(said).await.unwrap();
    let late = right(&bench, 2, Purpose::Ready).await;
    fetch(&bench, "web", "web-0", "i2").await.unwrap();
    let status = bench.engine.status(&bench.secret()).await.unwrap();
    let missing = &status.rotation.unwrap().consumers[0].missing;
    assert!(missing.contains(&"web-0".to_owned()), "{missing:?}");
    let refused = bench.engine.acknowledge(late).await;
    assert!(matches!(refused, Err(EngineError::Refused { .. } | EngineError::Proof(_))), "{refused:?}");
    bench.consumers.restart(0, "i3".parse().unwrap());
    bench.rest().await;
    bench.check("after a consumer's restarts");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_cannot_use_it_has_the_rotation_given_back_and_its_reason_is_scrubbed() {
    let mut bench = staged().await;
    let mut said = right(&bench, 2, Purpose::Failed).await;
    let delivery = fetch(&bench, "web", "web-0", "i1").await.unwrap();
    let value = delivery.generations.iter().find(|it| it.generation.0 == 2).unwrap().fields[0].1.expose().to_vec();
    said.reason = format!("login with {} failed\nat db", String::from_utf8(value).unwrap());
    bench.engine.acknowledge(said).await.unwrap();
    bench.consumers.restart(0, "i2".parse().unwrap());
    bench.rest().await;
    bench.check("after a refusal");
    let journal = format!("{:?}", bench.journal.events(&bench.secret()));
    assert!(journal.contains("(withheld: the reason contained the secret)"));
    let secret = bench.replay();
    assert_eq!(secret.current(), Some(Generation(1)));
    assert_eq!(secret.finished().unwrap().1, Ending::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn a_silent_consumer_keeps_the_old_credential_alive() {
    let mut bench = staged().await;
    bench.consumers.restart(0, "i2".parse().unwrap());
    bench.consumers.temper(0, Temper::Silent);
    bench.consumers.temper(1, Temper::Willing);
    for _ in 0..100 {
        bench.round().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let status = bench.engine.status(&bench.secret()).await.unwrap();
    let rotation = status.rotation.unwrap();
    assert_eq!(rotation.step.as_deref(), Some("stage"));
    assert!(rotation.waiting.unwrap().contains("web/web-0"));
    assert_eq!(bench.target.census().len(), 2, "both credentials are live");
    bench.consumers.temper(0, Temper::Willing);
    bench.rest().await;
    bench.check("after the silent one spoke");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cries_after_the_end_leave_no_trace_in_the_journal() {
    let mut bench = Bench::new(ALTERNATE).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    fetch(&bench, "web", "web-0", "i1").await.unwrap();
    let size = |bench: &Bench| {
        let events = bench.journal.events(&bench.secret());
        (events.len(), events.iter().map(|it| format!("{:?}", it.event).len()).sum::<usize>(), bench.journal.appends())
    };
    let before = size(&bench);
    for _ in 0..1_000 {
        let said = Acknowledgement { reason: "x".repeat(500), ..right(&bench, 2, Purpose::Cry).await };
        let answer = bench.engine.acknowledge(said).await;
        assert!(matches!(&answer, Err(EngineError::Refused { code: "stale", .. })), "{answer:?}");
    }
    assert_eq!(size(&bench), before, "events, bytes, rows");
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_answers_another_rotation_is_refused() {
    let bench = staged().await;
    let delivery = fetch(&bench, "web", "web-0", "i1").await.unwrap();
    let it = delivery.generations.iter().find(|it| it.generation.0 == 2).unwrap();
    let fields: Vec<_> = it.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let other = challenge(&bench, &"an-older-one".parse().unwrap(), 2, Purpose::Ready);
    let said = acknowledgement(&bench.engine, &fields, it.salt.expose(), other, EvidenceKind::Process).await.unwrap();
    let before = statements(&bench);
    let answer = bench.engine.acknowledge(said).await;
    assert!(matches!(&answer, Err(EngineError::Refused { code: "stale", .. })), "{answer:?}");
    assert_eq!(statements(&bench), before);
}

#[tokio::test(start_paused = true)]
async fn a_former_life_that_still_fetches_is_refused_and_noticed_and_shown() {
    let bench = staged().await;
    fetch(&bench, "web", "web-0", "i2").await.unwrap();
    let twice = |bench: &Bench| {
        let events = bench.journal.events(&bench.secret());
        events.iter().filter(|it| matches!(it.event, Event::SeenTwice { .. })).count()
    };
    for _ in 0..3 {
        let refused = fetch(&bench, "web", "web-0", "i1").await;
        assert!(matches!(&refused, Err(EngineError::Refused { code: "stale", .. })), "{refused:?}");
        assert_eq!(twice(&bench), 1, "once is enough");
    }
    let shown = bench.engine.status(&bench.secret()).await.unwrap();
    let replicas = shown.rotation.unwrap().consumers.remove(0).replicas;
    assert!(replicas.iter().any(|it| it.replica == "web-0" && it.twice), "{replicas:?}");
}
