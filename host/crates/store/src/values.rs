//! The host's own sealed values, by name: the CA's key, the server's. Each under a data key of its own, wrapped by the
//! key-encryption key, both bound to installation and name.

use crate::Store;
use crate::crypto::{self, Cipher, KEY_LEN};
use crate::documents::{self, Collection};
use crate::error::StoreError;
use crate::kek::Kek;
use async_trait::async_trait;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::storage::StorageError;
use keybaton_engine::ports::values::Values;
use zeroize::Zeroizing;

const DATA_KEY: &[u8] = b"data-key";
const VALUE: &[u8] = b"value";
const DOMAIN: &[u8] = b"keybaton-host-value-v1";

pub(crate) fn unwrap(
    kek: &Kek,
    installation: &[u8],
    name: &str,
    wrapped: Option<&[u8]>,
) -> Result<Zeroizing<[u8; KEY_LEN]>, StoreError> {
    let plain = wrapped
        .and_then(|wrapped| kek.cipher().open(&[DOMAIN, installation, name.as_bytes(), DATA_KEY], wrapped))
        .filter(|plain| plain.len() == KEY_LEN)
        .ok_or_else(|| StoreError::damaged(format!("the data key of the host's value `{name}` was edited")))?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.copy_from_slice(&plain);
    Ok(key)
}

pub(crate) fn wrap(kek: &Kek, installation: &[u8], name: &str, key: &[u8; KEY_LEN]) -> Result<Vec<u8>, StoreError> {
    kek.cipher().seal(&[DOMAIN, installation, name.as_bytes(), DATA_KEY], key)
}

#[async_trait]
impl Values for Store {
    async fn put_sealed(&self, name: &str, value: SecretBytes) -> Result<(), StorageError> {
        let name = name.to_owned();
        let write = self.write(move |tx| {
            let installation = &tx.keys.installation;
            let key = crypto::random::<KEY_LEN>()?;
            let bound: [&[u8]; 4] = [DOMAIN, installation, name.as_bytes(), VALUE];
            let sealed = Cipher::new(&key).seal(&bound, value.expose())?;
            let wrapped = wrap(tx.kek, installation, &name, &key)?;
            *tx.erased = true;
            documents::put_raw(tx, Collection::Values, &name, &sealed, Some(&wrapped))
        });
        Ok(write.await?)
    }

    async fn get_sealed(&self, name: &str) -> Result<Option<SecretBytes>, StorageError> {
        let name = name.to_owned();
        let read = self.read_view(move |view| {
            // The whole collection is proven: it is small, and a value that was removed must not pass for never made.
            let values = documents::list(view.conn, view.keys, Collection::Values)?;
            let Some(found) = values.iter().find(|value| value.key == name) else { return Ok(None) };
            let installation = &view.keys.installation;
            let key = unwrap(view.kek, installation, &name, found.wrapped.as_deref())?;
            let mut plain = Cipher::new(&key)
                .open(&[DOMAIN, installation, name.as_bytes(), VALUE], &found.body)
                .ok_or_else(|| StoreError::damaged(format!("the host's value `{name}` was edited")))?;
            Ok(Some(SecretBytes::new(std::mem::take(&mut *plain))))
        });
        Ok(read.await?)
    }
}
