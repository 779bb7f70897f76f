//! The host's own certificate authority: made once at `init`, it signs the API's server certificates.
//! Reads no clock (the time is an argument), writes no file, and never gives out its key except to be sealed.

use aws_lc_rs::digest;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::ids::Millis;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use zeroize::Zeroizing;

/// Life of the authority's own certificate: ten years. Consumers pin its key, not this certificate.
pub const CA_LIFETIME_MS: u64 = 3_650 * DAY_MS;
/// Life of a server certificate.
pub const SERVER_LIFETIME_MS: u64 = 30 * DAY_MS;
/// How far certificates are valid into the past, so that a consumer whose clock is slow still connects.
pub const BACKDATED_MS: u64 = DAY_MS;
const DAY_MS: u64 = 86_400_000;

/// SHA-256 of the authority's SubjectPublicKeyInfo (RFC 7469 §2.4's pin), as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// The pin of this SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Pin {
    type Err = CaError;

    fn from_str(text: &str) -> Result<Self, CaError> {
        crate::tokens::from_hex(text).map(Self).ok_or(CaError::Pin)
    }
}

/// Why the authority could not be made, restored or used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The sealed material is not what this build wrote.
    #[error("the sealed certificate authority is damaged ({0}); restore it from a backup, or run `init` anew")]
    Damaged(&'static str),
    /// A name that a certificate can't carry.
    #[error("`{0}` is neither a DNS name nor an IP address; correct the listening names (--san)")]
    Name(String),
    /// The library refused to generate or sign.
    #[error("a certificate could not be made")]
    Make(#[from] rcgen::Error),
    /// The library refused the certificate that was just made.
    #[error("the server certificate is not usable")]
    Use(#[source] rustls::Error),
    /// Not 64 hex digits.
    #[error("not a pin: expected 64 hex digits")]
    Pin,
}

/// A server certificate with its chain and key, and when it ends.
pub struct Issued {
    /// The leaf, then the authority's certificate (which clients match against their pin).
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// From when it counts as issued (the moment it was asked for, not the backdated start).
    pub issued_at: Millis,
    /// When it ends.
    pub not_after: Millis,
}

/// The authority: its certificate and its signing key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    key: Zeroizing<KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority: ECDSA P-256, self-signed, valid from a day before `now` for ten years.
    ///
    /// # Errors
    /// The library could not draw a key or sign.
    pub fn create(installation: &str, now: Millis) -> Result<Self, CaError> {
        let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("keybaton {installation}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        within(&mut params, now, CA_LIFETIME_MS);
        let made = params.self_signed(&*key)?;
        Ok(Self { certificate: made.der().clone(), pem: made.pem(), key })
    }

    /// The whole authority as bytes to seal (PEM of key and certificate). Goes to the sealed store only.
    #[must_use]
    pub fn to_sealed(&self) -> SecretBytes {
        let key = Zeroizing::new(self.key.serialize_pem());
        SecretBytes::new([key.as_bytes(), self.pem.as_bytes()].concat())
    }

    /// The authority that [`Self::to_sealed`] wrote.
    ///
    /// # Errors
    /// [`CaError::Damaged`] if it is not.
    pub fn from_sealed(sealed: &SecretBytes) -> Result<Self, CaError> {
        let text = std::str::from_utf8(sealed.expose()).map_err(|_| CaError::Damaged("not text"))?;
        let split = text.find("-----BEGIN CERTIFICATE").ok_or(CaError::Damaged("no certificate"))?;
        let (key, pem) = text.split_at(split);
        let key = Zeroizing::new(KeyPair::from_pem(key).map_err(|_| CaError::Damaged("no key"))?);
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError::Damaged("bad certificate"))?;
        if spki_of(&certificate)? != key.subject_public_key_info() {
            return Err(CaError::Damaged("key and certificate do not belong together"));
        }
        Ok(Self { certificate, pem: pem.to_owned(), key })
    }

    /// What consumers pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of_spki(&self.key.subject_public_key_info())
    }

    /// The certificate, for those who trust it by file (`curl --cacert`).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a server certificate for these names and addresses, with a key of its own.
    ///
    /// # Errors
    /// [`CaError::Name`] names the first that is neither; [`CaError::Make`] if signing failed.
    pub fn issue(&self, names: &[String], now: Millis) -> Result<Issued, CaError> {
        if let Some(bad) = names.iter().find(|name| rustls::pki_types::ServerName::try_from(name.as_str()).is_err()) {
            return Err(CaError::Name(bad.clone()));
        }
        let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named(names.first().map_or("keybaton", String::as_str));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        within(&mut params, now, SERVER_LIFETIME_MS);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key)?;
        let leaf = params.signed_by(&*key, &issuer)?;
        Ok(Issued {
            chain: vec![leaf.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            issued_at: now,
            not_after: now.plus(SERVER_LIFETIME_MS),
        })
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn within(params: &mut CertificateParams, now: Millis, lifetime_ms: u64) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(now.0.saturating_sub(BACKDATED_MS));
    params.not_after = epoch + Duration::from_millis(now.plus(lifetime_ms).0);
}

fn spki_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, CaError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| CaError::Damaged("bad certificate"))?;
    Ok(parsed.public_key().raw.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn authority() -> Authority {
        Authority::create("test", NOW).unwrap()
    }

    #[test]
    fn an_authority_survives_being_sealed() {
        let made = authority();
        let back = Authority::from_sealed(&made.to_sealed()).unwrap();
        assert_eq!(back.pin(), made.pin());
        assert_eq!(back.pem(), made.pem());
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let (one, two) = (authority(), authority());
        let mixed = SecretBytes::new([one.key.serialize_pem().as_bytes(), two.pem.as_bytes()].concat());
        assert!(matches!(Authority::from_sealed(&mixed), Err(CaError::Damaged(_))));
    }

    #[test]
    fn torn_material_is_refused_and_never_panics() {
        let sealed = authority().to_sealed();
        for end in (0..sealed.expose().len() - 40).step_by(37) {
            let torn = SecretBytes::new(sealed.expose()[..end].to_vec());
            assert!(Authority::from_sealed(&torn).is_err(), "{end} bytes were accepted");
        }
    }

    #[test]
    fn the_pin_is_of_the_key_in_the_certificate() {
        let made = authority();
        assert_eq!(Pin::of_spki(&spki_of(&made.certificate).unwrap()), made.pin());
        assert_eq!(made.pin().to_string().parse::<Pin>().unwrap(), made.pin());
    }

    #[test]
    fn a_server_certificate_lives_thirty_days_and_a_day_back() {
        let issued = authority().issue(&["localhost".into(), "127.0.0.1".into()], NOW).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&issued.chain[0]).unwrap();
        let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap();
        assert_eq!(leaf.validity().not_before.timestamp(), seconds(NOW.0 - BACKDATED_MS));
        assert_eq!(leaf.validity().not_after.timestamp(), seconds(issued.not_after.0));
        assert!(!leaf.is_ca());
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 2);
    }

    #[test]
    fn a_name_that_is_none_is_named_in_the_error() {
        let Err(CaError::Name(name)) = authority().issue(&["ok.example".into(), "not a name".into()], NOW) else {
            panic!("accepted");
        };
        assert_eq!(name, "not a name");
    }

    #[test]
    fn debug_shows_no_key() {
        let made = authority();
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
