//! `secrets`: the handle itself. `reveal`: its bytes, linked only where granted, and audited at each use.

use crate::bindings::keybaton::rotator::{reveal, secrets, types};
use crate::secret::Held;
use crate::state::CallState;
use wasmtime::component::Resource;

impl types::Host for CallState {}

impl secrets::Host for CallState {}

impl secrets::HostSecret for CallState {
    async fn drop(&mut self, handle: Resource<Held>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl reveal::Host for CallState {
    async fn reveal(&mut self, handle: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        let held = self.table.get(&handle)?;
        tracing::warn!(
            target: "keybaton::audit",
            plugin = %self.allowed.manifest.name,
            label = %held.label,
            "a plugin with the `reveal` grant read a secret"
        );
        Ok(held.expose().to_vec())
    }
}
