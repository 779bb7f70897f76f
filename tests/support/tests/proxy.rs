//! The fault proxy: what the client sees and what the server got, for each fault.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use keybaton_test_support::{Fault, FlakyProxy, Login, Postgres, PostgresOptions, When};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const LONG: Duration = Duration::from_millis(400);
const SOON: Duration = Duration::from_secs(5);

/// Answers each line `x` with `got x`, and keeps what it got.
struct Server {
    port: u16,
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let shared = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self { port, got }
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }

    async fn gets(&self, line: &str) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < SOON {
            if self.got().iter().any(|got| got == line) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

async fn answer(mut stream: TcpStream, got: Arc<Mutex<Vec<String>>>) {
    let mut line = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
        got.lock().unwrap().push(text.clone());
        if stream.write_all(format!("got {text}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a client gets that sends `line` and waits for a whole line, or for the end.
async fn ask(stream: &mut TcpStream, line: &str) -> String {
    if stream.write_all(format!("{line}\n").as_bytes()).await.is_err() {
        return "broken".into();
    }
    let mut reply = Vec::new();
    loop {
        match tokio::time::timeout(SOON / 2, stream.read_u8()).await {
            Err(_) => return "silence".into(),
            Ok(Ok(b'\n')) => return String::from_utf8(reply).unwrap(),
            Ok(Ok(byte)) => reply.push(byte),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof && reply.is_empty() => {
                return "end".into();
            }
            Ok(Err(_)) => {
                return format!("{} broken", String::from_utf8(reply).unwrap()).trim().into();
            }
        }
    }
}

struct Bench {
    server: Server,
    proxy: FlakyProxy,
}

impl Bench {
    async fn start() -> Self {
        let server = Server::start().await;
        let proxy = FlakyProxy::start(server.port).await.unwrap();
        Self { server, proxy }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.proxy.port())).await.unwrap()
    }
}

#[tokio::test]
async fn each_fault_hits_one_exchange_and_the_next_connection_is_well() {
    let table = [
        // fault, what the client sees, whether the server got it
        (Fault::LoseRequest, "end", false),
        (Fault::LoseReply, "end", true),
        (Fault::SilenceReply, "silence", true),
        (Fault::Reset, "got broken", true),
        (Fault::DelayReply(LONG), "got b", true),
        (Fault::DelayRequest(LONG), "got b", true),
    ];
    for (fault, seen, got) in table {
        let bench = Bench::start().await;
        let armed = bench.proxy.arm(fault, When::request_holds("b"));
        let mut stream = bench.connect().await;
        assert_eq!(ask(&mut stream, "a").await, "got a", "{fault:?}");
        assert_eq!(armed.fired(), 0, "{fault:?}");
        let begun = Instant::now();
        let reply = ask(&mut stream, "b").await;
        assert_eq!(reply.chars().take(3).collect::<String>(), seen.chars().take(3).collect::<String>(), "{fault:?}");
        assert_eq!(reply.ends_with("broken"), seen.ends_with("broken"), "{fault:?}: {reply}");
        assert_eq!(bench.server.got().contains(&"b".to_owned()), got, "{fault:?}");
        assert_eq!(begun.elapsed() >= LONG, matches!(seen, "got b" | "silence"), "{fault:?}");
        assert_eq!(armed.fired(), 1, "{fault:?}");
        let mut stream = bench.connect().await;
        assert_eq!(ask(&mut stream, "b").await, "got b", "{fault:?}");
    }
}

#[tokio::test]
async fn a_delayed_request_arrives_although_its_client_has_left() {
    let bench = Bench::start().await;
    let mut armed = bench.proxy.arm(Fault::DelayRequest(LONG), When::next());
    let mut stream = bench.connect().await;
    stream.write_all(b"late\n").await.unwrap();
    assert!(armed.wait(1, SOON).await);
    drop(stream);
    assert_eq!(bench.server.got(), Vec::<String>::new());
    assert!(bench.server.gets("late").await);
}

#[tokio::test]
async fn skip_and_times_count_requests_not_pieces() {
    let bench = Bench::start().await;
    let armed = bench.proxy.arm(Fault::LoseReply, When::request_holds("x").skip(1).times(2));
    let mut stream = bench.connect().await;
    for piece in ["x", "y", "z\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(ask(&mut stream, "").await, "got xyz");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ask(&mut bench.connect().await, "x").await);
    }
    assert_eq!(seen, ["end", "end", "got x"]);
    assert_eq!(armed.fired(), 2);
}

#[tokio::test]
async fn a_refused_connection_never_reaches_the_server() {
    let bench = Bench::start().await;
    let armed = bench.proxy.arm(Fault::Refuse, When::next());
    assert_eq!(ask(&mut bench.connect().await, "a").await, "broken");
    assert_eq!(ask(&mut bench.connect().await, "b").await, "got b");
    assert_eq!((bench.server.got(), armed.fired()), (vec!["b".to_owned()], 1));
    assert_eq!(bench.proxy.connections(), 2);
}

#[tokio::test]
async fn down_refuses_and_cuts_and_up_listens_on_the_same_port() {
    let mut bench = Bench::start().await;
    let mut open = bench.connect().await;
    assert_eq!(ask(&mut open, "a").await, "got a");
    bench.proxy.down().await;
    assert_eq!(ask(&mut open, "b").await, "broken");
    let refused = TcpStream::connect(("127.0.0.1", bench.proxy.port())).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    bench.proxy.up().await.unwrap();
    assert_eq!(ask(&mut bench.connect().await, "c").await, "got c");
}

#[tokio::test]
async fn a_disarmed_fault_does_not_happen() {
    let bench = Bench::start().await;
    let armed = bench.proxy.arm(Fault::LoseRequest, When::next());
    bench.proxy.disarm();
    assert_eq!(ask(&mut bench.connect().await, "a").await, "got a");
    assert_eq!(armed.fired(), 0);
}

#[tokio::test]
async fn a_lost_answer_of_postgres_leaves_the_password_changed() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    postgres.execute("create role app login password 'before'").await.unwrap();
    let proxy = FlakyProxy::start(postgres.port()).await.unwrap();
    let armed = proxy.arm(Fault::LoseReply, When::request_holds("alter role"));

    let mut through = tokio_postgres::Config::new();
    through.host("127.0.0.1").port(proxy.port()).dbname("postgres");
    through.user(postgres.admin_user()).password(postgres.admin_password());
    let (client, driver) = through.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(driver);
    let lost = client.batch_execute("alter role app password 'after'").await.expect_err("the answer is lost");
    assert!(lost.as_db_error().is_none(), "the server never refused: {lost}");
    assert_eq!(armed.fired(), 1);
    assert_eq!(postgres.login("app", "after").await.unwrap(), Login::Works);
    assert!(matches!(postgres.login("app", "before").await.unwrap(), Login::Refused(_)));
}
