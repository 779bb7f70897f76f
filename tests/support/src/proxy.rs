//! A TCP proxy on loopback that loses, delays, refuses and cuts on demand. It knows no protocol: what a client
//! sends until the server next speaks is a request, what the server then says is the reply. Unarmed, it passes
//! everything on unchanged; it never makes up a byte.

mod fault;
mod relay;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{Error, Result, free_port};
use fault::Arming;

pub use fault::{Armed, Exchange, Fault, When};

/// A proxy in front of one server. Dropping it closes its port and cuts its connections.
#[derive(Debug)]
pub struct FlakyProxy {
    port: u16,
    shared: Arc<Shared>,
    /// Counts the cuts; connections end when it changes, or when it is dropped with the proxy.
    cuts: watch::Sender<u64>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    connections: AtomicU64,
    armings: Mutex<Vec<Arming>>,
}

impl FlakyProxy {
    /// Listens on a free port of 127.0.0.1 and passes on to `target_port` there.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start(target_port: u16) -> Result<Self> {
        let shared = Shared {
            target: (Ipv4Addr::LOCALHOST, target_port).into(),
            connections: AtomicU64::new(0),
            armings: Mutex::default(),
        };
        let mut proxy =
            Self { port: free_port()?, shared: Arc::new(shared), cuts: watch::Sender::new(0), listening: None };
        proxy.up().await?;
        Ok(proxy)
    }

    /// The port on 127.0.0.1; it stays the same over `down` and `up`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Lets `fault` happen `when` its condition is met. Of several armed faults the one armed first goes first.
    pub fn arm(&self, fault: Fault, when: When) -> Armed {
        let (arming, armed) = Arming::new(fault, when);
        self.shared.armings().push(arming);
        armed
    }

    /// Takes back every armed fault; exchanges that a fault has already hit stay hit.
    pub fn disarm(&self) {
        self.shared.armings().clear();
    }

    /// Resets every open connection, in mid-stream where something is under way.
    pub fn cut_all(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Stops listening, so that connections are refused as by a server that is down, and cuts the open ones.
    pub async fn down(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            // Only once the task is gone is the port closed; that it was aborted is its outcome.
            let _ = listening.await;
        }
        self.cut_all();
    }

    /// Listens again on the same port after [`FlakyProxy::down`]. Does nothing while it listens.
    ///
    /// # Errors
    /// The port has been taken.
    pub async fn up(&mut self) -> Result<()> {
        if self.listening.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let listener = listener.map_err(Error::io(format!("listen on port {}", self.port)))?;
        self.listening = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared), self.cuts.subscribe())));
        Ok(())
    }
}

impl Drop for FlakyProxy {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Shared {
    /// The first armed fault whose condition this exchange meets; it counts as fired.
    fn strike(&self, exchange: &Exchange<'_>) -> Option<Fault> {
        self.armings().iter_mut().find_map(|arming| arming.strike(exchange))
    }

    fn armings(&self) -> std::sync::MutexGuard<'_, Vec<Arming>> {
        // A predicate that panicked has its own test fail; the list itself is whole.
        self.armings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, cuts: watch::Receiver<u64>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        let (shared, mut cuts) = (Arc::clone(&shared), cuts.clone());
        cuts.mark_unchanged();
        tokio::spawn(relay::serve(client, connection, shared, cuts));
    }
}

/// Ends a connection by RST instead of FIN: the other side sees it broken, not finished.
fn reset(stream: TcpStream) {
    // Where the option is refused the connection still ends, by FIN.
    let _ = stream.set_zero_linger();
    drop(stream);
}
