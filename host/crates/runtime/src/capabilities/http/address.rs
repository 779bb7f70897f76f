//! Name resolution that lets a request go only to addresses the connection allows: what is checked is what is dialled.

use crate::refusal::Refusal;
use keybaton_schedule::connection::{Addresses, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;

/// Resolves by the system's resolver and passes on only what is allowed. One address outside refuses the whole name.
pub(super) struct Checked(pub(super) Arc<Addresses>);

#[derive(Debug, thiserror::Error)]
#[error("{0}; what may be reached is in the connection's `allow`")]
pub(super) struct Forbidden(Refused);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(why) = found.iter().find_map(|address| allowed.permit(address.ip()).err()) {
                return Err(Box::new(Forbidden(why)) as Box<dyn std::error::Error + Send + Sync>);
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Addresses in a URL are not resolved; they are checked here.
pub(super) fn check_literal(host: Option<&str>, allowed: &Addresses) -> Result<(), Refusal> {
    let literal =
        host.map(|host| host.trim_start_matches('[').trim_end_matches(']')).and_then(|host| host.parse().ok());
    let Some(address) = literal else { return Ok(()) };
    allowed.permit(address).map_err(|why| Refusal::denied("connection.address", Forbidden(why).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_address_is_judged_before_anything_leaves() {
        let own = Addresses { loopback: true, ..Addresses::default() };
        for (host, own_is, public_is) in [
            ("127.0.0.1", true, false),
            ("[::1]", true, false),
            ("[::ffff:127.0.0.1]", true, false),
            ("10.0.0.1", false, false),
            ("169.254.169.254", false, false),
            ("8.8.8.8", true, true),
        ] {
            for (allowed, expected) in [(&own, own_is), (&Addresses::default(), public_is)] {
                let refused = check_literal(Some(host), allowed).err();
                assert_eq!(refused.is_none(), expected, "{host}");
                assert!(refused.is_none_or(|refusal| refusal.code == "connection.address"), "{host}");
            }
        }
        assert!(check_literal(Some("example.com"), &own).is_ok(), "names are judged when they are resolved");
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_an_address_outside_is_refused_whole() {
        let refused = Checked(Arc::new(Addresses::default())).resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().is_some_and(|error| error.to_string().contains("this machine's own")));
    }
}
