//! `init`: makes an installation: directory, key-encryption key, store, CA, first operator. Refuses to overwrite.

use crate::cli::{Common, Init};
use crate::config::{Config, Installation, KekSource, Limits, write_new};
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::chance::SystemClock;
use keybaton_api::ca::Authority;
use keybaton_api::tokens::{Token, TokenKind};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::identities::{Identities, Identity, Subject};
use keybaton_engine::ports::values::Values;
use keybaton_store::{Kek, Store};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Name under which the CA's key and certificate are sealed in the store.
pub(crate) const CA_SEALED_AS: &str = "api-ca";
/// The first operator's name.
const FIRST_OPERATOR: &str = "operator";

/// Makes an installation.
pub(crate) fn init(common: &Common, output: &Output, asked: Init) -> Result<Exit, Failure> {
    let dir = asked.into.unwrap_or_else(|| common.dir.clone());
    let dir = std::path::absolute(&dir).failed(Exit::Usage, "that is no path")?;
    if dir.join("keybaton.toml").exists() {
        return Err(Failure::new(Exit::Refused, format!("{} is an installation already", dir.display()))
            .help("nothing was changed; name another directory"));
    }
    let listen = asked.listen.parse().failed(Exit::Usage, format!("`{}` is no address", asked.listen))?;
    let kek_file = match asked.kek {
        Some(path) => std::path::absolute(&path).failed(Exit::Usage, "that is no path")?,
        None => beside(&dir),
    };
    for part in ["", "connections", "schedules", "components"] {
        make_dir(&dir.join(part))?;
    }
    let kek = Kek::generate(&kek_file).failed(Exit::Failed, "cannot make the key-encryption key")?;
    let kek_id = kek.id().to_owned();
    let config = Config { listen, sans: asked.sans, kek: KekSource::File(kek_file.clone()), limits: Limits::default() };
    let (installation, pin) = fill(&dir, kek, config)?;
    let made = serde_json::json!({
        "dir": dir,
        "kek": kek_file,
        "kek_id": kek_id,
        "ca_pin": pin,
        "token_file": installation.token(),
        "listen": listen,
    });
    output.result(&made, |output, _| {
        output.line(format!("{} {}", paint(Tone::Good, "made"), dir.display()));
        output.line(format!("  key-encryption key  {}   keep a copy apart from backups", kek_file.display()));
        output.line(format!("  operator's token    {}", installation.token().display()));
        output.line(format!("  CA pin              {pin}"));
        output.note(format!("next: `keybaton --dir {} serve`", dir.display()));
    });
    Ok(Exit::Done)
}

/// The store, the CA and the first operator; the configuration last, so that a broken `init` is no installation.
fn fill(dir: &Path, kek: Kek, config: Config) -> Result<(Installation, String), Failure> {
    let store = Store::create(&dir.join("data"), kek).failed(Exit::Failed, "cannot make the store")?;
    let now = SystemClock.wall();
    let name = dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let authority = Authority::create(&name, now).failed(Exit::Failed, "cannot make the CA")?;
    let token = Token::draw(TokenKind::Bearer).failed(Exit::Failed, "cannot draw a token")?;
    let operator = Identity {
        id: token.id().to_owned(),
        hash: token.hash(),
        subject: Subject::Operator {
            name: FIRST_OPERATOR.parse().failed(Exit::Failed, "cannot name the operator")?,
            namespaces: None,
        },
        replica: None,
        line: None,
        issued_at: now,
        expires_at: None,
        revoked_at: None,
        supersedes: None,
    };
    super::on_tokio(async {
        let sealed = store.put_sealed(CA_SEALED_AS, authority.to_sealed()).await;
        sealed.failed(Exit::Failed, "cannot keep the CA")?;
        store.put(operator).await.failed(Exit::Failed, "cannot keep the first operator")
    })?;
    write_new(&dir.join("ca.pem"), authority.pem().as_bytes(), 0o644)?;
    write_new(&dir.join("operator.token"), token.reveal().as_bytes(), 0o600)?;
    Ok((Installation::create(dir, config)?, authority.pin().to_string()))
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".kek");
    PathBuf::from(name)
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .failed(Exit::Failed, format!("cannot make {}", path.display()))
}
