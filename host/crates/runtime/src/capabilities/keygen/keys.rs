//! Key pairs and certificate requests, by rcgen over aws-lc. The private half leaves as a handle only.

use crate::refusal::Refusal;
use crate::secret::Held;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SanType,
};

const ALGORITHMS: &[&str] = &["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072", "rsa-4096"];
/// Subject alternative names of one request.
const SANS: usize = 100;

/// A new private key as PKCS#8 PEM.
pub(super) async fn generate(algorithm: String) -> Result<Vec<u8>, Refusal> {
    if !ALGORITHMS.contains(&algorithm.as_str()) {
        let shown = crate::limits::cut(&algorithm, 40).escape_debug();
        return Err(Refusal::denied(
            "keygen.algorithm",
            format!("there is no key algorithm `{shown}`; there are {}", ALGORITHMS.join(", ")),
        ));
    }
    // An RSA key takes up to seconds of a core.
    let made = tokio::task::spawn_blocking(move || {
        let pair = match algorithm.as_str() {
            "ed25519" => KeyPair::generate_for(&PKCS_ED25519),
            "ecdsa-p256" => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            "ecdsa-p384" => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            "rsa-3072" => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            _ => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }?;
        Ok::<_, rcgen::Error>(pair.serialize_pem().into_bytes())
    });
    match made.await {
        Ok(Ok(pem)) => Ok(pem),
        Ok(Err(error)) => Err(Refusal::host("host.keygen", error.to_string())),
        Err(error) => Err(Refusal::host("host.keygen", error.to_string())),
    }
}

fn load(private: &Held) -> Result<KeyPair, Refusal> {
    let broken = || Refusal::host("host.keygen", "a generated key does not load");
    let pem = std::str::from_utf8(private.expose()).map_err(|_| broken())?;
    KeyPair::from_pem(pem).map_err(|_| broken())
}

/// The public half.
pub(super) struct Public {
    spki_pem: String,
    /// `ssh-ed25519 AAAA…`, without a comment.
    openssh: String,
}

impl Public {
    pub(super) fn of(private: &Held) -> Result<Self, Refusal> {
        let pair = load(private)?;
        let unknown = || Refusal::host("host.keygen", "the key's algorithm has no OpenSSH form");
        Ok(Self { spki_pem: pair.public_key_pem(), openssh: openssh(&pair).ok_or_else(unknown)? })
    }

    pub(super) fn openssh(&self, comment: &str) -> String {
        if comment.is_empty() { self.openssh.clone() } else { format!("{} {comment}", self.openssh) }
    }

    pub(super) fn spki_pem(&self) -> &str {
        &self.spki_pem
    }
}

/// RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4.
fn openssh(pair: &KeyPair) -> Option<String> {
    let raw = pair.public_key_raw();
    let algorithm = pair.algorithm();
    let (name, fields): (&str, Vec<Vec<u8>>) = if algorithm == &PKCS_ED25519 {
        ("ssh-ed25519", vec![raw.to_vec()])
    } else if algorithm == &PKCS_ECDSA_P256_SHA256 {
        ("ecdsa-sha2-nistp256", vec![b"nistp256".to_vec(), raw.to_vec()])
    } else if algorithm == &PKCS_ECDSA_P384_SHA384 {
        ("ecdsa-sha2-nistp384", vec![b"nistp384".to_vec(), raw.to_vec()])
    } else {
        let (n, e) = rsa_numbers(raw)?;
        ("ssh-rsa", vec![e, n])
    };
    let mut blob = Vec::new();
    for field in std::iter::once(name.as_bytes()).chain(fields.iter().map(Vec::as_slice)) {
        blob.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
        blob.extend_from_slice(field);
    }
    Some(format!("{name} {}", STANDARD.encode(blob)))
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, A.1.1). DER integers are SSH's `mpint`s byte for byte.
fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (sequence, _) = der_value(der, 0x30)?;
    let (n, rest) = der_value(sequence, 0x02)?;
    let (e, _) = der_value(rest, 0x02)?;
    Some((n.to_vec(), e.to_vec()))
}

fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (header, rest) = der.split_at_checked(2)?;
    if header[0] != tag {
        return None;
    }
    let (length, rest) = match header[1] {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A PKCS#10 request (RFC 2986) signed by the private half.
pub(super) fn csr(private: &Held, subject: &str, sans: &[String]) -> Result<String, Refusal> {
    let misuse = |what: String| Refusal::misuse("guest.csr", what);
    if sans.len() > SANS {
        return Err(misuse(format!("more than {SANS} names")));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(subject).map_err(misuse)?;
    params.subject_alt_names = sans.iter().map(|san| alt_name(san)).collect::<Result<_, _>>().map_err(misuse)?;
    let pair = load(private)?;
    let request = params.serialize_request(&pair).map_err(|error| misuse(format!("no request: {error}")))?;
    request.pem().map_err(|error| Refusal::host("host.keygen", error.to_string()))
}

fn distinguished_name(subject: &str) -> Result<DistinguishedName, String> {
    let mut name = DistinguishedName::new();
    for part in subject.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (kind, value) = part.split_once('=').ok_or_else(|| format!("`{part}` in the subject is no `CN=…`"))?;
        let kind = match kind.trim() {
            "CN" => DnType::CommonName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "C" => DnType::CountryName,
            "ST" => DnType::StateOrProvinceName,
            "L" => DnType::LocalityName,
            other => return Err(format!("`{other}` in the subject is none of CN, O, OU, C, ST, L")),
        };
        name.push(kind, value.trim());
    }
    Ok(name)
}

fn alt_name(san: &str) -> Result<SanType, String> {
    let bad = || format!("`{san}` is no `dns:`, `ip:`, `uri:` or `email:` name");
    let (kind, value) = san.split_once(':').ok_or_else(bad)?;
    let ascii = || value.to_owned().try_into().map_err(|_| bad());
    match kind {
        "dns" => Ok(SanType::DnsName(ascii()?)),
        "uri" => Ok(SanType::URI(ascii()?)),
        "email" => Ok(SanType::Rfc822Name(ascii()?)),
        "ip" => value.parse().map(SanType::IpAddress).map_err(|_| bad()),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keybaton_engine::ports::secret::SecretBytes;

    async fn pair(algorithm: &str) -> Held {
        let pem = generate(algorithm.to_owned()).await.unwrap();
        Held::new(SecretBytes::new(pem), "k".parse().unwrap(), None)
    }

    #[tokio::test]
    async fn each_algorithm_has_its_public_forms() {
        for (algorithm, prefix) in [
            ("ed25519", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"),
            ("ecdsa-p256", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB"),
            ("ecdsa-p384", "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhB"),
            ("rsa-3072", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ"),
        ] {
            let public = Public::of(&pair(algorithm).await).unwrap();
            assert!(public.openssh("me").starts_with(prefix), "{algorithm}: {}", public.openssh);
            assert!(public.openssh("me").ends_with(" me"));
            assert!(public.spki_pem().starts_with("-----BEGIN PUBLIC KEY-----"), "{algorithm}");
        }
        let refusal = generate("rsa-1024".to_owned()).await.unwrap_err();
        assert!(refusal.message.contains("rsa-3072"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_request_names_what_was_asked() {
        let key = pair("ed25519").await;
        let sans = ["dns:a.example".to_owned(), "ip:10.0.0.1".to_owned()];
        let pem = csr(&key, "CN=a.example, O=Example", &sans).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_pem(&pem).unwrap();
        assert_eq!(request.params.subject_alt_names.len(), 2);
        for (subject, san, expected) in [
            ("X=1", "dns:a", "none of CN"),
            ("CN", "dns:a", "no `CN=…`"),
            ("CN=a", "a", "no `dns:`"),
            ("CN=a", "ip:x", "no `dns:`"),
        ] {
            let refusal = csr(&key, subject, &[san.to_owned()]).unwrap_err();
            assert!(refusal.message.contains(expected), "{subject} {san}: {}", refusal.message);
        }
    }
}
