//! Free ports on loopback. It never hands out a port of the range that outgoing connections take theirs from.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
};

use crate::{Error, Result};

/// Below Linux's default `ip_local_port_range` (32768–60999): a connection made between the look and the server's
/// start can't take the port away.
const PORTS: Range<u16> = 18_000..32_000;

/// A port of 127.0.0.1 that nobody listened on a moment ago.
///
/// Test processes run side by side: each starts at a random place and never offers a port twice. A fixture whose
/// server still finds its port taken asks for another.
///
/// # Errors
/// No port of the range is free.
pub fn free_port() -> Result<u16> {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    static START: std::sync::OnceLock<u16> = std::sync::OnceLock::new();
    let span = PORTS.end - PORTS.start;
    let start = *START.get_or_init(|| {
        let random = RandomState::new().hash_one(std::process::id());
        u16::try_from(random % u64::from(span)).expect("a remainder below a u16 is a u16")
    });
    for _ in 0..span {
        let offset = OFFSET.fetch_add(1, Ordering::Relaxed) % span;
        let port =
            PORTS.start + u16::try_from((u32::from(start) + u32::from(offset)) % u32::from(span)).expect("as above");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::Io { what: "find a free port on 127.0.0.1".into(), source: std::io::ErrorKind::AddrInUse.into() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_bindable_and_never_offered_twice() {
        let ports: Vec<u16> = (0..200).map(|_| free_port().expect("a free port")).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "{ports:?}");
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port was free a moment ago");
        }
    }

    #[test]
    fn a_taken_port_is_not_offered() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().expect("a free port"))).expect("bind");
        let taken = taken.local_addr().expect("bound").port();
        assert!((0..300).all(|_| free_port().expect("a free port") != taken));
    }
}
