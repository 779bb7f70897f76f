//! The runtime against real guests and real servers. `make plugins` builds the guests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod admin;
mod approval;
mod common;
mod double;
mod doubt;
mod hostile;
mod http;
mod linear;
mod memories;
mod postgres;
mod signed;
