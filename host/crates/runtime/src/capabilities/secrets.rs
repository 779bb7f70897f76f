//! `secrets`: the handle itself. `reveal`: its bytes, linked only where granted, and audited at each use.

use crate::bindings::keybaton::rotator::{reveal, secrets, types};
use crate::record::{Begun, Canon, Clean, Yield};
use crate::scrub::Scrubber;
use crate::secret::Held;
use crate::state::CallState;
use keybaton_engine::ports::rotator::Until;
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;

impl types::Host for CallState {}

impl secrets::Host for CallState {}

impl secrets::HostSecret for CallState {
    async fn drop(&mut self, handle: Resource<Held>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// What the journal keeps of it: which secret was read, never what it is.
#[derive(Debug, Serialize, Deserialize)]
struct Revealed {
    revealed: String,
}

impl Clean for Revealed {
    fn clean(&mut self, _: &mut Scrubber) {}
}

impl reveal::Host for CallState {
    /// Durable before the guest has the bytes; a journal that does not take it ends the call.
    async fn reveal(&mut self, handle: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        let held = self.table.get(&handle)?.clone();
        let canon = Canon::of("secrets.reveal").text(&held.name());
        if let Begun::Fresh(entry) = self.business()?.ledger.begin::<Revealed>(&canon).await? {
            let revealed = Yield::from(Ok(Revealed { revealed: held.name() }));
            let ledger = self.business()?.ledger.clone();
            let _on_record = ledger.settle_until(&entry, revealed, &mut self.scrubber, Until::Durable).await?;
        }
        let business = self.business()?;
        let secret = business.secret.clone();
        tracing::warn!(
            target: "keybaton::audit",
            plugin = %self.allowed.manifest.name,
            %secret,
            value = %held.name(),
            "a plugin with the `reveal` grant read a secret"
        );
        Ok(held.expose().to_vec())
    }
}
