//! The consumer SDK against a real HTTPS server, an engine and a target whose credentials really work or do not.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_api::limits::MAX_STREAMS_PER_IDENTITY;
use keybaton_consumer::{
    Client, Credential, Error, Failed, FallbackError, OldHandles, Options, Secret, TrialFailure, enrol,
};
use keybaton_protocol::ids::Place;
use keybaton_protocol::step::PlanKind;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::target::Target;
use support::{ALTERNATE, Fixture, NATIVE, NONE, eventually};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const DB: &str = "payments/db";

fn options() -> Options {
    let mut options = Options::new("web-0");
    options.poll = Duration::from_millis(500);
    options.trial_attempts = 2;
    options
}

fn value(credential: &Credential) -> Vec<u8> {
    let field = credential.secret_names().next().unwrap();
    credential.secret(field).unwrap().to_vec()
}

/// Logs in, as far as the target is concerned.
fn log_in(target: &Target, credential: &Credential) -> Result<u32, String> {
    if target.accepts(&Place::only(), &value(credential)) {
        Ok(credential.generation())
    } else {
        Err(format!("generation {} is refused", credential.generation()))
    }
}

/// A workload with the SDK in it.
struct Workload {
    state: TempDir,
    client: Client,
    secret: Secret,
}

impl Workload {
    async fn new(fixture: &Fixture) -> Self {
        let (state, client) = enrolled(fixture).await;
        let secret = open(&client, &fixture.target);
        Self { state, client, secret }
    }
}

async fn enrolled(fixture: &Fixture) -> (TempDir, Client) {
    enrolled_with(fixture, options()).await
}

async fn enrolled_with(fixture: &Fixture, options: Options) -> (TempDir, Client) {
    let state = tempfile::tempdir().unwrap();
    let token = fixture.enrolment("payments/web").await;
    let client = enrol(&fixture.url(), &token, state.path(), options).await.unwrap();
    (state, client)
}

fn open(client: &Client, target: &Arc<Target>) -> Secret {
    let target = Arc::clone(target);
    let tried = move |credential: Credential| {
        let tried = log_in(&target, &credential).map(drop).map_err(TrialFailure::refused);
        async move { tried }
    };
    client.secret(DB).try_pending(tried).open().unwrap()
}

/// Uses the secret without pause and counts what fails.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl Load {
    fn on(secret: &Secret, target: &Arc<Target>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (secret, target, stopped, count) = (secret.clone(), Arc::clone(target), stop.clone(), done.clone());
        let task = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let used = secret.with_fallback(|credential| {
                    let used = log_in(&target, &credential).map_err(|why| Failed::Refused(std::io::Error::other(why)));
                    async move { used }
                });
                match used.await {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => failed.push(error.to_string()),
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            failed
        });
        Self { stop, done, task }
    }

    /// Waits for a few uses more.
    async fn goes_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("the workload to go on", async || {
            let now = self.done.load(Ordering::Relaxed);
            if now > before + 5 { Ok(()) } else { Err(format!("{now} uses")) }
        })
        .await;
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_under_load_fail_no_use_in_any_model() {
    for (model, settings) in [("alternate", ALTERNATE), ("none", NONE), ("native", NATIVE)] {
        let fixture = Fixture::new(settings).await;
        let workload = Workload::new(&fixture).await;
        fixture.begin(DB, PlanKind::Issue).await;
        workload.secret.ready(Duration::from_secs(20)).await.unwrap();
        let load = Load::on(&workload.secret, &fixture.target);
        fixture.settled(DB, 1).await;
        for generation in 2..=4 {
            fixture.begin(DB, PlanKind::Rotate).await;
            fixture.settled(DB, generation).await;
            load.goes_on().await;
            let current = workload.secret.current().unwrap();
            assert_eq!(u64::from(current.generation()), generation, "{model}");
        }
        assert_eq!(load.end().await, Vec::<String>::new(), "{model}");
        assert_eq!(
            fixture.target.census().iter().filter(|it| it.active).count(),
            1,
            "{model}: {:?}",
            fixture.target.census()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_goes_and_comes_back_is_neither_missed_nor_lost() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let workload = Workload::new(&fixture).await;
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    let load = Load::on(&workload.secret, &fixture.target);
    for generation in 2..=4_u64 {
        fixture.begin(DB, PlanKind::Rotate).await;
        tokio::time::sleep(Duration::from_millis(30 * generation)).await;
        fixture.stop().await;
        load.goes_on().await;
        fixture.start().await;
        fixture.settled(DB, generation).await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_needs_neither_hints_nor_polls() {
    let fixture = Fixture::new(ALTERNATE).await;
    let mut options = options();
    options.poll = Duration::from_secs(600);
    let (state, _) = enrolled_with(&fixture, options.clone()).await;
    let identity: serde_json::Value =
        serde_json::from_slice(&std::fs::read(state.path().join("identity.json")).unwrap()).unwrap();
    let mut streams = Vec::new();
    while streams.len() < MAX_STREAMS_PER_IDENTITY {
        let stream = fixture.http().get(format!("{}/v1/consumer/watch", fixture.url()));
        let stream = stream.bearer_auth(identity["token"].as_str().unwrap()).send().await.unwrap();
        if stream.status() == 200 {
            streams.push(stream);
        }
    }
    let client = Client::open(state.path(), options).unwrap();
    let secret = open(&client, &fixture.target);
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    secret.ready(Duration::from_secs(5)).await.unwrap();
    for generation in 2..=3 {
        fixture.begin(DB, PlanKind::Rotate).await;
        fixture.settled(DB, generation).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_that_works_does_not_wait_for_news() {
    let fixture = Fixture::new(ALTERNATE).await;
    let mut options = options();
    options.poll = Duration::from_secs(600);
    let (_state, client) = enrolled_with(&fixture, options).await;
    let secret = open(&client, &fixture.target);
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    secret.ready(Duration::from_secs(5)).await.unwrap();
    let began = Instant::now();
    let refused = secret.with_fallback(|_| async { Err::<(), _>(Failed::Refused("no")) }).await;
    assert!(matches!(refused, Err(FallbackError::Refused("no"))), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_cannot_use_the_new_one_gives_it_back() {
    let fixture = Fixture::new(ALTERNATE).await;
    let (_state, client) = enrolled(&fixture).await;
    let picky = client.secret(DB).try_pending(|credential| async move {
        if credential.generation() == 2 { Err(TrialFailure::unfit("too new for me")) } else { Ok(()) }
    });
    let secret = picky.open().unwrap();
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    fixture.begin(DB, PlanKind::Rotate).await;
    eventually("the rotation to be rolled back", async || {
        let history = fixture.get(&format!("/v1/secrets/{DB}/history"), &fixture.operator).await.text;
        if history.contains("too new for me") && history.contains("rolled-back") { Ok(()) } else { Err(history) }
    })
    .await;
    fixture.settled(DB, 1).await;
    assert_eq!(secret.current().unwrap().generation(), 1);
    assert_eq!(secret.candidates().len(), 1, "pending is held on");
    fixture.begin(DB, PlanKind::Rotate).await;
    fixture.settled(DB, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_released_only_when_the_application_lets_it_go() {
    let fixture = Fixture::new(ALTERNATE).await;
    let (_state, client) = enrolled(&fixture).await;
    let kept: Arc<std::sync::Mutex<Option<Credential>>> = Arc::default();
    let keeper = kept.clone();
    let keeps = client.secret(DB).try_pending(move |credential| {
        let second = credential.generation() == 2;
        if second {
            *keeper.lock().unwrap() = Some(credential);
        }
        async move { if second { Err(TrialFailure::unfit("no")) } else { Ok(()) } }
    });
    let secret = keeps.open().unwrap();
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    fixture.begin(DB, PlanKind::Rotate).await;
    eventually("the credential to be asked back", async || {
        let phase = fixture.status(DB).await["rotation"]["phase"].clone();
        if phase == "rolling-back" && secret.candidates().len() == 1 { Ok(()) } else { Err(phase.to_string()) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(fixture.target.census().len(), 2, "it was ended while a handle was held");
    kept.lock().unwrap().take().unwrap();
    fixture.settled(DB, 1).await;
    assert_eq!(fixture.target.census().len(), 1);
}

/// The kinds of evidence with which `adopted` of a generation was stated, in order.
async fn adopted_by(fixture: &Fixture, generation: u32) -> Vec<String> {
    let history = fixture.get(&format!("/v1/secrets/{DB}/history"), &fixture.operator).await.json();
    let events = history["events"].as_array().unwrap().iter();
    let of = |it: &&serde_json::Value| {
        let parts = &it["parts"];
        parts["purpose"] == "adopted" && parts["generation"].as_str() == Some(&generation.to_string())
    };
    events.filter(of).map(|it| it["parts"]["evidence"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_application_has_an_old_handle_the_old_credential_lives() {
    for (old_handles, meanwhile) in
        [(OldHandles::Wait, &[][..]), (OldHandles::TellAfter(Duration::from_millis(200)), &["holder"][..])]
    {
        let fixture = Fixture::new(ALTERNATE).await;
        let mut options = options();
        options.old_handles = old_handles;
        let (_state, client) = enrolled_with(&fixture, options).await;
        let secret = open(&client, &fixture.target);
        fixture.begin(DB, PlanKind::Issue).await;
        fixture.settled(DB, 1).await;
        let kept = secret.ready(Duration::from_secs(20)).await.unwrap();
        let load = Load::on(&secret, &fixture.target);
        fixture.begin(DB, PlanKind::Rotate).await;
        eventually("this replica to switch", async || {
            let current = secret.current().unwrap().generation();
            if current == 2 { Ok(()) } else { Err(format!("generation {current}")) }
        })
        .await;
        load.goes_on().await;
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        assert_eq!(adopted_by(&fixture, 2).await, meanwhile, "{old_handles:?}");
        let status = fixture.status(DB).await;
        assert_eq!(status["rotation"]["consumers"][0]["missing"], json!(["web-0"]), "{old_handles:?}: {status}");
        log_in(&fixture.target, &kept).unwrap();
        drop(kept);
        fixture.settled(DB, 2).await;
        let said = adopted_by(&fixture, 2).await;
        assert_eq!(said, [meanwhile, &["process"]].concat(), "{old_handles:?}");
        assert_eq!(load.end().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holding_is_not_using() {
    let fixture = Fixture::new(ALTERNATE).await;
    let (_state, client) = enrolled(&fixture).await;
    let secret = client.secret(DB).open().unwrap();
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    secret.ready(Duration::from_secs(20)).await.unwrap();
    fixture.begin(DB, PlanKind::Rotate).await;
    eventually("this replica to switch", async || {
        let current = secret.current().unwrap().generation();
        if current == 2 { Ok(()) } else { Err(format!("generation {current}")) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let status = fixture.status(DB).await;
    let missing = &status["rotation"]["consumers"][0]["missing"];
    assert_eq!(*missing, json!(["web-0"]), "a word that nothing backs was believed: {status}");
    let target = Arc::clone(&fixture.target);
    secret
        .with_fallback(|credential| {
            let used = log_in(&target, &credential).map_err(Failed::Refused);
            async move { used }
        })
        .await
        .unwrap();
    fixture.settled(DB, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_renew_themselves_on_disk() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    fixture.stop().await;
    fixture.lifetimes.consumer_s = 6;
    fixture.start().await;
    let workload = Workload::new(&fixture).await;
    let file = workload.state.path().join("identity.json");
    let first = std::fs::read_to_string(&file).unwrap();
    let renewed = eventually("a renewed identity", async || {
        let now = std::fs::read_to_string(&file).unwrap();
        if now == first { Err("the same identity".to_owned()) } else { Ok(now) }
    })
    .await;
    assert!(renewed.contains("payments/web"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    eventually("the first identity to end", async || {
        let ended = fixture.identities.all().iter().filter(|it| it.revoked_at.is_some()).count();
        if ended > 0 { Ok(()) } else { Err("none ended".to_owned()) }
    })
    .await;
    let again = Client::open(workload.state.path(), options()).unwrap();
    assert_eq!(again.consumer(), workload.client.consumer());
    let secret = open(&again, &fixture.target);
    fixture.begin(DB, PlanKind::Issue).await;
    secret.ready(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn an_enrolment_trusts_the_pinned_authority_alone() {
    let fixture = Fixture::new(ALTERNATE).await;
    let other = Fixture::new(ALTERNATE).await;
    let state = tempfile::tempdir().unwrap();
    let foreign = other.enrolment("payments/web").await;
    let refused = enrol(&fixture.url(), &foreign, state.path(), options()).await.err().unwrap();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
    let opened = fixture.identities.all().len();
    let token = fixture.enrolment("payments/web").await;
    let bare = token.rsplit_once('_').unwrap().0;
    assert!(matches!(enrol(&fixture.url(), bare, state.path(), options()).await, Err(Error::Token)));
    let plain = fixture.url().replace("https", "http");
    assert!(matches!(enrol(&plain, &token, state.path(), options()).await, Err(Error::Address(_))));
    assert_eq!(fixture.identities.all().len(), opened, "somebody was enrolled");
    assert!(std::fs::read_dir(state.path()).unwrap().next().is_none(), "something was kept");
    enrol(&fixture.url(), &token, state.path(), options()).await.unwrap();
    let again = enrol(&fixture.url(), &token, state.path(), options()).await.err().unwrap();
    assert!(matches!(&again, Error::Refused { kind, .. } if kind == "enrolment-used"), "{again:?}");
    let reopened = Client::open_or_enrol(&fixture.url(), &token, state.path(), options()).await.unwrap();
    assert_eq!(reopened.consumer(), "payments/web", "the identity on disk is good, the token is not needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_starts_while_the_host_is_down() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let (state, client) = enrolled(&fixture).await;
    drop(client);
    fixture.stop().await;
    let client = Client::open(state.path(), options()).unwrap();
    let secret = open(&client, &fixture.target);
    let none = secret.ready(Duration::from_millis(300)).await;
    assert!(matches!(none, Err(Error::NoCredential(_))));
    fixture.start().await;
    fixture.begin(DB, PlanKind::Issue).await;
    secret.ready(Duration::from_secs(20)).await.unwrap();
    fixture.settled(DB, 1).await;
}

#[tokio::test]
async fn what_is_no_name_is_refused_before_anything_is_sent() {
    let fixture = Fixture::new(ALTERNATE).await;
    let (state, client) = enrolled(&fixture).await;
    for bad in ["", "db", "payments/", "/db", "payments/db/x", "Payments/db", "payments/../x", "payments/db?x"] {
        assert!(matches!(client.secret(bad).open(), Err(Error::Name { .. })), "`{bad}` was taken");
    }
    for bad in ["", "with space", "é"] {
        let opened = Client::open(state.path(), Options::new(bad));
        assert!(matches!(opened, Err(Error::Name { .. })), "`{bad}` was taken");
    }
    assert!(matches!(Client::open(&PathBuf::from("/proc/nothing"), options()), Err(Error::State { .. })));
}
