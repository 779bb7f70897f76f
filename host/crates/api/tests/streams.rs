//! Streams of events: what consumers and operators are told, and how they take up where they were.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_api::limits::MAX_STREAMS_PER_IDENTITY;
use keybaton_protocol::step::PlanKind;
use reqwest::Response;
use std::time::Duration;
use support::{ALTERNATE, Fixture, declared, eventually, name};

/// One event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Event {
    name: String,
    id: String,
    data: String,
}

/// Reads events until `enough`, or until nothing comes for a while.
async fn read(response: &mut Response, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let (mut text, mut events) = (String::new(), Vec::new());
    while !enough(&events) {
        match tokio::time::timeout(Duration::from_secs(5), response.chunk()).await {
            Ok(Ok(Some(part))) => text.push_str(std::str::from_utf8(&part).unwrap()),
            _ => break,
        }
        while let Some((block, rest)) = text.split_once("\n\n") {
            let mut event = Event::default();
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("event", value)) => value.clone_into(&mut event.name),
                    Some(("id", value)) => value.clone_into(&mut event.id),
                    Some(("data", value)) => value.clone_into(&mut event.data),
                    _ => {}
                }
            }
            events.push(event);
            text = rest.to_owned();
        }
    }
    events.retain(|event| !event.name.is_empty());
    events
}

async fn open(fixture: &Fixture, path: &str, token: &str, last: Option<&str>) -> Response {
    let mut request = fixture.http().get(format!("{}{path}", fixture.url())).bearer_auth(token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

#[tokio::test]
async fn a_consumer_hears_of_its_own_secrets_and_of_no_other() {
    let own = declared("payments/db", ALTERNATE, &[("web", &["web-0"])]);
    let other = declared("payments/other", ALTERNATE, &[("batch", &["batch-0"])]);
    let fixture = Fixture::with(vec![own, other]).await;
    let web = fixture.enrol("payments/web").await;
    let mut stream = open(&fixture, "/v1/consumer/watch", &web, None).await;
    let first = read(&mut stream, |events| !events.is_empty()).await;
    assert_eq!(first[0].name, "open");
    assert_eq!(first[0].data, r#"{"consumer":"payments/web","secrets":["payments/db"]}"#);
    fixture.begin("payments/other", PlanKind::Issue).await;
    fixture.begin("payments/db", PlanKind::Issue).await;
    let heard = read(&mut stream, |events| events.len() >= 2).await;
    assert!(!heard.is_empty());
    for event in &heard {
        assert_eq!(event.name, "changed");
        assert!(event.data.contains("payments/db") && !event.data.contains("other"), "{event:?}");
    }
}

#[tokio::test]
async fn an_operator_follows_a_journal_and_takes_up_where_it_was_cut() {
    let fixture = Fixture::new(ALTERNATE).await;
    fixture.begin("payments/db", PlanKind::Issue).await;
    fixture.settled("payments/db", 1).await;
    fixture.begin("payments/db", PlanKind::Rotate).await;
    let whole = eventually("the rotation to be staged", async || {
        let events = fixture.get("/v1/secrets/payments/db/history", &fixture.operator).await;
        if events.text.contains("staged") { Ok(events.json()) } else { Err(events.text) }
    })
    .await;
    let seqs: Vec<String> = whole["events"].as_array().unwrap().iter().map(|it| it["seq"].to_string()).collect();
    let path = "/v1/events?secret=payments/db";
    let mut stream = open(&fixture, path, &fixture.operator, None).await;
    let heard = read(&mut stream, |events| events.len() >= seqs.len()).await;
    assert_eq!(heard.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), seqs);
    assert!(heard.iter().all(|it| it.name == "journal"));
    drop(stream);
    let mut resumed = open(&fixture, path, &fixture.operator, Some(&seqs[2])).await;
    let rest = read(&mut resumed, |events| events.len() >= seqs.len() - 3).await;
    assert_eq!(rest.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), seqs[3..], "it did not resume exactly");
    let body = serde_json::json!({"reason": "live"});
    fixture.post("/v1/secrets/payments/db/abandon", &fixture.operator, &body).await;
    let live = read(&mut resumed, |events| events.iter().any(|it| it.data.contains("live"))).await;
    assert!(live.iter().any(|it| it.data.contains("live")), "{live:?}");
    let last: u64 = live.last().unwrap().id.parse().unwrap();
    assert!(last <= fixture.journal.events(&name("payments/db")).len() as u64);
}

#[tokio::test]
async fn an_unknown_secret_is_a_problem_and_no_stream() {
    let fixture = Fixture::new(ALTERNATE).await;
    let answer = fixture.get("/v1/events?secret=payments/nothing", &fixture.operator).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn one_identity_holds_only_so_many_streams() {
    let fixture = Fixture::new(ALTERNATE).await;
    let web = fixture.enrol("payments/web").await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS_PER_IDENTITY {
        streams.push(open(&fixture, "/v1/consumer/watch", &web, None).await);
    }
    let refused = fixture.get("/v1/consumer/watch", &web).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (503, "overloaded"));
    assert_eq!(fixture.get("/v1/consumer/secrets", &web).await.status, 200, "other requests are served");
    drop(streams);
    eventually("closed streams to be given back", async || {
        let sent = fixture.http().get(format!("{}/v1/consumer/watch", fixture.url())).bearer_auth(&web).send().await;
        let status = sent.unwrap().status();
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}
