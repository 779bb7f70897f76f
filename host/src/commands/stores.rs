//! `backup` and `restore`: copies of the store, and installations made from them. The key never travels with a copy.

use crate::cli::{Backup, Common, Restore};
use crate::client::Client;
use crate::config::Installation;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::keys;
use keybaton_api::model::{BackupReport, BackupRequest};
use keybaton_store::Store;

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
        for missing in &report.not_included {
            output.note(format!("not in it: {missing}"));
        }
    });
    Ok(Exit::Done)
}

/// Makes the store of this installation out of a backup, under a new epoch.
pub(crate) fn restore(common: &Common, output: &Output, asked: &Restore) -> Result<Exit, Failure> {
    let installation = Installation::open(&common.dir)?;
    let kek = keys::kek(&installation)?;
    let restored = Store::restore(&asked.from, &installation.data(), &kek)
        .failed(Exit::Failed, "the backup was not restored; nothing was changed")?;
    let epoch = restored.epoch.0;
    output.result(&serde_json::json!({ "epoch": epoch }), |output, _| {
        output.line(format!("{} under epoch {epoch}", paint(Tone::Good, "restored")));
        output.note("every secret is held until `keybaton reconcile NAME` has compared it with its target");
    });
    Ok(Exit::Done)
}
