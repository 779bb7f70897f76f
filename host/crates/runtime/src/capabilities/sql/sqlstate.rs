//! What a PostgreSQL error means: class, blame and code (appendix "PostgreSQL Error Codes" of its manual).

use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use tokio_postgres::error::DbError;

/// The server does not let this user in.
pub(super) const LOGIN_REFUSED: &str = "sql.login-refused";

/// Prefix of the SQLSTATE, whether the same step may be tried again, code. The longest prefix wins.
const KNOWN: &[(&str, bool, &str)] = &[
    ("08", true, "sql.connection"),
    ("25006", true, "sql.read-only"),
    ("28", false, LOGIN_REFUSED),
    ("3D000", false, "sql.undefined-database"),
    ("40", true, "sql.serialization"),
    ("42501", false, "sql.insufficient-privilege"),
    ("42704", false, "sql.undefined-object"),
    ("42710", false, "sql.duplicate-object"),
    ("2BP01", false, "sql.dependent-objects"),
    ("53", true, "sql.insufficient-resources"),
    ("55006", true, "sql.object-in-use"),
    ("55P03", true, "sql.lock-not-available"),
    ("57014", true, "sql.timeout"),
    ("57P", true, "sql.unavailable"),
];

/// An error that the server answered with.
pub(super) fn refusal(error: &DbError, as_admin: bool) -> Refusal {
    let state = error.code().code();
    let known = KNOWN.iter().filter(|(prefix, ..)| state.starts_with(prefix)).max_by_key(|(prefix, ..)| prefix.len());
    let message = format!("{} (SQLSTATE {state})", error.message());
    match known {
        Some((_, true, code)) => Refusal::retryable(code, message),
        Some((_, false, code @ (LOGIN_REFUSED | "sql.insufficient-privilege"))) => {
            let blame = if as_admin { Blame::Operator } else { Blame::Target };
            Refusal::permanent(blame, code, message)
        }
        Some((_, false, code)) => Refusal::permanent(Blame::Target, code, message),
        None => Refusal::permanent(Blame::Target, &format!("sql.state-{}", state.to_ascii_lowercase()), message),
    }
}

/// Whether the server may have ended the session after doing the work: its word is then no proof of the opposite.
pub(super) fn is_doubtful(error: &DbError) -> bool {
    let state = error.code().code();
    state.starts_with("57P") || state.starts_with("08") || state == "40003"
}
