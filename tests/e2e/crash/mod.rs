//! The host killed, by a real SIGKILL, before and after journal writes and host calls of a rotation, and brought to
//! its end by the next life. The product knows nothing of it: this test's own executable is the host that dies.

mod census;
mod kill;
mod lane;
mod life;
mod order;

use census::Target;
use keybaton_test_support::{JupyterHub, JupyterHubOptions, Postgres, PostgresOptions, Scratch};
use lane::{Lane, Tally};
use order::{Kill, MOMENTS, Moment, Server, WORLD, World};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Quiet time, in milliseconds, that the sessions of two roles in turn are watched for.
const SESSIONS_QUIET_MS: u64 = 1_000;

/// The child's entry: a host, where the parent says so. Without a parent it checks that orders are understood.
#[tokio::test(flavor = "multi_thread")]
async fn a_life() {
    if let Ok(text) = std::env::var(WORLD) {
        let world = World::parse(&text).expect("a world");
        return Box::pin(life::live(&world)).await;
    }
    let world = World {
        server: Server::Postgres { port: 5432, admin: "postgres".into(), password: "/nowhere".into() },
        folder: "/nowhere/lane".into(),
        plugin: "postgres-password".into(),
        settings: json!({ "role": "app" }),
        identities: vec!["app".into()],
        quiet_ms: 1,
    };
    assert_eq!(World::parse(&world.text()), Some(world));
    for moment in MOMENTS {
        assert_eq!(Kill::parse(&Kill { moment, nth: 7 }.line()), Some(Kill { moment, nth: 7 }));
    }
}

/// Every moment of a rotation is tried. Journal writes are many and host calls few, so that writes have two lanes each.
fn lanes() -> Vec<Lane> {
    let half = |moment, first| Lane { moment, first, step: 2 };
    let whole = |moment| Lane { moment, first: 0, step: 1 };
    vec![
        half(Moment::BeforeAppend, 0),
        half(Moment::BeforeAppend, 1),
        half(Moment::AfterAppend, 0),
        half(Moment::AfterAppend, 1),
        whole(Moment::BeforeHostCall),
        whole(Moment::AfterHostCall),
    ]
}

/// All lanes at once: most of a lane's time is spent waiting for the protocol's clocks.
async fn all(make: impl Fn(usize) -> (World, Target)) {
    let mut running = JoinSet::new();
    for (number, lane) in lanes().into_iter().enumerate() {
        let (world, target) = make(number);
        std::fs::create_dir_all(&world.folder).unwrap();
        let moment = lane.moment;
        running.spawn(async move { (moment, lane.run(world, target).await) });
    }
    let mut whole = Tally::default();
    while let Some(ended) = running.join_next().await {
        let (moment, tally) = ended.unwrap();
        println!("{moment:?}: {tally:?}");
        assert!(tally.kills > 0, "no host was killed: {moment:?}");
        whole.completed += tally.completed;
        whole.rolled_back += tally.rolled_back;
    }
    assert!(whole.completed > whole.rolled_back, "most rotations are taken up, not given up: {whole:?}");
}

fn on_postgres(
    server: &Arc<Postgres>,
    folder: &Scratch,
    number: usize,
    settings: Value,
    roles: Vec<String>,
) -> (World, Target) {
    let quiet_ms = if roles.len() > 1 { SESSIONS_QUIET_MS } else { 0 };
    let mut identities = roles.clone();
    identities.extend(settings["group"].as_str().map(str::to_owned));
    let world = World {
        server: Server::Postgres {
            port: server.port(),
            admin: server.admin_user().to_owned(),
            password: server.admin_password_file().to_owned(),
        },
        folder: folder.join(&format!("lane-{number}")),
        plugin: "postgres-password".to_owned(),
        settings,
        identities,
        quiet_ms,
    };
    (world, Target::Postgres(Arc::clone(server), roles))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_role_with_the_password_that_the_journal_names() {
    let server = Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap());
    let folder = Scratch::new("crash-none", None).unwrap();
    lane::approve(folder.path(), "postgres-password");
    all(|number| {
        let role = format!("app_{number}");
        on_postgres(&server, &folder, number, json!({ "connection": "main", "role": role }), vec![role])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_of_two_roles_able_to_log_in() {
    let server = Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap());
    let folder = Scratch::new("crash-alternate", None).unwrap();
    lane::approve(folder.path(), "postgres-password");
    for number in 0..lanes().len() {
        server.execute(&format!("CREATE ROLE owner_{number} NOLOGIN")).await.unwrap();
    }
    all(|number| {
        let roles = vec![format!("app_{number}_a"), format!("app_{number}_b")];
        let settings = json!({ "connection": "main", "roles": roles, "group": format!("owner_{number}") });
        on_postgres(&server, &folder, number, settings, roles)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_token_at_the_hub_and_no_orphan() {
    let hub = JupyterHub::start(JupyterHubOptions { activity_resolution_s: 0 }).await.unwrap();
    let folder = Scratch::new("crash-hub", None).unwrap();
    lane::approve(folder.path(), "http-token");
    let hub = Arc::new(hub);
    for number in 0..lanes().len() {
        hub.create_user(&format!("svc-{number}")).await.unwrap();
    }
    all(|number| {
        let user = format!("svc-{number}");
        let mut settings: Value =
            serde_json::from_str(include_str!("../../../plugins/http-token/tests/jupyterhub.json")).unwrap();
        settings["connection"] = "main".into();
        settings["values"]["user"] = user.clone().into();
        // Without a signal of use the workload's own evidence decides, and no quiet time is waited for.
        settings.as_object_mut().unwrap().remove("usage");
        settings["list"].as_object_mut().unwrap().remove("last-used");
        let world = World {
            server: Server::Hub { origin: hub.origin(), token: hub.admin_token_file().to_owned() },
            folder: folder.join(&format!("lane-{number}")),
            plugin: "http-token".to_owned(),
            settings,
            identities: vec![user.clone()],
            quiet_ms: 0,
        };
        (world, Target::Hub(Arc::clone(&hub), user))
    })
    .await;
}
