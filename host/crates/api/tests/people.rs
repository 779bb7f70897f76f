//! What people change by hand: operators, words that somebody else approves, members, places; and who is told what.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_engine::ports::audit::Verdict;
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::PlanKind;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{ALTERNATE, Fixture, declared, eventually, operator};

const OPERATORS: &str = "/v1/operators";
const DB: &str = "/v1/secrets/payments/db";
const DAY_MS: u64 = 86_400_000;

async fn add(fixture: &Fixture, body: &Value) -> support::Answer {
    fixture.post(OPERATORS, &fixture.operator, body).await
}

async fn remove(fixture: &Fixture, token: &str, name: &str) -> support::Answer {
    fixture.send(Method::DELETE, &format!("{OPERATORS}/{name}"), Some(token), None).await
}

/// What was audited: action, subject, and how it ended.
fn audited(fixture: &Fixture) -> Vec<(String, String, Verdict)> {
    let all = fixture.auditor.entries().into_iter();
    all.filter(|it| it.verdict != Verdict::Asked).map(|it| (it.action, it.subject, it.verdict)).collect()
}

#[tokio::test]
async fn a_further_operator_gets_a_token_once_and_may_do_what_it_was_given() {
    let fixture = Fixture::new(ALTERNATE).await;
    let made = add(&fixture, &json!({"name": "grace", "namespaces": ["payments"], "days": 30})).await;
    assert_eq!((made.status.as_u16(), made.headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.get("/v1/secrets", &token).await.status, 200);
    assert_eq!(fixture.get(OPERATORS, &token).await.problem(), "forbidden", "it is no operator of the whole host");
    let listed = fixture.get(OPERATORS, &fixture.operator).await;
    let shown = listed.json()["operators"][1].clone();
    assert_eq!((&shown["name"], &shown["namespaces"]), (&json!("grace"), &json!(["payments"])), "{}", listed.text);
    assert!(!listed.text.contains(&token) && !listed.text.contains(token.rsplit('_').next().unwrap()), "shown again");
    let kept = fixture.identities.all();
    assert!(
        kept.iter().all(|it| !format!("{it:?}").contains(token.rsplit('_').next().unwrap())),
        "only a hash is kept"
    );
    fixture.clock.advance(31 * DAY_MS);
    assert_eq!(fixture.get("/v1/secrets", &token).await.problem(), "token-expired");
    assert_eq!(fixture.get(OPERATORS, &fixture.operator).await.json()["operators"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_operators_are_refused_and_nobody_is_made() {
    let fixture = Fixture::new(ALTERNATE).await;
    for (what, body, status) in [
        ("a name that is taken", json!({"name": "ada"}), 409),
        ("the scheduler's name", json!({"name": "keybaton-scheduler"}), 422),
        ("the name of a policy", json!({"name": "policy"}), 422),
        ("no name", json!({"name": ""}), 422),
        ("a name with a line feed", json!({"name": "a\nb"}), 422),
        ("a namespace that is none", json!({"name": "grace", "namespaces": ["Payments"]}), 422),
        ("a life of no days", json!({"name": "grace", "days": 0}), 422),
        ("a key that is none", json!({"name": "grace", "role": "root"}), 400),
    ] {
        let answer = add(&fixture, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
    }
    assert_eq!(fixture.identities.all().len(), 1);
}

#[tokio::test]
async fn the_last_operator_who_may_do_everything_stays() {
    let fixture = Fixture::new(ALTERNATE).await;
    let gone = remove(&fixture, &fixture.operator, "grace").await;
    assert_eq!(gone.problem(), "not-found");
    assert_eq!(add(&fixture, &json!({"name": "narrow", "namespaces": ["payments"]})).await.status, 200);
    let brief = add(&fixture, &json!({"name": "brief", "days": 1})).await;
    let brief = brief.json()["token"].as_str().unwrap().to_owned();
    let last = remove(&fixture, &brief, "ada").await;
    assert_eq!(last.problem(), "refused", "one of a namespace, and one whose token ends, do not count");
    assert!(last.text.contains("nobody would be left"), "{}", last.text);
    let made = add(&fixture, &json!({"name": "grace"})).await;
    let grace = made.json()["token"].as_str().unwrap().to_owned();
    let own = remove(&fixture, &fixture.operator, "ada").await;
    assert!(own.problem() == "refused" && own.text.contains("himself"), "{}", own.text);
    let (one, two) = tokio::join!(remove(&fixture, &grace, "ada"), remove(&fixture, &fixture.operator, "grace"));
    let mut ended = [one.status.as_u16(), two.status.as_u16()];
    ended.sort_unstable();
    assert_eq!(ended[0], 200, "{} {}", one.text, two.text);
    assert!(ended[1] == 409 || ended[1] == 401, "of two that remove each other one stays: {} {}", one.text, two.text);
    let left = fixture.identities.all().into_iter().filter(|it| it.revoked_at.is_none()).count();
    assert_eq!(left, 3, "narrow, brief, and one of the two");
    let acts = audited(&fixture);
    assert!(acts.contains(&("operator.remove".to_owned(), "ada".to_owned(), Verdict::Refused("refused".to_owned()))));
    assert!(acts.contains(&("operator.add".to_owned(), "grace".to_owned(), Verdict::Done)));
}

/// A rotation that waits in `stage` for `web-0`, whom only a person's word can speak for.
async fn waiting() -> Fixture {
    let mut one = declared("payments/db", ALTERNATE, &[("web", &["web-0"])]);
    let mut policy: Policy = (*one.policy).clone();
    policy.consumers[0].ready = EvidenceKind::Attested;
    policy.consumers[0].adopted = EvidenceKind::Attested;
    one.policy = Arc::new(policy);
    let fixture = Fixture::with(vec![one]).await;
    fixture.begin("payments/db", PlanKind::Issue).await;
    fixture.settled("payments/db", 1).await;
    fixture.begin("payments/db", PlanKind::Rotate).await;
    for_step(&fixture, "stage").await;
    fixture
}

async fn for_step(fixture: &Fixture, step: &str) {
    eventually(step, async || {
        let status = fixture.status("payments/db").await;
        let there = status["rotation"]["step"] == step && status["rotation"]["consumers"][0]["missing"][0] == "web-0";
        if there { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

fn word(purpose: &str) -> Value {
    json!({"consumer": "web", "generation": 2, "purpose": purpose, "reason": "seen on its console", "minutes": 120})
}

#[tokio::test]
async fn a_word_counts_once_another_operator_has_approved_it() {
    let mut fixture = waiting().await;
    let grace = operator(&fixture.identities, "grace", Some(&["payments"])).await;
    let stranger = operator(&fixture.identities, "mallory", Some(&["other"])).await;
    let path = format!("{DB}/attestations");
    for step in ["ready", "adopted"] {
        for_step(&fixture, if step == "ready" { "stage" } else { "adopt" }).await;
        let proposed = fixture.post(&path, &fixture.operator, &word(step)).await;
        assert_eq!(proposed.status, 200, "{}", proposed.text);
        let id = proposed.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(proposed.json()["replica"], "web-0", "the only one is meant");
        fixture.stop().await;
        fixture.start().await;
        assert_eq!(fixture.get(&path, &grace).await.json()["proposals"][0]["id"], *id);
        let approve = format!("{path}/{id}/approve");
        let own = fixture.post(&approve, &fixture.operator, &json!({})).await;
        assert_eq!(own.problem(), "refused", "nobody approves his own word");
        assert_eq!(fixture.post(&approve, &stranger, &json!({})).await.problem(), "forbidden");
        assert_eq!(fixture.post(&approve, &grace, &json!({})).await.status, 200);
        assert_eq!(fixture.post(&approve, &grace, &json!({})).await.problem(), "not-found", "once");
    }
    fixture.settled("payments/db", 2).await;
    let members = fixture.get(&format!("{DB}/members"), &grace).await.json();
    let said = &members["consumers"][0]["members"][0]["statements"];
    let word = said.as_array().unwrap().iter().find(|it| it["purpose"] == "adopted").unwrap();
    assert_eq!(
        (&word["evidence"], &word["word"]["author"], &word["word"]["approver"]),
        (&json!("attested"), &json!("ada"), &json!("grace"))
    );
    let acts: Vec<_> = audited(&fixture).into_iter().map(|(action, _, _)| action).collect();
    assert!(acts.iter().filter(|action| *action == "attest").count() == 2, "{acts:?}");
    assert!(acts.iter().filter(|action| *action == "attest.approve").count() >= 4, "{acts:?}");
}

#[tokio::test]
async fn words_that_would_not_count_are_refused_before_anybody_approves() {
    let fixture = waiting().await;
    let path = format!("{DB}/attestations");
    let with = |key: &str, value: Value| {
        let mut body = word("ready");
        body[key] = value;
        body
    };
    for (what, body, status) in [
        ("no reason", with("reason", json!(" ")), 422),
        ("a purpose that is none", with("purpose", json!("cry")), 422),
        ("no time", with("minutes", json!(0)), 422),
        ("for years", with("minutes", json!(1_000_000)), 422),
        ("of a stranger", with("replica", json!("web-9")), 404),
        ("of a consumer that is none", with("consumer", json!("api")), 404),
    ] {
        let answer = fixture.post(&path, &fixture.operator, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
    }
    let strict = Fixture::new(ALTERNATE).await;
    strict.begin("payments/db", PlanKind::Issue).await;
    strict.settled("payments/db", 1).await;
    let refused = strict.post(&path, &strict.operator, &word("adopted")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("`process`"), "what would count is said: {}", refused.text);

    let proposed = fixture.post(&path, &fixture.operator, &word("ready")).await.json();
    let id = proposed["id"].as_str().unwrap();
    let one = format!("{path}/{id}");
    assert_eq!(fixture.send(Method::DELETE, &one, Some(&fixture.operator), None).await.status, 200);
    assert_eq!(fixture.send(Method::DELETE, &one, Some(&fixture.operator), None).await.problem(), "not-found");
    fixture.post(&path, &fixture.operator, &word("ready")).await;
    fixture.clock.advance(3 * 3_600_000);
    assert_eq!(fixture.get(&path, &fixture.operator).await.json()["proposals"], json!([]), "it has expired");
}

#[tokio::test]
async fn members_places_policy_and_component_change_by_hand_with_their_author() {
    let fixture = waiting().await;
    let post = async |path: &str, body: Value| fixture.post(&format!("{DB}/{path}"), &fixture.operator, &body).await;
    let gone = json!({"consumer": "web", "replica": "web-9", "reason": "gone"});
    assert_eq!(post("members/drop", gone).await.problem(), "not-found");
    let more = json!({"consumer": "web", "replica": "web-1"});
    assert_eq!(post("members", more.clone()).await.status, 200);
    assert_eq!(post("members/drop", more).await.status, 200);
    assert_eq!(post("places", json!({"place": "b"})).await.status, 200);
    let places = fixture.get(&format!("{DB}/places"), &fixture.operator).await.json();
    assert_eq!(places["places"].as_array().unwrap().len(), 2, "{places}");
    assert_eq!(post("places/drop", json!({"place": "b"})).await.status, 200);
    assert_eq!(post("places/drop", json!({"place": "-"})).await.problem(), "refused", "the last one stays");
    assert_eq!(post("repolicy", json!({})).await.problem(), "refused", "nothing has changed");
    assert_eq!(post("repin", json!({"digest": "sha256:00"})).await.problem(), "invalid");
    let newer = keybaton_protocol::ids::Digest([8; 32]);
    fixture.target.approve(newer, false);
    let pinned = post("repin", json!({"digest": newer.to_string()})).await;
    assert_eq!((pinned.status.as_u16(), pinned.json()["digest"].clone()), (200, json!(newer.to_string())));
    let history = fixture.get(&format!("{DB}/history"), &fixture.operator).await.json();
    let by: Vec<_> = history["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["event"].as_str().unwrap(), it["parts"]["author"].as_str()))
        .collect();
    for event in ["members-changed", "places-changed", "repinned"] {
        assert!(by.contains(&(event, Some("ada"))), "{event} with its author is not among {by:?}");
    }
}

#[tokio::test]
async fn a_word_that_is_approved_and_withdrawn_at_once_is_decided_once() {
    let fixture = waiting().await;
    let grace = operator(&fixture.identities, "grace", Some(&["payments"])).await;
    let path = format!("{DB}/attestations");
    for_step(&fixture, "stage").await;
    let id = fixture.post(&path, &fixture.operator, &word("ready")).await.json()["id"].as_str().unwrap().to_owned();
    let (approve, withdraw) = (format!("{path}/{id}/approve"), format!("{path}/{id}"));
    let nothing = json!({});
    let (approved, withdrawn) = tokio::join!(
        fixture.post(&approve, &grace, &nothing),
        fixture.send(Method::DELETE, &withdraw, Some(&fixture.operator), None)
    );
    let told = [approved.status == 200, withdrawn.status == 200];
    assert_eq!(told.iter().filter(|done| **done).count(), 1, "{} {}", approved.text, withdrawn.text);
    let said = |it: &keybaton_engine::ports::journal::Recorded| matches!(it.event, Event::Stated(_));
    let recorded = fixture.journal.events(&support::name("payments/db")).iter().any(said);
    assert_eq!(recorded, told[0], "it is on record where it was approved, and nowhere else");
}

#[tokio::test]
async fn a_word_that_cannot_be_recorded_waits_again() {
    let fixture = waiting().await;
    let grace = operator(&fixture.identities, "grace", Some(&["payments"])).await;
    let path = format!("{DB}/attestations");
    for_step(&fixture, "stage").await;
    let id = fixture.post(&path, &fixture.operator, &word("ready")).await.json()["id"].as_str().unwrap().to_owned();
    let approve = format!("{path}/{id}/approve");
    fixture.journal.away(true);
    assert_ne!(fixture.post(&approve, &grace, &json!({})).await.status, 200);
    fixture.journal.away(false);
    assert_eq!(fixture.get(&path, &grace).await.json()["proposals"][0]["id"], *id, "it is not lost");
    assert_eq!(fixture.post(&approve, &grace, &json!({})).await.status, 200);
}

#[tokio::test]
async fn what_a_compromise_would_break_is_told_and_nothing_is_done() {
    let fixture = Fixture::new(ALTERNATE).await;
    fixture.begin("payments/db", PlanKind::Issue).await;
    fixture.settled("payments/db", 1).await;
    let before = fixture.journal.events(&support::name("payments/db")).len();
    let seen = fixture.get(&format!("{DB}/compromise?generation=1&disable_first=true"), &fixture.operator).await.json();
    assert_eq!(
        (&seen["role"], &seen["cut_off"], &seen["places"]),
        (&json!("current"), &json!(true), &json!(["-"])),
        "{seen}"
    );
    assert_eq!((&seen["connections"], &seen["dependants"]), (&json!(["logs-in-with-db"]), &json!(["payments/leaf"])));
    assert!(!seen["follows"].as_array().unwrap().is_empty(), "{seen}");
    let unknown = fixture.get(&format!("{DB}/compromise?generation=7"), &fixture.operator).await;
    assert_eq!(unknown.problem(), "refused");
    assert_eq!(fixture.journal.events(&support::name("payments/db")).len(), before);
    let body = json!({"generation": 1, "reason": "seen in a paste"});
    assert_eq!(fixture.post(&format!("{DB}/compromise"), &fixture.operator, &body).await.status, 200);
    let entry = fixture.auditor.entries().into_iter().find(|it| it.action == "compromise").unwrap();
    assert!(entry.detail.contains("seen in a paste"), "{entry:?}");
}

#[tokio::test]
async fn metrics_name_everything_that_an_operator_watches() {
    let fixture = waiting().await;
    fixture.target.fail("payments/db");
    fixture.post(&format!("{DB}/abandon"), &fixture.operator, &json!({})).await;
    let text = eventually("a fault", async || {
        let text = fixture.get("/metrics", &fixture.operator).await.text;
        if text.contains("keybaton_faults_total{") { Ok(text) } else { Err(text) }
    })
    .await;
    for metric in [
        "keybaton_due",
        "keybaton_oldest_overdue_seconds",
        "keybaton_last_tick_age_seconds",
        "keybaton_lateness_seconds_count",
        "keybaton_phase_seconds_count{name=\"prepare\"}",
        "keybaton_step_seconds_count{name=\"stage\"}",
        "keybaton_wait_seconds_count{name=\"consumers\"}",
        "keybaton_rotations_started_total{name=\"rotate\"}",
        "keybaton_rotations_finished_total{kind=\"rotate\",ending=\"abandoned\"}",
    ] {
        assert!(text.lines().any(|line| line.starts_with(metric)), "no {metric} in\n{text}");
    }
    let faults: Vec<_> = text.lines().filter(|line| line.starts_with("keybaton_faults_total")).collect();
    assert!(faults.iter().all(|line| line.contains("blame=\"target\"")), "{faults:?}");
    let age = text.lines().find_map(|line| line.strip_prefix("keybaton_last_tick_age_seconds ")).unwrap();
    assert!((0.0..60.0).contains(&age.parse::<f64>().unwrap()), "{age}");
}
