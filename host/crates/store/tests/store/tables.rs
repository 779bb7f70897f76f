//! The ports on the embedded store, each held to its suite; and what is found in a store beside journals.

use crate::support::Place;
use keybaton_engine::clock::HostClock;
use keybaton_engine::nonces::InProcess;
use keybaton_engine::ports::audit::{AuditEntry, Verdict};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identities, Identity, Subject, Taken, TokenHash};
use keybaton_engine::ports::specs::Applied;
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Digest, Generation, Millis};
use keybaton_store::conformance::{self, Kind};
use keybaton_store::{Mode, Store};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const FAR: Millis = Millis(9_000_000_000_000);

pub(crate) fn spec(name: &str, body: &str) -> Applied {
    Applied {
        name: name.parse().unwrap(),
        body: body.to_owned(),
        digest: Digest([5; 32]),
        applied_at: Millis(7),
        by: "ada".parse().unwrap(),
    }
}

pub(crate) fn proposal(named: Option<&str>) -> Proposal {
    Proposal {
        secret: "a/one".parse().unwrap(),
        word: Word {
            consumer: "web".parse().unwrap(),
            replica: named.map(|name| name.parse().unwrap()),
            generation: Generation(2),
            purpose: Purpose::Adopted,
            reason: "seen on its console".to_owned(),
            author: "ada".parse().unwrap(),
            approver: "ada".parse().unwrap(),
            expires_at: FAR,
        },
        replica: "web-0".parse().unwrap(),
        proposed_at: Millis(7),
    }
}

pub(crate) fn identity(id: &str) -> Identity {
    Identity {
        id: id.to_owned(),
        hash: TokenHash([1; 32]),
        subject: Subject::Operator { name: "ada".parse().unwrap(), namespaces: None },
        replica: None,
        line: None,
        issued_at: Millis(1),
        expires_at: Some(FAR),
        revoked_at: None,
        supersedes: None,
    }
}

pub(crate) fn enrolment(id: &str, expires_at: Millis) -> Enrolment {
    Enrolment {
        id: id.to_owned(),
        hash: TokenHash([2; 32]),
        consumer: ConsumerId { namespace: "a".parse().unwrap(), name: "billing".parse().unwrap() },
        replica: None,
        author: "ada".parse().unwrap(),
        created_at: Millis(1),
        expires_at,
    }
}

pub(crate) fn act(what: &str) -> AuditEntry {
    AuditEntry {
        at: Millis(5),
        actor: "ada".to_owned(),
        from: String::new(),
        action: what.to_owned(),
        subject: "a/b".to_owned(),
        detail: "ticket 7".to_owned(),
        verdict: Verdict::Refused("not hers".to_owned()),
    }
}

/// The embedded store, for one sentence of a suite. It has one host, which stands for both.
pub(crate) struct Embedded {
    place: Place,
    store: Option<Store>,
    edited: Cell<bool>,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        let store = Some(place.create());
        Self { place, store, edited: Cell::new(false) }
    }
}

impl conformance::Place for Embedded {
    type Store = Store;

    fn host(&self, _: usize) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.store = None;
        self.store = Some(self.place.open().unwrap());
    }

    fn edit(&self, kind: Kind) {
        let document = |collection: &str| {
            format!(
                "UPDATE documents SET body = CAST('{{}}' AS BLOB) WHERE collection = '{collection}'
                 AND key = (SELECT min(key) FROM documents WHERE collection = '{collection}')"
            )
        };
        let statement = match kind {
            Kind::Journal => {
                "UPDATE journal SET body = CAST('{}' AS BLOB) WHERE row = (SELECT max(row) FROM journal)".to_owned()
            }
            Kind::Audit => {
                "UPDATE audit SET body = CAST('{}' AS BLOB) WHERE seq = (SELECT max(seq) FROM audit)".to_owned()
            }
            Kind::Freezes => document("freezes"),
            Kind::Identities => document("identities"),
            Kind::Enrolments => document("enrolments"),
            Kind::Proposals => document("proposals"),
            Kind::Specs => document("specs"),
            Kind::Values => document("values"),
        };
        let raw = rusqlite::Connection::open(self.place.db()).unwrap();
        assert_eq!(raw.execute(&statement, []).unwrap(), 1, "{kind:?}");
        self.edited.set(true);
    }

    fn folder(&self) -> PathBuf {
        self.place.root.path().join("copy")
    }

    fn restored(&self, from: &Path) -> Store {
        let to = self.place.root.path().join("restored");
        Store::restore(from, &to, &self.place.kek()).unwrap();
        Store::open(&to, self.place.kek(), Mode::ReadWrite).unwrap()
    }

    async fn end(self) {
        if !self.edited.get() {
            self.store.unwrap().verify().await.unwrap();
        }
    }
}

macro_rules! held_to {
    ($($sentence:ident: $suite:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $sentence() {
            conformance::$suite::check(Embedded::new).await;
        }
    )* };
}
held_to!(
    the_embedded_store_keeps_journals: journal,
    the_embedded_store_keeps_freezes: freezes,
    the_embedded_store_keeps_declarations: specs,
    the_embedded_store_keeps_identities_and_enrolments: identities,
    the_embedded_store_keeps_proposals: proposals,
    the_embedded_store_keeps_the_hosts_values: values,
    the_embedded_store_keeps_an_audit_log: audit,
    the_embedded_store_can_be_copied: backup,
    the_embedded_store_looks_for_damage: inspect,
);

struct Machine(Instant);

impl Clock for Machine {
    fn wall(&self) -> Millis {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        Millis(u64::try_from(now).unwrap())
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The table of nonces of the one host that the embedded store has. It has nothing to restart, edit or copy.
struct OneHost(InProcess);

impl conformance::Place for OneHost {
    type Store = InProcess;

    fn host(&self, _: usize) -> &InProcess {
        &self.0
    }

    fn restart(&mut self) {}

    fn edit(&self, _: Kind) {}

    fn folder(&self) -> PathBuf {
        PathBuf::new()
    }

    fn restored(&self, _: &Path) -> InProcess {
        nonces()
    }

    async fn end(self) {}
}

fn nonces() -> InProcess {
    InProcess::new(4_096, Arc::new(HostClock::new(Arc::new(Machine(Instant::now())))))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_host_of_an_embedded_store_keeps_nonces() {
    conformance::nonces::check(|| OneHost(nonces())).await;
}

#[tokio::test]
async fn an_enrolment_that_ended_long_ago_is_dropped_when_another_is_made() {
    let place = Place::new();
    let store = place.create();
    store.put_enrolment(enrolment("older", Millis(1))).await.unwrap();
    store.put_enrolment(enrolment("newer", FAR)).await.unwrap();
    let taken = store.take_enrolment("older", &TokenHash([2; 32]), Millis(0)).await.unwrap();
    assert_eq!(taken, Taken::Unknown);
}
