//! What is lost, delayed or cut on the wire between a real plugin's host call and a real server: the call is in doubt, a
//! look at the target closes it, and what it did late is ended where nobody needs it.

use super::fleet::{Case, Fleet, Site, Times};
use crate::site::{CALL_MS, Course, only_retirements_follow};
use keybaton_protocol::command::Command;
use keybaton_protocol::step::PlanKind;
use keybaton_test_support::{Armed, Fault, FlakyProxy, When};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A host call gives up before what comes late, and that before its plugin call is over.
const BRIEF: Times = Times { host_call_ms: 1_000, call_ms: CALL_MS };
/// A host call hears what comes late, on a busy machine too.
const PATIENT: Times = Times { host_call_ms: 5_000, call_ms: 6_000 };
/// Later than a host call waits, and before what it sent must have shown.
const LATE: Duration = Duration::from_millis(1_500);
/// Later than all deadlines, and before an idle connection is closed.
const TOO_LATE: Duration = Duration::from_secs(4);
/// How long a request may take to be made, and to arrive.
const MADE: Duration = Duration::from_secs(60);

/// Everything that can happen to one exchange.
const FAULTS: [(&str, Fault); 6] = [
    ("the request is lost", Fault::LoseRequest),
    ("the request comes late", Fault::DelayRequest(LATE)),
    ("the answer is lost", Fault::LoseReply),
    ("there is no answer", Fault::SilenceReply),
    ("the answer comes late", Fault::DelayReply(LATE)),
    ("the answer breaks off", Fault::Reset),
];

/// A request of one secret, on the wire: what it holds, and what it does not where something is named. `@` is what its
/// names at the target begin with.
struct Request {
    name: &'static str,
    holds: &'static str,
    lacks: &'static str,
}

const fn request(name: &'static str, holds: &'static str) -> Request {
    Request { name, holds, lacks: "" }
}

const ONE_ROLE: &[Request] =
    &[request("set-verifier", "ALTER ROLE \"@_a\" LOGIN PASSWORD"), request("login", "user\0@_a\0")];

const TWO_ROLES: &[Request] = &[
    request("create-role", "CREATE ROLE \"@_b\" NOLOGIN"),
    request("grant-group", "GRANT \"@_g\" TO \"@_b\""),
    request("act-as-group", "ALTER ROLE \"@_b\" SET role"),
    request("set-verifier", "ALTER ROLE \"@_b\" LOGIN PASSWORD"),
    request("login", "user\0@_b\0"),
    Request { name: "forbid-login", holds: "ALTER ROLE \"@_a\" NOLOGIN", lacks: "PASSWORD NULL" },
    request("erase-verifier", "ALTER ROLE \"@_a\" NOLOGIN PASSWORD NULL"),
];

const TOKENS: &[Request] = &[
    request("mint", "POST /hub/api/users/@_a/tokens"),
    request("list", "GET /hub/api/users/@_a/tokens"),
    request("delete", "DELETE /hub/api/users/@_a/tokens/"),
];

impl Request {
    fn arm(&self, proxy: &FlakyProxy, fault: Fault, case: &Case) -> Armed {
        let own = |text: &str| text.replace('@', &case.name).into_bytes();
        let (holds, lacks) = (own(self.holds), own(self.lacks));
        let has = |bytes: &[u8], part: &[u8]| !part.is_empty() && bytes.windows(part.len()).any(|it| it == part);
        proxy.arm(fault, When::matches(move |exchange| has(exchange.request, &holds) && !has(exchange.request, &lacks)))
    }
}

async fn fleet(site: Site, purpose: &str, times: Times) -> (Arc<Fleet>, FlakyProxy) {
    let proxy = FlakyProxy::start(site.port()).await.unwrap();
    (Fleet::start(site, purpose, proxy.port(), times, Course::Through).await, proxy)
}

/// Each fault at each request, all at once.
async fn every_fault(site: Site, purpose: &str, requests: &'static [Request]) {
    let (fleet, proxy) = fleet(site, purpose, BRIEF).await;
    let proxy = Arc::new(proxy);
    let mut running = JoinSet::new();
    for (row, request) in requests.iter().enumerate() {
        let names: Vec<String> = (0..FAULTS.len()).map(|column| format!("c{row}x{column}")).collect();
        for (mut case, (name, fault)) in fleet.declare(&names).await.into_iter().zip(FAULTS) {
            let proxy = Arc::clone(&proxy);
            running.spawn(async move {
                let what = format!("{}: {name} ({})", request.name, case.name);
                case.issue().await;
                let armed = request.arm(&proxy, fault, &case);
                case.begin(PlanKind::Rotate).await;
                assert_eq!(case.settle(Course::Through).await, None, "{what}: it comes right by itself");
                assert_eq!(armed.fired(), 1, "{what}: it happened");
                assert_eq!(case.ending().await, "completed", "{what}");
                only_retirements_follow(&case.history().await);
                case.census(&what).await;
                case.again(&what).await;
            });
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert!(fleet.engine.shutdown().await, "calls were left open");
}

/// People who end a rotation while its call is on the way.
const PEOPLE: [&str; 2] = ["abandoned", "rolled-back"];

fn order(what: &str) -> Command {
    let (reason, author) = ("the test ends it".to_owned(), "ada".parse().unwrap());
    match what {
        "abandoned" => Command::Abandon { reason, author },
        _ => Command::Rollback { reason, author },
    }
}

/// The rotation is over, or on its way back, before this call's answer comes, or before it takes effect.
async fn over_before(site: Site, purpose: &str, request: &'static Request, people: &[&'static str]) {
    let (fleet, proxy) = fleet(site, purpose, PATIENT).await;
    let proxy = Arc::new(proxy);
    let mut running = JoinSet::new();
    for (row, how) in people.iter().copied().enumerate() {
        let names: Vec<String> = (0..FAULTS.len()).map(|column| format!("o{row}x{column}")).collect();
        for (mut case, (name, fault)) in fleet.declare(&names).await.into_iter().zip(FAULTS) {
            let proxy = Arc::clone(&proxy);
            running.spawn(async move {
                let what = format!("{how} while {} is on the way, and {name} ({})", request.name, case.name);
                case.issue().await;
                let mut armed = request.arm(&proxy, fault, &case);
                case.begin(PlanKind::Rotate).await;
                let until = Instant::now() + MADE;
                while !armed.wait(1, Duration::from_millis(20)).await {
                    case.round(Course::Through).await;
                    assert!(Instant::now() < until, "{what}: it was never sent: {:#?}", case.last().await);
                }
                case.command(order(how)).await;
                assert_eq!(case.settle(Course::Through).await, None, "{what}");
                assert_eq!(case.ending().await, how, "{what}");
                only_retirements_follow(&case.history().await);
                case.census(&what).await;
                case.again(&what).await;
            });
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert!(fleet.engine.shutdown().await, "calls were left open");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_on_the_wire_while_one_role_is_rotated_comes_right() {
    every_fault(Site::one_role().await, "wire-one", ONE_ROLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_on_the_wire_while_two_roles_take_turns_comes_right() {
    every_fault(Site::two_roles().await, "wire-two", TWO_ROLES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_on_the_wire_while_a_token_is_rotated_comes_right() {
    every_fault(Site::tokens().await, "wire-hub", TOKENS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_set_for_a_rotation_that_is_over_is_ended() {
    over_before(Site::two_roles().await, "over-two", &TWO_ROLES[3], &PEOPLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_overwritten_for_a_rotation_that_is_over_is_found_out_by_logging_in() {
    over_before(Site::one_role().await, "over-one", &ONE_ROLE[0], &["abandoned"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_minted_for_a_rotation_that_is_over_is_ended() {
    over_before(Site::tokens().await, "over-hub", &TOKENS[0], &PEOPLE).await;
}

/// Nobody can know that it will still come: a look after its deadline has closed the call. It is named when it is seen,
/// it counts, and it is left alone, for a person to judge.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_minted_after_all_deadlines_is_named_foreign_and_left_alone() {
    let (fleet, proxy) = fleet(Site::tokens().await, "wire-foreign", BRIEF).await;
    let mut case = fleet.declare(&["late".to_owned()]).await.remove(0);
    case.issue().await;
    let mut armed = TOKENS[0].arm(&proxy, Fault::DelayRequest(TOO_LATE), &case);
    case.begin(PlanKind::Rotate).await;
    assert_eq!(case.settle(Course::Through).await, None);
    assert!(armed.wait(1, MADE).await);
    assert_eq!(case.ending().await, "completed");
    let Site::Tokens(hub) = fleet.site.clone() else { unreachable!("it is one") };
    let until = Instant::now() + MADE;
    let late = loop {
        let tokens = hub.tokens("late_a").await.unwrap();
        if tokens.len() == 2 {
            break tokens;
        }
        assert!(Instant::now() < until, "it never came: {tokens:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let current = case.status().await.generations[0].id.clone();
    let stranger = late.into_iter().map(|token| token.id).find(|id| Some(id) != current.as_ref()).unwrap();
    case.begin(PlanKind::Rotate).await;
    assert_eq!(case.settle(Course::Through).await, None);
    let status = case.status().await;
    assert_eq!(status.foreign.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [stranger.as_str()], "{status:#?}");
    let live: Vec<_> = hub.tokens("late_a").await.unwrap().into_iter().map(|token| token.id).collect();
    assert!(live.len() == 2 && live.contains(&stranger), "{live:?}");
    hub.delete_token("late_a", &stranger).await.unwrap();
    case.again("the stranger is gone").await;
}
