//! Connection files as the runtime takes them: sources of identity behind their port, certificates read.
//! Holds no admin identity: each is read when a call needs it.

use crate::exit::{Context, Exit, Failure};
use keybaton_protocol::fault::Blame;
use keybaton_runtime::connection::{
    Access, Connection, ConnectionLimits, HttpAdmin, HttpTarget, PostgresTarget, Target, Tls,
};
use keybaton_runtime::identity::{EnvironmentSource, FileSource, SecretSource, SystemdSource};
use keybaton_runtime::manifest as runtime;
use keybaton_schedule::connection::{self as declared, Admin, Endpoint, LoadedConnections, Source, TlsMode, load};
use keybaton_schedule::declaration::Input;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads every connection file of the directory.
pub(crate) fn read_dir(dir: &Path) -> Result<LoadedConnections, Failure> {
    let texts = crate::commands::read_yaml(&[dir.to_owned()])?;
    let inputs: Vec<Input<'_>> = texts.iter().map(|file| Input { name: &file.path, text: &file.text }).collect();
    let loaded = load(&inputs);
    if loaded.diagnostics.is_empty() {
        return Ok(loaded);
    }
    let count = loaded.diagnostics.len();
    Err(Failure::new(Exit::Invalid, format!("{count} problems in the connection files"))
        .blame(Blame::Operator)
        .help(loaded.render(false)))
}

/// What a connection points at, as rotations pin it.
pub(crate) fn target_of(connection: &declared::Connection) -> String {
    match &connection.endpoint {
        Endpoint::Postgres { host, port, dbname } => format!("{}: postgres://{host}:{port}/{dbname}", connection.name),
        Endpoint::Http { .. } => format!("{}: {}", connection.name, base_url(&connection.endpoint)),
    }
}

fn base_url(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Http { secure, host, port, path } => {
            let scheme = if *secure { "https" } else { "http" };
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{scheme}://{host}:{port}{path}")
        }
        Endpoint::Postgres { .. } => String::new(),
    }
}

/// The connection as the runtime takes it. Certificates and authorities are read here; identities at each use.
pub(crate) fn opened(connection: &declared::Connection, dir: &Path) -> Result<Connection, Failure> {
    let allow = &connection.allow;
    let limits = ConnectionLimits {
        concurrency: u16::try_from(connection.limits.in_flight).unwrap_or(u16::MAX),
        rate: Some((f64::from(connection.limits.per_second), connection.limits.burst)),
        timeout_ms: connection.limits.timeout_ms,
    };
    Ok(Connection {
        name: connection.name.clone(),
        access: Access {
            namespaces: allow.namespaces.clone(),
            plugins: allow.plugins.clone(),
            identities: allow.identities.clone(),
        },
        limits,
        target: target(connection, dir)?,
    })
}

fn target(connection: &declared::Connection, dir: &Path) -> Result<Target, Failure> {
    let tls = tls(&connection.tls, dir)?;
    match &connection.endpoint {
        Endpoint::Postgres { host, port, dbname } => {
            let Admin::Password { user, password } = &connection.admin else {
                return Err(Failure::new(Exit::Invalid, format!("connection {} needs a user", connection.name)));
            };
            Ok(Target::Postgres(PostgresTarget {
                host: host.clone(),
                port: *port,
                database: dbname.clone(),
                tls,
                admin: Some((user.clone(), source(password, dir)?)),
            }))
        }
        Endpoint::Http { .. } => Ok(Target::Http(HttpTarget {
            base_url: base_url(&connection.endpoint).parse().failed(Exit::Invalid, "a base URL is none")?,
            tls,
            admin: Some(http_admin(&connection.admin, dir)?),
            addresses: Arc::new(connection.allow.addresses.clone()),
            endpoints: endpoints(connection)?,
        })),
    }
}

fn tls(tls: &declared::Tls, dir: &Path) -> Result<Tls, Failure> {
    if tls.client.is_some() || tls.server_name.is_some() {
        let what = "`tls.certificate` and `tls.server_name` are understood, but not carried out by this version";
        return Err(Failure::new(Exit::Invalid, what).blame(Blame::Operator).help("leave them out"));
    }
    match (tls.mode, &tls.ca) {
        (TlsMode::Disable, _) => Ok(Tls::Off),
        (TlsMode::VerifyFull, None) => Ok(Tls::System),
        (TlsMode::VerifyFull, Some(ca)) => {
            let path = dir.join(ca);
            let pem = std::fs::read(&path).failed(Exit::Invalid, format!("cannot read the CA {}", path.display()))?;
            Ok(Tls::Roots(pem))
        }
    }
}

fn source(source: &Source, dir: &Path) -> Result<Arc<dyn SecretSource>, Failure> {
    Ok(match source {
        Source::File(path) => Arc::new(FileSource(absolute(dir, path))),
        Source::Env(name) => Arc::new(EnvironmentSource(name.clone())),
        Source::Systemd(name) => Arc::new(SystemdSource(name.clone())),
        Source::Secret(name) => {
            let what = format!("an admin identity from the managed secret {name} is not carried out by this version");
            return Err(Failure::new(Exit::Invalid, what)
                .blame(Blame::Operator)
                .help("use `file`, `env` or `systemd` as its source"));
        }
    })
}

fn absolute(dir: &Path, path: &str) -> PathBuf {
    dir.join(path)
}

fn http_admin(admin: &Admin, dir: &Path) -> Result<HttpAdmin, Failure> {
    Ok(match admin {
        Admin::Password { user, password } => HttpAdmin::Basic { user: user.clone(), password: source(password, dir)? },
        Admin::Bearer { prefix, token } => HttpAdmin::Bearer { prefix: prefix.clone(), token: source(token, dir)? },
        Admin::Header { name, value } => HttpAdmin::Header { name: name.clone(), value: source(value, dir)? },
        Admin::Mtls { certificate, key } => {
            HttpAdmin::Mtls { certificate: Arc::new(FileSource(absolute(dir, certificate))), key: source(key, dir)? }
        }
    })
}

/// The concrete requests that a plugin with open endpoints may make.
fn endpoints(connection: &declared::Connection) -> Result<Vec<runtime::Endpoint>, Failure> {
    let concrete = |one: &declared::AllowedRequest| {
        let params: Vec<String> = one.params.iter().map(|(name, kind)| format!("{name}:{}", kind_of(*kind))).collect();
        runtime::Endpoint::concrete(&one.method, &one.path, &one.query, &params, &one.captures).map_err(|why| {
            let what = format!("connection {}: endpoint {} {}: {why}", connection.name, one.method, one.path);
            Failure::new(Exit::Invalid, what).blame(Blame::Operator)
        })
    };
    connection.allow.endpoints.iter().map(concrete).collect()
}

fn kind_of(param: declared::Param) -> &'static str {
    match param {
        declared::Param::Identity => "identity",
        declared::Param::Value => "value",
    }
}
