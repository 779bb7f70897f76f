//! The one wasmtime engine: on-demand instances, fuel for CPU, the epoch for fairness only. Links no WASI, ever.

use crate::limits;
use crate::stacks::Stacks;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::{Config, Engine, MemoryCreator};

/// Virtual bytes kept for each linear memory; small, so that a fresh instance is cheap to map and unmap.
const MEMORY_RESERVATION_BYTES: u64 = 64 << 20;
/// Virtual bytes behind each memory that catch what static bounds checks leave out.
const MEMORY_GUARD_BYTES: u64 = 64 << 10;
/// Bytes of the host stack on which a guest and the host calls it makes run.
const ASYNC_STACK_BYTES: usize = 2 << 20;

/// The engine and the thread that ticks its epoch; the thread ends with it.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    stop: Arc<AtomicBool>,
}

impl Machine {
    /// Sets up the engine, with linear memories that wasmtime maps, or those of `memories`.
    ///
    /// # Errors
    /// When this processor or operating system cannot run it.
    pub(crate) fn new(memories: Option<Arc<dyn MemoryCreator>>) -> wasmtime::Result<Self> {
        let mut config = config();
        if let Some(memories) = memories {
            // Copy-on-write images go only onto memory that wasmtime has mapped itself.
            config.with_host_memory(memories).memory_init_cow(false);
        }
        let engine = Engine::new(&config)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ticking, stopped) = (engine.weak(), Arc::clone(&stop));
        std::thread::Builder::new().name("keybaton-epoch".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(limits::YIELD_EVERY_MS));
                match ticking.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(Self { engine, stop })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .with_host_stack(Arc::new(Stacks::default()))
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .guard_before_linear_memory(false);
    config
}
