//! A TLS front before a server that has none: asks for client certificates and hands on what comes inside. It speaks
//! HTTP only as far as to say on whose behalf a request comes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{Error, Result, ServerTls};

/// How long a request's head may be.
const HEAD_BYTES: usize = 64 * 1024;

/// Whose certificates a front asks for.
#[derive(Debug, Clone)]
pub enum Clients {
    /// Of nobody.
    Any,
    /// Of everybody: signed by this authority, PEM.
    Required(String),
    /// Of whoever has one, signed by this authority, PEM. What they ask for carries this header, `name: value`, instead
    /// of one that they bring: so a gateway hands on whom it has recognised.
    Recognised(String, String),
}

/// A running front on 127.0.0.1. Dropping it ends it and what runs through it.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    accepting: JoinHandle<()>,
    requests: Arc<AtomicU64>,
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TlsFront {
    /// Starts a front with this certificate before the server at this port of 127.0.0.1.
    ///
    /// # Errors
    /// The port is taken, or a certificate is none.
    pub async fn start(tls: &ServerTls, clients: Clients, target: u16) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(config(tls, &clients)?));
        let header = match clients {
            Clients::Recognised(_, header) => Some(header),
            Clients::Any | Clients::Required(_) => None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listen"))?;
        let port = listener.local_addr().map_err(Error::io("listen"))?.port();
        let requests = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, header, counted) = (acceptor.clone(), header.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    // What a client breaks off is its own affair.
                    let _ended = serve(acceptor, client, header, target, &counted).await;
                });
            }
        });
        Ok(Self { port, accepting, requests })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Requests that got through the handshake.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn config(tls: &ServerTls, clients: &Clients) -> Result<ServerConfig> {
    let wrong =
        |error: &dyn std::fmt::Display| Error::io("read a certificate")(std::io::Error::other(error.to_string()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(&error))?;
    let verifier = |pem: &str| {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
        roots.add(root).map_err(|error| wrong(&error))?;
        Ok::<_, Error>(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)))
    };
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Required(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.build().map_err(|error| wrong(&error))?)
        }
        Clients::Recognised(pem, _) => {
            let verifier = verifier(pem)?.allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(&error))?)
        }
    };
    let certificate = CertificateDer::from_pem_slice(tls.certificate_pem.as_bytes()).map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).map_err(|error| wrong(&error))?;
    builder.with_single_cert(vec![certificate], key).map_err(|error| wrong(&error))
}

/// One request a connection: the head is taken apart once, and both sides are told to close.
async fn serve(
    acceptor: TlsAcceptor,
    client: TcpStream,
    header: Option<String>,
    target: u16,
    requests: &AtomicU64,
) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let recognised = client.get_ref().1.peer_certificates().is_some();
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES || client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let mut server = TcpStream::connect(("127.0.0.1", target)).await?;
    server.write_all(&rewritten(&head, header.filter(|_| recognised).as_deref())).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The head with `connection: close`, and with this header in the place of one of its name.
fn rewritten(bytes: &[u8], header: Option<&str>) -> Vec<u8> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let own = header.and_then(|header| header.split(':').next()).unwrap_or("connection").to_ascii_lowercase();
    let kept = head.split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != own && name != "connection"
    });
    let mut lines: Vec<&str> = kept.collect();
    lines.push("connection: close");
    lines.extend(header);
    [lines.join("\r\n").as_bytes(), rest].concat()
}
