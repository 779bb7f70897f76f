//! One connection through the proxy: bytes both ways, and what an armed fault does to an exchange. It never
//! outlives a cut.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

use super::{Exchange, Fault, Shared, reset};

/// How much is read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// How much of what the client has sent is kept for conditions.
const SEEN_BYTES: usize = 256 * 1024;

/// Whether a connection goes on, or how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// By FIN.
    Closed,
    /// By RST.
    Broken,
}

pub(super) async fn serve(client: TcpStream, connection: u64, shared: Arc<Shared>, mut cuts: watch::Receiver<u64>) {
    let refused = shared.strike(&Exchange { connection, ordinal: 0, request: &[], seen: &[] }).is_some();
    if refused {
        return reset(client);
    }
    let Ok(server) = TcpStream::connect(shared.target).await else {
        return reset(client); // the server is down: its client must not take us for it
    };
    let mut relay = Relay::new(client, server, connection, shared);
    let flow = tokio::select! {
        flow = relay.run() => flow.unwrap_or(Flow::Broken),
        // A cut, or the proxy itself is gone.
        _ = cuts.changed() => Flow::Broken,
    };
    if flow == Flow::Broken {
        reset(relay.client);
        reset(relay.server);
    }
}

struct Relay {
    client: TcpStream,
    server: TcpStream,
    connection: u64,
    shared: Arc<Shared>,
    ordinal: u64,
    request: Vec<u8>,
    seen: Vec<u8>,
    /// The server has spoken since the request began: the client's next bytes begin another.
    replied: bool,
    fault: Option<Fault>,
}

impl Relay {
    fn new(client: TcpStream, server: TcpStream, connection: u64, shared: Arc<Shared>) -> Self {
        let (request, seen) = (Vec::new(), Vec::new());
        Self { client, server, connection, shared, ordinal: 0, request, seen, replied: false, fault: None }
    }

    async fn run(&mut self) -> io::Result<Flow> {
        let (mut from_client, mut from_server) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut client_speaks = true;
        loop {
            let flow = tokio::select! {
                read = self.client.read(&mut from_client), if client_speaks => match read? {
                    0 => {
                        // The client has no more to say, but may still listen.
                        client_speaks = false;
                        self.server.shutdown().await?;
                        Flow::On
                    }
                    length => self.on_request(&from_client[..length]).await?,
                },
                read = self.server.read(&mut from_server) => match read? {
                    0 => Flow::Closed,
                    length => self.on_reply(&from_server[..length]).await?,
                },
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
    }

    async fn on_request(&mut self, bytes: &[u8]) -> io::Result<Flow> {
        self.remember(bytes);
        if self.fault.is_none() {
            self.fault = self.shared.strike(&Exchange {
                connection: self.connection,
                ordinal: self.ordinal,
                request: &self.request,
                seen: &self.seen,
            });
        }
        match self.fault {
            Some(Fault::LoseRequest) => return Ok(Flow::Closed),
            Some(Fault::DelayRequest(delay)) => {
                sleep(delay).await;
                self.fault = None;
            }
            _ => {}
        }
        self.server.write_all(bytes).await?;
        Ok(Flow::On)
    }

    async fn on_reply(&mut self, bytes: &[u8]) -> io::Result<Flow> {
        self.replied = true;
        match self.fault {
            Some(Fault::LoseReply) => return Ok(Flow::Closed),
            Some(Fault::SilenceReply) => return Ok(Flow::On),
            Some(Fault::Reset) => {
                self.client.write_all(&bytes[..bytes.len() / 2]).await?;
                return Ok(Flow::Broken);
            }
            Some(Fault::DelayReply(delay)) => {
                sleep(delay).await;
                self.fault = None;
            }
            _ => {}
        }
        self.client.write_all(bytes).await?;
        Ok(Flow::On)
    }

    fn remember(&mut self, bytes: &[u8]) {
        if self.replied {
            self.replied = false;
            self.ordinal += 1;
            self.request.clear();
        }
        for kept in [&mut self.request, &mut self.seen] {
            kept.extend_from_slice(bytes);
            let surplus = kept.len().saturating_sub(SEEN_BYTES);
            kept.drain(..surplus);
        }
    }
}
