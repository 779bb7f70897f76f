//! The API's wire types: what routes take and answer, what the CLI sends and prints with `--json`.
//! Nothing here that is serialized can hold a secret: types that carry a value or a token do not serialize, say so, and
//! write themselves into zeroized memory.
//!
//! Times are Unix milliseconds by the host's clock; spans are seconds or milliseconds, as their names end.

mod host;
mod identity;
mod import;
mod operate;
mod operator;
mod people;
mod plan;
mod restored;
mod secret;
mod token;
mod workload;

pub use host::*;
pub use identity::*;
pub use import::*;
pub use operate::*;
pub use operator::*;
pub use people::*;
pub use plan::*;
pub use restored::*;
pub use secret::*;
pub use token::*;
pub use workload::*;
