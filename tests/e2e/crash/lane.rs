//! A lane: one secret through many lives of its host. Each rotation is killed at a point that no other lane has taken,
//! the next life brings it to its end, and the census at the target must then equal the journal's.

use super::order::{Kill, LINE, Moment, ORDERS, Orders};
use super::points::Points;
use crate::site::{Census, Course, Target};
use keybaton_engine::views::StatusView;
use keybaton_test_support::Canary;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
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
struct Report {
    status: StatusView,
    /// The value that the consumer was told to use.
    uses: String,
    /// How the last rotation ended.
    ending: String,
    survived: Option<u64>,
}

/// How the rotations of a lane ended.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    /// As their course has it.
    pub(super) as_meant: u64,
    /// Otherwise: given back after a kill, or past the point of return before the operator looked.
    pub(super) otherwise: u64,
}

/// One secret, and the life of its host.
pub(super) struct Lane {
    orders: Orders,
    target: Target,
    life: Life,
    last: Report,
    tally: Tally,
    /// How many of the values that were seen a census has tried.
    tried: usize,
}

impl Lane {
    /// Kills rotations at the points that are left, until there are none.
    pub(super) async fn run(orders: Orders, target: Target, points: &Points) -> Tally {
        std::fs::create_dir_all(&orders.world.folder).unwrap();
        let mut life = Life::start(&orders);
        let last = life.settled().await.unwrap_or_else(|| panic!("the first life broke: {}", life.said()));
        let mut lane = Self { orders, target, life, last, tally: Tally::default(), tried: 0 };
        lane.census(None, "at first").await;
        while let Some(kill) = points.take() {
            let killed = lane.rotate(kill).await;
            points.tried(kill, killed);
        }
        let Self { orders, life, tally, .. } = lane;
        life.end().await;
        nothing_in_clear(&orders);
        tally
    }

    /// One rotation, killed at this point and brought to its end. Answers whether it ever came to that.
    async fn rotate(&mut self, kill: Kill) -> bool {
        let what = format!("{kill:?} in {}", self.orders.world.folder.display());
        self.life.order(kill).await;
        let before = self.life.settled().await;
        let killed = before.is_none();
        let report = match before {
            Some(report) => {
                let passed = report.survived.expect("it was ordered to end");
                assert!(passed <= kill.nth, "{what}: {passed} moments, and it lives");
                report
            }
            None => {
                self.life.was_killed(&what).await;
                self.somebody_gets_in(&what).await;
                self.life = Life::start(&self.orders);
                let next = self.life.settled().await;
                next.unwrap_or_else(|| panic!("{what}: the next life broke: {}", self.life.said()))
            }
        };
        // Where nothing was written, what ended last is the rotation before this one.
        if kill != (Kill { moment: Moment::BeforeAppend, nth: 0 }) {
            self.tally.count(self.orders.course, &report.ending, &what);
        }
        let used = std::mem::replace(&mut self.last, report).uses;
        self.census(Some(used), &what).await;
        killed
    }

    /// What lives at the target is what the journal names. No value is in use that came to be since the last census, or
    /// that was in use then, save the one that is now; all others were refused before.
    async fn census(&mut self, used: Option<String>, what: &str) {
        let seen = seen(&self.orders);
        let mut values: Vec<String> = used.into_iter().chain(seen[self.tried..].iter().cloned()).collect();
        values.retain(|value| *value != self.last.uses);
        values.dedup();
        self.tried = seen.len();
        let census = Census { status: &self.last.status, uses: &self.last.uses, seen: &values, what };
        self.target.census(&census).await;
    }

    /// Invariants 1 and 2, at the moment of a kill: what the consumer used works, or what came after it does.
    async fn somebody_gets_in(&self, what: &str) {
        let seen = seen(&self.orders);
        let newer = seen.iter().rposition(|value| *value == self.last.uses).expect("what it uses was seen");
        assert!(self.target.takes(&seen[newer..]).await, "{what}: no credential that a consumer could hold works");
    }
}

impl Tally {
    fn count(&mut self, course: Course, ending: &str, what: &str) {
        match ending {
            ending if ending == course.ending() => self.as_meant += 1,
            "completed" if matches!(course, Course::Reverted(_)) => self.otherwise += 1,
            "rolled-back" if course != Course::Refused => self.otherwise += 1,
            other => panic!("{what}: it ended as {other}"),
        }
    }
}

/// Every value that a host call yielded here, in order.
fn seen(orders: &Orders) -> Vec<String> {
    let unhex = |line: &str| {
        let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        String::from_utf8((0..line.len()).step_by(2).map(byte).collect()).unwrap()
    };
    std::fs::read_to_string(orders.world.folder.join("seen")).unwrap().lines().map(unhex).collect()
}

/// Invariant 7, after all those kills: neither the store nor what the lives printed holds a value.
fn nothing_in_clear(orders: &Orders) {
    let mut canary = Canary::new();
    for (nth, value) in seen(orders).iter().enumerate() {
        canary.plant(&format!("value {nth}"), value).unwrap();
    }
    for place in ["data", "life.err"] {
        let found = canary.search_path(&orders.world.folder.join(place)).unwrap();
        assert_eq!(found, [], "in clear, after kills");
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
    fn start(orders: &Orders) -> Self {
        let errors = orders.world.folder.join("life.err");
        // Not by its name: it may have been built anew meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "crash::a_life", "--nocapture", "--test-threads=1"])
            .env(ORDERS, orders.text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(OpenOptions::new().create(true).append(true).open(&errors).unwrap())
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
