//! `key rotate`: wraps every data key anew under a new key-encryption key. The host must not be running.

use crate::cli::{Common, KeyArgs, KeyCommand};
use crate::config::{Installation, KekSource};
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::keys;
use keybaton_store::{Kek, Mode, Store};

/// Rotates the key-encryption key. The configuration names the new file only after everything is wrapped with it.
pub(crate) fn run(common: &Common, output: &Output, asked: KeyArgs) -> Result<Exit, Failure> {
    let KeyCommand::Rotate { to } = asked.command;
    let mut installation = Installation::open(&common.dir)?;
    let to = std::path::absolute(&to).failed(Exit::Usage, "that is no path")?;
    // A key that is there already is the one a rotation cut off in the middle had made: it is taken up again.
    let new = if to.exists() {
        Kek::from_file(&to).failed(Exit::Invalid, "cannot read the new key")?
    } else {
        Kek::generate(&to).failed(Exit::Failed, "cannot make the new key")?
    };
    let id = new.id().to_owned();
    let count = match Store::open(&installation.data(), keys::kek(&installation)?, Mode::ReadWrite) {
        Ok(store) => super::on_tokio(async {
            store.rewrap(new).await.failed(Exit::Failed, "nothing was wrapped anew; the old key stays in force")
        })?,
        Err(error) => {
            // The store may be wrapped with the new key already, and only the configuration be behind.
            Store::open(&installation.data(), new, Mode::ReadOnly).map(|_| 0).map_err(|_| {
                Failure::new(Exit::Failed, "cannot open the store").because(&error).help("stop `keybaton serve` first")
            })?
        }
    };
    installation.config.kek = KekSource::File(to.clone());
    installation.save()?;
    output.result(&serde_json::json!({ "key": id, "file": to, "wrapped": count }), |output, _| {
        output.line(format!("{} {count} data keys under key {id}", paint(Tone::Good, "wrapped")));
        output.note(format!(
            "`keybaton.toml` now names {}; remove the old key file, and backups older than now",
            to.display()
        ));
    });
    Ok(Exit::Done)
}
