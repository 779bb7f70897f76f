//! The whole system, end to end: real servers, real plugins, real processes that are really killed.

mod canary;
mod cli;
mod crash;
mod host;
mod load;
mod workload;
