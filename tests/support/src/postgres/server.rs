//! Making the cluster, starting the server, waiting until it lets somebody in. It writes below its folder only.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{ADMIN, Postgres, READY};
use crate::{Error, Launch, Process, Result};

/// Where Debian keeps the server's programs, a folder for each major release, off the PATH.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long `initdb` may take on a busy machine.
const INITDB: Duration = Duration::from_secs(60);
/// Between two attempts to log in.
const PROBE: Duration = Duration::from_millis(20);

/// Runs `initdb`, then states who may connect how.
pub(super) async fn make_cluster(postgres: &Postgres) -> Result<()> {
    let mut initdb = Launch::new("initdb", program("initdb")?)
        .args(["-U", ADMIN, "-A", "scram-sha-256", "--no-sync", "--locale=C", "--encoding=UTF8", "-D"])
        .args([data(postgres)])
        .args([std::ffi::OsStr::new("--pwfile"), postgres.password_file.as_os_str()])
        .folder(postgres.folder.path())
        .account(postgres.account.as_ref())
        .start(postgres.folder.path())?;
    let status = initdb.wait(INITDB).await?;
    if !status.success() {
        return Err(initdb.ended_error(status));
    }
    let Some(tls) = &postgres.options.tls else {
        return Ok(());
    };
    postgres.folder.write("data/server.crt", tls.certificate_pem.as_bytes())?;
    postgres.folder.write("data/server.key", tls.key_pem.as_bytes())?;
    if let Some(pem) = &tls.client_ca_pem {
        postgres.folder.write("data/clients.crt", pem.as_bytes())?;
    }
    let tcp = if tls.required { "hostssl" } else { "host" };
    let usual = format!("{tcp} all all 127.0.0.1/32 scram-sha-256");
    let rules = format!("local all all scram-sha-256\n{}\n", tls.rules.as_ref().unwrap_or(&usual));
    postgres.folder.write("data/pg_hba.conf", rules.as_bytes()).map(drop)
}

/// Starts the server process; it does not answer yet.
pub(super) fn launch(postgres: &Postgres) -> Result<Process> {
    let mut settings = vec![
        format!("port={}", postgres.port),
        "listen_addresses=127.0.0.1".into(),
        format!("unix_socket_directories={}", postgres.folder.path().display()),
        "shared_buffers=16MB".into(),
        "log_line_prefix=%m [%p] %u@%d ".into(),
    ];
    if let Some(tls) = &postgres.options.tls {
        settings.push("ssl=on".into());
        settings.extend(tls.client_ca_pem.iter().map(|_| "ssl_ca_file=clients.crt".into()));
    }
    if postgres.options.log_statements {
        settings.extend(["log_statement=all", "log_connections=on", "log_disconnections=on"].map(String::from));
    }
    if !postgres.options.durable {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(String::from));
    }
    settings.extend(postgres.options.settings.iter().cloned());
    Launch::new("postgres", program("postgres")?)
        .args(["-D"])
        .args([data(postgres)])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .folder(postgres.folder.path())
        .account(postgres.account.as_ref())
        .start(postgres.folder.path())
}

/// Waits until the administrator can log in: a port that accepts says nothing yet.
pub(super) async fn ready(postgres: &Postgres, process: &mut Process) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.ended()? {
            return Err(process.ended_error(status));
        }
        if postgres.admin().await.is_ok() {
            return Ok(());
        }
        if begun.elapsed() > READY {
            let log = process.tail();
            return Err(Error::NotReady { server: "PostgreSQL".into(), waited_ms: READY.as_millis(), log });
        }
        tokio::time::sleep(PROBE).await;
    }
}

fn data(postgres: &Postgres) -> PathBuf {
    postgres.folder.join("data")
}

/// A server program: on the PATH, else Debian's newest release.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    on_path.or_else(|| newest(Path::new(DEBIAN), name)).ok_or_else(|| Error::Missing { program: name.into() })
}

fn newest(releases: &Path, name: &str) -> Option<PathBuf> {
    let releases = std::fs::read_dir(releases).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let number = |release: &PathBuf| release.file_name()?.to_str()?.parse::<u32>().ok();
    let found = releases.filter(|release| release.join("bin").join(name).is_file());
    found.max_by_key(number).map(|release| release.join("bin").join(name))
}
