//! Plugins as `make plugins` built them, approved into a catalog of their own, and a runtime that runs them.

use crate::Failure;
use crate::world::{Wall, root, target};
use keybaton_protocol::ids::Digest;
use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_runtime::connection::{Connection, Connections};
use keybaton_runtime::{Runtime, pack};
use std::sync::Arc;
use tempfile::TempDir;

/// An approved component with its runtime.
pub(crate) struct Component {
    pub(crate) digest: Digest,
    pub(crate) runtime: Arc<Runtime>,
    _folder: TempDir,
}

impl Component {
    /// Packs, approves with all it asks for, and makes ready to run it on these connections.
    pub(crate) fn approve(plugin: &str, connections: Vec<Connection>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let digest = catalog.approve(&packed(plugin)?, None)?.digest;
        let opened = Arc::new(Connections::new());
        opened.replace(connections);
        let runtime = Arc::new(Runtime::new(catalog, opened, Arc::new(Wall))?);
        Ok(Self { digest, runtime, _folder: folder })
    }
}

fn packed(plugin: &str) -> Result<Vec<u8>, Failure> {
    let module = format!("plugins/wasm32-unknown-unknown/release/{}.wasm", plugin.replace('-', "_"));
    let module = target().join(module);
    let bytes =
        std::fs::read(&module).map_err(|error| format!("{}: {error}; `make plugins` builds it", module.display()))?;
    let manifest = std::fs::read_to_string(root().join("plugins").join(plugin).join("plugin.toml"))?;
    Ok(pack::pack(&bytes, &manifest)?.0)
}
