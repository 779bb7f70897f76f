//! Configuration and start of hub and proxy. Their tokens go through the environment and a 0600 file, never
//! through arguments.

use std::{path::PathBuf, time::Instant};

use super::{JupyterHub, READY};
use crate::{Error, Launch, Process, Result};

/// Between two questions to a hub that is starting.
const PROBE: std::time::Duration = std::time::Duration::from_millis(50);

/// The proxy is started by us and not by the hub: the hub gives it a session of its own, in which it would outlive
/// a killed hub.
pub(super) fn launch_proxy(hub: &JupyterHub) -> Result<Process> {
    let ports = hub.ports;
    Launch::new("proxy", program("node/node_modules/.bin/configurable-http-proxy")?)
        .args(["--ip", "127.0.0.1", "--port", &ports.public.to_string()])
        .args(["--api-ip", "127.0.0.1", "--api-port", &ports.routes.to_string()])
        .args(["--error-target", &format!("http://127.0.0.1:{}/hub/error", ports.hub)])
        .env("CONFIGPROXY_AUTH_TOKEN", &hub.proxy_token)
        .folder(hub.folder.path())
        .start(hub.folder.path())
}

pub(super) fn launch_hub(hub: &JupyterHub) -> Result<Process> {
    let configuration = hub.folder.write("jupyterhub_config.py", configuration(hub).as_bytes())?;
    Launch::new("jupyterhub", program("venv/bin/jupyterhub")?)
        .args(["-f".as_ref(), configuration.as_os_str()])
        .env("PYTHONUNBUFFERED", "1")
        .env("CONFIGPROXY_AUTH_TOKEN", &hub.proxy_token)
        .env("KEYBATON_ADMIN_TOKEN", &hub.admin_token)
        .folder(hub.folder.path())
        .start(hub.folder.path())
}

/// Scopes: <https://jupyterhub.readthedocs.io/en/stable/rbac/scopes.html>.
fn configuration(hub: &JupyterHub) -> String {
    let ports = hub.ports;
    format!(
        "import os
c = get_config()
c.JupyterHub.bind_url = 'http://127.0.0.1:{public}'
c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{hub}'
c.JupyterHub.db_url = 'sqlite:///hub.sqlite'
c.JupyterHub.cookie_secret_file = 'cookie-secret'
c.JupyterHub.cleanup_servers = False
c.JupyterHub.activity_resolution = {resolution}
c.JupyterHub.authenticator_class = 'dummy'
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{{admins}}}
c.JupyterHub.spawner_class = 'simple'
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{routes}'
c.JupyterHub.services = [{{'name': 'rotation', 'api_token': os.environ['KEYBATON_ADMIN_TOKEN']}}]
c.JupyterHub.load_roles = [{{
    'name': 'rotation',
    'services': ['rotation'],
    'scopes': ['admin:users', 'tokens', 'list:users'],
}}]
",
        public = ports.public,
        hub = ports.hub,
        routes = ports.routes,
        resolution = hub.options.activity_resolution_s,
        admins = hub.admin_user.as_ref().map_or_else(|| "*()".to_owned(), |user| format!("'{user}'")),
    )
}

/// Waits until the administrator's question is answered through the proxy.
pub(super) async fn ready(hub: &JupyterHub, proxy: &mut Process, server: &mut Process) -> Result<()> {
    let begun = Instant::now();
    loop {
        for process in [&mut *proxy, &mut *server] {
            if let Some(status) = process.ended()? {
                return Err(process.ended_error(status));
            }
        }
        if hub.users().await.is_ok() {
            return Ok(());
        }
        if begun.elapsed() > READY {
            let log = server.tail();
            return Err(Error::NotReady { server: "JupyterHub".into(), waited_ms: READY.as_millis(), log });
        }
        tokio::time::sleep(PROBE).await;
    }
}

/// A program that `scripts/setup servers` put into the user's cache folder.
fn program(name: &str) -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache),
        _ => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
    };
    let program = cache.join("keybaton").join(name);
    if program.exists() { Ok(program) } else { Err(Error::Missing { program: program.display().to_string() }) }
}
