-- Schema 1. Every row below is authenticated: by a chain (journal, audit), by its own MAC (secrets, documents, leases),
-- or by the AEAD it is sealed with (installation, state, data_keys, sealed).

-- One row: which installation this is, and the installation key, wrapped by the key-encryption key.
CREATE TABLE installation (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    id         BLOB NOT NULL CHECK (length(id) = 16),
    schema     INTEGER NOT NULL,
    written_by TEXT NOT NULL,
    kek        TEXT NOT NULL,
    root       BLOB NOT NULL
) STRICT;

-- One row, rewritten by every commit: epoch, clock, and what each collection must add up to; sealed.
CREATE TABLE state (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    sealed BLOB NOT NULL
) STRICT;

-- The head of each secret's journal; `mark` is its line in the index.
CREATE TABLE secrets (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    seq    INTEGER NOT NULL,
    row    INTEGER NOT NULL,
    digest BLOB NOT NULL,
    mark   BLOB NOT NULL,
    mac    BLOB NOT NULL
) STRICT;

-- Append-only. `prev` is the row before it of the same secret: a journal is walked from its head, so that appends of
-- many secrets go to the same last page and no index is kept.
CREATE TABLE journal (
    row     INTEGER PRIMARY KEY,
    secret  INTEGER NOT NULL,
    prev    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    digest  BLOB NOT NULL
) STRICT;

-- The data key of a generation, wrapped by the key-encryption key, and its salt, sealed by the data key.
CREATE TABLE data_keys (
    secret     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    wrapped    BLOB NOT NULL,
    salt       BLOB NOT NULL,
    PRIMARY KEY (secret, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed (
    secret     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    label      TEXT NOT NULL,
    value      BLOB NOT NULL,
    PRIMARY KEY (secret, generation, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    secret   TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    fence    INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    boot     INTEGER NOT NULL,
    mac      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Specs, identities, enrolments, freezes and the host's own sealed values, one collection each.
CREATE TABLE documents (
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       BLOB NOT NULL,
    wrapped    BLOB,
    mac        BLOB NOT NULL,
    PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    digest  BLOB NOT NULL
) STRICT;

-- Secrets whose journal still lacks the `Restored` event of this epoch.
CREATE TABLE restore_pending (
    secret TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
