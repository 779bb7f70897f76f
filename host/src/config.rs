//! The installation's directory and `keybaton.toml` in it. Reads and writes configuration only; never a secret value.

use crate::exit::{Context, Exit, Failure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Name of the configuration file within the installation's directory.
const FILE: &str = "keybaton.toml";

/// An installation: where everything lies. Relative paths are relative to the directory.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The configuration in it.
    pub(crate) config: Config,
}

/// `keybaton.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Address of the HTTPS API.
    pub(crate) listen: SocketAddr,
    /// Names and addresses in the server certificate.
    pub(crate) sans: Vec<String>,
    /// Where the key-encryption key comes from; outside the data directory.
    pub(crate) kek: KekSource,
    /// How rotations are run.
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// Where the key-encryption key comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum KekSource {
    /// A file that others cannot read.
    File(PathBuf),
    /// A systemd credential by this name.
    Systemd(String),
}

/// Bounds of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Plugin calls under way at once, over all connections.
    pub(crate) calls: usize,
    /// How long a clean shutdown waits for calls that have left, in milliseconds.
    pub(crate) shutdown_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 256, shutdown_ms: 30_000 }
    }
}

impl Installation {
    /// Opens the installation in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path)
            .failed(Exit::NotFound, format!("cannot read {}", path.display()))
            .map_err(|failure| failure.help("`keybaton init DIR` makes an installation; `--dir DIR` names one"))?;
        let config = toml::from_str(&text).failed(Exit::Invalid, format!("{} is not right", path.display()))?;
        Ok(Self { dir: dir.to_owned(), config })
    }

    /// Writes the configuration; refuses to overwrite one.
    pub(crate) fn create(dir: &Path, config: Config) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let text = toml::to_string_pretty(&config).failed(Exit::Failed, "cannot write the configuration down")?;
        write_new(&path, text.as_bytes(), 0o644)?;
        Ok(Self { dir: dir.to_owned(), config })
    }

    /// Changes the configuration file, by writing beside and renaming.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let text = toml::to_string_pretty(&self.config).failed(Exit::Failed, "cannot write the configuration down")?;
        let beside = self.dir.join(format!("{FILE}.new"));
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, self.dir.join(FILE)))
            .failed(Exit::Failed, format!("cannot replace {FILE}"))
    }

    /// The store's directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Host-owned connection files.
    pub(crate) fn connections(&self) -> PathBuf {
        self.dir.join("connections")
    }

    /// Components by digest.
    pub(crate) fn components(&self) -> PathBuf {
        self.dir.join("components")
    }

    /// Compiled components, under this host's mark; may be deleted at any time.
    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// Approved digests and grants.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("keybaton.lock")
    }

    /// The Unix socket of the API.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("keybaton.sock")
    }

    /// The first operator's token.
    pub(crate) fn token(&self) -> PathBuf {
        self.dir.join("operator.token")
    }
}

/// Writes a new file with this mode; refuses to overwrite.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    open.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .failed(Exit::Failed, format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = "listen = '127.0.0.1:1'\nsans = []\nkek = { file = 'k' }\nlisten_on = 'x'\n";
        let error = toml::from_str::<Config>(text).expect_err("unknown key");
        assert!(error.to_string().contains("listen_on"), "{error}");
    }

    #[test]
    fn a_configuration_survives_being_written_and_read() {
        let config = Config {
            listen: "127.0.0.1:8844".parse().expect("an address"),
            sans: vec!["localhost".into()],
            kek: KekSource::File("/etc/kek".into()),
            limits: Limits::default(),
        };
        let text = toml::to_string_pretty(&config).expect("it serializes");
        let back: Config = toml::from_str(&text).expect("it parses");
        assert!(matches!(back.kek, KekSource::File(path) if path == Path::new("/etc/kek")));
    }
}
