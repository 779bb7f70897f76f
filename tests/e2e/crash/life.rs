//! One life of a host, in a process of its own: the real engine, store, sandbox and component, a consumer that answers
//! at once, and an operator. It brings what it finds open to its end, tells the parent what the journal names, and
//! begins rotations until it is killed or the parent closes the pipe.

use super::kill::{Fuse, FusedJournal, fused};
use super::order::{Kill, LINE, Orders};
use crate::site::{self, Course, Watch};
use keybaton_engine::Engine;
use keybaton_engine::harness::Consumers;
use keybaton_engine::ports::journal::Part;
use keybaton_engine::views::{HistoryEntry, StatusView};
use keybaton_protocol::ids::{SecretName, Seq};
use keybaton_protocol::step::PlanKind;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECRET: &str = "team/app";
/// How long a rotation may take to end, the doubt about its calls included.
const ENDS: Duration = Duration::from_secs(60);

/// Lives until it is killed or told to stop.
pub(super) async fn live(orders: &Orders) {
    let seen = OpenOptions::new().create(true).append(true).open(orders.world.folder.join("seen")).unwrap();
    let fuse = Fuse::new(seen);
    let secret: SecretName = SECRET.parse().unwrap();
    let engine = start(orders, &secret, &fuse).await;
    let consumer = site::willing_consumer(&secret, &format!("life-{}", std::process::id()));
    let mut life = Life { secret, engine, consumer, course: Course::Through };
    if life.status().await.generations.is_empty() && life.status().await.rotation.is_none() {
        life.begin(PlanKind::Issue).await;
        life.settle().await;
    }
    life.course = orders.course;
    let mut lines = std::io::stdin().lock().lines();
    let mut survived = None;
    loop {
        life.settle().await;
        life.tell(survived).await;
        let Some(order) = lines.next() else { break };
        fuse.arm(Kill::parse(&order.unwrap()).expect("an order"));
        life.begin(PlanKind::Rotate).await;
        life.settle().await;
        survived = Some(fuse.disarm());
    }
    assert!(life.engine.shutdown().await, "calls were left open");
}

async fn start(orders: &Orders, secret: &SecretName, fuse: &Arc<Fuse>) -> Engine {
    let world = &orders.world;
    let store = Arc::new(site::store(world));
    let journal = FusedJournal { inner: Arc::clone(&store) as _, fuse: Arc::clone(fuse) };
    let rotator = fused(Arc::new(site::sandbox(world, site::CALL_MS)), Arc::clone(fuse));
    let policy = orders.course.policy(site::policy(orders.quiet_ms));
    let declared = site::declared(world, secret, &orders.settings, policy);
    site::connect(Arc::new(journal), store, Arc::new(rotator), vec![declared]).await
}

struct Life {
    secret: SecretName,
    engine: Engine,
    consumer: Consumers,
    course: Course,
}

impl Life {
    async fn status(&self) -> StatusView {
        self.engine.status(&self.secret).await.unwrap()
    }

    async fn history(&self) -> Vec<HistoryEntry> {
        self.engine.history(&self.secret, Part::After(Seq(0)), usize::MAX).await.unwrap()
    }

    async fn begin(&self, kind: PlanKind) {
        self.engine.begin(&self.secret, kind, "test", "ada".parse().unwrap()).await.unwrap();
    }

    /// The operator first, then the consumer, until nothing is open.
    async fn settle(&mut self) {
        let until = Instant::now() + ENDS;
        let mut watch = Watch::of(&self.engine, &self.secret);
        loop {
            let status = self.status().await;
            self.course.act(&self.engine, &self.secret, &status, &mut self.consumer).await;
            self.consumer.round(&self.engine, &|_| {}).await.unwrap();
            let status = self.status().await;
            if status.rotation.is_none() && status.retirements.is_empty() {
                return;
            }
            assert!(status.held.is_none(), "held: {status:#?}");
            if Instant::now() > until {
                let last: Vec<_> =
                    self.history().await.iter().rev().take(25).map(|it| format!("{} {}", it.seq, it.text)).collect();
                panic!("it does not end: {status:#?}\n{last:#?}");
            }
            watch.next().await;
        }
    }

    /// What the journal names, to the parent. `survived`: how many moments the last rotation passed without an end.
    async fn tell(&mut self, survived: Option<u64>) {
        // Without a rotation the consumer is given the current generation, and that alone.
        self.consumer.round(&self.engine, &|_| {}).await.unwrap();
        let uses = self.consumer.values().pop().unwrap().uses.expect("the consumer uses the current one");
        let history = self.history().await;
        site::only_retirements_follow(&history);
        let ending = history.iter().rev().find(|it| it.event == "finished").map(|it| site::part(it, "ending"));
        let line = json!({
            "status": self.status().await,
            "uses": String::from_utf8(uses).unwrap(),
            "ending": ending,
            "survived": survived,
        });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{LINE}{line}").unwrap();
        out.flush().unwrap();
    }
}
