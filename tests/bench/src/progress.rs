//! Lines on standard error while it runs; the result alone goes to standard output.

use std::sync::OnceLock;
use std::time::Instant;

/// Says what is going on, and how many seconds after the first such line.
pub(crate) fn say(bench: &str, what: &str) {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let seconds = BEGAN.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("[{seconds:>3} s] {bench}: {what}");
}
