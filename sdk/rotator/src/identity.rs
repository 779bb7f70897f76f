//! As whom a host call acts: nobody, the connection's admin, or the credential under test.

use crate::secret::{Handles, Secret};

/// As whom a host call acts.
#[derive(Debug)]
pub enum Identity<'a> {
    /// As nobody.
    Nobody,
    /// As the connection's admin, whose credential the host holds. Refused in `verify`.
    Admin,
    /// As the credential under test.
    Candidate(Candidate<'a>),
}

/// A login with the credential under test.
#[derive(Debug)]
pub struct Candidate<'a> {
    scheme: &'static str,
    field: &'static str,
    secret: &'a Secret,
    params: Vec<(&'static str, String)>,
}

impl<'a> Candidate<'a> {
    /// SQL: user name and password.
    #[must_use]
    pub fn password(user: &str, password: &'a Secret) -> Self {
        Self { scheme: "password", field: "password", secret: password, params: vec![("user", user.to_owned())] }
    }

    /// HTTP: `Authorization: Bearer TOKEN`, RFC 6750.
    #[must_use]
    pub fn bearer(token: &'a Secret) -> Self {
        Self { scheme: "bearer", field: "token", secret: token, params: Vec::new() }
    }

    /// HTTP: `Authorization: Basic …`, RFC 7617.
    #[must_use]
    pub fn basic(user: &str, password: &'a Secret) -> Self {
        Self { scheme: "basic", field: "password", secret: password, params: vec![("user", user.to_owned())] }
    }

    /// HTTP: the secret alone in a header of this name, such as `x-api-key`.
    #[must_use]
    pub fn header(name: &str, value: &'a Secret) -> Self {
        Self { scheme: "header", field: "value", secret: value, params: vec![("header", name.to_owned())] }
    }

    /// HTTP: a client certificate (PEM, public) and its private key (PKCS#8 in PEM), RFC 8446 §4.4.2.
    #[must_use]
    pub fn mtls(certificate: &str, key: &'a Secret) -> Self {
        Self { scheme: "mtls", field: "key", secret: key, params: vec![("certificate", certificate.to_owned())] }
    }

    /// With [`bearer`](Self::bearer): the word before the token (`token`, `GenieKey`) where it is not `Bearer`.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.params.push(("prefix", prefix.to_owned()));
        self
    }
}

/// An identity as the contract spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireIdentity {
    None,
    Admin,
    Candidate { scheme: String, fields: Vec<(String, u32)>, params: Vec<(String, String)> },
}

impl<'a> Identity<'a> {
    pub(crate) fn wire(self, handles: &mut Handles<'a>) -> WireIdentity {
        match self {
            Self::Nobody => WireIdentity::None,
            Self::Admin => WireIdentity::Admin,
            Self::Candidate(candidate) => WireIdentity::Candidate {
                scheme: candidate.scheme.to_owned(),
                fields: vec![(candidate.field.to_owned(), handles.index(candidate.secret))],
                params: candidate.params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            },
        }
    }
}
