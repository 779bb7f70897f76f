//! Consumers that lie, over HTTPS, to the real host on its real store: the table of lies that hosts on doubles are held to
//! as well, with real processes that are killed in between.

use crate::host::Installation;
use keybaton_test_support::{Postgres, PostgresOptions};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use table::{DB, Ground};

#[path = "../../host/crates/api/tests/support/lies.rs"]
#[expect(unreachable_pub, reason = "hosts on doubles, in other executables, are held to it too")]
mod table;

/// An installation and what belongs to it.
struct Real {
    host: Installation,
    http: Client,
    _server: Postgres,
}

impl Real {
    async fn start() -> Self {
        let server = Postgres::start(PostgresOptions::default()).await.unwrap();
        server.execute("CREATE ROLE db_owner NOLOGIN").await.unwrap();
        let mut host = Installation::init("lies", &crate::load::connections(&server, "\"*\"")).await;
        let ca = Certificate::from_pem(&std::fs::read(host.dir.join("ca.pem")).unwrap()).unwrap();
        let http = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        host.up(&[]).await;
        host.install("postgres-password").await;
        let declared = format!(
            "secrets:\n  - name: {DB}\n    plugin: postgres-password\n    connection: main\n    \
             settings: {{ roles: [db_a, db_b], group: db_owner }}\n    cadence: {{ manual: true }}\n    \
             consumers: {{ web: {{ members: [web-0] }}, batch: {{ members: [batch-0] }} }}\n    \
             overlap: {{ minimum: 0s, quiet: 1s, soak: 0s }}\n    limits: {{ staged_lease: 60s }}\n"
        );
        host.apply(&declared).await;
        host.done(&["rotate", DB]).await;
        host.settled(DB).await;
        Self { host, http, _server: server }
    }
}

impl Ground for Real {
    async fn ask(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.host.url);
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        let answer = request.bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn enrol(&mut self, consumer: &str) -> String {
        let once = self.host.enrol(&format!("team/{consumer}")).await;
        let enrol = self.http.post(format!("{}/v1/enrol", self.host.url)).json(&json!({ "token": once }));
        let enrolled: Value = enrol.send().await.unwrap().json().await.unwrap();
        enrolled["token"].as_str().unwrap_or_else(|| panic!("{enrolled}")).to_owned()
    }

    async fn status(&mut self) -> Value {
        self.host.done(&["status", DB]).await
    }

    async fn rotate(&mut self) {
        self.host.done(&["rotate", DB]).await;
    }

    async fn restart(&mut self) {
        self.host.killed();
        self.host.up(&[]).await;
    }

    /// A minute of the machine's own clock is not waited for: a host whose clock can be moved shows it.
    async fn nonces_expire(&mut self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_refused_by_the_real_host_on_its_real_store() {
    table::are_refused(&mut Real::start().await).await;
}
