//! The bound: rows as large as the journal's events, as many to a rotation, straight into SQLite by one thread that never
//! waits for work. No chain, no replies, no sealed values, no index, no checks, no engine.

use crate::Failure;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is written.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Bytes of each event of one rotation.
    pub(crate) rotation: Vec<usize>,
    /// Events that share a commit.
    pub(crate) commit: usize,
}

/// Rotations per second in each of some windows.
pub(crate) fn rates(folder: &Path, load: &Load, windows: usize, window: Duration) -> Result<Vec<f64>, Failure> {
    let conn = Connection::open(folder.join("raw.db"))?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.execute_batch(
        "CREATE TABLE journal (row INTEGER PRIMARY KEY, secret INTEGER NOT NULL, seq INTEGER NOT NULL,
         at INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    )?;
    let body = vec![b'x'; load.rotation.iter().copied().max().unwrap_or_default()];
    let mut events = load.rotation.iter().cycle();
    let mut rates = Vec::with_capacity(windows);
    for _ in 0..windows {
        let (began, mut written) = (Instant::now(), 0_i64);
        while began.elapsed() < window {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let mut insert =
                conn.prepare_cached("INSERT INTO journal (secret, seq, at, body) VALUES (?1, ?2, ?3, ?4)")?;
            for (at, bytes) in (0_i64..).zip(events.by_ref().take(load.commit)) {
                insert.execute(params![at, written, 1_700_000_000_000_i64, &body[..*bytes]])?;
                written += 1;
            }
            drop(insert);
            conn.execute_batch("COMMIT")?;
        }
        rates.push(written as f64 / load.rotation.len() as f64 / began.elapsed().as_secs_f64());
    }
    Ok(rates)
}
