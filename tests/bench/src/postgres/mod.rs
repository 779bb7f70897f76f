//! Rotations against a real PostgreSQL: the real plugin in the real runtime, the engine on the real store, every step and
//! host call on record, the new password tried by a login; and beside it a bare loop that does the same and nothing else.

mod bare;

use crate::component::Component;
use crate::fleet::Fleet;
use crate::progress::say;
use crate::report::{Beside, Goal, Row};
use crate::stats::{mean, millis};
use crate::world::{self, Disk, author, root};
use crate::{Failure, Scale};
use bare::{Bares, Statements};
use keybaton_engine::{Engine, Options};
use keybaton_protocol::ids::SecretName;
use keybaton_runtime::connection::{Access, Connection, ConnectionLimits, PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_runtime::manifest::{Manifest, Piece};
use keybaton_schedule::connection::Pattern;
use keybaton_test_support::{Postgres, PostgresOptions};
use serde_json::json;
use std::sync::Arc;

const PLUGIN: &str = "postgres-password";
/// Rotations under way at the same time, here and in the bare loop. With fewer, fewer share a sync of the record.
const IN_FLIGHT: [usize; 2] = [8, 32];
/// Which share of the bare loop's rate is asked for, with few and with many.
const GOAL: f64 = 0.8;
/// Sessions that the server lets in; its own 100 are too few for the admins and logins of both sides.
const SESSIONS: usize = 200;
/// Each window is cut into so many turns: the machine's own speed changes within seconds, and is to meet both alike.
const TURNS: u32 = 2;
/// Times as many windows as elsewhere: one of a noisy machine moves the ratio by more than what is to be seen.
const MORE: usize = 4;
/// One rotation alone is timed so many times less often than a plugin call.
const FEWER: usize = 10;

/// p50 in milliseconds of one rotation of a PostgreSQL password, measured on a machine of this kind.
const PEERS: [(&str, f64); 2] =
    [("Vault 1.8's static role, without a login test", 9.8), ("AWS's sample lambda, single user", 148.0)];

/// Runs it.
pub(crate) async fn run(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for in_flight in IN_FLIGHT {
        say("postgres", &format!("{in_flight} in flight, on a server of their own, its writes durable"));
        let settings = vec![format!("max_connections={SESSIONS}")];
        let server = Postgres::start(PostgresOptions { durable: true, settings, ..PostgresOptions::default() }).await?;
        let disk = Disk::new()?;
        let component = Component::approve(PLUGIN, vec![connection(&server, in_flight)?])?;
        let engine = engine(&component, &disk, in_flight).await?;
        let mut fleet = Fleet::issue(&engine, names(in_flight)?).await?;
        let mut bares = Bares::new(&server, statements()?, in_flight).await?;
        rows.push(together(scale, &mut fleet, &mut bares, in_flight).await?);
        if in_flight == IN_FLIGHT[0] {
            rows.extend(alone(scale, &mut fleet, &mut bares).await?);
        }
        fleet.check().await?;
        drop(fleet);
        engine.shutdown().await;
    }
    Ok(rows)
}

/// An engine with so many roles declared.
async fn engine(component: &Component, disk: &Disk, in_flight: usize) -> Result<Engine, Failure> {
    let journal = Arc::new(disk.store.clone());
    let engine = world::engine(journal, &disk.store, Arc::clone(&component.runtime) as _, Options::default()).await?;
    let policy = Arc::new(world::policy(true));
    let declared = names(in_flight)?.into_iter().enumerate().map(|(number, name)| {
        let settings = json!({ "connection": "main", "role": format!("app_{number}") });
        world::declared(name, PLUGIN, &settings.to_string(), &policy)
    });
    engine.declare(declared.collect::<Result<_, _>>()?, author()).await?;
    Ok(engine)
}

fn names(in_flight: usize) -> Result<Vec<SecretName>, Failure> {
    (0..in_flight).map(|number| Ok(format!("bench/s{number}").parse()?)).collect()
}

/// Both take their turns, so that a slow moment of the machine meets both. What counts is all that each has done in all
/// of its turns: a machine that has two speeds has no middle one, and two medians may each fall on another.
async fn together(scale: &Scale, fleet: &mut Fleet, bares: &mut Bares, in_flight: usize) -> Result<Row, Failure> {
    let (warm_up, turn) = (scale.warm_up / 2 / TURNS, scale.window / TURNS);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..scale.windows * MORE {
        for _ in 0..TURNS {
            ours.extend(fleet.rates(warm_up, 1, turn, |_| {}).await?);
            bare.push(bares.rate(warm_up, turn).await?);
        }
        say("postgres", &format!("{:.0} per second, the bare loop {:.0}", mean(&ours), mean(&bare)));
    }
    let beside = Beside::Peer("the same statements and login, bare".to_owned(), mean(&bare));
    let row = Row::new(format!("PostgreSQL rotations, {in_flight} in flight"), mean(&ours), "/s");
    Ok(row.rate_beside(beside).goal(Goal::Ratio(GOAL)))
}

/// One at a time.
async fn alone(scale: &Scale, fleet: &mut Fleet, bares: &mut Bares) -> Result<Vec<Row>, Failure> {
    say("postgres", "one rotation alone");
    let times = (scale.singles / FEWER).max(1);
    let ours = millis(fleet.alone(times).await?.p50());
    let bare = millis(bares.alone(times).await?.p50());
    let bare = Beside::Peer("the same statements and login, bare".to_owned(), bare);
    let peers = PEERS.map(|(peer, took)| Beside::Published(peer.to_owned(), took));
    let row = |beside| Row::new("one PostgreSQL rotation alone, p50", ours, "ms").time_beside(beside);
    Ok(std::iter::once(bare).chain(peers).map(row).collect())
}

fn connection(server: &Postgres, in_flight: usize) -> Result<Connection, Failure> {
    let source = Arc::new(FileSource(server.admin_password_file().to_owned()));
    Ok(Connection {
        name: "main".parse()?,
        access: Access {
            namespaces: vec![Pattern::Exact("bench".to_owned())],
            plugins: vec![Pattern::Exact(PLUGIN.to_owned())],
            identities: vec![Pattern::Prefix("app_".to_owned())],
        },
        limits: ConnectionLimits { concurrency: in_flight.try_into()?, ..ConnectionLimits::default() },
        target: Target::Postgres(PostgresTarget::here(server.port(), "postgres", server.admin_user(), source)),
    })
}

/// The plugin's statements, from its manifest.
fn statements() -> Result<Statements, Failure> {
    let manifest = std::fs::read_to_string(root().join("plugins").join(PLUGIN).join("plugin.toml"))?;
    let manifest = Manifest::from_toml(&manifest)?;
    let text = |name: &str| {
        let template = manifest.templates.iter().find(|template| template.permit.name == name);
        let template = template.ok_or_else(|| format!("{PLUGIN} has no statement `{name}` any more"))?;
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Param(index) => format!("${}", index + 1),
        };
        Ok::<_, Failure>(template.pieces.iter().map(piece).collect())
    };
    Ok(Statements { role: text("role")?, login: text("login")? })
}
