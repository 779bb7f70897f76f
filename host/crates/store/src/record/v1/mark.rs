//! What the index says of a secret, as kept with the head of its journal.

use crate::record::mirror::record_struct;
use keybaton_engine::ports::journal::Mark;

record_struct!(MarkRecord => Mark {
    open: bool,
    rotated_at: Option<u64>,
    expires_at: Option<u64>,
    not_before: Option<u64>,
    failures: u32,
    closed: bool,
    spec: Option<String>,
});
