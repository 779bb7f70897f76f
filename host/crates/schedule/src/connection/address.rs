//! Which addresses may be connected to. Judges an address it is given; resolves none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Addresses that a connection may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Only these; empty means all that the flags do not exclude.
    pub networks: Vec<Network>,
    /// Private ones too (RFC 1918, RFC 4193, RFC 6598).
    pub private: bool,
    /// This machine's own too.
    pub loopback: bool,
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not among the networks.
    #[error("the address is in none of the networks that the connection allows")]
    Elsewhere,
    /// Private.
    #[error("the address is private, which the connection does not allow")]
    Private,
    /// Loopback.
    #[error("the address is this machine's own, which the connection does not allow")]
    Loopback,
    /// Link-local, multicast, unspecified or reserved: no target is there, but cloud metadata services are.
    #[error("the address is link-local, multicast, unspecified or reserved, which no connection reaches")]
    Special,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address; bits past the prefix must be zero.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?)
            }
            Some(_) => return None,
            None => {
                let address = text.parse::<IpAddr>().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        let network = Self { address, bits };
        let (value, width) = number(address);
        let host_bits_zero = bits <= width && (bits == 0 && value == 0 || bits > 0 && value & low(width - bits) == 0);
        host_bits_zero.then_some(network)
    }

    /// Whether an address lies in the block.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, width), (theirs, their_width)) = (number(self.address), number(address.to_canonical()));
        width == their_width && (own ^ theirs) & !low(width - self.bits) == 0
    }

    /// Whether it is so small that all of it is of one kind, at least as far as its first address tells.
    pub(crate) fn is_narrow(&self) -> bool {
        self.bits >= 8
    }

    /// The first address of the block.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.address
    }
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The lowest `bits` bits set.
fn low(bits: u8) -> u128 {
    1_u128.checked_shl(u32::from(bits)).map_or(u128::MAX, |one| one - 1)
}

impl Addresses {
    /// Whether an address, as resolved, may be connected to. IPv4 in IPv6 is judged as IPv4.
    ///
    /// # Errors
    /// Why not.
    pub fn permit(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let refused = match kind(address) {
            Kind::Special => Some(Refused::Special),
            Kind::Loopback if !self.loopback => Some(Refused::Loopback),
            Kind::Private if !self.private => Some(Refused::Private),
            Kind::Loopback | Kind::Private | Kind::Public => None,
        };
        match refused {
            Some(why) => Err(why),
            None if self.networks.is_empty() || self.networks.iter().any(|net| net.contains(address)) => Ok(()),
            None => Err(Refused::Elsewhere),
        }
    }
}

enum Kind {
    Public,
    Private,
    Loopback,
    Special,
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Kind::Loopback,
        IpAddr::V6(v6) if v6.is_loopback() => Kind::Loopback,
        IpAddr::V4(v4) if special_v4(v4) => Kind::Special,
        IpAddr::V6(v6) if special_v6(v6) => Kind::Special,
        IpAddr::V4(v4) if v4.is_private() || shared_v4(v4) => Kind::Private,
        IpAddr::V6(v6) if v6.is_unique_local() => Kind::Private,
        IpAddr::V4(_) | IpAddr::V6(_) => Kind::Public,
    }
}

fn special_v4(v4: Ipv4Addr) -> bool {
    let [first, ..] = v4.octets();
    first == 0 || first >= 240 || v4.is_link_local() || v4.is_multicast()
}

fn special_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) hide an IPv4 address that would have to be judged in turn.
    let translated = segments[..2] == [0x64, 0xff9b] || segments[0] == 0x2002;
    let compatible = segments[..6] == [0; 6];
    translated || compatible || v6.is_multicast() || v6.is_unicast_link_local()
}

/// Carriers' shared space, RFC 6598.
fn shared_v4(v4: Ipv4Addr) -> bool {
    let [first, second, ..] = v4.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_their_kind_and_the_networks() {
        let open = Addresses::default();
        let inside =
            Addresses { private: true, networks: vec![Network::parse("10.1.0.0/16").unwrap()], loopback: false };
        let here = Addresses { loopback: true, ..Addresses::default() };
        let table = [
            (&open, "203.0.113.7", Ok(())),
            (&open, "2001:db8::1", Ok(())),
            (&open, "10.0.0.1", Err(Refused::Private)),
            (&open, "100.64.0.1", Err(Refused::Private)),
            (&open, "fd00::1", Err(Refused::Private)),
            (&open, "127.0.0.1", Err(Refused::Loopback)),
            (&open, "::1", Err(Refused::Loopback)),
            (&open, "::ffff:127.0.0.1", Err(Refused::Loopback)),
            (&open, "::ffff:10.0.0.1", Err(Refused::Private)),
            (&open, "169.254.169.254", Err(Refused::Special)),
            (&open, "0.0.0.0", Err(Refused::Special)),
            (&open, "::", Err(Refused::Special)),
            (&open, "::7f00:1", Err(Refused::Special)),
            (&open, "64:ff9b::7f00:1", Err(Refused::Special)),
            (&open, "2002:7f00:1::", Err(Refused::Special)),
            (&open, "fe80::1", Err(Refused::Special)),
            (&open, "255.255.255.255", Err(Refused::Special)),
            (&inside, "10.1.2.3", Ok(())),
            (&inside, "::ffff:10.1.2.3", Ok(())),
            (&inside, "10.2.0.1", Err(Refused::Elsewhere)),
            (&inside, "203.0.113.7", Err(Refused::Elsewhere)),
            (&here, "127.0.0.1", Ok(())),
            (&here, "169.254.169.254", Err(Refused::Special)),
        ];
        for (addresses, address, expected) in table {
            assert_eq!(addresses.permit(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_network_has_a_prefix_and_no_bits_past_it() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.1", "192.0.2.1/32", "::1/128"] {
            assert!(Network::parse(text).is_some(), "{text}");
        }
        for text in ["10.0.0.1/8", "10.0.0.0/33", "::1/0", "1.2.3.4/0", "10.0.0.0/", "10.0.0.0/+8", "db", "10.0.0/8"] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
