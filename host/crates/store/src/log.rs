//! The write-ahead log's file: cutting off what was erased, and laying the file out anew for what comes. To sync a log
//! that grows takes longer: its new length and its place on the disk are to be kept as well.
//!
//! Must never write to the log but between SQLite's own cut and its next commit, on the one thread that writes.

use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are read, or zeroes that are written, at once.
const CHUNK: usize = 64 << 10;
/// A log that grew longer, because of a reader in the way, is not made so long again, in bytes.
const LAID_OUT_MAX: u64 = 8 << 20;

/// Moves everything into the database and cuts the log off. `false` where a reader was in the way: nothing is lost, and
/// nothing was cut.
pub(crate) fn cut(conn: &Connection) -> bool {
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    matches!(busy, Ok(0))
}

/// How much of the log has been written to since it was laid out, in bytes from its beginning; none counts as nothing.
pub(crate) fn used(conn: &Connection) -> u64 {
    path(conn).and_then(|path| written(&path).ok()).unwrap_or(0)
}

/// Looks from the end: what was laid out and not used is zero.
fn written(path: &Path) -> io::Result<u64> {
    let log = File::open(path)?;
    let mut end = log.metadata()?.len();
    let mut bytes = vec![0; CHUNK];
    while end > 0 {
        let begin = (end - 1) / CHUNK as u64 * CHUNK as u64;
        let piece = usize::try_from(end - begin).map_or(CHUNK, |length| length.min(CHUNK));
        log.read_exact_at(&mut bytes[..piece], begin)?;
        if bytes[..piece].iter().any(|byte| *byte != 0) {
            return Ok(end);
        }
        end = begin;
    }
    Ok(0)
}

/// Makes a log that has just been cut off so long again, up to a bound, and all zero: to SQLite it is still empty, as
/// one whose header has no magic number (<https://sqlite.org/fileformat2.html#walformat>, §4.1).
pub(crate) fn lay_out(conn: &Connection, bytes: u64) -> io::Result<()> {
    path(conn).map_or(Ok(()), |path| zeroes(&path, bytes))
}

fn zeroes(path: &Path, bytes: u64) -> io::Result<()> {
    let mut log = OpenOptions::new().write(true).open(path)?;
    let mut left = bytes.min(LAID_OUT_MAX);
    while left > 0 {
        let now = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        log.write_all(&[0; CHUNK][..now])?;
        left -= now as u64;
    }
    log.sync_all()
}

fn path(conn: &Connection) -> Option<PathBuf> {
    conn.path().map(|path| PathBuf::from(format!("{path}-wal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with an empty table and its log.
    fn opened() -> (tempfile::TempDir, PathBuf, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        let conn = Connection::open(&db).unwrap();
        conn.pragma_update(None, "journal_mode", "wal").unwrap();
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        (dir, db, conn)
    }

    fn length(conn: &Connection) -> u64 {
        path(conn).unwrap().metadata().unwrap().len()
    }

    /// What a crash leaves: the two files, and none of the memory that the connections shared.
    fn rows_after_a_crash(db: &Path) -> i64 {
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("db");
        std::fs::copy(db, &copy).unwrap();
        std::fs::copy(format!("{}-wal", db.display()), left.path().join("db-wal")).unwrap();
        let conn = Connection::open(&copy).unwrap();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_log_that_was_laid_out_is_empty_and_then_does_not_grow() {
        let (_dir, db, conn) = opened();
        let insert = |count: i64| {
            for x in 0..count {
                conn.execute("INSERT INTO t VALUES (?1)", [x]).unwrap();
            }
        };
        insert(50);
        let before = length(&conn);
        assert_eq!(used(&conn), before, "all of it was written to");
        assert!(cut(&conn) && length(&conn) == 0);
        lay_out(&conn, before).unwrap();
        assert_eq!(length(&conn), before);
        assert_eq!(used(&conn), 0);
        assert!(std::fs::read(path(&conn).unwrap()).unwrap().iter().all(|byte| *byte == 0), "nothing is left in it");
        assert_eq!(rows_after_a_crash(&db), 50, "right after it");
        for more in 1..=40 {
            insert(1);
            assert_eq!(rows_after_a_crash(&db), 50 + more, "what was committed since is found");
        }
        assert_eq!(length(&conn), before, "what fits into it does not make it longer");
    }

    #[test]
    fn what_was_used_of_a_log_is_found_to_the_piece() {
        let (_dir, _db, conn) = opened();
        let path = path(&conn).unwrap();
        let (piece, whole) = (CHUNK as u64, 5 * CHUNK as u64 + 100);
        for (last, found) in [
            (None, 0),
            (Some(0), piece),
            (Some(piece - 1), piece),
            (Some(piece), 2 * piece),
            (Some(5 * piece), whole),
            (Some(whole - 1), whole),
        ] {
            assert!(cut(&conn));
            assert_eq!(used(&conn), 0);
            lay_out(&conn, whole).unwrap();
            let log = OpenOptions::new().write(true).open(&path).unwrap();
            last.into_iter().for_each(|last| log.write_all_at(&[7], last).unwrap());
            assert_eq!(used(&conn), found, "{last:?}");
            log.set_len(0).unwrap();
        }
    }

    #[test]
    fn a_reader_in_the_way_keeps_the_log_as_it_is() {
        let (_dir, db, conn) = opened();
        let reader = Connection::open(&db).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        conn.pragma_update(None, "busy_timeout", 0).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        let before = length(&conn);
        assert!(!cut(&conn));
        assert_eq!(length(&conn), before);
        reader.execute_batch("COMMIT").unwrap();
        assert!(cut(&conn));
    }
}
