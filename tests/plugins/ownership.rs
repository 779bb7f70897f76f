//! Two PostgreSQL roles in turn own and may the same, because a group does: before, during and after a rotation.

use crate::postgres::{lets_in, rig, turns};
use crate::rig::Rig;
use keybaton_protocol::step::CallKind::{Destroy, Disable, Install};
use keybaton_test_support::Postgres;

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
