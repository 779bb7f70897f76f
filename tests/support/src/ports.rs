//! Free ports on loopback. A port that it hands out belongs to the process until that ends: no other process that asks
//! here gets it, or binds it for a look. It never hands out a port of the range that outgoing connections take theirs
//! from.

use std::{
    fs::{File, TryLockError},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result};

/// Below Linux's default `ip_local_port_range` (32768–60999): a connection made between the look and the server's
/// start can't take the port away.
const PORTS: Range<u16> = 18_000..32_000;

/// What this process holds: where it looks next, and the locks on the ports that it has handed out. The kernel lets go
/// of them when the process ends.
struct Held {
    next: u16,
    locks: Vec<File>,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// A port of 127.0.0.1 that nobody listens on, and that is this process's until it ends.
///
/// Test processes run side by side: each starts at a random place, and holds a lock on the file of each port that it was
/// given, in the folder `keybaton-ports` of the temporary folder.
///
/// # Errors
/// No port of the range is free, or a lock file can't be made.
pub fn free_port() -> Result<u16> {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let held = held.get_or_insert_with(|| Held { next: random_port(), locks: Vec::new() });
    for _ in PORTS {
        let port = held.next;
        held.next = if port + 1 == PORTS.end { PORTS.start } else { port + 1 };
        let Some(lock) = reserve(port)? else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            held.locks.push(lock);
            return Ok(port);
        }
    }
    Err(Error::Io { what: "find a free port on 127.0.0.1".into(), source: std::io::ErrorKind::AddrInUse.into() })
}

fn random_port() -> u16 {
    let random = RandomState::new().hash_one(std::process::id()) % u64::from(PORTS.end - PORTS.start);
    PORTS.start + u16::try_from(random).expect("a remainder below a u16 is a u16")
}

/// The lock on a port, or nothing where another holder has it.
fn reserve(port: u16) -> Result<Option<File>> {
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(Error::io(format!("make {}", folder.display())))?;
    let path = folder.join(port.to_string());
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(Error::io(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::io(format!("lock {}", path.display()))(source)),
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("keybaton-ports")
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
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is this process's");
        }
    }

    #[test]
    fn a_taken_port_is_not_offered() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().expect("a free port"))).expect("bind");
        let taken = taken.local_addr().expect("bound").port();
        assert!((0..300).all(|_| free_port().expect("a free port") != taken));
    }

    #[test]
    fn a_port_that_was_handed_out_can_be_reserved_by_nobody_else() {
        let port = free_port().expect("a free port");
        assert!(reserve(port).expect("the lock file is there").is_none());
    }
}
