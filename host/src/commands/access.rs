//! `operator reset --offline`: the way back in where every operator's token is lost. It works on the store itself, so it
//! takes the key-encryption key and a stopped host; it is in the audit log like any other request.

use super::on_tokio;
use crate::cli::{Common, Reset};
use crate::config::{Installation, write_new};
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::chance::SystemClock;
use crate::wiring::keys;
use keybaton_api::tokens::{Token, TokenKind};
use keybaton_engine::ports::audit::{AuditEntry, AuditLog, Verdict};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::identities::{Identities, Identity, Subject};
use keybaton_protocol::ids::Millis;
use keybaton_store::{Mode, Store};
use std::path::Path;

/// Makes a new token for an operator; the earlier ones of that name are good no longer.
pub(crate) fn reset(common: &Common, output: &Output, asked: Reset) -> Result<Exit, Failure> {
    if !asked.offline {
        return Err(Failure::new(Exit::Usage, "a token is made anew on the store itself, and nothing was changed")
            .help("stop `keybaton serve`, then say `keybaton operator reset --offline`"));
    }
    let installation = Installation::open(&common.dir)?;
    let name = asked.name.parse().failed(Exit::Usage, "that is no operator's name")?;
    let to = asked.to.unwrap_or_else(|| installation.token());
    let opened = Store::open(&installation.data(), keys::kek(&installation)?, Mode::ReadWrite);
    let store = opened.failed(Exit::Failed, "cannot open the store; nothing was changed");
    let store =
        store.map_err(|failure| failure.help("stop `keybaton serve` first; the key file must be the right one"))?;
    let token = Token::draw(TokenKind::Bearer).failed(Exit::Failed, "cannot draw a token")?;
    let beside = to.with_extension("token.new");
    write_new(&beside, token.reveal().as_bytes(), 0o600)?;
    let now = SystemClock.wall();
    let identity = Identity {
        id: token.id().to_owned(),
        hash: token.hash(),
        subject: Subject::Operator { name, namespaces: None },
        replica: None,
        line: None,
        issued_at: now,
        expires_at: None,
        revoked_at: None,
        supersedes: None,
    };
    let made = on_tokio(exchange(store, identity, &asked.name, now));
    let revoked = match made {
        Ok(revoked) => revoked,
        Err(failure) => {
            // The token that was written is in no store: it opens nothing.
            drop(std::fs::remove_file(&beside));
            return Err(failure);
        }
    };
    put(&beside, &to)?;
    let report = serde_json::json!({ "operator": asked.name, "token_file": to, "revoked": revoked });
    output.result(&report, |output, _| {
        output.line(format!("{} the token of operator {} to {}", paint(Tone::Good, "wrote"), asked.name, to.display()));
        output.note(format!("{revoked} earlier tokens of that name are good no longer; the audit log has it"));
    });
    Ok(Exit::Done)
}

/// Audited before and after, like any other request.
async fn exchange(store: Store, identity: Identity, name: &str, at: Millis) -> Result<usize, Failure> {
    let entry = |verdict| AuditEntry {
        at,
        actor: "whoever has the key file".to_owned(),
        from: "offline".to_owned(),
        action: "operator.reset".to_owned(),
        subject: name.to_owned(),
        detail: "on a stopped host, with the key-encryption key".to_owned(),
        verdict,
    };
    store.record(entry(Verdict::Asked)).await.failed(Exit::Failed, "nothing was changed")?;
    let all = store.list().await.failed(Exit::Damaged, "cannot read who operates; nothing was changed")?;
    let same = |one: &&Identity| {
        let of_name = matches!((&one.subject, &identity.subject),
            (Subject::Operator { name, .. }, Subject::Operator { name: wanted, .. }) if name == wanted);
        of_name && one.revoked_at.is_none()
    };
    let old: Vec<_> = all.iter().filter(same).map(|one| one.id.clone()).collect();
    store.put(identity.clone()).await.failed(Exit::Failed, "cannot keep the new token; nothing was changed")?;
    for id in &old {
        let gone = store.revoke(id, at).await;
        gone.failed(Exit::Failed, "the new token is good, and an earlier one could not be revoked; run it again")?;
    }
    store.record(entry(Verdict::Done)).await.failed(Exit::Failed, "it was done, and the audit log does not say so")?;
    Ok(old.len())
}

fn put(beside: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::rename(beside, to).failed(
        Exit::Failed,
        format!("the token is good, and is in {}: it could not be moved to {}", beside.display(), to.display()),
    )
}
