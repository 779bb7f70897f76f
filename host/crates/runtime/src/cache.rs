//! Compiled components on disk, so that a start does not compile again. `deserialize` runs whatever it is given: nothing
//! is read from here that does not carry this host's own MAC over the component's digest and the compiled bytes.

use crate::catalog::digest_of;
use crate::limits;
use aws_lc_rs::{constant_time, hmac};
use keybaton_protocol::ids::Digest;
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// What the MAC covers first, so that it stands for nothing else.
const DOMAIN: &[u8] = b"keybaton-aot-v1";
/// Bytes of the MAC at the head of a file (HMAC-SHA-256).
const MAC_BYTES: usize = 32;
/// Times that compiled code may be larger than the largest component.
const GROWTH: usize = 8;

/// A folder of compiled components under a key of the host's.
pub struct Cache {
    folder: PathBuf,
    key: hmac::Key,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache below `folder`, which is made when something is first kept. `key`: 32 secret bytes of this host's.
    #[must_use]
    pub fn new(folder: &Path, key: &[u8; 32]) -> Self {
        Self { folder: folder.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The component, from the cache or compiled and kept. Trouble with the cache costs time, never a call.
    pub(crate) fn component(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
        let path = self.folder.join(format!("{}.aot", digest.to_string().trim_start_matches("sha256:")));
        if let Some(component) = self.read(engine, digest, &path) {
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        let compiled = component.serialize()?;
        if let Err(error) = self.write(digest, &path, &compiled) {
            tracing::warn!(path = %path.display(), %error, "a compiled component could not be kept");
        }
        Ok(component)
    }

    fn read(&self, engine: &Engine, digest: Digest, path: &Path) -> Option<Component> {
        let size = std::fs::metadata(path).ok()?.len();
        if size > (limits::COMPONENT_BYTES * GROWTH) as u64 {
            return None;
        }
        let file = std::fs::read(path).ok()?;
        let (mac, compiled) = file.split_at_checked(MAC_BYTES)?;
        if constant_time::verify_slices_are_equal(mac, self.mac(digest, compiled).as_ref()).is_err() {
            tracing::warn!(path = %path.display(), "a compiled component does not carry this host's mark; it is not used");
            return None;
        }
        #[expect(unsafe_code, reason = "the MAC shows that this host wrote these very bytes for this component")]
        // SAFETY: `deserialize` needs bytes that `serialize` made. Only `write` makes files with a MAC under this key,
        // from `serialize`'s bytes; wasmtime itself refuses those of another version, processor or configuration.
        let component = unsafe { Component::deserialize(engine, compiled) };
        component.ok()
    }

    fn write(&self, digest: Digest, path: &Path, compiled: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = self.mac(digest, compiled).as_ref().to_vec();
        file.extend_from_slice(compiled);
        crate::catalog::write_atomically(path, &file)
    }

    fn mac(&self, digest: Digest, compiled: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [DOMAIN, &digest.0, &digest_of(compiled).0] {
            context.update(part);
        }
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    type Edit = fn(&mut Vec<u8>);

    fn change(path: &Path, edit: Edit) {
        let mut bytes = std::fs::read(path).unwrap();
        edit(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn only_what_this_host_wrote_for_this_component_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = Cache::new(folder.path(), &[7; 32]);
        let (digest, other) = (digest_of(EMPTY), digest_of(b"another"));
        cache.component(&engine, digest, EMPTY).unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let sound = std::fs::read(&path).unwrap();
        assert!(cache.read(&engine, digest, &path).is_some(), "as it was written");
        assert!(cache.read(&engine, other, &path).is_none(), "for another component");
        assert!(Cache::new(folder.path(), &[8; 32]).read(&engine, digest, &path).is_none(), "under another key");
        let changes: [(&str, Edit); 4] = [
            ("a changed byte", |bytes| *bytes.last_mut().unwrap() ^= 1),
            ("a changed MAC", |bytes| bytes[0] ^= 1),
            ("a file cut short", |bytes| bytes.truncate(100)),
            ("an empty file", Vec::clear),
        ];
        for (sentence, edit) in changes {
            std::fs::write(&path, &sound).unwrap();
            change(&path, edit);
            assert!(cache.read(&engine, digest, &path).is_none(), "{sentence}");
            assert!(cache.component(&engine, digest, EMPTY).is_ok(), "{sentence}: compiled again");
            assert!(cache.read(&engine, digest, &path).is_some(), "{sentence}: and kept anew");
        }
    }
}
