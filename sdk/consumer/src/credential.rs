//! One generation's credential in the workload's memory: public attributes, and secret fields that are zeroized when
//! the last handle goes. Debug shows names only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use zeroize::Zeroizing;

/// A credential. Cloning clones a handle, never the bytes: keep one for as long as you use the credential, and no
/// longer, because keybaton waits for the last handle before it says that this replica has released it.
#[derive(Clone)]
pub struct Credential {
    inner: Arc<Inner>,
}

struct Inner {
    generation: u32,
    attributes: BTreeMap<String, String>,
    fields: BTreeMap<String, Zeroizing<Vec<u8>>>,
    salt: Zeroizing<Vec<u8>>,
}

impl Credential {
    pub(crate) fn new(
        generation: u32,
        attributes: BTreeMap<String, String>,
        fields: BTreeMap<String, Zeroizing<Vec<u8>>>,
        salt: Zeroizing<Vec<u8>>,
    ) -> Self {
        Self { inner: Arc::new(Inner { generation, attributes, fields, salt }) }
    }

    /// Its number; a newer generation has a greater one.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.inner.generation
    }

    /// A public field, such as `username`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.inner.attributes.get(name).map(String::as_str)
    }

    /// A secret field, such as `password`.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&[u8]> {
        self.inner.fields.get(name).map(|value| value.as_slice())
    }

    /// A secret field that is text.
    #[must_use]
    pub fn secret_text(&self, name: &str) -> Option<&str> {
        self.secret(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Names of the secret fields.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.inner.fields.keys().map(String::as_str)
    }

    /// Whether there is anything to prove possession of.
    pub(crate) fn provable(&self) -> bool {
        !self.inner.fields.is_empty()
    }

    pub(crate) fn proof_material(&self) -> (Vec<(&str, &[u8])>, &[u8]) {
        let fields = self.inner.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        (fields.collect(), &self.inner.salt)
    }

    /// Whether it is the same generation with the same bytes (both are ours: nothing is learnt from the time it takes).
    pub(crate) fn same(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.inner, &other.inner);
        ours.generation == theirs.generation
            && ours.fields == theirs.fields
            && ours.salt == theirs.salt
            && ours.attributes == theirs.attributes
    }

    pub(crate) fn watch(&self) -> Handles {
        Handles(Arc::downgrade(&self.inner))
    }
}

/// Counts the handles of a credential without being one.
pub(crate) struct Handles(Weak<Inner>);

impl Handles {
    pub(crate) fn count(&self) -> usize {
        self.0.strong_count()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("generation", &self.inner.generation)
            .field("attributes", &self.inner.attributes)
            .field("secret_fields", &self.secret_names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_values() {
        let fields = BTreeMap::from([("password".to_owned(), Zeroizing::new(b"canary-value".to_vec()))]);
        let attributes = BTreeMap::from([("username".to_owned(), "app_a".to_owned())]);
        let credential = Credential::new(3, attributes, fields, Zeroizing::new(vec![7; 32]));
        let shown = format!("{credential:?}");
        assert!(shown.contains("password") && shown.contains("app_a"), "{shown}");
        assert!(!shown.contains("canary") && !shown.contains("99, 97") && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn handles_are_counted() {
        let credential = Credential::new(1, BTreeMap::new(), BTreeMap::new(), Zeroizing::default());
        let handles = credential.watch();
        let second = credential.clone();
        assert_eq!(handles.count(), 2);
        drop((credential, second));
        assert_eq!(handles.count(), 0);
    }
}
