//! `backup` and `restore`: copies of the store, installations made from them, and what neither of them holds. The key
//! never travels with a copy.

use crate::cli::{Backup, Common, Restore};
use crate::client::Client;
use crate::commands::{CA_SEALED_AS, on_tokio};
use crate::config::Installation;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::{kept, keys};
use keybaton_api::ca::Authority;
use keybaton_api::model::{BackupReport, BackupRequest};
use keybaton_api::tokens::Token;
use keybaton_engine::ports::identities::Identities;
use keybaton_engine::ports::values::Values;
use keybaton_store::{Mode, Store};
use std::path::Path;

/// Asks the running host for a copy of its store.
pub(crate) async fn backup(common: &Common, output: &Output, asked: Backup) -> Result<Exit, Failure> {
    let to = std::path::absolute(&asked.to).failed(Exit::Usage, "that is no path")?;
    let request = BackupRequest { to: to.display().to_string() };
    let progress = output.progress("copying the store");
    let report: Result<BackupReport, Failure> = Client::new(common)?.post("/v1/backup", &request).await;
    progress.finish_and_clear();
    let report = report?;
    output.result(&report, |output, report| {
        output.line(format!("{} {} bytes to {}", paint(Tone::Good, "copied"), report.bytes, report.to));
        held(output, &report.included, &report.not_included);
    });
    Ok(Exit::Done)
}

fn held(output: &Output, included: &[String], missing: &[String]) {
    included.iter().for_each(|one| output.note(format!("in it: {one}")));
    missing.iter().for_each(|one| output.note(format!("not in it, keep it elsewhere: {one}")));
}

/// Makes the store of this installation out of a backup, under a new epoch.
pub(crate) fn restore(common: &Common, output: &Output, asked: &Restore) -> Result<Exit, Failure> {
    let installation = Installation::open(&common.dir)?;
    let Some(from) = asked.from.as_ref().filter(|_| !asked.guide) else {
        guide(&installation, output);
        return Ok(Exit::Done);
    };
    let kek = keys::kek(&installation)?;
    let restored = Store::restore(from, &installation.data(), &kek)
        .failed(Exit::Failed, "the backup was not restored; nothing was changed")?;
    let token = welcome(&installation)?;
    let (epoch, secrets) = (restored.epoch.0, restored.proven.secrets);
    let (included, missing) = (kept::included(), kept::missing(&installation));
    let report = serde_json::json!({
        "epoch": epoch,
        "secrets": secrets,
        "taken_at": restored.manifest.taken_at.0,
        "included": included,
        "not_included": missing,
        "token_is_good": token,
    });
    output.result(&report, |output, _| {
        output.line(format!("{} {secrets} secrets under epoch {epoch}", paint(Tone::Good, "restored")));
        held(output, &included, &missing);
        if !token {
            output.note("no good operator's token is here: `keybaton operator reset --offline` makes one");
        }
        output.note("every secret is held until it has been compared with its target");
        output.note("next: `keybaton restore --guide` tells the steps that are left");
    });
    Ok(Exit::Done)
}

/// Writes the certificate of the restored CA where clients of this directory look for it, and answers whether the
/// token that lies here is one that the restored store knows.
fn welcome(installation: &Installation) -> Result<bool, Failure> {
    let store = Store::open(&installation.data(), keys::kek(installation)?, Mode::ReadOnly);
    let store = store.failed(Exit::Failed, "restored, and cannot be opened")?;
    on_tokio(async {
        let sealed = store.get_sealed(CA_SEALED_AS).await.failed(Exit::Damaged, "cannot read the restored CA")?;
        if let Some(sealed) = sealed {
            let authority = Authority::from_sealed(&sealed).failed(Exit::Damaged, "cannot use the restored CA")?;
            let pem = std::fs::write(installation.dir.join("ca.pem"), authority.pem());
            pem.failed(Exit::Failed, "restored, and cannot write ca.pem")?;
        }
        good_token(&store, &installation.token()).await
    })
}

async fn good_token(identities: &dyn Identities, file: &Path) -> Result<bool, Failure> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).unwrap_or_default());
    let Some(token) = Token::parse(text.trim()) else { return Ok(false) };
    let found = identities.find(token.id()).await.failed(Exit::Damaged, "cannot read who operates")?;
    Ok(found.is_some_and(|one| one.hash.is(&token.hash()) && one.revoked_at.is_none()))
}

/// One step of a restore: what to do, and whether it is done, where that can be told.
#[derive(serde::Serialize)]
struct Guided {
    step: &'static str,
    how: String,
    done: Option<bool>,
}

/// Tells each step for this installation, in order. Changes nothing, and needs no host.
fn guide(installation: &Installation, output: &Output) {
    let steps = steps(installation);
    output.result(&serde_json::json!({ "steps": steps }), |output, _| {
        for (number, step) in steps.iter().enumerate() {
            let mark = match step.done {
                Some(true) => paint(Tone::Good, "done"),
                Some(false) => paint(Tone::Warn, "open"),
                None => paint(Tone::Dim, "next"),
            };
            output.line(format!("{}. {mark}  {}", number + 1, step.step));
            output.line(format!("        {}", step.how));
        }
    });
}

fn steps(installation: &Installation) -> Vec<Guided> {
    let dir = installation.dir.display();
    let key = keys::kek(installation).is_ok();
    let store = dir_has_files(&installation.data());
    let step = |step, how: String, done| Guided { step, how, done };
    vec![
        step(
            "put the key-encryption key back where keybaton.toml names it",
            kept::missing(installation).swap_remove(0),
            Some(key),
        ),
        step(
            "put connection files, components and keybaton.lock back",
            format!("{} and {}", installation.connections().display(), installation.components().display()),
            Some(dir_has_files(&installation.connections()) && installation.lock().exists()),
        ),
        step(
            "stop the host, and move the old store away if there is one",
            format!("mv {0} {0}.before-restore", installation.data().display()),
            None,
        ),
        step("make the store from the backup", format!("keybaton --dir {dir} restore BACKUP"), store.then_some(true)),
        step(
            "where no operator's token is left, make one; the host is still stopped",
            format!("keybaton --dir {dir} operator reset --offline"),
            installation.token().exists().then_some(true),
        ),
        step("start the host", format!("keybaton --dir {dir} serve"), Some(installation.socket().exists())),
        step(
            "compare every secret with its target; what matches goes on",
            format!("keybaton --dir {dir} reconcile --all"),
            None,
        ),
        step(
            "see to each of the others, as the list says",
            format!("keybaton --dir {dir} reconcile NAME, or reconcile NAME --accept lost --reason WHY"),
            None,
        ),
        step(
            "rotate what was at risk, and take a new backup",
            format!("keybaton --dir {dir} backup TO: an old backup holds no later credential"),
            None,
        ),
    ]
}

fn dir_has_files(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}
