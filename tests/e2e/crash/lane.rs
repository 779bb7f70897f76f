//! A lane: one secret through many lives of its host. Each rotation is killed at the next moment, the next life brings
//! it to its end, and the census at the target must then equal the journal's.

use super::census::Target;
use super::order::{Kill, LINE, Moment, WORLD, World};
use keybaton_engine::views::StatusView;
use keybaton_runtime::catalog::{Catalog, Lock};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a life may take to bring things to their end.
const SETTLES: Duration = Duration::from_secs(120);
/// The number of SIGKILL.
const KILLED: i32 = 9;

/// What a life says when nothing is open any more.
pub(super) struct Report {
    pub(super) status: StatusView,
    /// The value that the consumer was told to use.
    pub(super) uses: String,
    /// How the last rotation ended.
    pub(super) ending: String,
    survived: Option<u64>,
}

/// Which moments a lane tries, and what came of it.
pub(super) struct Lane {
    pub(super) moment: Moment,
    pub(super) first: u64,
    /// How far it is from one to the next.
    pub(super) step: u64,
}

/// What a lane saw.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: u64,
    pub(super) completed: u64,
    pub(super) rolled_back: u64,
}

impl Lane {
    /// Kills a rotation at each of the lane's moments until one has no such moment any more.
    pub(super) async fn run(self, world: World, target: Target) -> Tally {
        let mut tally = Tally::default();
        let mut nth = self.first;
        let mut life = Life::start(&world);
        let first = life.settled().await.unwrap_or_else(|| panic!("the first life broke: {}", life.said()));
        target.census(&first, &world, "at first").await;
        loop {
            let kill = Kill { moment: self.moment, nth };
            let what = format!("{kill:?} in {}", world.folder.display());
            life.order(kill).await;
            let report = match life.settled().await {
                Some(report) => {
                    let passed = report.survived.expect("it was ordered to end");
                    assert!(passed <= nth, "{what}: {passed} moments, and it lives");
                    target.census(&report, &world, &what).await;
                    life.end().await;
                    return tally;
                }
                None => {
                    life.was_killed(&what).await;
                    tally.kills += 1;
                    life = Life::start(&world);
                    life.settled().await.unwrap_or_else(|| panic!("{what}: the next life broke: {}", life.said()))
                }
            };
            match report.ending.as_str() {
                "completed" => tally.completed += 1,
                other if other.starts_with("rolled-back") => tally.rolled_back += 1,
                other => panic!("{what}: it ended as {other}"),
            }
            target.census(&report, &world, &what).await;
            nth += self.step;
        }
    }
}

/// A host in a process of its own.
struct Life {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
}

impl Life {
    fn start(world: &World) -> Self {
        let errors = world.folder.join("life.err");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::a_life", "--nocapture", "--test-threads=1"])
            .env(WORLD, world.text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&errors).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, orders, lines, errors }
    }

    /// Its next report, or nothing if it has ended.
    async fn settled(&mut self) -> Option<Report> {
        let line = timeout(SETTLES, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                // The test harness may have begun the line.
                if let Some((_, report)) = line.split_once(LINE) {
                    return Some(report.to_owned());
                }
            }
            None
        });
        let line = line.await.unwrap_or_else(|_| panic!("no report: {}", self.said()))?;
        let mut report: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Some(Report {
            status: serde_json::from_value(report["status"].take()).unwrap(),
            uses: text(&report["uses"]),
            ending: text(&report["ending"]),
            survived: report["survived"].as_u64(),
        })
    }

    async fn order(&mut self, kill: Kill) {
        // A life that has broken meanwhile shows itself when it is listened to.
        let _broken = self.orders.as_mut().unwrap().write_all(kill.line().as_bytes()).await;
    }

    async fn was_killed(&mut self, what: &str) {
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.signal(), Some(KILLED), "{what}: {status}: {}", self.said());
    }

    /// Closes the pipe: it must stop in order.
    async fn end(mut self) {
        self.orders = None;
        let status = timeout(SETTLES, self.child.wait()).await.expect("it stops").unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

/// The folder that all lanes of a test share: approved components, compiled once.
pub(super) fn shared(folder: &Path) -> &Path {
    folder.parent().expect("a lane's folder is in the test's")
}

/// Approves a component for all lanes below `folder`.
pub(super) fn approve(folder: &Path, plugin: &str) {
    let component = crate::host::component(plugin);
    let bytes = std::fs::read(&component)
        .unwrap_or_else(|error| panic!("{}: {error}; `make plugins` builds it", component.display()));
    let mut catalog = Catalog::new(&folder.join("components"), Lock::default());
    catalog.approve(&bytes, None).unwrap();
    catalog.lock().save(&folder.join("keybaton.lock")).unwrap();
}
