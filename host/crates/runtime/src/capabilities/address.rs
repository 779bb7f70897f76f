//! Name resolution that lets a request go only to addresses the connection allows: what is checked is what is dialled.

use crate::refusal::Refusal;
use keybaton_schedule::connection::{Addresses, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;

/// Resolves by the system's resolver and passes on only what is allowed. One address outside refuses the whole name.
pub(crate) struct Checked {
    pub(crate) allowed: Arc<Addresses>,
    /// What is resolved in the place of the name that is asked for.
    pub(crate) dial: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}; what may be reached is in the connection's `allow`")]
pub(crate) struct Forbidden(Refused);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, dial) = (Arc::clone(&self.allowed), self.dial.clone());
        Box::pin(async move {
            let found = resolved(dial.as_deref().unwrap_or(name.as_str()), 0, &allowed).await?;
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("cannot be resolved")]
    Unknown(#[from] std::io::Error),
}

/// All addresses of a name, or none of them where one is not allowed.
pub(crate) async fn resolved(host: &str, port: u16, allowed: &Addresses) -> Result<Vec<SocketAddr>, Unresolved> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    match found.iter().find_map(|address| allowed.permit(address.ip()).err()) {
        Some(why) => Err(Forbidden(why).into()),
        None => Ok(found),
    }
}

/// Addresses in a URL are not resolved; they are checked here.
pub(crate) fn check_literal(host: Option<&str>, allowed: &Addresses) -> Result<(), Refusal> {
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
        let checked = Checked { allowed: Arc::default(), dial: None };
        let refused = checked.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().is_some_and(|error| error.to_string().contains("this machine's own")));
    }

    #[tokio::test]
    async fn a_name_of_the_certificate_s_is_dialled_where_the_connection_points() {
        let here = Addresses { loopback: true, ..Addresses::default() };
        let checked = Checked { allowed: Arc::new(here), dial: Some("127.0.0.1".to_owned()) };
        let found: Vec<_> = checked.resolve("hub.example.org".parse().unwrap()).await.unwrap().collect();
        assert_eq!(
            found.iter().map(SocketAddr::ip).collect::<Vec<_>>(),
            ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]
        );
    }
}
