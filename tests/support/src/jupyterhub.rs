//! A throw-away JupyterHub on loopback behind its own proxy: a real API that mints, lists and deletes tokens. It
//! never starts a notebook server.

mod api;
mod server;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use crate::{Error, Process, Result, Scratch, free_port, random_hex};

pub use api::{HubToken, MintedToken};

/// How long the hub may take to answer its API.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// What a [`JupyterHub`] is to be like.
#[derive(Debug, Clone, Copy, Default)]
pub struct JupyterHubOptions {
    /// The least time between two updates of a token's `last_activity`, in seconds. JupyterHub's own default is 30;
    /// 0, the default here, notes every use.
    pub activity_resolution_s: u32,
}

/// A running JupyterHub and its proxy. Dropping it kills both and removes their files.
#[derive(Debug)]
pub struct JupyterHub {
    options: JupyterHubOptions,
    admin_user: Option<String>,
    hub: Option<Process>, // before the folder: fields drop in this order
    proxy: Option<Process>,
    folder: Scratch,
    ports: Ports,
    admin_token: String,
    admin_token_file: PathBuf,
    proxy_token: String,
    http: reqwest::Client,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    /// What the world uses: the proxy.
    public: u16,
    /// Where the proxy finds the hub.
    hub: u16,
    /// Where the hub tells the proxy its routes.
    routes: u16,
}

impl JupyterHub {
    /// Starts the proxy and the hub; the API answers the administrator when this returns.
    ///
    /// # Errors
    /// JupyterHub or its proxy is not installed, or they don't get ready in 60 s.
    pub async fn start(options: JupyterHubOptions) -> Result<Self> {
        Self::start_with(options, None).await
    }

    /// The same, with a user who has the rights of an administrator, as have this user's tokens.
    ///
    /// # Errors
    /// As [`JupyterHub::start`].
    pub async fn start_with_admin(options: JupyterHubOptions, user: &str) -> Result<Self> {
        Self::start_with(options, Some(user.to_owned())).await
    }

    async fn start_with(options: JupyterHubOptions, admin_user: Option<String>) -> Result<Self> {
        let folder = Scratch::new("hub", None)?;
        let admin_token = random_hex(32)?;
        let admin_token_file = folder.write("admin-token", admin_token.as_bytes())?;
        let ports = Ports { public: free_port()?, hub: free_port()?, routes: free_port()? };
        let mut hub = Self {
            options,
            admin_user,
            hub: None,
            proxy: None,
            folder,
            ports,
            admin_token,
            admin_token_file,
            proxy_token: random_hex(32)?,
            http: api::client()?,
        };
        hub.up().await?;
        Ok(hub)
    }

    /// Starts it again on its ports and database after [`JupyterHub::down`] or [`JupyterHub::kill`].
    ///
    /// # Errors
    /// One of the two ended at once, or the API does not answer in 60 s.
    pub async fn up(&mut self) -> Result<()> {
        let mut proxy = server::launch_proxy(self)?;
        let mut hub = server::launch_hub(self)?;
        server::ready(self, &mut proxy, &mut hub).await?;
        (self.proxy, self.hub) = (Some(proxy), Some(hub));
        Ok(())
    }

    /// Stops hub and proxy by SIGTERM; users and tokens stay in the hub's database.
    ///
    /// # Errors
    /// One of the two still ran after 10 s and was killed.
    pub async fn down(&mut self) -> Result<()> {
        for process in [self.hub.take(), self.proxy.take()].iter_mut().flatten() {
            process.stop(Signal::TERM, STOP).await?;
        }
        Ok(())
    }

    /// `kill -9` to hub and proxy.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn kill(&mut self) -> Result<()> {
        for process in [self.hub.take(), self.proxy.take()].iter_mut().flatten() {
            process.kill()?;
        }
        Ok(())
    }

    /// `http://127.0.0.1:PORT`: origin of the proxy, behind which the API lies at `/hub/api`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.public)
    }

    /// The proxy's port; it stays the same over `down` and `up`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.public
    }

    /// The administrator's API token: it may manage users and their tokens.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A file that holds the administrator's token and nothing else, mode 0600.
    #[must_use]
    pub fn admin_token_file(&self) -> &Path {
        &self.admin_token_file
    }

    /// The ids of the process groups of hub and proxy; empty while they are down.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        [&self.hub, &self.proxy].into_iter().flatten().map(Process::id).collect()
    }

    /// All the hub has logged so far.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn log(&self) -> Result<String> {
        let path = self.folder.join("jupyterhub.err");
        let bytes = std::fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The folder that holds everything of this server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
