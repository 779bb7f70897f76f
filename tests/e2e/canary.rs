//! The canary: known secrets go through a whole installation, and then everything that it said, answered, logged or
//! stored is searched for them, whole and in pieces, in every rendering; so is the host's memory once they were erased.

use crate::host::{Installation, generation};
use crate::load::connections;
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Canary, Postgres, PostgresOptions, Sighting, random_hex};
use reqwest::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DECLARED: &str = "secrets:
  - name: team/one
    plugin: postgres-password
    connection: main
    settings: { roles: [one_a, one_b], group: one_owner }
    cadence: { manual: true }
    consumers: { web: { members: [web-0] } }
    overlap: { minimum: 0s, quiet: 1s, soak: 0s }
    stragglers: { deadline: 60s, then: hold }
    limits: { staged_lease: 2s }
";
/// How long one answer of the API is listened to; a stream of events never ends.
const ANSWER: Duration = Duration::from_secs(10);
/// A stream is listened to for as long.
const STREAM: Duration = Duration::from_millis(500);
/// How long freed memory may still hold what was just erased: connections and their buffers end with their idle time.
const FORGOTTEN: Duration = Duration::from_secs(20);
/// Variables of paths, as they are filled in.
const VARIABLES: [(&str, &str); 3] = [("{namespace}", "team"), ("{name}", "one"), ("{id}", "none")];

/// A piece of so many bytes is looked for: shorter ones are met by chance.
const PIECE_BYTES: usize = 8;
/// The same for a value of hexadecimal digits, which logs are full of.
const HEX_PIECE_BYTES: usize = 16;

/// Awkward in every rendering, and every piece of it nobody else's.
fn planted() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |pair: &[u8]| {
        let number = usize::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        char::from(LETTERS[number % LETTERS.len()])
    };
    let letters: Vec<char> = random_hex(24).unwrap().as_bytes().chunks(2).map(letter).collect();
    letters.chunks(3).zip("\"'/+\\ =&".chars()).flat_map(|(three, mark)| three.iter().copied().chain([mark])).collect()
}

/// What tells a token from others: all but its prefix.
fn distinctive(token: &str) -> &str {
    token.trim().rsplit('_').next().unwrap_or_default()
}

/// What anybody on the machine may read of a process without looking into its memory.
fn shown_by_the_system(canary: &Canary, pid: u32) -> Vec<Sighting> {
    let of = |file: &str| canary.search_path(Path::new(&format!("/proc/{pid}/{file}"))).unwrap();
    ["environ", "cmdline", "status", "maps"].into_iter().flat_map(of).collect()
}

/// A role whose password the server's own log does not show.
async fn role(server: &Postgres, password: &str) {
    let admin = server.admin().await.unwrap();
    admin.batch_execute("SET log_statement = 'none'").await.unwrap();
    let quoted = password.replace('\'', "''");
    admin.batch_execute(&format!("CREATE ROLE one_a LOGIN PASSWORD '{quoted}'")).await.unwrap();
    server.execute("CREATE ROLE one_owner NOLOGIN").await.unwrap();
}

/// Every readable route that is an operator's or anybody's, as the OpenAPI document lists them.
async fn replies(host: &Installation) -> BTreeMap<String, Vec<u8>> {
    let token = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();
    let http = Client::builder().no_proxy().unix_socket(host.dir.join("keybaton.sock")).build().unwrap();
    let get = |path: &str| http.get(format!("http://keybaton{path}")).bearer_auth(token.trim()).timeout(ANSWER);
    let document = get("/v1/openapi.json").send().await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods["get"].is_null() {
            continue;
        }
        let path = VARIABLES.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        let mut response = get(&path).send().await.unwrap();
        let mut body = format!("{:?}", response.headers()).into_bytes();
        while let Ok(Ok(Some(chunk))) = tokio::time::timeout(STREAM, response.chunk()).await {
            body.extend_from_slice(&chunk);
        }
        found.insert(path, body);
    }
    found
}

/// What the API says to a request that carries a secret where it does not belong.
async fn refusals(host: &Installation, secret: &str) -> Vec<Vec<u8>> {
    let token = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();
    let http = Client::builder().no_proxy().unix_socket(host.dir.join("keybaton.sock")).build().unwrap();
    let mut said = Vec::new();
    for body in [
        serde_json::json!({ "fields": { "password": secret } }),
        serde_json::json!({ "fields": { "password": { "value": secret } } }),
        serde_json::json!({ "field": secret }),
        serde_json::json!({ "unknown": secret }),
        Value::String(secret.to_owned()),
    ] {
        let request = http.post("http://keybaton/v1/secrets/team/one/import").bearer_auth(token.trim());
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.timeout(ANSWER).send().await.unwrap();
        assert!(response.status().is_client_error(), "{body}");
        said.push(response.bytes().await.unwrap().to_vec());
    }
    said
}

/// One rotation; answers the new password.
async fn rotated(host: &mut Installation, web: &Workload, number: u64) -> String {
    host.done(&["rotate", "team/one"]).await;
    let status = host.settled("team/one").await;
    assert_eq!(generation(&status, "current"), Some(number), "{status:#}");
    web.secret.current().expect("it holds one").secret_text("password").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_said_or_stored_in_clear_holds_a_secret() {
    let options = PostgresOptions { log_statements: true, ..PostgresOptions::default() };
    let server = Postgres::start(options).await.unwrap();
    let known = planted();
    role(&server, &known).await;
    let mut host = Installation::init("canary", &connections(&server, "\"*\"")).await;
    host.up(&["--log", "trace"]).await;
    host.install("postgres-password").await;
    let file = host.apply(DECLARED).await;
    let operator = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();

    let refused = refusals(&host, &known).await;
    let import = ["import", "team/one", "--attribute", "username=one_a", "--slot", "one_a"];
    let wrong = host.run_with(&["import", "team/one", "--field", "pass word"], &known).await;
    assert_ne!(wrong.code, 0, "{}", wrong.out);
    assert_eq!(host.run_with(&import, &known).await.code, 0);
    host.settled("team/one").await;
    let again = host.run_with(&import, &known).await;
    assert_ne!(again.code, 0, "it has a credential already: {}", again.out);
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;
    let second = rotated(&mut host, &web, 2).await;
    let backup = host.folder.join("backup").display().to_string();
    host.done(&["backup", &backup]).await;
    let mut answered = vec![replies(&host).await];
    host.down().await;
    host.up(&["--log-json", "--log", "trace"]).await;
    let third = rotated(&mut host, &web, 3).await;
    for args in [
        &["status", "team/one"][..],
        &["status"],
        &["history", "team/one"],
        &["watch", "team/one", "--until-idle"],
        &["audit", "show"],
        &["doctor"],
        &["plan", &file],
        &["plugin", "list"],
        &["connection", "list"],
        &["consumer", "list"],
    ] {
        assert_eq!(host.run_as_given(args, "").await.code, 0, "{args:?}");
        host.ends(args, 0).await;
    }
    answered.push(replies(&host).await);
    let mut pieces = Canary::with_fragments(PIECE_BYTES);
    for (name, value) in [
        ("the imported password", known.as_str()),
        ("the second password", &second),
        ("the third password", &third),
        ("the operator's token", distinctive(&operator)),
    ] {
        pieces.plant(name, value).unwrap();
    }
    let mut digits = Canary::with_fragments(HEX_PIECE_BYTES);
    digits.plant("the administrator's password", server.admin_password()).unwrap();
    let mut found = Vec::new();
    for canary in [&pieces, &digits] {
        found.extend(shown_by_the_system(canary, host.pid()));
    }
    web.stop().await;
    host.down().await;
    for canary in [&pieces, &digits] {
        // The store, its backup, the host's logs, and what the workload keeps.
        found.extend(canary.search_path(host.folder.path()).unwrap());
        found.extend(canary.search("what commands printed", host.said()));
        found.extend(canary.search_path(server.log_file().as_path()).unwrap());
        for body in &refused {
            found.extend(canary.search("a refusal", body));
        }
        for (path, body) in answered.iter().flatten() {
            assert!(body.len() > 2, "{path} was answered");
            found.extend(canary.search(path, body));
        }
    }
    // The one place where it belongs.
    found.retain(|it| !it.place.ends_with("operator.token"));
    assert_eq!(shown(&found), Vec::<String>::new());
    let metrics = answered.iter().all(|replies| replies.contains_key("/metrics"));
    assert!(metrics, "metrics were looked at: {:?}", answered[0].keys());
    let log = server.log().unwrap();
    assert!(log.contains("SCRAM-SHA-256$"), "statements were logged, verifiers in them");
    for (log, level) in [("host-1.err", "DEBUG"), ("host-2.err", "\"level\":\"DEBUG\"")] {
        let log = std::fs::read_to_string(host.folder.join(log)).unwrap();
        assert!(log.contains(level), "the host logged everything: {level}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_memory_forgets_what_was_erased() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let known = planted();
    role(&server, &known).await;
    let mut host = Installation::init("canary-memory", &connections(&server, "\"*\"")).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(DECLARED).await;
    let import = ["import", "team/one", "--attribute", "username=one_a", "--slot", "one_a"];
    assert_eq!(host.run_with(&import, &known).await.code, 0);
    host.settled("team/one").await;
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;
    let second = rotated(&mut host, &web, 2).await;
    let third = rotated(&mut host, &web, 3).await;
    rotated(&mut host, &web, 4).await;
    let mut canary = Canary::with_fragments(PIECE_BYTES);
    for (name, value) in [("the imported one", &known), ("the second one", &second), ("the third one", &third)] {
        canary.plant(name, value).unwrap();
    }
    // What is no secret is found: the search sees this memory.
    let mut control = Canary::new();
    control.plant("the secret's name", "team/one").unwrap();
    let seen = control.search_memory(host.pid());
    assert!(!rustix::process::geteuid().is_root() || !seen.unwrap().is_empty());
    let until = tokio::time::Instant::now() + FORGOTTEN;
    loop {
        let found = canary.search_memory(host.pid());
        if !rustix::process::geteuid().is_root() {
            assert!(found.is_err(), "only root may read the memory of a host");
            break;
        }
        let found = found.unwrap();
        if found.is_empty() {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{:#?}", shown(&found));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    web.stop().await;
    host.down().await;
}

fn shown(found: &[Sighting]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}
