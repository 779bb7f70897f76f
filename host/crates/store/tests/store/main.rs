//! The store's tests, one binary: it starts itself again as the child process that the crash tests kill.

mod backup;
mod canary;
mod crash;
mod damage;
mod journal;
mod keys;
mod records;
mod samples;
mod support;
mod tables;
