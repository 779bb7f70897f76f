//! An HTTP server that gives one prepared answer to every POST, and an empty list of tokens to every GET. A double: it
//! shows what the host does with an answer, nothing of any real API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub(crate) enum Answer {
    Say { status: u16, headers: String, body: String },
    HangUp,
    Silence,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Say { status, headers: String::new(), body: String::new() }
    }

    pub(crate) fn hang_up() -> Self {
        Self::HangUp
    }

    pub(crate) fn silence() -> Self {
        Self::Silence
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Say { headers, .. } = &mut self {
            headers.push_str(&format!("{name}: {value}\r\n"));
        }
        self
    }

    pub(crate) fn body(mut self, text: &str) -> Self {
        if let Self::Say { body, .. } = &mut self {
            text.clone_into(body);
        }
        self
    }

    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.body(&value.to_string())
    }
}

pub(crate) struct Double {
    port: u16,
    requests: Arc<AtomicU32>,
}

impl Double {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), Arc::clone(&counter)));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, counter: Arc<AtomicU32>) {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while !complete(&seen) {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => seen.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    counter.fetch_add(1, Ordering::Relaxed);
    let list = Answer::status(200).body("{\"api_tokens\":[]}");
    match if seen.starts_with(b"GET") { list } else { answer } {
        Answer::HangUp => {}
        Answer::Silence => tokio::time::sleep(std::time::Duration::from_secs(60)).await,
        Answer::Say { status, headers, body } => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// Head and body, by its content-length.
fn complete(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
