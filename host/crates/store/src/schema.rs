//! Numbered migrations. An existing database is backed up before it is changed; a newer one is refused; one whose
//! tables, indexes or triggers are not what the migrations make is not opened.

use crate::clock;
use crate::error::StoreError;
use crate::files;
use rusqlite::backup::Backup;
use rusqlite::{Connection, params};
use std::path::Path;

/// One step of the schema.
pub(crate) struct Migration {
    pub(crate) number: u32,
    pub(crate) sql: &'static str,
}

/// All steps, in order, from 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../migrations/0001_initial.sql") },
    Migration { number: 2, sql: include_str!("../migrations/0002_proposals.sql") },
    Migration { number: 3, sql: include_str!("../migrations/0003_settled.sql") },
];

/// The newest schema that this binary knows.
pub const SCHEMA: u32 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// The schema that wrote this database; 0 for an empty one.
pub(crate) fn version(conn: &Connection) -> Result<u32, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Refuses a newer schema by name.
pub(crate) fn refuse_newer(conn: &Connection, migrations: &[Migration]) -> Result<u32, StoreError> {
    let found = version(conn)?;
    let known = migrations.last().map_or(0, |last| last.number);
    if found > known { Err(StoreError::NewerSchema { found, known }) } else { Ok(found) }
}

/// Brings the schema up to date; each step is one transaction. `backups` is where a database that already holds
/// something is copied first.
pub(crate) fn migrate(
    conn: &mut Connection,
    migrations: &[Migration],
    backups: Option<&Path>,
) -> Result<(), StoreError> {
    let found = refuse_newer(conn, migrations)?;
    let missing = migrations.iter().filter(|migration| migration.number > found);
    if missing.clone().next().is_some()
        && found > 0
        && let Some(backups) = backups
    {
        files::make_dir(backups)?;
        copy_to(conn, &backups.join(format!("schema-{found}-{}.db", clock::wall_ms())))?;
    }
    for migration in missing {
        let tx = conn.transaction()?;
        tx.execute_batch(migration.sql)?;
        tx.pragma_update(None, "user_version", migration.number)?;
        tx.execute(
            "UPDATE installation SET schema = ?1, written_by = ?2",
            params![migration.number, env!("CARGO_PKG_VERSION")],
        )?;
        tx.commit()?;
    }
    Ok(())
}

/// Copies a database, as it is now, to a new file, synced. The copy is one snapshot, taken in one step: taken in
/// several, it would begin anew at every commit of the writer.
pub(crate) fn copy_to(conn: &Connection, to: &Path) -> Result<(), StoreError> {
    files::make_file(to)?;
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(conn, &mut copy)?;
        if backup.step(-1)? != rusqlite::backup::StepResult::Done {
            return Err(StoreError::Backup { detail: "the database is busy; try again".to_owned() });
        }
    }
    copy.close().map_err(|(_, error)| error)?;
    files::sync(to)
}

/// Refuses a database with tables, indexes or triggers that the migrations did not make, or without one that they did.
pub(crate) fn check(conn: &Connection, migrations: &[Migration]) -> Result<(), StoreError> {
    let mut reference = Connection::open_in_memory()?;
    migrate(&mut reference, migrations, None)?;
    let (expected, found) = (objects(&reference)?, objects(conn)?);
    let odd = expected.iter().find(|object| !found.contains(object)).map(|object| ("lacks", object));
    let odd = odd.or_else(|| found.iter().find(|object| !expected.contains(object)).map(|object| ("has", object)));
    match odd {
        None => Ok(()),
        Some((how, (kind, name, _))) => {
            Err(StoreError::damaged(format!("the schema {how} a {kind} `{name}` that no migration of ours explains")))
        }
    }
}

type Object = (String, String, Option<String>);

fn objects(conn: &Connection) -> Result<Vec<Object>, StoreError> {
    let mut statement = conn.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kek, Mode, Store};

    const NEXT: Migration = Migration { number: SCHEMA + 1, sql: "CREATE TABLE extra (x INTEGER) STRICT" };
    const WRONG: Migration = Migration { number: SCHEMA + 2, sql: "CREATE TABLE more (x INTEGER) STRICT; NONSENSE" };

    fn store() -> (tempfile::TempDir, Kek) {
        let root = tempfile::tempdir().unwrap();
        let kek = Kek::generate(&root.path().join("kek")).unwrap();
        drop(Store::create(&root.path().join("data"), kek).unwrap());
        let kek = Kek::from_file(&root.path().join("kek")).unwrap();
        (root, kek)
    }

    fn steps(extra: Vec<Migration>) -> Vec<Migration> {
        MIGRATIONS.iter().map(|step| Migration { ..*step }).chain(extra).collect()
    }

    #[test]
    fn a_migration_backs_up_first_and_the_backup_opens() {
        let (root, kek) = store();
        let (data, backups) = (root.path().join("data"), root.path().join("data/backups"));
        let mut conn = crate::open::connect(&data.join("keybaton.db"), Mode::ReadWrite).unwrap();
        migrate(&mut conn, MIGRATIONS, Some(&backups)).unwrap();
        assert!(!backups.exists(), "nothing to do, nothing to back up");
        migrate(&mut conn, &steps(vec![NEXT]), Some(&backups)).unwrap();
        assert_eq!(version(&conn).unwrap(), SCHEMA + 1);
        let written: u32 = conn.query_row("SELECT schema FROM installation", [], |row| row.get(0)).unwrap();
        assert_eq!(written, SCHEMA + 1);
        drop(conn);
        let newer = Store::open(&data, kek, Mode::ReadWrite);
        assert!(matches!(newer, Err(StoreError::NewerSchema { .. })), "the old binary does not touch it: {newer:?}");
        let copies: Vec<_> = std::fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(copies.len(), 1);
        std::fs::copy(&copies[0], data.join("keybaton.db")).unwrap();
        let kek = Kek::from_file(&root.path().join("kek")).unwrap();
        Store::open(&data, kek, Mode::ReadWrite).unwrap();
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let (root, kek) = store();
        let data = root.path().join("data");
        let mut conn = crate::open::connect(&data.join("keybaton.db"), Mode::ReadWrite).unwrap();
        assert!(migrate(&mut conn, &steps(vec![Migration { number: SCHEMA + 1, ..WRONG }]), None).is_err());
        assert_eq!(version(&conn).unwrap(), SCHEMA);
        drop(conn);
        Store::open(&data, kek, Mode::ReadWrite).unwrap();
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let numbers: Vec<u32> = MIGRATIONS.iter().map(|step| step.number).collect();
        assert_eq!(numbers, (1..=SCHEMA).collect::<Vec<_>>());
    }
}
