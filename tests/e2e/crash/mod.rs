//! The host killed, by a real SIGKILL, before and after journal writes and host calls of a rotation that goes through,
//! is given back, or is put back, and brought to its end by the next life. The product knows nothing of it: this test's
//! own executable is the host that dies.

mod kill;
mod lane;
mod life;
mod order;
mod points;

use crate::site::{self, Course, Server, Target, World};
use keybaton_protocol::step::Step;
use keybaton_test_support::{JupyterHub, JupyterHubOptions, Postgres, PostgresOptions, Scratch};
use lane::{Lane, Tally};
use order::{Kill, MOMENTS, Moment, ORDERS, Orders};
use points::Points;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Quiet time, in milliseconds, that the sessions of two roles in turn are watched for.
const SESSIONS_QUIET_MS: u64 = 1_000;
/// Lanes of one test, shared by its courses: most of a lane's time is spent waiting for the protocol's clocks.
const LANES: usize = 16;
/// Lanes at a hub, which answers many at once so late that calls are given up: that is another test's.
const HUB_LANES: usize = 6;

/// The child's entry: a host, where the parent says so. Without a parent it checks that orders are understood.
#[tokio::test(flavor = "multi_thread")]
async fn a_life() {
    if let Ok(text) = std::env::var(ORDERS) {
        let orders = Orders::parse(&text).expect("orders");
        return Box::pin(life::live(&orders)).await;
    }
    let world = World {
        server: Server::Postgres { port: 5432, admin: "postgres".into(), password: "/nowhere".into() },
        folder: "/nowhere/lane".into(),
        shared: "/nowhere".into(),
        plugin: "postgres-password".into(),
        identities: vec!["app".into()],
    };
    for course in Course::ALL {
        let settings = site::role_settings(&["app".to_owned()], None);
        let orders = Orders { world: world.clone(), settings, quiet_ms: 1, course };
        assert_eq!(Orders::parse(&orders.text()), Some(orders));
    }
    for moment in MOMENTS {
        assert_eq!(Kill::parse(&Kill { moment, nth: 7 }.line()), Some(Kill { moment, nth: 7 }));
    }
}

/// On the ways back, what is on disk and at the target before a write is what was there at the moment before it, and
/// `kill` sees to it that it is; what differs is a write while a host call is on its way.
fn moments(course: Course) -> [Moment; 4] {
    let before = if course == Course::Through { Moment::BeforeAppend } else { Moment::AmidHostCall };
    [before, Moment::AfterAppend, Moment::BeforeHostCall, Moment::AfterHostCall]
}

/// Every moment of every course is tried, by lanes that share them.
async fn all(lanes: usize, courses: &[Course], make: impl AsyncFn(&str) -> (Orders, Target)) {
    let mut running = JoinSet::new();
    let points: Vec<_> = courses.iter().map(|course| Arc::new(Points::of(&moments(*course)))).collect();
    for number in 0..lanes {
        let way = number % courses.len();
        let (orders, target) = make(&number.to_string()).await;
        let orders = Orders { course: courses[way], ..orders };
        let points = Arc::clone(&points[way]);
        running.spawn(async move { (way, Lane::run(orders, target, &points).await) });
    }
    let mut tallies = vec![Tally::default(); courses.len()];
    while let Some(ended) = running.join_next().await {
        let (way, tally) = ended.unwrap();
        tallies[way].as_meant += tally.as_meant;
        tallies[way].otherwise += tally.otherwise;
    }
    for (course, (tally, points)) in courses.iter().zip(tallies.iter().zip(points)) {
        let kills = points.all_tried();
        println!("{course:?}: {kills:?}, {tally:?}");
        for (moment, kills) in kills {
            assert!(kills > 0 || moment == Moment::AmidHostCall, "no host was killed: {course:?}, {moment:?}");
        }
        assert!(tally.as_meant > tally.otherwise, "{course:?}: {tally:?}");
    }
}

fn on_postgres(
    server: &Arc<Postgres>,
    folder: &Scratch,
    lane: &str,
    settings: Value,
    roles: Vec<String>,
) -> (Orders, Target) {
    let quiet_ms = if roles.len() > 1 { SESSIONS_QUIET_MS } else { 0 };
    let mut identities = roles.clone();
    identities.extend(settings["group"].as_str().map(str::to_owned));
    let world = World {
        server: site::postgres_server(server, server.port()),
        folder: folder.join(&format!("lane-{lane}")),
        shared: folder.path().to_owned(),
        plugin: "postgres-password".to_owned(),
        identities,
    };
    (Orders { world, settings, quiet_ms, course: Course::Through }, Target::Postgres(Arc::clone(server), roles))
}

/// One role: what is put back is put back before anybody lets go of it, so there is no later step to look at.
async fn one_role(purpose: &str, courses: &[Course]) {
    let server = Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap());
    let folder = Scratch::new(purpose, None).unwrap();
    site::approve(folder.path(), "postgres-password");
    all(LANES, courses, async |lane| {
        let roles = vec![format!("app_{lane}")];
        on_postgres(&server, &folder, lane, site::role_settings(&roles, None), roles)
    })
    .await;
}

async fn two_roles(purpose: &str, courses: &[Course]) {
    let server = Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap());
    let folder = Scratch::new(purpose, None).unwrap();
    site::approve(folder.path(), "postgres-password");
    all(LANES, courses, async |lane| {
        let group = format!("owner_{lane}");
        server.execute(&format!("CREATE ROLE {group} NOLOGIN")).await.unwrap();
        let roles = vec![format!("app_{lane}_a"), format!("app_{lane}_b")];
        on_postgres(&server, &folder, lane, site::role_settings(&roles, Some(&group)), roles)
    })
    .await;
}

async fn tokens(purpose: &str, courses: &[Course]) {
    let hub = Arc::new(JupyterHub::start(JupyterHubOptions { activity_resolution_s: 0 }).await.unwrap());
    let folder = Scratch::new(purpose, None).unwrap();
    site::approve(folder.path(), "http-token");
    all(HUB_LANES, courses, async |lane| {
        let user = format!("svc-{lane}");
        hub.create_user(&user).await.unwrap();
        let world = World {
            server: site::hub_server(&hub, hub.port()),
            folder: folder.join(&format!("lane-{lane}")),
            shared: folder.path().to_owned(),
            plugin: "http-token".to_owned(),
            identities: vec![user.clone()],
        };
        let orders = Orders { world, settings: site::token_settings(&user), quiet_ms: 0, course: Course::Through };
        (orders, Target::Hub(Arc::clone(&hub), user))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_role_with_the_password_that_the_journal_names() {
    one_role("crash-none", &[Course::Through]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_of_two_roles_able_to_log_in() {
    two_roles("crash-alternate", &[Course::Through]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_leaves_one_token_at_the_hub_and_no_orphan() {
    tokens("crash-hub", &[Course::Through]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_one_role_is_given_or_put_back_leaves_it_with_the_password_it_had() {
    one_role("back-none", &[Course::Refused, Course::Reverted(Step::Adopt)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_one_of_two_roles_is_given_back_leaves_the_other_able_to_log_in() {
    two_roles("refused-alternate", &[Course::Refused]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_the_other_of_two_roles_is_put_back_while_consumers_switch_leaves_it_able_to_log_in() {
    two_roles("back-adopt", &[Course::Reverted(Step::Adopt)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_the_other_of_two_roles_is_put_back_while_it_drains_leaves_it_able_to_log_in() {
    two_roles("back-drain", &[Course::Reverted(Step::Drain)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_the_other_of_two_roles_is_put_back_once_it_is_off_leaves_it_able_to_log_in() {
    two_roles("back-disable", &[Course::Reverted(Step::Disable)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_a_token_is_given_or_put_back_leaves_the_one_that_was_there() {
    let courses = [Course::Refused, Course::Reverted(Step::Adopt), Course::Reverted(Step::Drain)];
    tokens("back-hub", &courses).await;
}
