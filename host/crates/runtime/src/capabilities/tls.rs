//! TLS of a connection: one client configuration for both SQL and HTTP, and what went wrong in words that name the key
//! to set. No certificate passes unchecked; private keys are read for one configuration and not kept.

use crate::connection::{ClientCertificate, Tls, Trust};
use crate::identity::SourceError;
use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::error::Error;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A certificate chain and its key, PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// Reads the files again: new ones are taken without a restart.
    pub(super) async fn read(client: &ClientCertificate) -> Result<Self, SourceError> {
        let certificate = client.certificate.read().await?.secret.expose().to_vec();
        let key = Zeroizing::new(client.key.read().await?.secret.expose().to_vec());
        Ok(Self { certificate, key })
    }

    /// Tells one identity from another, without a part of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&(self.certificate.len() as u64).to_be_bytes());
        context.update(&self.certificate);
        context.update(&self.key);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// How to speak TLS to a server; `None` where there is none.
pub(super) fn config(tls: &Tls, identity: Option<&Identity>) -> Result<Option<ClientConfig>, Refusal> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match &tls.trust {
        Trust::Off => return Ok(None),
        Trust::Roots(pem) => {
            let roots = Arc::new(roots(pem).map_err(wrong)?);
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| wrong(error.to_string()))?
        }
        Trust::System => Arc::new(Verifier::new(Arc::clone(&provider)).map_err(|error| wrong(error.to_string()))?),
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(error.to_string()))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = parsed(identity)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong(format!("the client certificate and its key do not belong together: {error}")))?
        }
    };
    Ok(Some(config))
}

fn wrong(what: String) -> Refusal {
    Refusal::permanent(Blame::Operator, "connection.tls", what)
}

fn parsed(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Refusal> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificate).collect();
    let chain = chain.map_err(|error| wrong(format!("the client certificate is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong("the client certificate holds none".to_owned()));
    }
    // What the parser says of a key may repeat a part of it.
    let key = PrivateKeyDer::from_pem_slice(&identity.key)
        .map_err(|_| wrong("the key of the client certificate is no PEM of a private key".to_owned()))?;
    Ok((chain, key))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the connection's roots: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the connection's roots: {error}"))?;
    }
    if roots.is_empty() { Err("the connection's roots hold no certificate".to_owned()) } else { Ok(roots) }
}

/// What a failure of TLS means for the operator; `None` for failures of another kind.
pub(super) fn explained(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let failure = within(error)?;
    let what = match failure {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the server's certificate is not signed by an authority that the connection trusts: set `tls.ca`"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the server's certificate bears another name: set `tls.server_name` ({why})")
            }
            why => format!("the server's certificate is not valid: {why}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure => {
                "the server wants a client certificate: set `tls.certificate` and `tls.key`".to_owned()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => format!("the server refuses the client certificate ({alert:?})"),
            _ => return None,
        },
        _ => return None,
    };
    Some(wrong(what))
}

/// The TLS library's own error among the causes; IO errors hide theirs.
fn within<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| -> &(dyn Error + 'static) { inner }),
            None => cause.source(),
        };
    }
    None
}
