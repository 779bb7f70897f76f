//! A certificate authority of a test's own. Its keys are made anew each time and trusted by nobody else.

use crate::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// An authority that signs servers and clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// Where the system makes no keys.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system makes keys");
        let pem = params.self_signed(&key).expect("a fresh key signs").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for somebody of this common name, valid for these DNS names and addresses, and its key; both PEM.
    ///
    /// # Panics
    /// Where a name is none.
    #[must_use]
    pub fn sign(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("the system makes keys");
        let signed = named(common_name, names).signed_by(&key, &self.issuer).expect("the authority signs");
        (signed.pem(), key.serialize_pem())
    }

    /// A server's certificate for these names; a connection without TLS is refused.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> ServerTls {
        let (certificate_pem, key_pem) = self.sign("server", names);
        ServerTls { certificate_pem, key_pem, required: true, client_ca_pem: None, rules: None }
    }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are DNS names or addresses");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
