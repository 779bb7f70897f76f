//! The way to the host: the component's imports on wasm32, a scripted host in native tests. Decides nothing.

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
pub(crate) use component::*;

#[cfg(not(target_arch = "wasm32"))]
mod scripted;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use scripted::*;
