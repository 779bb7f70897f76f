//! The server's certificate, renewed while connections are open: the resolver hands out whichever is newest.
//! Reads no clock of its own. Connections that are open keep the certificate they were made with.

use crate::ca::{Authority, CaError, Issued};
use keybaton_engine::ports::clock::Clock;
use keybaton_protocol::ids::Millis;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether the certificate is due. Wall clocks jump, so it is not slept until then.
pub const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// A certificate that renews itself at two thirds of its life.
pub struct ServerCertificate {
    authority: Authority,
    names: Vec<String>,
    current: RwLock<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    renew_at: Millis,
    issued_at: Millis,
    not_after: Millis,
}

impl ServerCertificate {
    /// Issues the first one for these names and addresses.
    ///
    /// # Errors
    /// See [`CaError`].
    pub fn new(authority: Authority, names: Vec<String>, now: Millis) -> Result<Self, CaError> {
        let current = RwLock::new(issue(&authority, &names, now)?);
        Ok(Self { authority, names, current })
    }

    /// The authority that signs it.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// When the certificate that is served now ends.
    #[must_use]
    pub fn not_after(&self) -> Millis {
        self.read().not_after
    }

    /// Issues a new one if the served one is past two thirds of its life, or was issued in a future that a clock set
    /// right again has undone. Answers whether it did.
    ///
    /// # Errors
    /// See [`CaError`]; the old one stays.
    pub fn renew_if_due(&self, now: Millis) -> Result<bool, CaError> {
        let due = {
            let current = self.read();
            now >= current.renew_at || now.plus(crate::ca::BACKDATED_MS) < current.issued_at
        };
        if due {
            let new = issue(&self.authority, &self.names, now)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(due)
    }

    /// Keeps it renewed until `stop` becomes true.
    pub async fn keep_renewed(self: Arc<Self>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(RENEWAL_CHECK) => {}
            }
            match self.renew_if_due(clock.wall()) {
                Ok(true) => tracing::info!(until = self.not_after().0, "renewed the server certificate"),
                Ok(false) => {}
                Err(error) => tracing::error!(
                    %error,
                    until = self.not_after().0,
                    "the server certificate could not be renewed; the old one is served on"
                ),
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn issue(authority: &Authority, names: &[String], now: Millis) -> Result<Current, CaError> {
    let Issued { chain, key, issued_at, not_after } = authority.issue(names, now)?;
    let key = any_supported_type(&key).map_err(CaError::Use)?;
    let renew_at = issued_at.plus(not_after.since(issued_at) / 3 * 2);
    Ok(Current { key: Arc::new(CertifiedKey::new(chain, key)), renew_at, issued_at, not_after })
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.read().key.clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("names", &self.names)
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::SERVER_LIFETIME_MS;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn made() -> ServerCertificate {
        let authority = Authority::create("test", NOW).unwrap();
        ServerCertificate::new(authority, vec!["localhost".to_owned()], NOW).unwrap()
    }

    #[test]
    fn it_is_renewed_at_two_thirds_and_not_before() {
        let certificate = made();
        let served = certificate.read().key.clone();
        assert!(!certificate.renew_if_due(NOW.plus(SERVER_LIFETIME_MS / 3 * 2 - 1)).unwrap());
        assert!(Arc::ptr_eq(&served, &certificate.read().key));
        let due = NOW.plus(SERVER_LIFETIME_MS / 3 * 2);
        assert!(certificate.renew_if_due(due).unwrap());
        assert!(!Arc::ptr_eq(&served, &certificate.read().key));
        assert_eq!(certificate.not_after(), due.plus(SERVER_LIFETIME_MS));
        assert!(!certificate.renew_if_due(due).unwrap(), "it was renewed twice");
    }

    #[test]
    fn one_from_a_future_that_never_came_is_replaced() {
        let certificate = made();
        let before = Millis(NOW.0 - 2 * crate::ca::BACKDATED_MS);
        assert!(certificate.renew_if_due(before).unwrap());
        assert_eq!(certificate.not_after(), before.plus(SERVER_LIFETIME_MS));
    }
}
