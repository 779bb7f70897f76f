//! What is said, answered, logged or stored in clear, of a whole installation at work.

use super::{ONE, OTHER, OTHERS, Planted, connections, install_confidant, invented, other_roles, role, rotated, shown};
use crate::host::Installation;
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Postgres, PostgresOptions, Sighting};
use reqwest::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long one answer of the API is listened to; a stream of events never ends.
const ANSWER: Duration = Duration::from_secs(10);
/// A stream is listened to for as long.
const STREAM: Duration = Duration::from_millis(500);
/// Variables of paths, as they are filled in; the name of each secret, too.
const VARIABLES: [(&str, &str); 2] = [("{namespace}", "team"), ("{id}", "none")];

type Answers = BTreeMap<String, Vec<u8>>;

/// An operator's way to the API, past the command line.
fn api(host: &Installation) -> (Client, String) {
    let token = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();
    let http = Client::builder().no_proxy().unix_socket(host.dir.join("keybaton.sock")).build().unwrap();
    (http, token.trim().to_owned())
}

/// Every readable route that is an operator's or anybody's, as the OpenAPI document lists them, for each of the secrets.
async fn replies(host: &Installation, secrets: &[&str]) -> Answers {
    let (http, token) = api(host);
    let get = |path: &str| http.get(format!("http://keybaton{path}")).bearer_auth(&token).timeout(ANSWER);
    let document = get("/v1/openapi.json").send().await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods["get"].is_null() {
            continue;
        }
        let path = VARIABLES.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for secret in secrets {
            let path = path.replace("{name}", secret.strip_prefix("team/").unwrap());
            if found.contains_key(&path) {
                continue;
            }
            let mut response = get(&path).send().await.unwrap();
            let mut body = format!("{:?}", response.headers()).into_bytes();
            while let Ok(Ok(Some(chunk))) = tokio::time::timeout(STREAM, response.chunk()).await {
                body.extend_from_slice(&chunk);
            }
            found.insert(path, body);
        }
    }
    assert!(found.contains_key("/metrics"), "metrics were looked at: {:?}", found.keys());
    found
}

/// What the API says to a request that carries a secret where it does not belong.
async fn refusals(host: &Installation, secret: &str) -> Answers {
    let (http, token) = api(host);
    let mut said = BTreeMap::new();
    for (path, body) in [
        ("/v1/secrets/team/one/import", serde_json::json!({ "fields": { "password": secret } })),
        ("/v1/secrets/team/one/import", serde_json::json!({ "fields": { "password": { "value": secret } } })),
        ("/v1/secrets/team/one/import", serde_json::json!({ "field": secret })),
        ("/v1/secrets/team/one/import", serde_json::json!({ "unknown": secret })),
        ("/v1/secrets/team/one/import", Value::String(secret.to_owned())),
        ("/v1/enrol", serde_json::json!({ "token": secret })),
        ("/v1/enrol", serde_json::json!({ "token": [secret] })),
        ("/v1/enrol", serde_json::json!({ secret: "token" })),
    ] {
        let request = http.post(format!("http://keybaton{path}")).bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.timeout(ANSWER).send().await.unwrap();
        assert!(response.status().is_client_error(), "{path}: {body}");
        said.insert(format!("{path} refusing {}", said.len()), response.bytes().await.unwrap().to_vec());
    }
    said
}

/// What commands print, for people and as JSON.
async fn asked(host: &mut Installation, file: &str, secrets: &[&str]) {
    let mut all: Vec<Vec<&str>> = Vec::new();
    for secret in secrets {
        all.extend([vec!["status", secret], vec!["history", secret], vec!["watch", secret, "--until-idle"]]);
    }
    for args in [
        &["status"][..],
        &["audit", "show"],
        &["doctor"],
        &["plan", file],
        &["plugin", "list"],
        &["connection", "list"],
        &["connection", "test", "main"],
        &["consumer", "list"],
        &["operator", "list"],
    ] {
        all.push(args.to_vec());
    }
    for args in all {
        assert_eq!(host.run_as_given(&args, "").await.code, 0, "{args:?}");
        host.ends(&args, 0).await;
    }
}

/// What anybody on the machine may read of a process without looking into its memory.
fn shown_by_the_system(planted: &Planted, pid: u32) -> Vec<Sighting> {
    let of = |file: &str| planted.search_path(Path::new(&format!("/proc/{pid}/{file}")));
    ["environ", "cmdline", "status", "maps"].into_iter().flat_map(of).collect()
}

/// The store, its backup, the host's logs, what workloads keep, what commands printed, and what was answered.
fn found_anywhere(planted: &Planted, host: &Installation, server: &Postgres, answered: &[Answers]) -> Vec<Sighting> {
    let mut found = planted.search_path(host.folder.path());
    found.extend(planted.search("what commands printed", host.said()));
    found.extend(planted.search_path(server.log_file().as_path()));
    for (path, body) in answered.iter().flatten() {
        assert!(body.len() > 2, "{path} was answered");
        found.extend(planted.search(path, body));
    }
    found
}

/// That there was something to be found, had it been there.
fn everything_was_logged(host: &Installation, server: &Postgres) {
    let log = server.log().unwrap();
    assert!(log.contains("SCRAM-SHA-256$"), "statements were logged, verifiers in them");
    for (log, level) in [("host-1.err", "DEBUG"), ("host-2.err", "\"level\":\"DEBUG\"")] {
        let log = std::fs::read_to_string(host.folder.join(log)).unwrap();
        assert!(log.contains(level), "the host logged everything: {level}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_said_or_stored_in_clear_holds_a_secret() {
    let options = PostgresOptions { log_statements: true, ..PostgresOptions::default() };
    let server = Postgres::start(options).await.unwrap();
    let known = invented();
    role(&server, &known).await;
    let mut host = Installation::init("canary", &crate::load::connections(&server, "\"*\"")).await;
    host.up(&["--log", "trace"]).await;
    host.install("postgres-password").await;
    let file = host.apply(&format!("secrets:\n{ONE}")).await;

    let mut answered = vec![refusals(&host, &known).await];
    let import = ["import", "team/one", "--attribute", "username=one_a", "--slot", "one_a"];
    let wrong = host.run_with(&["import", "team/one", "--field", "pass word"], &known).await;
    assert_ne!(wrong.code, 0, "{}", wrong.out);
    assert_eq!(host.run_with(&import, &known).await.code, 0);
    host.settled("team/one").await;
    let again = host.run_with(&import, &known).await;
    assert_ne!(again.code, 0, "it has a credential already: {}", again.out);
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;
    rotated(&mut host, "team/one", 2).await;
    let second = web.password();
    let backup = host.folder.join("backup").display().to_string();
    host.done(&["backup", &backup]).await;
    answered.push(replies(&host, &["team/one"]).await);
    host.down().await;
    host.up(&["--log-json", "--log", "trace"]).await;
    rotated(&mut host, "team/one", 3).await;
    let third = web.password();
    asked(&mut host, &file, &["team/one"]).await;
    answered.push(replies(&host, &["team/one"]).await);
    let planted = Planted::of([
        ("the imported password", known.as_str()),
        ("the second password", &second),
        ("the third password", &third),
        ("the administrator's password", server.admin_password()),
    ]);
    let mut found = shown_by_the_system(&planted, host.pid());
    web.stop().await;
    host.down().await;
    found.extend(found_anywhere(&planted, &host, &server, &answered));
    assert_eq!(shown(&found), Vec::<String>::new());
    everything_was_logged(&host, &server);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_hold_what_admins_operators_workloads_and_readers_are_given() {
    let options = PostgresOptions { log_statements: true, ..PostgresOptions::default() };
    let server = Postgres::start(options).await.unwrap();
    other_roles(&server).await;
    let mut host = Installation::init("canary-others", &connections(&server)).await;
    host.up(&["--log", "trace"]).await;
    host.install("postgres-password").await;
    install_confidant(&mut host).await;
    let file = host.apply(&format!("secrets:\n{OTHERS}")).await;
    let counts = Arc::<Counts>::default();
    let (mut replicas, mut values) = (Vec::new(), Vec::new());
    for (secret, replica) in OTHER {
        rotated(&mut host, secret, 1).await;
        let replica = Workload::start(&mut host, &server, (secret, "team/web", replica), &counts).await;
        values.push((format!("the first of {secret}"), replica.password()));
        replicas.push(replica);
    }
    let bob = host.given(&["operator", "add", "bob", "--days", "1"]).await;
    let bobs = host.folder.write("bobs", bob.as_bytes()).unwrap().display().to_string();
    host.done(&["--token-file", &bobs, "status"]).await;
    let secrets = OTHER.map(|(secret, _)| secret);
    let mut answered = vec![replies(&host, &secrets).await];
    let backup = host.folder.join("backup").display().to_string();
    host.done(&["backup", &backup]).await;
    host.down().await;
    host.up(&["--log-json", "--log", "trace"]).await;
    for ((secret, _), replica) in OTHER.iter().zip(&replicas) {
        rotated(&mut host, secret, 2).await;
        values.push((format!("the second of {secret}"), replica.password()));
    }
    asked(&mut host, &file, &secrets).await;
    host.done(&["--token-file", &bobs, "history", "team/read"]).await;
    answered.push(replies(&host, &secrets).await);
    // A token that was used is as secret as one that was not: whoever finds it learns how they are made.
    let used = host.tokens()[0].clone();
    answered.push(refusals(&host, &used).await);

    let mut planted = Planted::of(values.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    planted.plant_tokens(&host);
    let mut found = shown_by_the_system(&planted, host.pid());
    for replica in replicas {
        replica.stop().await;
    }
    host.down().await;
    found.extend(found_anywhere(&planted, &host, &server, &answered));
    // The places where tokens belong: each of them holds one, and nothing else.
    let theirs = ["operator.token", "bobs", "identity.json"];
    let of_a_token = |it: &Sighting| it.secret.contains("token") || it.secret.starts_with("who ");
    let belongs = |it: &Sighting| of_a_token(it) && theirs.iter().any(|file| it.place.ends_with(file));
    let (own, found): (Vec<_>, Vec<_>) = found.into_iter().partition(belongs);
    assert_eq!(shown(&found), Vec::<String>::new());
    let holders = |file: &str| own.iter().filter(|it| it.form == "raw bytes" && it.place.ends_with(file)).count();
    assert_eq!(theirs.map(holders), [1, 1, OTHER.len()], "{:#?}", shown(&own));
    everything_was_logged(&host, &server);
    let log = std::fs::read_to_string(host.folder.join("host-2.err")).unwrap();
    assert!(log.contains("with the `reveal` grant read a secret"), "it was read");
}
