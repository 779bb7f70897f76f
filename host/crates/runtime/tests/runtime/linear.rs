//! No secret is ever in a guest's linear memory: the real plugins, at real servers, looked into at each host call and
//! when each call is over. A guest that may read a secret shows that the search would find one.

use crate::common::{Bench, Memory, known};
use crate::memories::{AFTER, DURING, Giver, Memories, Watching};
use keybaton_engine::ports::rotator::{CallRequest, Known, Rotator, Value};
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::ids::{Generation, SealLabel};
use keybaton_protocol::step::CallKind::{self, Create, Destroy, Disable, Enable, Install, Observe, Verify};
use keybaton_runtime::connection::Connection;
use keybaton_test_support::{Canary, JupyterHub, JupyterHubOptions, Postgres, PostgresOptions};
use serde_json::json;
use std::sync::Arc;

/// Pieces of so many bytes are looked for too.
const PIECE_BYTES: usize = 8;
/// The same of values that are hexadecimal digits.
const HEX_PIECE_BYTES: usize = 16;

/// So much of the second line of an ECDSA key on P-256 (PKCS#8, RFC 5958) is its private number.
const PRIVATE_CHARS: usize = 24;

/// A secret's generations, as the engine keeps them from call to call.
struct Life {
    bench: Bench,
    memories: Arc<Memories>,
    settings: serde_json::Value,
    known: Vec<Known>,
    values: Vec<(Generation, String, SealLabel, SecretBytes)>,
}

impl Life {
    fn new(plugin: &str, connection: Option<Connection>, settings: serde_json::Value) -> Self {
        let memories = Arc::<Memories>::default();
        let bench = Bench::watched(plugin, Arc::new(Giver(Arc::clone(&memories))));
        bench.runtime.connections().replace(connection.into_iter().collect());
        Self { bench, memories, settings, known: Vec::new(), values: Vec::new() }
    }

    /// A new generation, pending, in this slot if there are any.
    fn begin(&mut self, number: u32, slot: Option<&str>) {
        self.known.iter_mut().for_each(|it| it.role = "current");
        let slot = slot.map(|slot| slot.parse().unwrap());
        self.known.push(Known { slot, ..known(number, "pending", None) });
    }

    fn request(&self, kind: CallKind, number: u32) -> CallRequest {
        let mut request = self.bench.request(kind, number, &self.settings);
        request.id = self.known.iter().find(|it| it.generation == Generation(number)).and_then(|it| it.id.clone());
        request.known.clone_from(&self.known);
        let given = self.values.iter().filter(|(of, ..)| kind != Verify || *of == Generation(number));
        let value = |(of, field, label, bytes): &(Generation, String, SealLabel, SecretBytes)| Value {
            generation: *of,
            field: field.clone(),
            label: label.clone(),
            bytes: bytes.duplicate(),
        };
        request.values = given.map(value).collect();
        request
    }

    /// One call, which must do what it is for.
    async fn call(&mut self, kind: CallKind, number: u32) {
        self.memories.now(&format!("{kind} of {number}"));
        let record = Memory::new();
        let recorder = Watching { record: Arc::clone(&record), memories: Arc::clone(&self.memories) };
        match self.bench.runtime.call(self.request(kind, number), Arc::new(recorder)).await {
            Outcome::Created(minted) => {
                let kept = self.known.iter_mut().find(|it| it.generation == Generation(number)).unwrap();
                (kept.id, kept.attributes, kept.facts) = (minted.id, minted.attributes, minted.facts);
                for (field, label) in minted.fields {
                    let bytes = record.sealed(&label);
                    self.values.push((Generation(number), field, label, bytes));
                }
            }
            Outcome::Failed(fault) => panic!("{kind} of {number}: {fault}"),
            Outcome::Refused(why) => panic!("{kind} of {number}: refused, {why:?}"),
            _ => {}
        }
    }

    async fn preflight(&self) {
        self.memories.now("preflight");
        self.bench.runtime.preflight(self.request(Observe, 1)).await.unwrap();
    }

    /// Every value that the guest had a handle of, and the admin's; `known` is what it was told in clear.
    fn holds_no_secret(&self, admin: &str, known: &str) {
        let mut canaries = [Canary::with_fragments(PIECE_BYTES), Canary::with_fragments(HEX_PIECE_BYTES)];
        canaries[1].plant("the admin's", admin).unwrap();
        for (of, field, _, bytes) in &self.values {
            let digits = bytes.expose().iter().all(u8::is_ascii_hexdigit);
            canaries[usize::from(digits)].plant(&format!("{field} of {}", of.0), bytes.expose()).unwrap();
        }
        let found: Vec<_> = canaries.iter().flat_map(|canary| self.memories.search(canary)).collect();
        assert!(found.is_empty(), "{found:#?}");
        let mut control = Canary::new();
        control.plant("what it was told", known).unwrap();
        let told = self.memories.search(&control);
        // What a guest gave back to its own heap may be written over by the end of the call.
        for (kind, least) in [(DURING, self.memories.looks(DURING)), (AFTER, 1)] {
            let told = told.iter().filter(|it| it.place.ends_with(kind)).count();
            assert!(least > 0 && told >= least, "{kind}: the search sees {told} of {}", self.memories.looks(kind));
        }
    }
}

#[tokio::test]
async fn a_password_is_never_in_the_memory_of_the_plugin_that_sets_it() {
    for (sentence, settings, slots) in [
        ("one role", json!({ "connection": "main", "role": "app_owner" }), [None, None]),
        (
            "two in turn",
            json!({ "connection": "main", "roles": ["app_a", "app_b"], "group": "app_owner" }),
            [Some("app_a"), Some("app_b")],
        ),
    ] {
        println!("{sentence}");
        let server = Postgres::start(PostgresOptions::default()).await.unwrap();
        let turns = slots[0].is_some();
        if turns {
            server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
        }
        let connection = crate::postgres::postgres(&server, &["app_*"]);
        let mut life = Life::new("plugins/postgres-password", Some(connection), settings);
        life.preflight().await;
        for (number, slot) in [1, 2].into_iter().zip(slots) {
            life.begin(number, slot);
            for kind in [Create, Install, Verify, Observe] {
                life.call(kind, number).await;
            }
        }
        let ends: &[_] = if turns { &[(Disable, 1), (Enable, 1), (Destroy, 1)] } else { &[(Destroy, 2)] };
        for (kind, number) in ends {
            life.call(*kind, *number).await;
        }
        life.call(Observe, 2).await;
        life.holds_no_secret(server.admin_password(), "app_owner");
    }
}

#[tokio::test]
async fn a_token_is_never_in_the_memory_of_the_plugin_that_mints_it() {
    let server = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    server.create_user("svc-app").await.unwrap();
    let connection = crate::http::hub(&server.origin(), server.admin_token_file(), &["127.0.0.0/8"], &["svc-*"]);
    let mut life = Life::new("plugins/http-token", Some(connection), crate::http::settings());
    life.preflight().await;
    for number in [1, 2] {
        life.begin(number, None);
        for kind in [Create, Install, Verify, Observe] {
            life.call(kind, number).await;
        }
    }
    life.call(Destroy, 1).await;
    life.call(Observe, 2).await;
    life.holds_no_secret(server.admin_token(), "/hub/api/users");
}

#[tokio::test]
async fn a_secret_that_a_guest_may_read_is_found_in_its_memory_and_only_then() {
    let mut life = Life::new("tests/guests/keysmith", None, json!({ "algorithm": "ecdsa-p256" }));
    life.begin(1, None);
    life.call(Create, 1).await;
    life.call(Install, 1).await;
    // Within the private number; around it stands what the public half says, too.
    let pem = std::str::from_utf8(life.values[0].3.expose()).unwrap();
    let mut canary = Canary::new();
    canary.plant("the key", &pem.lines().nth(2).unwrap()[..PRIVATE_CHARS]).unwrap();
    let found = life.memories.search(&canary);
    let of = |moment: String| found.iter().any(|it| it.place == moment && it.form == "raw bytes");
    assert!(of(format!("install of 1 {AFTER}")), "it read it: {found:#?}");
    assert!(of(format!("install of 1 {DURING}")), "and has it when it asks again: {found:#?}");
    assert!(!found.iter().any(|it| it.place.starts_with("create")), "who made it never had it: {found:#?}");
    assert!(life.memories.looks(DURING) >= 3, "it was looked into while it was made, too");
}
