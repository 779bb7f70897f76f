//! What a piece of work has in hand inside the writer's transaction. It is made anew for each piece of work and ends
//! with it; the commit is the writer's.

use crate::crypto::Integrity;
use crate::kek::Kek;
use crate::state::State;
use rusqlite::Connection;

/// The transaction as its work sees it.
pub(crate) struct Tx<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) keys: &'a Integrity,
    pub(crate) kek: &'a Kek,
    pub(crate) state: &'a mut State,
    /// The database's clock, in milliseconds since the Unix epoch; the same for all that share the commit.
    pub(crate) now_ms: u64,
    /// Set by work that erased a value.
    pub(crate) erased: &'a mut bool,
}
