//! The key-encryption key of an installation, read from where its configuration says. Never copied anywhere.

use crate::config::{Installation, KekSource};
use crate::exit::{Context, Exit, Failure};
use keybaton_protocol::fault::Blame;
use keybaton_store::Kek;

/// Reads the key; the store refuses one that others can read.
pub(crate) fn kek(installation: &Installation) -> Result<Kek, Failure> {
    let read = match &installation.config.kek {
        KekSource::File(path) => Kek::from_file(&installation.dir.join(path)),
        KekSource::Systemd(name) => Kek::from_credential(name),
    };
    read.failed(Exit::Invalid, "the key-encryption key cannot be had; nothing was opened")
        .map_err(|failure| failure.blame(Blame::Operator))
}
