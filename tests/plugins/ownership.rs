//! Two PostgreSQL roles in turn own and may the same, because a group does: before, during and after a rotation. And what
//! is not keybaton's own is left alone, whatever is asked for it.

use crate::postgres::{lets_in, rig, turns};
use crate::rig::Rig;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::step::CallKind::{Destroy, Disable, Enable, Install};
use keybaton_runtime::connection::{PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_test_support::Postgres;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

/// `app_a` as a team would have it before keybaton: it owns a table, and may read another by a group's leave.
async fn before(server: &Postgres) {
    server
        .execute(
            "CREATE ROLE app_owner NOLOGIN;
             CREATE ROLE app_a LOGIN PASSWORD 'from before';
             GRANT CREATE, USAGE ON SCHEMA public TO app_owner, app_a;
             SET ROLE app_a;
             CREATE TABLE orders (id serial PRIMARY KEY);
             RESET ROLE;
             CREATE TABLE prices (id int);
             GRANT SELECT ON prices TO app_owner",
        )
        .await
        .unwrap();
}

async fn as_user(server: &Postgres, rig: &Rig, number: u32, statement: &str) -> Result<(), String> {
    let user = rig.attribute(number, "username").unwrap_or_else(|| "app_a".to_owned());
    let client = server.connect(&user, &rig.value(number), "postgres").await.unwrap();
    client.batch_execute(statement).await.map_err(|error| format!("{user}: {error:?}"))
}

async fn owners(server: &Postgres) -> Vec<String> {
    let rows = server
        .rows("SELECT tablename || ' ' || tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        .await
        .unwrap();
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

#[tokio::test]
async fn an_existing_role_becomes_the_first_of_two() {
    let (server, mut rig) = rig(turns()).await;
    before(&server).await;
    rig.know(1, "current", Some("app_a"));
    rig.supply(1, "password", "from before");
    let findings = rig.preflight(2).await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert!(rig.works(1).await, "the imported password is proven before anything changes");
    assert_eq!(rig.seen().await, ["app_a#1 active 0"]);
    let running = server.connect("app_a", "from before", "postgres").await.unwrap();

    rig.know(2, "pending", Some("app_b"));
    rig.create(2).await.unwrap();
    rig.done(Install, 2).await;
    assert_eq!(owners(&server).await, ["orders app_owner", "prices postgres"]);
    for statement in [
        "INSERT INTO orders DEFAULT VALUES",
        "ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders DROP COLUMN note",
        "SELECT * FROM prices",
    ] {
        running.batch_execute(statement).await.unwrap_or_else(|error| panic!("the running session: {error:?}"));
        for number in [1, 2] {
            as_user(&server, &rig, number, statement).await.unwrap();
        }
    }
    as_user(&server, &rig, 2, "CREATE TABLE by_b (id int)").await.unwrap();
    as_user(&server, &rig, 1, "DROP TABLE by_b; CREATE TABLE by_a (id int)").await.unwrap();
    assert_eq!(owners(&server).await, ["by_a app_owner", "orders app_owner", "prices postgres"]);

    // The old role ends, and comes back for its next turn with all it had.
    rig.role(1, "previous");
    rig.role(2, "current");
    drop(running);
    rig.done(Disable, 1).await;
    rig.done(Destroy, 1).await;
    assert!(!lets_in(&server, "app_a", "from before").await);
    rig.forget(1);
    rig.know(3, "pending", Some("app_a"));
    rig.create(3).await.unwrap();
    rig.done(Install, 3).await;
    assert!(rig.works(3).await);
    as_user(&server, &rig, 3, "DROP TABLE by_a; INSERT INTO orders DEFAULT VALUES").await.unwrap();
}

#[tokio::test]
async fn what_a_role_made_for_itself_is_given_to_the_group_at_the_next_turn() {
    let (server, mut rig) = rig(turns()).await;
    before(&server).await;
    rig.know(1, "current", Some("app_a"));
    rig.supply(1, "password", "from before");
    rig.know(2, "pending", Some("app_b"));
    rig.create(2).await.unwrap();
    rig.done(Install, 2).await;
    as_user(&server, &rig, 2, "SET ROLE app_b; CREATE TABLE stray (id int)").await.unwrap();
    assert!(owners(&server).await.contains(&"stray app_b".to_owned()));
    rig.done(Install, 2).await;
    assert!(owners(&server).await.contains(&"stray app_owner".to_owned()));
}

#[tokio::test]
async fn privileges_that_only_one_role_holds_are_found_beforehand() {
    let (server, mut rig) = rig(turns()).await;
    before(&server).await;
    server.execute("CREATE TABLE secrets (id int); GRANT SELECT, UPDATE ON secrets TO app_a").await.unwrap();
    rig.know(1, "current", Some("app_a"));
    let findings = rig.preflight(2).await.unwrap();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert!(finding.fatal && finding.message.ends_with("SELECT on secrets, UPDATE on secrets"), "{finding:?}");
    server.execute("GRANT SELECT, UPDATE ON secrets TO app_owner").await.unwrap();
    assert_eq!(rig.preflight(2).await.unwrap(), []);
}

#[tokio::test]
async fn without_its_group_nothing_is_installed() {
    let (server, mut rig) = rig(turns()).await;
    server.execute("CREATE ROLE app_a LOGIN PASSWORD 'from before'").await.unwrap();
    rig.know(1, "current", Some("app_a"));
    let findings = rig.preflight(2).await.unwrap();
    assert!(findings.iter().any(|finding| finding.fatal && finding.message.contains("CREATE ROLE \"app_owner\"")));
    rig.know(2, "pending", Some("app_b"));
    rig.create(2).await.unwrap();
    assert_eq!(rig.fault(Install, 2).await.code, "postgres.group-missing");
    assert!(!lets_in(&server, "app_b", &rig.value(2)).await);
}

/// The settings of two roles in turn, one of which may be taken over.
fn replacing() -> Value {
    let mut settings = turns();
    settings["existing"] = "replace".into();
    settings
}

/// Whether a role is as it was: it lets its owner in, and the session that was open still is.
async fn untouched(server: &Postgres, role: &str, password: &str, running: &tokio_postgres::Client, sentence: &str) {
    assert!(lets_in(server, role, password).await, "{sentence}: {role} lost its login or its password");
    running.simple_query("SELECT 1").await.unwrap_or_else(|error| panic!("{sentence}: the session ended: {error}"));
}

async fn not_ours(rig: &Rig, number: u32, sentence: &str) {
    for step in [Disable, Destroy] {
        let fault = rig.fault(step, number).await;
        let found = (fault.class, fault.blame, fault.code.as_str());
        assert_eq!(found, (FailureClass::Permanent, Blame::Target, "postgres.not-ours"), "{sentence}, {step}: {fault}");
    }
}

/// An administrator without all rights: the objects of the role to be taken over cannot change hands.
#[tokio::test]
async fn a_rollback_of_an_install_that_failed_leaves_the_role_that_was_to_be_taken_over() {
    let (server, _) = rig(turns()).await;
    before(&server).await;
    server.execute("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeps'; GRANT app_owner TO keeper").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keeper");
    std::fs::write(&file, "keeps").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let target = PostgresTarget::here(server.port(), "postgres", "keeper", Arc::new(FileSource(file)));
    let mut rig = Rig::new("plugins/postgres-password", Target::Postgres(target), &["app_*"], replacing());
    let running = server.connect("app_a", "from before", "postgres").await.unwrap();
    rig.know(1, "pending", Some("app_a"));
    rig.create(1).await.unwrap();
    let fault = rig.fault(Install, 1).await;
    assert_eq!(fault.code, "sql.insufficient-privilege", "{fault}");
    not_ours(&rig, 1, "an install that failed").await;
    untouched(&server, "app_a", "from before", &running, "an install that failed").await;
    let acts_as = "SELECT coalesce(rolconfig::text, '-') FROM pg_roles WHERE rolname = 'app_a'";
    assert_eq!(server.rows(acts_as).await.unwrap(), [[Some("-".to_owned())]], "its sessions do not act otherwise");
}

#[tokio::test]
async fn a_role_that_somebody_makes_in_the_same_moment_is_theirs() {
    let (server, mut rig) = rig(turns()).await;
    before(&server).await;
    rig.know(1, "current", Some("app_a"));
    rig.supply(1, "password", "from before");
    rig.know(2, "pending", Some("app_b"));
    rig.create(2).await.unwrap();
    let somebody = server.admin().await.unwrap();
    somebody.batch_execute("BEGIN; CREATE ROLE app_b LOGIN PASSWORD 'theirs'").await.unwrap();
    let commit = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        somebody.batch_execute("COMMIT").await.unwrap();
    };
    let (fault, ()) = tokio::join!(rig.fault(Install, 2), commit);
    assert_eq!(fault.code, "sql.state-23505", "{fault}");
    let running = server.connect("app_b", "theirs", "postgres").await.unwrap();
    not_ours(&rig, 2, "made in the same moment").await;
    assert_eq!(rig.fault(Install, 2).await.code, "postgres.role-in-use", "nor is it written over by another attempt");
    untouched(&server, "app_b", "theirs", &running, "made in the same moment").await;
}

#[tokio::test]
async fn what_somebody_did_by_hand_is_asked_about_and_not_ended() {
    let (server, mut rig) = rig(turns()).await;
    server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
    rig.know(1, "pending", Some("app_a"));
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    rig.role(1, "current");
    assert_eq!(rig.preflight(2).await.unwrap(), []);
    for (sentence, act, undo, words) in [
        ("a password", "ALTER ROLE app_a PASSWORD 'by hand'", None, "refuses the password in use"),
        ("its login", "ALTER ROLE app_a NOLOGIN", Some("ALTER ROLE app_a LOGIN"), "cannot log in any more"),
    ] {
        server.execute(act).await.unwrap();
        let findings = rig.preflight(2).await.unwrap();
        assert!(matches!(&findings[..], [one] if one.fatal && one.message.contains(words)), "{sentence}: {findings:?}");
        rig.settings = replacing();
        let findings = rig.preflight(2).await.unwrap();
        assert!(matches!(&findings[..], [one] if !one.fatal), "{sentence}, given away: {findings:?}");
        rig.settings = turns();
        match undo {
            Some(undo) => server.execute(undo).await.unwrap(),
            None => {
                let running = server.connect("app_a", "by hand", "postgres").await.unwrap();
                assert_eq!(rig.seen().await, ["app_a#0 active 1"], "{sentence}: it is nobody's of ours");
                not_ours(&rig, 1, sentence).await;
                untouched(&server, "app_a", "by hand", &running, sentence).await;
                drop(running);
                rig.done(Install, 1).await;
            }
        }
    }
    // Keybaton takes the login away, and somebody gives it back.
    rig.done(Disable, 1).await;
    assert_eq!(rig.preflight(2).await.unwrap(), [], "what keybaton switched off itself");
    server.execute("ALTER ROLE app_a LOGIN").await.unwrap();
    let fault = rig.fault(Destroy, 1).await;
    assert!(fault.code == "postgres.not-ours" && fault.message.contains("somebody gave it back"), "{fault}");
    assert!(lets_in(&server, "app_a", &rig.value(1)).await);
    rig.done(Enable, 1).await;
    rig.done(Disable, 1).await;
    rig.done(Destroy, 1).await;
    server.execute("DROP ROLE app_a").await.unwrap();
    let findings = rig.preflight(2).await.unwrap();
    assert_eq!(findings, [], "what keybaton ended itself may be dropped");
}

#[tokio::test]
async fn the_role_of_one_that_is_dropped_is_not_made_again_without_a_word() {
    let (server, mut rig) = rig(json!({ "connection": "main", "role": "app" })).await;
    rig.know(1, "pending", None);
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    rig.role(1, "current");
    server.execute("DROP ROLE app").await.unwrap();
    let findings = rig.preflight(2).await.unwrap();
    let said = |words: &str| findings.iter().any(|one| one.fatal && one.message.contains(words));
    assert!(said("does not exist any more"), "{findings:?}");
}
