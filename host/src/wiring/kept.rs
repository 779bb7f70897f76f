//! What a backup holds, and what an installation needs besides: the same list for `backup`, `restore` and the guide.

use crate::config::{Installation, KekSource};

/// What is in a backup, one line each.
pub(crate) fn included() -> Vec<String> {
    [
        "the journal, the sealed credentials and the declaration in force of every secret",
        "who operators and consumers are: hashes of their tokens, so that tokens they hold stay good",
        "the CA of the API with its key, sealed: consumers' pins stay right",
        "freezes, attestations that wait for an approval, and the audit log",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What is in no backup and must be kept elsewhere, one line each.
pub(crate) fn missing(installation: &Installation) -> Vec<String> {
    let kek = match &installation.config.kek {
        KekSource::File(path) => format!("the key-encryption key ({}): without it nothing opens", path.display()),
        KekSource::Systemd(name) => {
            format!("the key-encryption key (systemd credential {name}): without it nothing opens")
        }
    };
    vec![
        kek,
        "operators' tokens: keep the token files, or make a new one with `keybaton operator reset --offline`"
            .to_owned(),
        format!("the connection files in {}, and the passwords that they name", installation.connections().display()),
        format!("plugin components in {} and their approvals in keybaton.lock", installation.components().display()),
        "keybaton.toml, and the schedule files".to_owned(),
    ]
}
