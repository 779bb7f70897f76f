//! The store's tests, one binary: it starts itself again as the child process that the crash tests kill.
//! The modules say `cfg(test)` for clippy, which lets only tests unwrap.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod records;
mod rest;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
