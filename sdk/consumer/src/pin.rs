//! Trust in one authority and no other: the chain must end in a certificate whose key has the pinned SHA-256.
//! The authority's certificate comes with each handshake and is nothing before it has been held against the pin.

use crate::Error;
use crate::encode::{from_hex, to_hex};
use ::aws_lc_rs::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// SHA-256 of the authority's SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin([u8; 32]);

impl Pin {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        ParsedCertificate::try_from(certificate).is_ok_and(|parsed| {
            let spki = parsed.subject_public_key_info();
            digest::digest(&digest::SHA256, &spki).as_ref() == self.0
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// TLS 1.3 towards a host of the pinned authority.
pub(crate) fn client_config(pin: Pin) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates.iter().find(|certificate| self.pin.matches(certificate));
        let authority = authority.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        // Names, validity and the signature are checked as for any other server.
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        usual.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
        date_time_ymd,
    };
    use std::time::Duration;

    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        fn pin(&self) -> Pin {
            let spki = self.0.key().subject_public_key_info();
            Pin(digest::digest(&digest::SHA256, &spki).as_ref().try_into().unwrap())
        }

        fn leaf(&self, name: &str) -> CertificateDer<'static> {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2026, 2, 1);
            params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der().clone()
        }
    }

    fn check(pin: Pin, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], name: &str, day: u64) -> bool {
        let verifier = Pinned { pin, provider: Arc::new(aws_lc_rs::default_provider()) };
        // 2026-01-01 is day 20454 of the Unix epoch.
        let now = UnixTime::since_unix_epoch(Duration::from_secs((20_454 + day) * 86_400 + 1));
        verifier.verify_server_cert(leaf, chain, &name.try_into().unwrap(), &[], now).is_ok()
    }

    #[test]
    fn only_the_pinned_authority_is_trusted() {
        let (ours, other) = (Authority::new(), Authority::new());
        let (leaf, ca) = (ours.leaf("localhost"), ours.0.der().clone());
        let cases = [
            ("its own chain", ours.pin(), &leaf, vec![ca.clone()], "localhost", 5, true),
            ("no authority in the chain", ours.pin(), &leaf, vec![], "localhost", 5, false),
            ("another pin", other.pin(), &leaf, vec![ca.clone()], "localhost", 5, false),
            ("another name", ours.pin(), &leaf, vec![ca.clone()], "example.org", 5, false),
            ("too late", ours.pin(), &leaf, vec![ca.clone()], "localhost", 40, false),
            ("a leaf of another authority", ours.pin(), &other.leaf("localhost"), vec![ca], "localhost", 5, false),
        ];
        for (what, pin, leaf, chain, name, day, expected) in cases {
            assert_eq!(check(pin, leaf, &chain, name, day), expected, "{what}");
        }
    }

    #[test]
    fn a_forged_authority_of_the_same_name_is_refused() {
        let (ours, forger) = (Authority::new(), Authority::new());
        let leaf = forger.leaf("localhost");
        let chain = [ours.0.der().clone(), forger.0.der().clone()];
        assert!(!check(ours.pin(), &leaf, &chain, "localhost", 5));
    }

    #[test]
    fn pins_are_64_hex_digits() {
        let pin = Authority::new().pin();
        assert_eq!(Pin::parse(&pin.to_string()), Some(pin));
        for bad in ["", "00", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(Pin::parse(bad), None, "{bad}");
        }
    }
}
