//! What the demo does, act by act: issue, a slow consumer, a refusing consumer, a killed host. It shows as it goes.

use super::host::Host;
use super::proof::{PostgresUse, Proven, hub_use, postgres_use};
use super::workload::{Job, Ledger, Workload};
use crate::cli::Demo;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_test_support::{JupyterHub, JupyterHubOptions, Postgres, PostgresOptions, Scratch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The secret with two roles in turn.
pub(super) const DATABASE: &str = "demo/database";
/// The secret that the hub mints.
pub(super) const TOKEN: &str = "demo/hub-token";
/// The hub's user whose token it is.
pub(super) const HUB_USER: &str = "svc-demo";
/// How long one rotation may take.
const ROTATION: Duration = Duration::from_secs(120);
/// Pause between two looks at a rotation.
const LOOK: Duration = Duration::from_millis(200);
/// Queries that each group of workloads makes before the first rotation starts.
const WARM: u64 = 20;

/// The demo's servers, host and workloads.
pub(super) struct Story<'o> {
    output: &'o Output,
    components: std::path::PathBuf,
    pub(super) postgres: Postgres,
    pub(super) hub: JupyterHub,
    pub(super) host: Host,
    scratch: Scratch,
    pub(super) database: Arc<Ledger>,
    pub(super) token: Arc<Ledger>,
    workloads: Vec<Workload>,
    pub(super) completed: u64,
    pub(super) rolled_back: u64,
    pub(super) crashes: u64,
}

impl<'o> Story<'o> {
    /// Starts the servers and makes the installation.
    pub(super) async fn begin(output: &'o Output, asked: &Demo) -> Result<Self, Failure> {
        let progress = output.progress("starting PostgreSQL and JupyterHub");
        let options = PostgresOptions { log_statements: true, ..PostgresOptions::default() };
        let postgres = Postgres::start(options)
            .await
            .failed(Exit::Failed, "cannot start PostgreSQL")
            .map_err(|failure| failure.help("`make demo` installs what is missing; so does scripts/setup servers"))?;
        let hub = JupyterHub::start(JupyterHubOptions::default());
        let hub = hub.await.failed(Exit::Failed, "cannot start JupyterHub")?;
        progress.finish_and_clear();
        output.line(format!(
            "{} PostgreSQL on port {}, JupyterHub at {}",
            paint(Tone::Good, "up"),
            postgres.port(),
            hub.origin()
        ));
        let ready = postgres.execute(
            "CREATE ROLE app_owner NOLOGIN; CREATE TABLE ledger (id int PRIMARY KEY, balance int NOT NULL); \
             INSERT INTO ledger SELECT n, n * 100 FROM generate_series(1, 100) n; ALTER TABLE ledger OWNER TO app_owner",
        );
        ready.await.failed(Exit::Failed, "cannot prepare the database")?;
        hub.create_user(HUB_USER).await.failed(Exit::Failed, "cannot prepare the hub")?;
        let scratch = Scratch::new("demo", None).failed(Exit::Failed, "cannot make a folder")?;
        let host = Host::init(scratch.path(), &connections(&postgres, &hub)).await?;
        Ok(Self {
            output,
            components: asked.components.clone(),
            postgres,
            hub,
            host,
            scratch,
            database: Arc::default(),
            token: Arc::default(),
            workloads: Vec::new(),
            completed: 0,
            rolled_back: 0,
            crashes: 0,
        })
    }

    /// Where the logs are.
    pub(super) fn logs(&self) -> String {
        self.scratch.path().display().to_string()
    }

    /// All acts.
    pub(super) async fn tell(&mut self) -> Result<(), Failure> {
        self.install().await?;
        self.workloads().await?;
        self.act("1. two roles in turn; one consumer is slow: nobody is hurried");
        self.workloads[1].temper.slow_ms.store(2_000, Ordering::Relaxed);
        self.turn(DATABASE, "completed").await?;
        self.workloads[1].temper.slow_ms.store(0, Ordering::Relaxed);
        self.act("2. one consumer refuses the new password: it is given back, nothing was lost");
        self.workloads[2].temper.refuses_once.store(true, Ordering::Relaxed);
        self.turn(DATABASE, "rolled-back").await?;
        self.act("3. the same again, and now it agrees");
        self.turn(DATABASE, "completed").await?;
        self.act("4. an API token; the host is killed (SIGKILL) while a consumer is being waited for");
        self.killed().await?;
        self.act("5. and once more, undisturbed");
        self.turn(TOKEN, "completed").await
    }

    fn act(&self, title: &str) {
        self.output.line(format!("\n{}", paint(Tone::Strong, title)));
    }

    /// Host up, plugins approved, declarations in force, first credentials issued.
    async fn install(&mut self) -> Result<(), Failure> {
        self.host.up().await?;
        for plugin in ["postgres-password", "http-token"] {
            let component = self.components.join(format!("{plugin}.wasm"));
            let component = component.display().to_string();
            let added = self.host.command::<serde_json::Value>(&["plugin", "add", &component]).await;
            added.map_err(|failure| failure.help("`make plugins` builds the components"))?;
            self.host.command::<serde_json::Value>(&["plugin", "approve", plugin]).await?;
        }
        let file = self.scratch.write("demo.yaml", DECLARATIONS.as_bytes()).failed(Exit::Failed, "cannot declare")?;
        // A demo's waiting times are seconds; `apply` rightly says that they are weaker than the defaults.
        let apply = ["apply", "--allow-weaker", &file.display().to_string()];
        self.host.command::<serde_json::Value>(&apply).await?;
        self.output.line(format!("{} two plugins approved, two secrets declared", paint(Tone::Good, "up")));
        for secret in [DATABASE, TOKEN] {
            self.follow(secret, None, "completed").await?;
        }
        Ok(())
    }

    async fn workloads(&mut self) -> Result<(), Failure> {
        let database = Job {
            secret: DATABASE,
            name_attribute: "username",
            field: "password",
            using: postgres_use(PostgresUse::of(&self.postgres)),
            ledger: self.database.clone(),
        };
        let token = Job {
            secret: TOKEN,
            name_attribute: "user",
            field: "token",
            using: hub_use(self.hub.origin()),
            ledger: self.token.clone(),
        };
        for (consumer, replica, job) in [
            ("demo/ledger", "ledger-0", &database),
            ("demo/ledger", "ledger-slow", &database),
            ("demo/ledger", "ledger-picky", &database),
            ("demo/export", "export-0", &token),
        ] {
            let enrolment = self.host.enrol(consumer).await?;
            let workload =
                Workload::start(&self.host.url, enrolment.expose(), replica, self.scratch.path(), job).await?;
            self.workloads.push(workload);
        }
        let end = Instant::now() + ROTATION;
        while [&self.database, &self.token].iter().any(|ledger| ledger.queries.load(Ordering::Relaxed) < WARM) {
            if Instant::now() > end {
                return Err(Failure::new(Exit::Failed, "the workloads do not get going"));
            }
            sleep(LOOK).await;
        }
        self.output.line(format!("{} four workloads, querying without pause", paint(Tone::Good, "up")));
        Ok(())
    }

    /// One rotation under traffic, with its counts shown.
    async fn turn(&mut self, secret: &'static str, expected: &str) -> Result<(), Failure> {
        let rotation = self.host.rotate(secret).await?;
        self.follow(secret, Some(rotation), expected).await?;
        match expected {
            "completed" => self.completed += 1,
            _ => self.rolled_back += 1,
        }
        let ledgers = [&self.database, &self.token];
        let queries: u64 = ledgers.iter().map(|ledger| ledger.queries.load(Ordering::Relaxed)).sum();
        let failed: u64 = ledgers.iter().map(|ledger| ledger.failed.load(Ordering::Relaxed)).sum();
        self.output.line(format!("  {queries} queries so far, {failed} failed"));
        Ok(())
    }

    /// A rotation with a consumer that stalls, the host killed meanwhile, and started again.
    async fn killed(&mut self) -> Result<(), Failure> {
        self.workloads[3].temper.stalls.store(true, Ordering::Relaxed);
        let rotation = self.host.rotate(TOKEN).await?;
        let end = Instant::now() + ROTATION;
        loop {
            let status = self.host.status(TOKEN).await?;
            let step = status.rotation.as_ref().and_then(|rotation| rotation.step.clone());
            if step.as_deref() == Some("stage") {
                break;
            }
            if Instant::now() > end {
                return Err(Failure::new(Exit::Failed, "the rotation never came to its stage"));
            }
            sleep(LOOK).await;
        }
        self.host.kill()?;
        self.crashes += 1;
        self.output.line(format!("  {} the host is dead; the workloads go on", paint(Tone::Bad, "kill -9")));
        sleep(Duration::from_secs(1)).await;
        self.workloads[3].temper.stalls.store(false, Ordering::Relaxed);
        self.host.up().await?;
        self.output.line(format!("  {} the host is back, and takes the rotation up", paint(Tone::Good, "restart")));
        self.follow(TOKEN, Some(rotation), "completed").await?;
        self.completed += 1;
        Ok(())
    }

    /// Shows a rotation's events as they come, until it has ended as expected. Without an identifier: starts the first.
    async fn follow(&self, secret: &str, rotation: Option<String>, expected: &str) -> Result<(), Failure> {
        let rotation = match rotation {
            Some(rotation) => rotation,
            None => self.host.rotate(secret).await?,
        };
        let (mut seen, mut waiting) = (0, String::new());
        let end = Instant::now() + ROTATION;
        loop {
            for event in self.host.events(secret, seen).await? {
                seen = event.seq;
                if event.rotation.as_deref() != Some(rotation.as_str()) {
                    continue;
                }
                if SHOWN.contains(&event.event.as_str()) {
                    self.output.line(format!("  {:<14} {}", paint(Tone::Dim, &event.event), event.text));
                }
                if event.event == "finished" {
                    let ending = event.parts.get("ending").map(String::as_str).unwrap_or_default();
                    if ending == expected {
                        return Ok(());
                    }
                    return Err(Failure::new(Exit::Failed, format!("{secret} ended as {ending}, not as {expected}")));
                }
            }
            let status = self.host.status(secret).await?;
            let now = status.rotation.and_then(|rotation| rotation.waiting).unwrap_or_default();
            if now != waiting && now.contains("consumers") {
                self.output.line(format!("  {:<14} {now}", paint(Tone::Warn, "waiting")));
            }
            waiting = now;
            if Instant::now() > end {
                let what = format!("{secret} did not end in {} s: {waiting}", ROTATION.as_secs());
                return Err(Failure::new(Exit::Failed, what).help(self.host.said()));
            }
            sleep(LOOK).await;
        }
    }

    /// Stops the traffic, then asks the servers whether it is all true.
    pub(super) async fn prove(&mut self) -> Result<Proven, Failure> {
        for workload in self.workloads.drain(..) {
            workload.stop().await;
        }
        let proven = Proven::of(self).await?;
        self.host.down().await?;
        Ok(proven)
    }

    /// Ends everything; keeps the folder if asked.
    pub(super) fn end(self, keep: bool) {
        if keep {
            self.output.note(format!("kept: {}", self.scratch.path().display()));
            std::mem::forget(self.scratch);
        }
    }
}

/// Events that a watcher wants to see.
const SHOWN: &[&str] = &[
    "started",
    "staged",
    "stated",
    "committed",
    "wave-opened",
    "draining",
    "rolling-back",
    "interrupted",
    "held",
    "retirement-closed",
    "erased",
    "finished",
];

fn connections(postgres: &Postgres, hub: &JupyterHub) -> String {
    format!(
        r#"connections:
  - name: demo-postgres
    kind: postgres
    endpoint: {{ host: 127.0.0.1, port: {port}, dbname: postgres }}
    tls: {{ mode: disable }}
    admin: {{ user: {admin}, file: "{password}" }}
    limits: {{ in_flight: 8, per_second: 500, burst: 500 }}
    allow: {{ namespaces: [demo], plugins: [postgres-password], identities: [app_a, app_b, app_owner], loopback: true }}
  - name: demo-hub
    kind: http
    endpoint: {{ base: "{origin}" }}
    tls: {{ mode: disable }}
    admin: {{ scheme: bearer, prefix: token, file: "{token}" }}
    limits: {{ in_flight: 8, per_second: 500, burst: 500 }}
    allow:
      namespaces: [demo]
      plugins: [http-token]
      identities: [{HUB_USER}]
      loopback: true
      endpoints:
        - {{ method: POST, path: "/hub/api/users/{{user}}/tokens", params: {{ user: identity }}, captures: ["json:/token"] }}
        - {{ method: GET, path: "/hub/api/users/{{user}}/tokens", params: {{ user: identity }} }}
        - {{ method: GET, path: /hub/api/user }}
        - {{ method: DELETE, path: "/hub/api/users/{{user}}/tokens/{{id}}", params: {{ user: identity, id: value }} }}
"#,
        port = postgres.port(),
        admin = postgres.admin_user(),
        password = postgres.admin_password_file().display(),
        origin = hub.origin(),
        token = hub.admin_token_file().display(),
    )
}

const DECLARATIONS: &str = r#"secrets:
  - name: demo/database
    plugin: postgres-password
    connection: demo-postgres
    settings: { roles: [app_a, app_b], group: app_owner }
    cadence: { manual: true }
    consumers:
      ledger: { members: [ledger-0, ledger-slow, ledger-picky] }
    overlap: { minimum: 1s, quiet: 2s, soak: 1s }
    stragglers: { deadline: 60s, then: hold }
    limits: { staged_lease: 60s }
  - name: demo/hub-token
    plugin: http-token
    connection: demo-hub
    settings:
      values: { user: svc-demo }
      limit: 3
      mint:
        path: /hub/api/users/{user}/tokens
        body: { note: "{marker}", expires_in: 86400 }
        token: json:/token
        id: /id
        expires: /expires_at
      list:
        path: /hub/api/users/{user}/tokens
        items: /api_tokens
        id: /id
        note: /note
        created: /created
        expires: /expires_at
      verify: { path: /hub/api/user, prefix: token, subject: /name, is: "{user}" }
      revoke: { path: "/hub/api/users/{user}/tokens/{id}" }
    cadence: { manual: true }
    consumers:
      export: { members: [export-0] }
    overlap: { minimum: 1s, quiet: 0s, soak: 0s }
    stragglers: { deadline: 60s, then: hold }
    limits: { staged_lease: 60s }
"#;
