//! The listeners: HTTPS and a Unix socket, with bounds on connections, heads, handshakes and stalled peers, and an
//! orderly end. HTTP/1.1 only: every stream of events is a connection of its own that can be counted and stopped.

mod connection;
mod socket;
mod stall;

pub use socket::SocketError;

use crate::context::{Context, Peer};
use crate::limits::{
    HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_LOCAL_CONNECTIONS, SHUTDOWN_GRACE, WRITE_STALL_TIMEOUT,
};
use crate::server_cert::ServerCertificate;
use axum::Router;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Pause after the kernel refused a connection (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long peers may take. The defaults are the named limits; tests are less patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the head of a request.
    pub head: Duration,
    /// For taking any bytes of an answer.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { handshake: HANDSHAKE_TIMEOUT, head: HEAD_TIMEOUT, stall: WRITE_STALL_TIMEOUT }
    }
}

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("can't listen on {address}; is another host running?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket can't be made.
    #[error("can't listen on the Unix socket")]
    Socket(#[from] SocketError),
    /// The TLS library refused its own defaults.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

/// The running API. Dropping it leaves it running; [`Server::stop`] ends it.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    context: Context,
    tasks: JoinSet<()>,
}

impl Server {
    /// Listens on an address with HTTPS, and on a Unix socket if one is named. Must run within tokio.
    ///
    /// # Errors
    /// See [`ServeError`]; nothing listens then.
    pub async fn start(
        context: Context,
        certificate: Arc<ServerCertificate>,
        address: SocketAddr,
        socket: Option<&Path>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let config = tls_config(certificate.clone())?;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let socket = socket.map(socket::listen).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let offer = Offer { router: crate::routes::router(&context), patience, stopped: stopped.clone() };
        let mut tasks = JoinSet::new();
        let clock = context.parts().clock.clone();
        tasks.spawn(certificate.keep_renewed(clock, stopped));
        if let Some(socket) = socket {
            tasks.spawn(accept_local(socket, offer.clone()));
        }
        tasks.spawn(accept_tls(listener, TlsAcceptor::from(Arc::new(config)), offer));
        Ok(Self { address: local, stop, context, tasks })
    }

    /// The address it listens on (the port that was chosen, where 0 was asked).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, ends streams, lets open requests finish for [`SHUTDOWN_GRACE`], then cuts them.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.context.stop();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// TLS 1.3 only, with whichever certificate is newest. Clients are known by their tokens.
fn tls_config(certificate: Arc<ServerCertificate>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A ticket would let a connection outlive a renewed certificate's predecessor for no gain here.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What every connection is offered.
#[derive(Clone)]
struct Offer {
    router: Router,
    patience: Patience,
    stopped: watch::Receiver<bool>,
}

async fn accept_tls(listener: TcpListener, acceptor: TlsAcceptor, mut offer: Offer) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = told(&mut offer.stopped) => break,
            accepted = async {
                let permit = room.clone().acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        while open.try_join_next().is_some() {}
        let (Ok(permit), Ok((stream, peer))) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, offer) = (acceptor.clone(), offer.clone());
        open.spawn(async move {
            // Small answers and events leave at once.
            let _unneeded = stream.set_nodelay(true);
            if let Some(stream) = connection::handshake(acceptor, stream, offer.patience).await {
                connection::serve(stream, Peer::Remote(peer.ip().to_canonical()), offer).await;
            }
            drop(permit);
        });
    }
    drop(listener);
    finish(open).await;
}

async fn accept_local(socket: socket::Socket, mut offer: Offer) {
    let room = Arc::new(Semaphore::new(MAX_LOCAL_CONNECTIONS));
    let listener: &UnixListener = socket.listener();
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = told(&mut offer.stopped) => break,
            accepted = async {
                let permit = room.clone().acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        while open.try_join_next().is_some() {}
        let (Ok(permit), Ok((stream, _))) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let offer = offer.clone();
        open.spawn(async move {
            connection::serve(stream, Peer::Local, offer).await;
            drop(permit);
        });
    }
    drop(socket);
    finish(open).await;
}

/// Waits until the server is told to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone stops the server as well.
    let _either = stopped.wait_for(|stopped| *stopped).await;
}

/// Lets open requests end, but not for ever.
async fn finish(mut open: JoinSet<()>) {
    let ended = tokio::time::timeout(SHUTDOWN_GRACE, async { while open.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!(connections = open.len(), "cutting connections that did not end in time");
        open.shutdown().await;
    }
}
