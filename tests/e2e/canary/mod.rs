//! The canary: known secrets go through a whole installation, and then everything that it said, answered, logged or
//! stored is searched for them, whole and in pieces, in every rendering; so is the host's memory, while a rotation waits
//! and once they were erased. Guests' memories are looked into by the runtime's own tests.

mod memory;
mod said;

use crate::host::{Installation, generation};
use keybaton_test_support::{Canary, Postgres, Sighting, random_hex};
use serde_json::Value;
use std::path::Path;

/// A piece of so many bytes is looked for: shorter ones are met by chance.
const PIECE_BYTES: usize = 8;
/// The same for a value of hexadecimal digits, which logs are full of.
const HEX_PIECE_BYTES: usize = 16;

const ONE: &str = "  - name: team/one
    plugin: postgres-password
    connection: main
    settings: { roles: [one_a, one_b], group: one_owner }
    cadence: { manual: true }
    consumers: { web: { members: [web-0] } }
    overlap: { minimum: 0s, quiet: 1s, soak: 0s }
    stragglers: { deadline: 60s, then: hold }
    limits: { staged_lease: 2s }
";
/// Rotated by an admin who is rotated, and a role whose password a plugin may read.
const OTHERS: &str = "  - name: team/admin
    plugin: postgres-password
    connection: main
    settings: { roles: [admin_a, admin_b], group: admin_owner }
    cadence: { manual: true }
    consumers: { web: { members: [admin-0] } }
    overlap: { minimum: 0s, quiet: 1s, soak: 0s }
    stragglers: { deadline: 60s, then: hold }
  - name: team/app
    plugin: postgres-password
    connection: via
    settings: { roles: [app_a, app_b], group: app_owner }
    cadence: { manual: true }
    consumers: { web: { members: [app-0] } }
    overlap: { minimum: 0s, quiet: 1s, soak: 0s }
    stragglers: { deadline: 60s, then: hold }
  - name: team/read
    plugin: confidant
    connection: main
    settings: { connection: main, role: reader }
    cadence: { manual: true }
    consumers: { web: { members: [read-0] } }
    overlap: { minimum: 0s, quiet: 0s, accept_gap: true }
    stragglers: { deadline: 60s, then: hold }
";
/// What [`OTHERS`] declares, each with its only replica.
const OTHER: [(&str, &str); 3] = [("team/admin", "admin-0"), ("team/app", "app-0"), ("team/read", "read-0")];

/// Secrets that are looked for.
struct Planted {
    pieces: Canary,
    digits: Canary,
}

impl Planted {
    fn new() -> Self {
        Self { pieces: Canary::with_fragments(PIECE_BYTES), digits: Canary::with_fragments(HEX_PIECE_BYTES) }
    }

    fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut planted = Self::new();
        secrets.into_iter().for_each(|(name, value)| planted.plant(name, value));
        planted
    }

    fn plant(&mut self, name: &str, value: &str) {
        let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let canary = if digits { &mut self.digits } else { &mut self.pieces };
        canary.plant(name, value).unwrap();
    }

    /// Plants every token that commands were given, the first operator's, and those that workloads are known by.
    fn plant_tokens(&mut self, host: &Installation) {
        let operator = std::fs::read_to_string(host.dir.join("operator.token")).unwrap();
        self.plant("the operator's token", distinctive(&operator));
        for token in host.tokens() {
            self.plant(&format!("the token {}", token.split('_').nth(1).unwrap()), distinctive(token));
        }
        let states = std::fs::read_dir(host.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        for identity in states.map(|state| state.join("identity.json")).filter(|file| file.exists()) {
            let kept: Value = serde_json::from_slice(&std::fs::read(&identity).unwrap()).unwrap();
            self.plant(&format!("who {} is", kept["consumer"]), distinctive(kept["token"].as_str().unwrap()));
        }
    }

    fn all(&self, search: impl Fn(&Canary) -> Vec<Sighting>) -> Vec<Sighting> {
        [&self.pieces, &self.digits].into_iter().flat_map(search).collect()
    }

    fn search(&self, place: &str, bytes: &[u8]) -> Vec<Sighting> {
        self.all(|canary| canary.search(place, bytes))
    }

    fn search_path(&self, path: &Path) -> Vec<Sighting> {
        self.all(|canary| canary.search_path(path).unwrap())
    }
}

/// Awkward in every rendering, and every piece of it nobody else's.
fn invented() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |pair: &[u8]| {
        let number = usize::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        char::from(LETTERS[number % LETTERS.len()])
    };
    let letters: Vec<char> = random_hex(24).unwrap().as_bytes().chunks(2).map(letter).collect();
    letters.chunks(3).zip("\"'/+\\ =&".chars()).flat_map(|(three, mark)| three.iter().copied().chain([mark])).collect()
}

/// What of a token is secret: `kb_ID_SECRET`, and for one that is given out to enrol, the authority's pin behind it.
fn distinctive(token: &str) -> &str {
    token.trim().split('_').nth(2).expect("it is a token")
}

/// A role whose password the server's own log does not show.
async fn role(server: &Postgres, password: &str) {
    let admin = server.admin().await.unwrap();
    admin.batch_execute("SET log_statement = 'none'").await.unwrap();
    let quoted = password.replace('\'', "''");
    admin.batch_execute(&format!("CREATE ROLE one_a LOGIN PASSWORD '{quoted}'")).await.unwrap();
    server.execute("CREATE ROLE one_owner NOLOGIN").await.unwrap();
}

/// What [`OTHERS`] wants at the server.
async fn other_roles(server: &Postgres) {
    let roles = "CREATE ROLE admin_owner NOLOGIN CREATEROLE; CREATE ROLE app_owner NOLOGIN; CREATE ROLE reader; \
                 GRANT pg_signal_backend, app_owner TO admin_owner";
    server.execute(roles).await.unwrap();
}

/// The connection that everybody has, open to the guest too, and one that logs in with a secret managed here.
fn connections(server: &Postgres) -> String {
    let main =
        crate::load::connections(server, "\"*\"").replace("[postgres-password]", "[postgres-password, confidant]");
    let via = format!(
        "  - name: via\n    kind: postgres\n    endpoint: {{ host: 127.0.0.1, port: {port} }}\n    \
         tls: {{ mode: disable }}\n    admin: {{ secret: team/admin }}\n    \
         limits: {{ in_flight: 8, per_second: 500, burst: 500 }}\n    \
         allow: {{ namespaces: [team], plugins: [postgres-password], identities: ['*'], loopback: true }}\n",
        port = server.port(),
    );
    main + &via
}

/// The guest that reads what it sets, and says it where it can.
async fn install_confidant(host: &mut Installation) {
    let file = crate::host::component("guests/confidant");
    assert!(file.exists(), "{} is missing: `make plugins` builds it", file.display());
    let shown = host.done(&["plugin", "add", file.to_str().unwrap()]).await;
    assert!(shown.to_string().contains("reveal"), "what it asks for is shown: {shown}");
    host.done(&["plugin", "approve", "confidant"]).await;
}

/// One rotation, to this generation.
async fn rotated(host: &mut Installation, secret: &str, number: u64) {
    host.done(&["rotate", secret]).await;
    let status = host.settled(secret).await;
    assert_eq!(generation(&status, "current"), Some(number), "{secret}: {status:#}");
}

fn shown(found: &[Sighting]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}
