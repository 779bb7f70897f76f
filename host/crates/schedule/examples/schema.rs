//! Writes the JSON Schema of declarations, or of connections, to standard output. `schedules/` keeps both.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a program, not the crate: its output is standard output"
)]

use keybaton_schedule::format::{connection_schema, declaration_schema, pretty};

fn main() {
    let schema = match std::env::args().nth(1).as_deref() {
        Some("connections") => connection_schema(),
        _ => declaration_schema(),
    };
    print!("{}", pretty(&schema));
}
