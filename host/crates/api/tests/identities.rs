//! Enrolment, identities and failed authentication, over a real HTTPS server.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_api::limits::FAILED_AUTH_BURST;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use support::{ALTERNATE, Fixture, operator};

const OWN: &str = "/v1/consumer/secrets";
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

async fn exchange(fixture: &Fixture, token: &str) -> support::Answer {
    fixture.send(Method::POST, "/v1/enrol", None, Some(&json!({"token": token}))).await
}

#[tokio::test]
async fn an_enrolment_is_good_once() {
    let fixture = Fixture::new(ALTERNATE).await;
    let token = fixture.enrolment("payments/web").await;
    let first = exchange(&fixture, &token).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.headers["cache-control"], "no-store");
    assert_eq!(first.json()["consumer"], "payments/web");
    assert!(first.json()["renew_in_s"].as_u64().unwrap() < first.json()["expires_in_s"].as_u64().unwrap());
    let second = exchange(&fixture, &token).await;
    assert_eq!((second.status.as_u16(), second.problem().as_str()), (401, "enrolment-used"));
    let bearer = first.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.get(OWN, &bearer).await.json()["secrets"], json!(["payments/db"]));
}

#[tokio::test]
async fn nobody_enrols_as_the_hosts_own_connections() {
    let fixture = Fixture::new(ALTERNATE).await;
    let asked = json!({"consumer": "payments/connections", "minutes": 10});
    let refused = fixture.post("/v1/enrolments", &fixture.operator, &asked).await;
    assert_eq!(refused.problem(), "refused", "{}", refused.text);
    let left = fixture.get("/v1/enrolments", &fixture.operator).await.json();
    assert_eq!(left["enrolments"], json!([]), "no right to it is left");
}

#[tokio::test]
async fn a_replayed_enrolment_is_told_apart_and_audited_after_a_restart_too() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let token = fixture.enrolment("payments/web").await;
    assert_eq!(exchange(&fixture, &token).await.status, 200);
    fixture.stop().await;
    fixture.start().await;
    assert_eq!(exchange(&fixture, &token).await.problem(), "enrolment-used");
    let entries = fixture.auditor.entries();
    let last = entries.last().unwrap();
    assert_eq!(
        (last.action.as_str(), last.subject.as_str(), last.from.as_str()),
        ("enrol", "payments/web", "127.0.0.1")
    );
    assert_eq!(last.verdict, keybaton_engine::ports::audit::Verdict::Refused("enrolment-used".to_owned()));
    let id = token.split('_').nth(1).unwrap();
    assert!(last.detail.contains(id), "which enrolment: {}", last.detail);
    let before = fixture.auditor.entries().len();
    let unknown = format!("kbe_{}_{}", "0".repeat(16), "0".repeat(64));
    exchange(&fixture, &unknown).await;
    assert_eq!(fixture.auditor.entries().len(), before, "who holds nothing writes nothing into the audit log");
}

#[tokio::test]
async fn of_many_who_enrol_at_once_one_is_granted() {
    let fixture = Fixture::new(ALTERNATE).await;
    let token = fixture.enrolment("payments/web").await;
    let all = futures::future::join_all((0..8).map(|_| exchange(&fixture, &token))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(all.iter().filter(|answer| answer.status == 401).count(), 7);
}

#[tokio::test]
async fn who_does_not_hold_a_tokens_secret_learns_nothing_about_it() {
    let fixture = Fixture::new(ALTERNATE).await;
    let used = fixture.enrolment("payments/web").await;
    exchange(&fixture, &used).await;
    let fresh = fixture.enrolment("payments/web").await;
    let forged = |token: &str| {
        let mut parts: Vec<_> = token.split('_').map(str::to_owned).collect();
        parts[2] = "0".repeat(64);
        parts.join("_")
    };
    let (used_forged, fresh_forged) = (forged(&used), forged(&fresh));
    let unknown = format!("kbe_{}_{}", "0".repeat(16), "0".repeat(64));
    let mut bodies = Vec::new();
    for token in [used_forged.as_str(), &fresh_forged, &unknown, "nonsense", ""] {
        let answer = exchange(&fixture, token).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthenticated"), "{token}");
        bodies.push(answer.text);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the answers differ: {bodies:?}");
    assert_eq!(exchange(&fixture, &fresh).await.status, 200, "a forger spent somebody's token");
}

#[tokio::test]
async fn an_enrolment_ends_by_itself_and_by_an_operator() {
    let fixture = Fixture::new(ALTERNATE).await;
    let late = fixture.enrolment("payments/web").await;
    fixture.clock.advance(5 * 60_000);
    assert_eq!(exchange(&fixture, &late).await.problem(), "enrolment-expired");
    let withdrawn = fixture.enrolment("payments/web").await;
    let open = fixture.get("/v1/enrolments", &fixture.operator).await.json();
    let id = open["enrolments"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(open["enrolments"].as_array().unwrap().len(), 1, "{open}");
    let dropped = fixture.send(Method::DELETE, &format!("/v1/enrolments/{id}"), Some(&fixture.operator), None).await;
    assert_eq!(dropped.json()["enrolments"], 1);
    assert_eq!(exchange(&fixture, &withdrawn).await.problem(), "unauthenticated");
}

#[tokio::test]
async fn an_enrolment_lives_as_long_as_it_says_however_the_clock_is_set() {
    let fixture = Fixture::new(ALTERNATE).await;
    let listed = async || {
        let open = fixture.get("/v1/enrolments", &fixture.operator).await.json();
        open["enrolments"].as_array().unwrap().len()
    };
    for by_ms in [HOUR_MS, -HOUR_MS] {
        let token = fixture.enrolment("payments/web").await;
        fixture.clock.step(by_ms);
        fixture.clock.advance(4 * 60_000);
        assert_eq!(listed().await, 1, "{by_ms}");
        assert_eq!(exchange(&fixture, &token).await.status, 200, "{by_ms}: a minute is left of it");

        let late = fixture.enrolment("payments/web").await;
        fixture.clock.step(-by_ms);
        fixture.clock.advance(5 * 60_000);
        assert_eq!(listed().await, 0, "{by_ms}");
        assert_eq!(exchange(&fixture, &late).await.problem(), "enrolment-expired", "{by_ms}: nor longer");
    }
}

#[tokio::test]
async fn an_enrolment_is_there_after_a_clock_went_ahead_and_back_whoever_looked_meanwhile() {
    let fixture = Fixture::new(ALTERNATE).await;
    let token = fixture.enrolment("payments/web").await;
    fixture.clock.step(400 * i64::try_from(DAY_MS).unwrap());
    let other = fixture.enrolment("payments/web").await;
    assert_eq!(exchange(&fixture, &other).await.status, 200);
    fixture.clock.step(-400 * i64::try_from(DAY_MS).unwrap());
    assert_eq!(exchange(&fixture, &token).await.status, 200);
}

#[tokio::test]
async fn after_a_restart_an_enrolment_is_judged_by_its_dates() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let tokens = [fixture.enrolment("payments/web").await, fixture.enrolment("payments/web").await];
    let restart = async |fixture: &mut Fixture| {
        fixture.stop().await;
        fixture.start().await;
    };
    restart(&mut fixture).await;
    assert_eq!(exchange(&fixture, &tokens[0]).await.status, 200, "a restart alone ends none");
    fixture.clock.step(-HOUR_MS);
    restart(&mut fixture).await;
    assert_eq!(exchange(&fixture, &tokens[1]).await.problem(), "enrolment-expired", "how old it is nobody knows");
    let fresh = fixture.enrolment("payments/web").await;
    assert_eq!(exchange(&fixture, &fresh).await.status, 200, "the next one is good at once");
}

#[tokio::test]
async fn an_address_that_failed_too_often_waits_for_its_time_however_the_clock_is_set() {
    let fixture = Fixture::new(ALTERNATE).await;
    for _ in 0..1_000 {
        if exchange(&fixture, "nonsense").await.status == 429 {
            break;
        }
    }
    for by_ms in [-HOUR_MS, HOUR_MS] {
        fixture.clock.step(by_ms);
        let answer = exchange(&fixture, "nonsense").await;
        assert_eq!(answer.status, 429, "{by_ms}: nobody is let in by it");
    }
    fixture.clock.advance(60_000);
    fixture.clock.step(-HOUR_MS);
    assert_eq!(exchange(&fixture, "nonsense").await.status, 401, "nor kept out");
}

#[tokio::test]
async fn an_identity_expires_and_is_told_so() {
    let fixture = Fixture::new(ALTERNATE).await;
    let bearer = fixture.enrol("payments/web").await;
    fixture.clock.advance(3 * DAY_MS);
    let answer = fixture.get(OWN, &bearer).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "token-expired"));
}

#[tokio::test]
async fn a_revoked_consumer_is_out_at_once() {
    let fixture = Fixture::new(ALTERNATE).await;
    let (one, two) = (fixture.enrol("payments/web").await, fixture.enrol("payments/other").await);
    fixture.enrolment("payments/web").await;
    let path = "/v1/consumers/payments/web";
    let gone = fixture.send(Method::DELETE, path, Some(&fixture.operator), None).await;
    assert_eq!((gone.json()["identities"].clone(), gone.json()["enrolments"].clone()), (json!(1), json!(1)));
    assert_eq!(fixture.get(OWN, &one).await.problem(), "token-revoked");
    assert_eq!(fixture.get(OWN, &two).await.status, 200);
}

#[tokio::test]
async fn an_old_identity_ends_when_the_renewed_one_is_used_and_not_before() {
    let fixture = Fixture::new(ALTERNATE).await;
    let old = fixture.enrol("payments/web").await;
    let renew = async |token: &str| {
        let answer = fixture.post("/v1/renew", token, &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let lost = renew(&old).await;
    assert_eq!(fixture.get(OWN, &old).await.status, 200, "the answer may have been lost: the old one is still needed");
    let new = renew(&old).await;
    assert!(lost != new && new != old);
    assert_eq!(fixture.get(OWN, &new).await.status, 200);
    assert_eq!(fixture.get(OWN, &old).await.problem(), "token-revoked");
}

fn fetch(replica: &str) -> String {
    format!("/v1/consumer/secrets/payments/db?replica={replica}&incarnation=life-1")
}

async fn renewed(fixture: &Fixture, token: &str) -> String {
    let answer = fixture.post("/v1/renew", token, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_identity_stands_for_the_replica_that_its_first_request_names() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let web = fixture.enrol("payments/web").await;
    assert_eq!(fixture.get(&fetch("web-0"), &web).await.status, 200);
    for _ in 0..2 {
        let refused = fixture.get(&fetch("web-1"), &web).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "other-replica"), "{}", refused.text);
        for says in ["stands for the replica web-0", "keybaton consumer enrol", "keybaton consumer rebind"] {
            assert!(refused.text.contains(says), "{}", refused.text);
        }
        let challenge = json!({"secret": "payments/db", "replica": "web-1", "incarnation": "life-1",
            "rotation": "-", "generation": 1, "purpose": "ready"});
        for path in ["/v1/consumer/challenge", "/v1/consumer/acknowledge"] {
            let mut body = challenge.clone();
            if path.ends_with("acknowledge") {
                body["nonce"] = json!("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
                body["proof"] = body["nonce"].clone();
                body["evidence"] = json!("process");
            }
            assert_eq!(fixture.post(path, &web, &body).await.problem(), "other-replica", "{path}");
        }
        // It is durable.
        fixture.stop().await;
        fixture.start().await;
    }
    assert_eq!(fixture.get(&fetch("web-0"), &web).await.status, 200);
    let next = renewed(&fixture, &web).await;
    assert_eq!(
        fixture.get(&fetch("web-1"), &next).await.problem(),
        "other-replica",
        "a renewed one stands for the same"
    );
    assert_eq!(fixture.get(&fetch("web-0"), &next).await.status, 200);
}

#[tokio::test]
async fn an_enrolment_may_fix_the_replica() {
    let fixture = Fixture::new(ALTERNATE).await;
    let asked = json!({"consumer": "payments/web", "minutes": 5, "replica": "web-0"});
    let grant = fixture.post("/v1/enrolments", &fixture.operator, &asked).await.json();
    let open = fixture.get("/v1/enrolments", &fixture.operator).await.json();
    assert_eq!(open["enrolments"][0]["replica"], "web-0");
    let web = exchange(&fixture, grant["token"].as_str().unwrap()).await.json();
    let web = web["token"].as_str().unwrap();
    assert_eq!(fixture.get(&fetch("web-1"), web).await.problem(), "other-replica");
    assert_eq!(fixture.get(&fetch("web-0"), web).await.status, 200);
}

#[tokio::test]
async fn however_often_it_is_renewed_one_enrolment_is_one_replica() {
    let fixture = Fixture::new(ALTERNATE).await;
    let old = fixture.enrol("payments/web").await;
    let (one, two) = (renewed(&fixture, &old).await, renewed(&fixture, &old).await);
    let three = renewed(&fixture, &one).await;
    assert_eq!(fixture.get(&fetch("web-0"), &three).await.status, 200);
    for token in [&two, &three] {
        assert_eq!(fixture.get(&fetch("web-1"), token).await.problem(), "other-replica");
    }
}

#[tokio::test]
async fn an_operator_has_an_identity_stand_for_another_replica() {
    let fixture = Fixture::new(ALTERNATE).await;
    let web = fixture.enrol("payments/web").await;
    assert_eq!(fixture.get(&fetch("web-0"), &web).await.status, 200);
    let all = fixture.get("/v1/identities", &fixture.operator).await.json();
    let own = all["identities"].as_array().unwrap().iter().find(|it| it["role"] == "consumer").unwrap().clone();
    assert_eq!(own["replica"], "web-0");
    let path = format!("/v1/identities/{}/replica", own["id"].as_str().unwrap());
    let body = json!({"replica": "web-7", "reason": "the pod was renamed"});
    assert_eq!(fixture.post(&path, &web, &body).await.problem(), "forbidden");
    assert_eq!(fixture.post("/v1/identities/none/replica", &fixture.operator, &body).await.problem(), "not-found");
    let done = fixture.post(&path, &fixture.operator, &body).await;
    assert_eq!((done.status.as_u16(), done.json()["replica"].clone()), (200, json!("web-7")), "{}", done.text);
    assert_eq!(fixture.get(&fetch("web-0"), &web).await.problem(), "other-replica");
    assert_eq!(fixture.get(&fetch("web-7"), &web).await.status, 200);
}

#[tokio::test]
async fn a_renewed_identity_that_was_revoked_stays_revoked() {
    let fixture = Fixture::new(ALTERNATE).await;
    let old = fixture.enrol("payments/web").await;
    let new = fixture.post("/v1/renew", &old, &json!({})).await.json()["token"].as_str().unwrap().to_owned();
    fixture.send(Method::DELETE, "/v1/consumers/payments/web", Some(&fixture.operator), None).await;
    for token in [&old, &new, &old, &new] {
        assert_eq!(fixture.get(OWN, token).await.problem(), "token-revoked");
    }
}

#[tokio::test]
async fn roles_do_not_mix() {
    let fixture = Fixture::new(ALTERNATE).await;
    let consumer = fixture.enrol("payments/web").await;
    let enrolment = fixture.enrolment("payments/web").await;
    let cases: [(&str, Method, &str, Option<&str>, u16); 8] = [
        ("a consumer lists secrets", Method::GET, "/v1/secrets", Some(&consumer), 403),
        ("a consumer rotates", Method::POST, "/v1/secrets/payments/db/rotate", Some(&consumer), 403),
        ("a consumer enrols others", Method::POST, "/v1/enrolments", Some(&consumer), 403),
        (
            "an operator fetches",
            Method::GET,
            &format!("{OWN}/payments/db?replica=a&incarnation=b"),
            Some(&fixture.operator),
            403,
        ),
        ("nobody lists secrets", Method::GET, "/v1/secrets", None, 401),
        ("an enrolment token is used as a bearer", Method::GET, OWN, Some(&enrolment), 401),
        ("nobody reads metrics", Method::GET, "/metrics", None, 401),
        ("a consumer reads metrics", Method::GET, "/metrics", Some(&consumer), 403),
    ];
    for (what, method, path, token, status) in cases {
        let answer = fixture.send(method, path, token, None).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
        answer.problem();
    }
}

#[tokio::test]
async fn an_operator_of_one_namespace_stays_in_it() {
    let secrets = ["payments/db", "search/db"].map(|name| support::declared(name, ALTERNATE, &[("web", &["web-0"])]));
    let fixture = Fixture::with(secrets.to_vec()).await;
    let bob = operator(&fixture.identities, "bob", Some(&["search"])).await;
    let listed = fixture.get("/v1/secrets", &bob).await.json();
    assert_eq!(listed["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(listed["secrets"][0]["secret"], "search/db");
    let body = |consumer: &str| json!({"consumer": consumer, "minutes": 1});
    let cases: [(&str, &str, Option<Value>, u16); 9] = [
        ("GET", "/v1/secrets/search/db", None, 200),
        ("GET", "/v1/secrets/payments/db", None, 403),
        ("GET", "/v1/secrets?namespace=payments", None, 403),
        ("GET", "/v1/events?secret=payments/db", None, 403),
        ("POST", "/v1/secrets/payments/db/rotate", Some(json!({})), 403),
        ("POST", "/v1/enrolments", Some(body("payments/web")), 403),
        ("POST", "/v1/enrolments", Some(body("search/web")), 200),
        ("POST", "/v1/freezes", Some(json!({"scope": "host"})), 403),
        ("POST", "/v1/backup", Some(json!({"to": "/tmp/x"})), 403),
    ];
    for (method, path, body, status) in cases {
        let answer = fixture.send(method.parse().unwrap(), path, Some(&bob), body.as_ref()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_address_that_fails_too_often_waits_while_known_identities_pass() {
    let fixture = Fixture::new(ALTERNATE).await;
    let known = fixture.enrol("payments/web").await;
    assert_eq!(fixture.get(OWN, &known).await.status, 200);
    let guess = format!("kb_{}_{}", "0".repeat(16), "0".repeat(64));
    let mut refused = None;
    for _ in 0..=FAILED_AUTH_BURST {
        let answer = fixture.get("/v1/secrets", &guess).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("guessing was never slowed down");
    assert_eq!(refused.problem(), "too-many-failures");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(fixture.get(OWN, &known).await.status, 200, "a neighbour's failures locked a workload out");
    let token = format!("kbe_{}_{}", "0".repeat(16), "0".repeat(64));
    assert_eq!(exchange(&fixture, &token).await.status, 429, "enrolment is not slowed down");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_taken_for_a_wrong_token() {
    let fixture = Fixture::new(ALTERNATE).await;
    let known = fixture.enrol("payments/web").await;
    fixture.identities.broken.store(true, Ordering::Relaxed);
    let answer = fixture.get(OWN, &known).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn tokens_are_stored_as_hashes_and_never_audited() {
    let fixture = Fixture::new(ALTERNATE).await;
    let enrolment = fixture.enrolment("payments/web").await;
    let bearer = fixture.enrol("payments/web").await;
    let kept = format!("{:?} {:?}", fixture.identities.all(), fixture.auditor.entries());
    for token in [&enrolment, &bearer, &fixture.operator] {
        let secret = token.split('_').nth(2).unwrap();
        assert!(!kept.contains(secret));
    }
    let listed = fixture.get("/v1/identities", &fixture.operator).await.text;
    assert!(listed.contains("payments/web") && !listed.contains("kb_"), "{listed}");
}
