//! The whole system, end to end: real servers, real plugins, real processes that are really killed. `make test` builds
//! the components and the binary `keybaton` first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod absent;
mod canary;
mod cli;
mod crash;
mod faults;
mod host;
mod lies;
mod load;
mod logins;
mod reload;
mod restores;
mod signed;
mod site;
mod workload;
