//! An admin whose credential is replaced while the host works with it: nobody is cut off, nobody is left behind, and a
//! value that is refused gives way to the next.

use crate::common::{Bench, Memory, connection, known, value};
use async_trait::async_trait;
use keybaton_engine::ports::rotator::{CallRequest, Rotator};
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::step::CallKind;
use keybaton_runtime::connection::{PostgresAdmin, PostgresTarget, Target};
use keybaton_runtime::identity::{SecretSource, SourceError, Sourced};
use keybaton_test_support::{Fault, FlakyProxy, Postgres, PostgresOptions, When};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Users and passwords, one after another; the mark is where it stands.
#[derive(Debug)]
struct Turns {
    values: Vec<(&'static str, String)>,
    at: AtomicUsize,
    /// What is refused gives way to the next one.
    gives_way: bool,
}

impl Turns {
    fn new(values: &[(&'static str, &str)], gives_way: bool) -> Arc<Self> {
        let values = values.iter().map(|(user, password)| (*user, (*password).to_owned())).collect();
        Arc::new(Self { values, at: AtomicUsize::new(0), gives_way })
    }

    fn turn(&self) {
        self.at.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl SecretSource for Turns {
    async fn read(&self) -> Result<Sourced, SourceError> {
        let at = self.at.load(Ordering::SeqCst);
        let (user, password) = &self.values[at];
        let secret = SecretBytes::new(password.as_bytes().to_vec());
        Ok(Sourced { secret, public: vec![("username".to_owned(), (*user).to_owned())], mark: at as u64 })
    }

    fn mark(&self) -> u64 {
        self.at.load(Ordering::SeqCst) as u64
    }

    async fn refused(&self, mark: u64) -> bool {
        if self.gives_way && mark == self.mark() && (mark as usize) + 1 < self.values.len() {
            self.turn();
            return true;
        }
        false
    }
}

const ROLES: &str = "CREATE ROLE app NOLOGIN; CREATE ROLE first LOGIN SUPERUSER PASSWORD 'the-first-password'; \
                     CREATE ROLE second LOGIN SUPERUSER PASSWORD 'the-second-password'";
const BOTH: [(&str, &str); 2] = [("first", "the-first-password"), ("second", "the-second-password")];

async fn bench(turns: &Arc<Turns>, user: Option<&str>) -> (Postgres, FlakyProxy, Bench) {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute(ROLES).await.unwrap();
    let proxy = FlakyProxy::start(server.port()).await.unwrap();
    let target = PostgresTarget {
        admin: Some(PostgresAdmin { user: user.map(str::to_owned), password: turns.clone() }),
        ..PostgresTarget::here(proxy.port(), "postgres", "", turns.clone())
    };
    let connection = connection("main", "postgres-password", &["app"], Target::Postgres(target));
    (server, proxy, Bench::new("plugins/postgres-password", connection))
}

fn install(bench: &Bench) -> CallRequest {
    let mut request = bench.request(CallKind::Install, 1, &json!({ "connection": "main", "role": "app" }));
    request.known = vec![known(1, "pending", Some("app#1"))];
    request.values = vec![value(1, "password", "new", b"a-new-password-of-app-8xW2")];
    request
}

/// Who has sessions of the host's admin open at the server.
async fn admins(server: &Postgres) -> Vec<String> {
    let rows = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'keybaton-admin' ORDER BY 1";
    server.rows(rows).await.unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

#[tokio::test]
async fn a_call_under_way_with_the_old_credential_is_waited_for_and_none_begins_with_it() {
    let turns = Turns::new(&BOTH, false);
    let (server, proxy, bench) = bench(&turns, None).await;
    let connections = Arc::clone(bench.runtime.connections());
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    assert_eq!(admins(&server).await, ["first"], "a session is kept for the next call");

    let mut armed = proxy.arm(Fault::DelayReply(Duration::from_millis(600)), When::request_holds("PASSWORD"));
    let (runtime, request) = (Arc::clone(&bench.runtime), install(&bench));
    let call = tokio::spawn(async move { runtime.call(request, Memory::new()).await });
    assert!(armed.wait(1, Duration::from_secs(20)).await, "the statement left");
    turns.turn();
    assert!(!connections.left_all_but("main", 1), "a statement is under way with the old one");
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    assert_eq!(admins(&server).await, ["first", "second"], "who begins now, begins with the new one");
    let outcome = call.await.unwrap();
    assert!(matches!(outcome, Outcome::Done(_)), "and nobody was cut off: {outcome:?}");
    assert!(connections.left_all_but("main", 1));
    for _ in 0..50 {
        if admins(&server).await == ["second"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("sessions of the old one stay open: {:?}", admins(&server).await);
}

#[tokio::test]
async fn a_credential_that_is_refused_gives_way_to_the_next_within_the_same_call() {
    for (sentence, gives_way) in [("another is held", true), ("none is", false)] {
        let turns = Turns::new(&BOTH, gives_way);
        let (server, _proxy, bench) = bench(&turns, None).await;
        server.execute("ALTER ROLE first PASSWORD 'somebody changed it'").await.unwrap();
        match bench.runtime.call(install(&bench), Memory::new()).await {
            Outcome::Done(_) => assert!(gives_way && admins(&server).await == ["second"], "{sentence}"),
            Outcome::Failed(fault) => {
                assert!(!gives_way, "{sentence}: {fault}");
                assert_eq!(
                    (fault.class, fault.blame),
                    (FailureClass::Permanent, Blame::Operator),
                    "{sentence}: {fault}"
                );
                assert_eq!(fault.code, "sql.login-refused", "{sentence}: {fault}");
            }
            other => panic!("{sentence}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn whose_password_it_is_comes_with_it_and_may_not_be_said_otherwise() {
    let turns = Turns::new(&BOTH, false);
    for (user, refused) in [(None, None), (Some("first"), None), (Some("second"), Some("leave `user` out"))] {
        let (_server, _proxy, bench) = bench(&turns, user).await;
        match (bench.runtime.connections().test("main").await.unwrap(), refused) {
            (Ok(said), None) => assert!(said.starts_with("logged in as first, PostgreSQL"), "{user:?}: {said}"),
            (Err(said), Some(text)) => assert!(said.contains(text), "{user:?}: {said}"),
            (other, _) => panic!("{user:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_value_is_tried_without_the_connection_taking_it_over() {
    let turns = Turns::new(&BOTH, false);
    let (server, _proxy, bench) = bench(&turns, None).await;
    let value = |user: &str, password: &str| Sourced {
        secret: SecretBytes::new(password.as_bytes().to_vec()),
        public: vec![("username".to_owned(), user.to_owned())],
        mark: 7,
    };
    let tried = async |user: &str, password: &str| {
        bench.runtime.connections().try_out("main", value(user, password)).await.unwrap()
    };
    assert!(tried("second", "the-second-password").await.unwrap().contains("logged in as second"));
    let refused = tried("second", "the-first-password").await.unwrap_err();
    assert!(refused.contains("password authentication failed"), "{refused}");
    assert!(bench.runtime.connections().try_out("other", value("first", "")).await.is_none());
    assert!(admins(&server).await.is_empty(), "a trial is no use of a credential");
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    assert_eq!(admins(&server).await, ["first"]);
}
