//! The census: which credentials live at the target, by the target's own word, against what the journal names.

use keybaton_engine::views::StatusView;
use keybaton_test_support::{JupyterHub, Login, Postgres};
use std::sync::Arc;

/// A real server, and what of it belongs to one secret.
#[derive(Clone)]
pub(crate) enum Target {
    /// Its roles.
    Postgres(Arc<Postgres>, Vec<String>),
    /// Its user.
    Hub(Arc<JupyterHub>, String),
}

/// What the journal says at rest, and what was seen on the way.
pub(crate) struct Census<'a> {
    pub(crate) status: &'a StatusView,
    /// The value that the consumer was told to use.
    pub(crate) uses: &'a str,
    /// Values that must not work, unless they are the one in use.
    pub(crate) seen: &'a [String],
    /// What this is about.
    pub(crate) what: &'a str,
}

impl Target {
    /// Exactly the current credential lives, and the journal names it and nothing else.
    pub(crate) async fn census(&self, census: &Census<'_>) {
        let (status, what) = (census.status, census.what);
        let roles: Vec<_> = status.generations.iter().map(|it| it.role.as_str()).collect();
        assert_eq!(roles, ["current"], "{what}: {status:#?}");
        assert!(status.retirements.is_empty() && status.foreign.is_empty(), "{what}: {status:#?}");
        match self {
            Self::Postgres(server, roles) => postgres(server, roles, census).await,
            Self::Hub(hub, user) => tokens(hub, user, census).await,
        }
    }

    /// Whether the target takes one of these values now, from any of its roles.
    pub(crate) async fn takes(&self, values: &[String]) -> bool {
        for value in values {
            let works = match self {
                Self::Postgres(server, roles) => {
                    let mut works = false;
                    for role in roles {
                        works = works || server.login(role, value).await.unwrap() == Login::Works;
                    }
                    works
                }
                Self::Hub(hub, _) => hub.whoami(value).await.unwrap().is_some(),
            };
            if works {
                return true;
            }
        }
        false
    }
}

async fn postgres(server: &Postgres, roles: &[String], census: &Census<'_>) {
    let (status, uses, what) = (census.status, census.uses, census.what);
    let current = status.generations[0].slot.clone().unwrap_or_else(|| roles[0].clone());
    assert!(roles.contains(&current), "{what}: {current}");
    for role in roles {
        for value in census.seen.iter().map(String::as_str).chain([uses]) {
            let works = server.login(role, value).await.unwrap() == Login::Works;
            let named = *role == current && value == uses;
            assert_eq!(works, named, "{what}: a password of {role} (current: {current})");
        }
    }
    let named: Vec<String> = roles.iter().map(|role| format!("'{role}'")).collect();
    let live = format!("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname IN ({})", named.join(", "));
    let live = server.rows(&live).await.unwrap();
    assert_eq!(live, [[Some(current)]], "{what}: who may log in");
}

async fn tokens(hub: &JupyterHub, user: &str, census: &Census<'_>) {
    let (status, uses, what) = (census.status, census.uses, census.what);
    let live: Vec<String> = hub.tokens(user).await.unwrap().into_iter().map(|token| token.id).collect();
    let named: Vec<String> = status.generations.iter().filter_map(|it| it.id.clone()).collect();
    assert_eq!(live, named, "{what}: tokens at the hub, and in the journal");
    for value in census.seen.iter().map(String::as_str).chain([uses]) {
        let works = hub.whoami(value).await.unwrap().is_some();
        assert_eq!(works, value == uses, "{what}: a token that was minted");
    }
}
