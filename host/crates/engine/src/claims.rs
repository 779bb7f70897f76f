//! What of each server is whose: two secrets that name one role, or one list of tokens, would end each other's
//! credentials. Plugins say what settings claim; a secret is asked when one of its server is first to start.

use crate::board::{Board, SecretId, Spec};
use crate::declared::Server;
use crate::shared::Shared;
use keybaton_protocol::ids::{Digest, SecretName};
use std::collections::HashMap;
use std::sync::Arc;

/// By server. Bounded by the number of declared secrets and what each claims.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    servers: HashMap<Box<str>, AtServer>,
}

#[derive(Debug, Default)]
struct AtServer {
    /// Declared, and not asked yet.
    unasked: Vec<SecretId>,
    /// Held while they are asked, so that nobody of this server starts before all have answered.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Who claims what, and by which declaration.
    claimed: HashMap<Box<str>, Vec<(SecretId, Digest)>>,
}

impl Claims {
    /// A secret is declared at this server: it will be asked.
    pub(crate) fn expect(&mut self, server: &Server, id: SecretId) {
        self.at(server).unasked.push(id);
    }

    fn at(&mut self, server: &Server) -> &mut AtServer {
        self.servers.entry(server.endpoint.as_str().into()).or_default()
    }

    fn note(&mut self, spec: &Spec, id: SecretId, claims: &[String]) {
        let claimed = &mut self.at(&spec.server).claimed;
        for claim in claims {
            let holders = claimed.entry(claim.as_str().into()).or_default();
            holders.retain(|(other, _)| *other != id);
            holders.push((id, spec.digest));
        }
    }
}

/// Why a secret must not start: somebody else claims at its server what it claims.
pub(crate) async fn clash(shared: &Arc<Shared>, id: SecretId, spec: &Spec, claims: &[String]) -> Option<String> {
    // Where it is not known what is behind the connection, nothing can be told to be the same.
    if claims.is_empty() || spec.server.endpoint.is_empty() {
        return None;
    }
    let endpoint = spec.server.endpoint.as_str();
    settle(shared, endpoint).await;
    let mut board = shared.board();
    board.claims.note(spec, id, claims);
    claims.iter().find_map(|claim| {
        if let Some((_, connection)) = spec.server.logins.iter().find(|(login, _)| login == claim) {
            return Some(login_text(claim, endpoint, connection.as_str()));
        }
        let other = board.claims.servers.get(endpoint)?.claimed.get(claim.as_str())?.iter();
        let other = other.filter(|(other, _)| *other != id).find_map(|holder| standing(&board, endpoint, *holder))?;
        Some(clash_text(claim, endpoint, &other))
    })
}

/// The secret of a claim that is still in force.
fn standing(board: &Board, endpoint: &str, (id, digest): (SecretId, Digest)) -> Option<SecretName> {
    let cell = board.cell(id);
    let spec = cell.spec.as_ref()?;
    (spec.digest == digest && spec.server.endpoint == endpoint).then(|| (*cell.name).clone())
}

/// Asks every secret of a server that was not asked yet. The answers are the plugins' alone, without their targets.
async fn settle(shared: &Arc<Shared>, endpoint: &str) {
    let asking = shared.board().claims.servers.get(endpoint).map(|at| Arc::clone(&at.asking));
    let Some(asking) = asking else { return };
    let _only = asking.lock().await;
    loop {
        let next = {
            let mut board = shared.board();
            let next = board.claims.servers.get_mut(endpoint).and_then(|at| at.unasked.pop());
            next.map(|id| (id, board.cell(id).spec.clone()))
        };
        let Some((id, spec)) = next else { return };
        let Some(spec) = spec.filter(|spec| spec.server.endpoint == endpoint) else { continue };
        // One that cannot be asked cannot start either, and is asked again when it does.
        if let Ok(said) = shared.rotator.profile(&spec.plugin, &spec.settings).await {
            shared.board().claims.note(&spec, id, &said.claims);
        }
    }
}

/// What is said of two secrets.
#[must_use]
pub fn clash_text(claim: &str, endpoint: &str, other: &SecretName) -> String {
    format!(
        "`{claim}` of {endpoint} is claimed by {other} too: each rotation would end the other's credential; \
         take one of the two declarations away, or change its settings"
    )
}

/// What is said of a secret that is a connection's own login.
#[must_use]
pub fn login_text(claim: &str, endpoint: &str, connection: &str) -> String {
    format!(
        "`{claim}` of {endpoint} is what the connection `{connection}` itself logs in as: a rotation would lock keybaton \
         out; give the connection a login of its own, or let it log in with this secret"
    )
}
