//! The listeners: TLS and its renewal, the Unix socket, and peers that send too much, too slowly or nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_api::ca::{Authority, SERVER_LIFETIME_MS};
use keybaton_api::limits::{MAX_BODY_BYTES, MAX_HEAD_BYTES};
use keybaton_api::serve::{Patience, Server};
use keybaton_api::server_cert::ServerCertificate;
use keybaton_engine::ports::clock::Clock;
use keybaton_protocol::ids::Millis;
use reqwest::Method;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{ALTERNATE, Fixture, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn connect(fixture: &Fixture) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate =
        rustls::pki_types::pem::PemObject::from_pem_slice(fixture.certificate.authority().pem().as_bytes());
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn impatient() -> Fixture {
    let mut fixture = Fixture::new(ALTERNATE).await;
    fixture.stop().await;
    let short = Duration::from_millis(300);
    fixture.patience = Patience { handshake: short, head: short, stall: short };
    fixture.start().await;
    fixture
}

/// What the peer says before it hangs up, and whether it did within a time.
async fn hears(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut heard = Vec::new();
    let all = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await;
    all.ok().map(|_| String::from_utf8_lossy(&heard).into_owned())
}

#[tokio::test]
async fn a_certificate_is_renewed_while_connections_are_open() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    fixture.stop().await;
    // Issued so long ago that it is due, and still good.
    let past = Millis(fixture.clock.wall().0 - SERVER_LIFETIME_MS / 10 * 8);
    let authority = Authority::create("test", past).unwrap();
    fixture.certificate = Arc::new(ServerCertificate::new(authority, vec!["localhost".to_owned()], past).unwrap());
    fixture.start().await;
    let served = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut open = connect(&fixture).await;
    let before = served(&open);
    assert!(fixture.certificate.renew_if_due(fixture.clock.wall()).unwrap());
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let heard = hears(&mut open).await.expect("the open connection hangs");
    assert!(heard.starts_with("HTTP/1.1 200"), "the open connection was cut: {heard}");
    let after = served(&connect(&fixture).await);
    assert_ne!(before, after, "the old certificate is served on");
}

#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let fixture = Fixture::new(ALTERNATE).await;
    let stream = connect(&fixture).await;
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let mut plain = TcpStream::connect(fixture.address()).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let heard = hears(&mut plain).await.expect("plain text is waited for");
    assert!(!heard.contains("HTTP/1.1"), "plain text was answered: {heard}");
}

#[tokio::test]
async fn the_socket_is_the_owners_alone_and_speaks_the_same_routes() {
    let fixture = Fixture::new(ALTERNATE).await;
    let mode = std::fs::metadata(fixture.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ask = async |path: &str, token: &str| {
        let mut stream = UnixStream::connect(fixture.socket()).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        hears(&mut stream).await.unwrap()
    };
    assert!(ask("/metrics", "none").await.starts_with("HTTP/1.1 200"), "the socket is trusted with metrics");
    assert!(ask("/v1/secrets", "none").await.starts_with("HTTP/1.1 401"), "the socket is trusted with no more");
    assert!(ask("/v1/secrets", &fixture.operator).await.contains("payments/db"));
}

#[tokio::test]
async fn a_socket_left_by_a_killed_host_is_replaced_and_a_living_one_is_not() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let socket = fixture.socket();
    fixture.stop().await;
    assert!(!socket.exists(), "a stopped host leaves its socket behind");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    fixture.start().await;
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(hears(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
    let second = Fixture::new(ALTERNATE).await;
    let port = "127.0.0.1:0".parse().unwrap();
    let context = support::bare_context(&second);
    let taken = Server::start(context, second.certificate.clone(), port, Some(&socket), Patience::default()).await;
    assert!(taken.is_err(), "a second host took the socket of a running one");
    assert!(UnixStream::connect(&socket).await.is_ok());
}

#[tokio::test]
async fn bodies_and_heads_that_are_too_large_are_refused() {
    let fixture = Fixture::new(ALTERNATE).await;
    let large = json!({"reason": "x".repeat(MAX_BODY_BYTES)});
    let told = fixture.post("/v1/secrets/payments/db/rotate", &fixture.operator, &large).await;
    assert_eq!((told.status.as_u16(), told.problem().as_str()), (413, "too-large"));
    let parts = futures::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1_000])));
    let request = fixture
        .http()
        .post(format!("{}/v1/enrol", fixture.url()))
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(parts));
    let untold = answer(request).await;
    assert_eq!((untold.status.as_u16(), untold.problem().as_str()), (413, "too-large"));
    let mut stream = connect(&fixture).await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEAD_BYTES));
    let _may_be_cut = stream.write_all(head.as_bytes()).await;
    let heard = hears(&mut stream).await.expect("a head that is too large is waited for");
    assert!(!heard.contains("200 OK"), "{heard}");
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let fixture = Fixture::new(ALTERNATE).await;
    let request = fixture
        .http()
        .post(format!("{}/v1/secrets/payments/db/freeze", fixture.url()))
        .bearer_auth(&fixture.operator)
        .header("content-type", "text/plain")
        .body("{}");
    // A route without a body does not read one; a route with one insists.
    assert_eq!(answer(request).await.status, 200);
    let request = fixture
        .http()
        .request(Method::POST, format!("{}/v1/enrol", fixture.url()))
        .header("content-type", "text/plain")
        .body(r#"{"token":"x"}"#);
    assert_eq!(answer(request).await.problem(), "malformed");
}

#[tokio::test]
async fn peers_that_dawdle_are_left() {
    let fixture = impatient().await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(fixture.address()).await.unwrap();
    assert!(hears(&mut silent).await.is_some(), "a peer without a handshake is waited for");
    let mut idle = connect(&fixture).await;
    assert!(hears(&mut idle).await.is_some(), "a peer without a request is waited for");
    let mut slow = connect(&fixture).await;
    let writer = async {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: 1".iter().cycle() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if slow.write_all(&[*byte]).await.is_err() || slow.flush().await.is_err() {
                break;
            }
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(5), writer).await;
    assert!(cut.is_ok(), "a head that comes byte by byte is waited for");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_stop_ends_streams_and_lets_nobody_hang() {
    let mut fixture = Fixture::new(ALTERNATE).await;
    let events = fixture.http().get(format!("{}/v1/events", fixture.url())).bearer_auth(&fixture.operator);
    let mut stream = events.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let _idle = connect(&fixture).await;
    let started = Instant::now();
    fixture.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    while let Ok(Some(_)) = stream.chunk().await {}
}
