//! The command line, by the real binary on a real installation: what each command says, and how it ends.

use crate::host::{Installation, generation, keybaton};
use crate::load::connections;
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Login, Postgres, PostgresOptions};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Exit codes as `keybaton --help` documents them.
mod exit {
    pub(super) const DONE: i32 = 0;
    pub(super) const FAILED: i32 = 1;
    pub(super) const CHANGES: i32 = 3;
    pub(super) const INVALID: i32 = 4;
    pub(super) const REFUSED: i32 = 5;
    pub(super) const NOT_FOUND: i32 = 6;
    pub(super) const UNREACHABLE: i32 = 7;
    pub(super) const DAMAGED: i32 = 8;
}

/// A secret of two roles that are named after it; `consumers` is its own line.
fn secret(name: &str, consumers: &str) -> String {
    format!(
        "  - name: team/{name}\n    plugin: postgres-password\n    connection: main\n    \
         settings: {{ roles: [{name}_a, {name}_b], group: {name}_owner }}\n    cadence: {{ manual: true }}\n    \
         consumers: {consumers}\n    overlap: {{ minimum: 0s, quiet: 1s, soak: 0s }}\n    \
         stragglers: {{ deadline: 10m, then: hold }}\n    limits: {{ staged_lease: 2s }}\n"
    )
}

const ONE: &str = "{ web: { members: [web-0] } }";
/// Nobody has to be waited for.
const NOBODY: &str = "{ job: { members: [job-0], required: false } }";

async fn served(purpose: &str, declared: &[String]) -> (Postgres, Installation, String) {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE one_owner NOLOGIN").await.unwrap();
    let mut host = Installation::init(purpose, &connections(&server, "\"*\"")).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    let file = host.apply(&format!("secrets:\n{}", declared.concat())).await;
    (server, host, file)
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_finished_rotation() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE one_owner NOLOGIN").await.unwrap();
    let mut host = Installation::init("cli-setup", &connections(&server, "\"*\"")).await;
    host.ends(&["init"], exit::REFUSED).await;
    host.ends(&["status"], exit::UNREACHABLE).await;
    host.up(&[]).await;

    let declared = format!("secrets:\n{}", secret("one", NOBODY));
    let file = host.folder.write("one.yaml", declared.as_bytes()).unwrap().display().to_string();
    host.ends(&["plan", "--exit-code", &file], exit::INVALID).await; // its plugin is unknown yet
    host.install("postgres-password").await;
    let listed = host.done(&["plugin", "list"]).await;
    assert_eq!(listed["plugins"][0]["state"], "approved", "{listed}");
    assert_eq!(host.done(&["connection", "test", "main"]).await["works"], true);
    host.ends(&["connection", "test", "other"], exit::NOT_FOUND).await;

    let plan = host.ends(&["plan", "--exit-code", &file], exit::CHANGES).await.json();
    assert_eq!(
        (&plan["secrets"][0]["change"], &plan["secrets"][0]["overlap"]),
        (&"added".into(), &"alternate(2)".into())
    );
    host.ends(&["plan", &file], exit::DONE).await;
    host.ends(&["apply", "--allow-weaker", &file], exit::DONE).await;
    host.ends(&["plan", "--exit-code", &file], exit::DONE).await;
    let broken = host.folder.write("broken.yaml", declared.replace("cadence", "cadense").as_bytes()).unwrap();
    let broken = host.ends(&["plan", "--exit-code", &broken.display().to_string()], exit::INVALID).await;
    assert!(broken.out.contains("cadence"), "the suggestion: {}", broken.out);

    assert_eq!(host.done(&["status", "team/one"]).await["summary"]["standing"], "new");
    for (number, what) in [(1, "issue"), (2, "rotate")] {
        let followed =
            lines(&host.ends(&["rotate", "team/one", "--wait", "--reason", "quarter"], exit::DONE).await.out);
        assert!(followed.iter().any(|it| it["event"] == "finished"), "{what}: {followed:#?}");
        let status = host.done(&["status", "team/one"]).await;
        assert_eq!(generation(&status, "current"), Some(number), "{what}: {status:#}");
    }
    let watched = lines(&host.ends(&["watch", "team/one", "--until-idle", "--all"], exit::DONE).await.out);
    let history = host.done(&["history", "team/one"]).await;
    assert_eq!(history["events"].as_array(), Some(&watched), "watch and history tell the same");
    assert_eq!(host.done(&["status"]).await["secrets"][0]["secret"], "team/one");
    let live = server.rows("SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'one%'").await.unwrap();
    assert_eq!(live, [[Some("1".to_owned())]]);

    let looked = host.done(&["doctor"]).await;
    assert!(looked.as_array().unwrap().iter().all(|check| check["fine"] == true), "{looked:#}");
    assert_eq!(host.done(&["audit", "verify"]).await["intact"], true);
    let audit = host.done(&["audit", "show"]).await;
    assert!(audit["entries"].as_array().unwrap().iter().any(|it| it["subject"] == "team/one"), "{audit:#}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(host.ends(&["completions", shell], exit::DONE).await.out.contains("keybaton"), "{shell}");
    }
    host.down().await;
    host.ends(&["status"], exit::UNREACHABLE).await;
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = std::process::Command::new(keybaton()).args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(exit::DONE), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_and_wrong_tokens_have_their_own_exit_codes() {
    let (_server, mut host, _) = served("cli-wrong", &[secret("one", NOBODY)]).await;
    for args in [
        &["status", "team/other"][..],
        &["history", "team/other"],
        &["rotate", "team/other"],
        &["watch", "team/other", "--until-idle"],
        &["abandon", "team/other"],
        &["freeze", "team/other"],
        &["reconcile", "team/other"],
        &["plugin", "approve", "other"],
    ] {
        host.ends(args, exit::NOT_FOUND).await;
    }
    for args in [&["rollback", "team/one"][..], &["revert", "team/one"]] {
        let ran = host.ends(args, exit::REFUSED).await;
        assert!(!ran.json()["help"].is_null() || !ran.json()["causes"].is_null(), "{}", ran.out);
    }
    let token = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();
    let mut wrong = token.trim().to_owned();
    let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
    wrong.push(last);
    let wrong = host.folder.write("wrong.token", wrong.as_bytes()).unwrap().display().to_string();
    host.ends(&["--token-file", &wrong, "status"], exit::UNREACHABLE).await;
    host.ends(&["--token-file", "/nonexistent/token", "status"], exit::UNREACHABLE).await;
    let url = host.url.clone();
    host.ends(&["--host", &url, "status"], exit::DONE).await;
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_stop_give_back_and_put_back() {
    let (server, mut host, _) = served("cli-operate", &[secret("one", ONE)]).await;
    host.done(&["rotate", "team/one"]).await;
    host.settled("team/one").await;
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;

    host.done(&["freeze", "team/one"]).await;
    assert_eq!(host.done(&["status", "team/one"]).await["summary"]["standing"], "frozen");
    host.ends(&["rotate", "team/one"], exit::REFUSED).await;
    host.done(&["thaw", "team/one"]).await;
    assert_eq!(host.done(&["freeze", "--namespace", "team"]).await["freezes"].as_array().unwrap().len(), 1);
    assert_eq!(host.done(&["thaw", "--namespace", "team"]).await["freezes"], serde_json::json!([]));

    for (command, ending) in [("rollback", "rolled-back"), ("abandon", "abandoned")] {
        web.stalls.store(true, Ordering::Relaxed);
        host.done(&["rotate", "team/one"]).await;
        let staged = |status: &Value| status["rotation"]["step"] == "stage";
        let status = host.until("team/one", "staged", staged).await;
        assert_eq!(status["rotation"]["consumers"][0]["missing"], serde_json::json!(["web-0"]), "{status:#}");
        host.done(&[command, "team/one", "--reason", "second thoughts"]).await;
        web.stalls.store(false, Ordering::Relaxed);
        let status = host.settled("team/one").await;
        assert_eq!(generation(&status, "current"), Some(1), "{command}: {status:#}");
        assert_eq!(host.ending("team/one").await, ending, "{command}");
    }

    // The drain takes a second and the host waits for it: time to put the previous one back.
    host.done(&["rotate", "team/one"]).await;
    let committed = |status: &Value| generation(status, "previous") == Some(1);
    host.until("team/one", "committed", committed).await;
    host.done(&["revert", "team/one", "--reason", "slow queries"]).await;
    let status = host.settled("team/one").await;
    assert_eq!(generation(&status, "current"), Some(1), "{status:#}");
    assert_eq!(host.ending("team/one").await, "reverted");
    let held = web.secret.current().expect("it holds one");
    let login = server.login(held.attribute("username").unwrap(), held.secret_text("password").unwrap()).await;
    assert_eq!((held.generation(), login.unwrap()), (1, Login::Works));
    web.stop().await;
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0);
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_role_is_taken_over_in_its_slot() {
    let (server, mut host, _) = served("cli-import", &[secret("one", NOBODY)]).await;
    server.execute("CREATE ROLE one_b LOGIN PASSWORD 'known before keybaton'").await.unwrap();
    let import = ["import", "team/one", "--attribute", "username=one_b", "--slot", "one_b"];
    let ran = host.run_with(&import, "").await;
    assert_eq!(ran.code, exit::INVALID, "an empty value: {}", ran.out);
    let ran = host.run_with(&import, "known before keybaton\n").await;
    assert_eq!(ran.code, exit::DONE, "{}{}", ran.out, ran.err);
    let status = host.settled("team/one").await;
    assert_eq!(status["generations"][0]["slot"], "one_b", "{status:#}");
    assert_eq!(server.login("one_b", "known before keybaton").await.unwrap(), Login::Works, "nothing was changed");
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    let status = host.done(&["status", "team/one"]).await;
    assert_eq!(status["generations"][0]["slot"], "one_a", "the other one's turn: {status:#}");
    assert_ne!(server.login("one_b", "known before keybaton").await.unwrap(), Login::Works);
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_back_held_until_it_is_reconciled_and_keys_turn() {
    let (server, mut host, _) = served("cli-stores", &[secret("one", NOBODY)]).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    let backup = host.folder.join("backup").display().to_string();
    host.done(&["backup", &backup]).await;
    let key = host.folder.join("second.kek").display().to_string();
    host.ends(&["key", "rotate", "--to", &key], exit::FAILED).await; // the host runs
    host.down().await;

    std::fs::remove_dir_all(host.dir.join("data")).unwrap();
    assert!(host.done(&["restore", &backup]).await["epoch"].as_u64().unwrap() > 0, "a new epoch");
    host.up(&[]).await;
    let status = host.done(&["status", "team/one"]).await;
    assert_eq!((&status["summary"]["standing"], &status["held"]["reason"]), (&"held".into(), &"reconcile".into()));
    host.ends(&["rotate", "team/one"], exit::REFUSED).await;
    // Refused until the host has compared the secret with its target, which it may have done by now; else waited for.
    let at_once = host.run(&["reconcile", "team/one", "--no-wait"]).await;
    if at_once.code != exit::DONE {
        assert_eq!(at_once.code, exit::REFUSED, "{}", at_once.out);
        host.ends(&["reconcile", "team/one"], exit::DONE).await;
    }
    assert!(host.done(&["status", "team/one"]).await["held"].is_null());
    host.ends(&["reconcile", "team/one"], exit::REFUSED).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    let live = server.rows("SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'one%'").await.unwrap();
    assert_eq!(live, [[Some("1".to_owned())]]);
    host.down().await;

    host.done(&["key", "rotate", "--to", &key]).await;
    host.up(&[]).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    assert_eq!(host.done(&["audit", "verify"]).await["intact"], true);
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_named_and_never_served() {
    let (_server, mut host, _) = served("cli-damaged", &[secret("one", NOBODY)]).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    host.down().await;
    let database = host.dir.join("data/keybaton.db");
    let whole = std::fs::read(&database).unwrap();
    let mut torn = whole.clone();
    // Every page after the first two: whatever is read first, it is not truth.
    torn[8192..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&database, &torn).unwrap();
    host.ends(&["serve"], exit::DAMAGED).await;
    std::fs::write(&database, &whole).unwrap();
    host.up(&[]).await;
    host.down().await;
}

/// What a probe of readiness is answered.
async fn readiness(host: &Installation) -> (u16, String) {
    let authority = std::fs::read(host.dir.join("ca.pem")).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let answer = client.get(format!("{}/readyz", host.url)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What `doctor` says of the store.
async fn store_checks(host: &mut Installation) -> Vec<String> {
    let looked = host.ends(&["doctor"], exit::FAILED).await.json();
    let failed = looked.as_array().unwrap().iter().filter(|check| check["what"] == "store" && check["fine"] == false);
    failed.map(|check| check["detail"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_rows_of_a_journal_are_found_by_doctor_and_told_by_readyz() {
    let (_server, mut host, _) = served("cli-damaged-rows", &[secret("one", NOBODY)]).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    host.settled("team/one").await;
    assert_eq!(readiness(&host).await.0, 200);
    host.down().await;
    let database = host.dir.join("data/keybaton.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let begins = b"{\"events\":[";
    let rows: Vec<usize> = (0..bytes.len() - begins.len()).filter(|at| bytes[*at..].starts_with(begins)).collect();
    assert!(!rows.is_empty(), "rows are found by how they begin");
    rows.iter().for_each(|at| bytes[at + 2] = b'E');
    std::fs::write(&database, &bytes).unwrap();
    let found = store_checks(&mut host).await;
    assert!(found.iter().all(|detail| detail.contains("team/one at sequence")), "{found:?}");
    assert!(!found.is_empty());
    // Its heads hold, so the host starts; what nobody has read yet is found by its own look.
    host.up(&[]).await;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let told = loop {
        let (status, text) = readiness(&host).await;
        if status != 200 {
            break (status, text);
        }
        assert!(tokio::time::Instant::now() < until, "it still calls itself ready");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(told.1.contains("keybaton doctor") && !told.1.contains("team/one"), "names no secret: {told:?}");
    assert_eq!(host.done(&["status"]).await["secrets"][0]["standing"], "damaged");
    assert_ne!(host.run(&["rotate", "team/one"]).await.code, exit::DONE, "nothing is begun for it");
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_cut_short_is_found_by_doctor_and_never_served() {
    let (_server, mut host, _) = served("cli-cut", &[secret("one", NOBODY)]).await;
    host.ends(&["rotate", "team/one", "--wait"], exit::DONE).await;
    host.down().await;
    let database = std::fs::OpenOptions::new().write(true).open(host.dir.join("data/keybaton.db")).unwrap();
    database.set_len(database.metadata().unwrap().len() / 2).unwrap();
    assert!(!store_checks(&mut host).await.is_empty());
    host.ends(&["serve"], exit::DAMAGED).await;
}

/// A token for the command line, in a file of the test's folder.
async fn operator(host: &mut Installation, args: &[&str]) -> String {
    let made = host.done(&[&["operator", "add"], args].concat()).await;
    let file = host.folder.write(&format!("{}.token", args[0]), made["token"].as_str().unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_what_a_rotation_waits_for_and_each_is_named() {
    let attested =
        "{ web: { members: [web-0, web-1] }, job: { members: [job-0], ready: attested, adopted: attested } }";
    let (server, mut host, _) = served("cli-people", &[secret("one", attested)]).await;
    let grace = operator(&mut host, &["grace"]).await;
    let narrow = operator(&mut host, &["narrow", "--namespace", "other", "--days", "1"]).await;
    assert_eq!(host.done(&["operator", "list"]).await["operators"].as_array().unwrap().len(), 3);
    host.ends(&["--token-file", &narrow, "status", "team/one"], exit::UNREACHABLE).await;
    host.ends(&["operator", "remove", "operator"], exit::REFUSED).await;
    host.ends(&["operator", "remove", "nobody"], exit::NOT_FOUND).await;
    host.done(&["operator", "remove", "narrow"]).await;
    host.ends(&["--token-file", &narrow, "operator", "list"], exit::UNREACHABLE).await;

    host.done(&["rotate", "team/one"]).await;
    host.settled("team/one").await;
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;
    host.done(&["rotate", "team/one"]).await;
    let missing = |status: &Value| {
        status["rotation"]["consumers"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|it| it["missing"].as_array().unwrap().clone())
            .collect::<Vec<_>>()
    };
    host.until("team/one", "ready where it can be", |status| missing(status) == ["job-0", "web-1"]).await;
    let seen = host.done(&["compromise", "team/one", "--generation", "1", "--dry-run"]).await;
    assert_eq!((&seen["role"], &seen["holders"]), (&"current".into(), &serde_json::json!(["web/web-0"])), "{seen:#}");
    host.ends(&["compromise", "team/one", "--generation", "1"], exit::REFUSED).await;
    host.ends(&["compromise", "team/one", "--generation", "9", "--dry-run"], exit::REFUSED).await;

    for wrong in [&["--consumer", "web", "--replica", "web-9"], &["--consumer", "api", "--replica", "web-1"]] {
        host.ends(&[&["member", "drop", "team/one"], &wrong[..]].concat(), exit::NOT_FOUND).await;
    }
    host.done(&["member", "drop", "team/one", "--consumer", "web", "--replica", "web-1", "--reason", "gone"]).await;
    for (said, ends) in [("ready", "adopt"), ("adopted", "")] {
        host.until("team/one", said, |status| missing(status) == ["job-0"]).await;
        let word = [
            "attest",
            "team/one",
            "--consumer",
            "job",
            "--generation",
            "2",
            "--as",
            said,
            "--reason",
            "seen",
            "--expires",
            "2h",
        ];
        let id = host.done(&word).await["id"].as_str().unwrap().to_owned();
        host.ends(&["attest", "team/one", "--approve", &id], exit::REFUSED).await;
        if said == "adopted" {
            host.down().await; // a proposal outlives the host
            host.up(&[]).await;
        }
        host.done(&["--token-file", &grace, "attest", "team/one", "--approve", &id]).await;
        if !ends.is_empty() {
            host.until("team/one", ends, |status| status["rotation"]["step"] == ends).await;
        }
    }
    host.settled("team/one").await;
    assert_eq!(host.ending("team/one").await, "completed");
    let members = host.done(&["member", "list", "team/one"]).await;
    let job =
        &members["consumers"].as_array().unwrap().iter().find(|it| it["consumer"] == "job").unwrap()["members"][0];
    assert_eq!(job["statements"][0]["word"]["approver"], "grace", "{members:#}");
    let places = host.done(&["place", "list", "team/one"]).await;
    assert_eq!(places["places"][0]["generations"][0]["state"], "live", "{places:#}");
    host.ends(&["place", "drop", "team/one", "-", "--reason", "none is left"], exit::REFUSED).await;
    for nothing in [&["repolicy", "team/one"], &["repin", "team/one"]] {
        host.ends(nothing, exit::REFUSED).await;
    }
    let audit = host.done(&["audit", "show"]).await;
    for action in ["operator.add", "operator.remove", "member.drop", "attest", "attest.approve", "place.drop", "repin"]
    {
        assert!(audit["entries"].as_array().unwrap().iter().any(|it| it["action"] == action), "{action}: {audit:#}");
    }
    web.stop().await;
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0);
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_reaches_the_running_rotation_when_asked() {
    let (_server, mut host, file) = served("cli-repolicy", &[secret("one", ONE)]).await;
    host.done(&["rotate", "team/one"]).await;
    host.settled("team/one").await;
    host.done(&["rotate", "team/one"]).await;
    let staged = |status: &Value| status["rotation"]["step"] == "stage";
    host.until("team/one", "staged", staged).await;
    host.ends(&["repolicy", "team/one"], exit::REFUSED).await;
    let text = std::fs::read_to_string(&file).unwrap();
    host.apply(&text.replace("then: hold", "then: rollback").replace("deadline: 10m", "deadline: 1s")).await;
    assert!(staged(&host.done(&["status", "team/one"]).await), "it keeps what it was started on");
    host.done(&["repolicy", "team/one", "--reason", "nobody comes"]).await;
    host.settled("team/one").await;
    assert_eq!(host.ending("team/one").await, "rolled-back");
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_when_an_edited_cadence_is_due_next_and_a_stuck_secret_keeps_no_new_one_back() {
    let (server, mut host, file) = served("cli-edited", &[secret("one", NOBODY)]).await;
    server.execute("CREATE ROLE two_owner NOLOGIN").await.unwrap();
    server.execute("CREATE ROLE three_owner NOLOGIN").await.unwrap();
    let declared = std::fs::read_to_string(&file).unwrap() + &secret("two", NOBODY);
    std::fs::write(&file, &declared).unwrap();
    host.ends(&["apply", "--allow-weaker", &file], exit::DONE).await;
    for name in ["team/one", "team/two"] {
        host.ends(&["rotate", name, "--wait"], exit::DONE).await;
    }
    let rotated_at = host.done(&["status", "team/one"]).await["summary"]["rotated_at"].as_u64().unwrap();
    let edited = declared.replacen("{ manual: true }", "{ every: 1d }", 1);
    assert_ne!(edited, declared, "{declared}");
    std::fs::write(&file, &edited).unwrap();
    let plan = host.ends(&["plan", &file], exit::DONE).await.json();
    assert_eq!(plan["secrets"][0]["due_at"], rotated_at + 86_400_000, "{plan:#}");
    let shown = host.run_as_given(&["plan", &file], "").await.out;
    assert!(shown.contains("due in 23h"), "{shown}");

    server.execute("DROP ROLE two_a").await.unwrap();
    std::fs::write(&file, format!("{edited}{}", secret("three", NOBODY))).unwrap();
    let plan = host.ends(&["plan", &file], exit::INVALID).await.json();
    let blocked = |name: &str| {
        let line = plan["secrets"].as_array().unwrap().iter().find(|it| it["secret"] == name).unwrap();
        !line["blocks"].as_array().unwrap().is_empty()
    };
    assert_eq!((blocked("team/two"), blocked("team/three")), (true, false), "{plan:#}");
    host.ends(&["apply", "--allow-weaker", &file], exit::DONE).await;
    host.ends(&["rotate", "team/three", "--wait"], exit::DONE).await;
}
