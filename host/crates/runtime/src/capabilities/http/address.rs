//! Name resolution that lets a request go only to addresses the connection allows: what is checked is what is dialled.

use crate::connection::Network;
use crate::refusal::Refusal;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Resolves by the system's resolver and passes on only what is allowed. One address outside refuses the whole name.
pub(super) struct Checked(pub(super) Arc<[Network]>);

#[derive(Debug, thiserror::Error)]
#[error("{0} is not an address that this connection allows: list its network under the connection's addresses")]
pub(super) struct Forbidden(pub(super) IpAddr);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(outside) = found.iter().find(|address| !allowed(&networks, address.ip())) {
                return Err(Box::new(Forbidden(outside.ip())) as Box<dyn std::error::Error + Send + Sync>);
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Addresses in a URL are not resolved; they are checked here.
pub(super) fn check_literal(host: Option<&str>, networks: &[Network]) -> Result<(), Refusal> {
    let literal =
        host.map(|host| host.trim_start_matches('[').trim_end_matches(']')).and_then(|host| host.parse().ok());
    match literal {
        Some(address) if !allowed(networks, address) => {
            Err(Refusal::denied("connection.address", Forbidden(address).to_string()))
        }
        _ => Ok(()),
    }
}

fn allowed(networks: &[Network], address: IpAddr) -> bool {
    if networks.is_empty() { is_public(address) } else { networks.iter().any(|network| network.contains(address)) }
}

/// Not loopback, private, link-local, shared, multicast or reserved (the IANA special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19)))
        }
        // Global unicast is 2000::/3; 6to4 and Teredo wrap other addresses.
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            segments[0] & 0xe000 == 0x2000
                && segments[0] != 0x2002
                && !(segments[0] == 0x2001 && (segments[1] == 0 || segments[1] == 0xdb8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_only_public_addresses_are_allowed() {
        for (address, expected) in [
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2002:7f00:1::", false),
            ("2606:4700::1", true),
        ] {
            assert_eq!(allowed(&[], address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn with_a_list_only_what_is_on_it() {
        let list = ["127.0.0.0/8".parse().unwrap()];
        assert!(check_literal(Some("127.0.0.1"), &list).is_ok());
        assert!(check_literal(Some("example.com"), &list).is_ok(), "names are checked when they are resolved");
        assert_eq!(check_literal(Some("[::1]"), &list).unwrap_err().code, "connection.address");
        assert_eq!(check_literal(Some("8.8.8.8"), &list).unwrap_err().code, "connection.address");
    }
}
