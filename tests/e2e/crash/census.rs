//! The census: which credentials live at the target, by the target's own word, against what the journal names.

use super::lane::Report;
use super::order::World;
use keybaton_test_support::{JupyterHub, Login, Postgres};
use std::sync::Arc;

/// Values tried again at each census, the newest first; earlier ones were refused at the censuses before.
const TRIED: usize = 4;

/// A real server, and what of it belongs to one lane.
#[derive(Clone)]
pub(super) enum Target {
    /// Its roles.
    Postgres(Arc<Postgres>, Vec<String>),
    /// Its user.
    Hub(Arc<JupyterHub>, String),
}

impl Target {
    /// Exactly the current credential lives, and the journal names it and nothing else.
    pub(super) async fn census(&self, report: &Report, world: &World, what: &str) {
        let status = &report.status;
        let roles: Vec<_> = status.generations.iter().map(|it| it.role.as_str()).collect();
        assert_eq!(roles, ["current"], "{what}: {status:#?}");
        assert!(status.retirements.is_empty() && status.foreign.is_empty(), "{what}: {status:#?}");
        let seen = std::fs::read_to_string(world.folder.join("seen")).unwrap();
        let seen: Vec<String> = seen.lines().rev().take(TRIED).map(unhex).collect();
        match self {
            Self::Postgres(server, roles) => postgres(server, roles, report, &seen, what).await,
            Self::Hub(hub, user) => tokens(hub, user, report, &seen, what).await,
        }
    }
}

async fn postgres(server: &Postgres, roles: &[String], report: &Report, seen: &[String], what: &str) {
    let current = report.status.generations[0].slot.clone().unwrap_or_else(|| roles[0].clone());
    assert!(roles.contains(&current), "{what}: {current}");
    for role in roles {
        for value in seen.iter().chain([&report.uses]) {
            let works = server.login(role, value).await.unwrap() == Login::Works;
            let named = *role == current && *value == report.uses;
            assert_eq!(works, named, "{what}: a password of {role} (current: {current})");
        }
    }
    let named: Vec<String> = roles.iter().map(|role| format!("'{role}'")).collect();
    let live = format!("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname IN ({})", named.join(", "));
    let live = server.rows(&live).await.unwrap();
    assert_eq!(live, [[Some(current)]], "{what}: who may log in");
}

async fn tokens(hub: &JupyterHub, user: &str, report: &Report, seen: &[String], what: &str) {
    let live: Vec<String> = hub.tokens(user).await.unwrap().into_iter().map(|token| token.id).collect();
    let named: Vec<String> = report.status.generations.iter().filter_map(|it| it.id.clone()).collect();
    assert_eq!(live, named, "{what}: tokens at the hub, and in the journal");
    for value in seen.iter().chain([&report.uses]) {
        let works = hub.whoami(value).await.unwrap().is_some();
        assert_eq!(works, *value == report.uses, "{what}: a token that was minted");
    }
}

fn unhex(line: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    String::from_utf8((0..line.len()).step_by(2).map(byte).collect()).unwrap()
}
