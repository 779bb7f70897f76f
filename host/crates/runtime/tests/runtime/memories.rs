//! Guests' linear memories, made here so that a test can look into them: while a guest waits for a host call, and when
//! its call is over. It only reads. What the runtime itself does with a guest is as without it.

#![expect(unsafe_code, reason = "wasmtime takes memory from others only by its unsafe traits")]

use async_trait::async_trait;
use keybaton_engine::ports::rotator::{CallRecorder, RecordError, RecordedReply, Until};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::HostAnswer;
use keybaton_protocol::ids::{Digest, Ordinal};
use keybaton_test_support::{Canary, Sighting};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use crate::common::Memory;

/// What is all zero is not kept, in pieces of so many bytes.
const PAGE_BYTES: usize = 4_096;
/// Of each allocation; wasmtime wants pages.
const ALIGN_BYTES: usize = 65_536;

/// What a memory held at one moment: where it was not zero.
struct Look {
    moment: String,
    held: Vec<Vec<u8>>,
}

/// All memories that are alive, by address, with their lengths; and what was seen.
#[derive(Default)]
pub(crate) struct Memories {
    alive: Mutex<HashMap<usize, Arc<AtomicUsize>>>,
    doing: Mutex<String>,
    looks: Mutex<Vec<Look>>,
}

impl Memories {
    /// Says what is about to be done, for those who read what was found.
    pub(crate) fn now(&self, doing: &str) {
        doing.clone_into(&mut self.doing.lock().unwrap());
    }

    /// How often a memory was looked into at this kind of moment.
    pub(crate) fn looks(&self, kind: &str) -> usize {
        self.looks.lock().unwrap().iter().filter(|look| look.moment.ends_with(kind)).count()
    }

    /// What of these is in any of the memories, at any moment.
    pub(crate) fn search(&self, canary: &Canary) -> Vec<Sighting> {
        let looks = self.looks.lock().unwrap();
        let within =
            |look: &Look| look.held.iter().flat_map(|run| canary.search(&look.moment, run)).collect::<Vec<_>>();
        looks.iter().flat_map(within).collect()
    }

    /// Looks into every memory that is alive. The guests must be waiting.
    fn look(&self) {
        let alive = self.alive.lock().unwrap();
        alive.iter().for_each(|(base, bytes)| self.keep(*base, bytes, DURING));
    }

    fn keep(&self, base: usize, bytes: &AtomicUsize, kind: &str) {
        let base = std::ptr::with_exposed_provenance::<u8>(base);
        // SAFETY: it is among those alive, so not given back, and that much of it is in use. Its guest does not run.
        let bytes = unsafe { std::slice::from_raw_parts(base, bytes.load(Ordering::SeqCst)) };
        let pages = bytes.chunks(PAGE_BYTES).collect::<Vec<_>>();
        let runs = pages.split(|page| page.iter().all(|byte| *byte == 0)).filter(|run| !run.is_empty());
        let held = runs.map(<[&[u8]]>::concat).collect();
        let moment = format!("{} {kind}", self.doing.lock().unwrap());
        self.looks.lock().unwrap().push(Look { moment, held });
    }
}

/// While the guest waits for a host call.
pub(crate) const DURING: &str = "at a host call";
/// When its instance is given up.
pub(crate) const AFTER: &str = "at its end";

/// Gives out memories, and keeps an eye on them.
pub(crate) struct Giver(pub(crate) Arc<Memories>);

// SAFETY: what is given out is zero, does not move, and lies in one allocation together with its guard. The guard can
// be read and written, against what is asked for: a guest that reached into it would find zeros instead of a trap, and
// never leave the allocation. The guests of these tests do not.
unsafe impl MemoryCreator for Giver {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let capacity = reserved.ok_or("how much is to be reserved is not said")?.max(minimum);
        let whole = Layout::from_size_align(capacity + guard, ALIGN_BYTES).map_err(|error| error.to_string())?;
        // SAFETY: it is larger than nothing.
        let base = unsafe { alloc_zeroed(whole) };
        if base.is_null() {
            handle_alloc_error(whole);
        }
        let (base, bytes) = (base.expose_provenance(), Arc::new(AtomicUsize::new(minimum)));
        self.0.alive.lock().unwrap().insert(base, Arc::clone(&bytes));
        Ok(Box::new(Linear { base, bytes, capacity, whole, memories: Arc::clone(&self.0) }))
    }
}

struct Linear {
    base: usize,
    bytes: Arc<AtomicUsize>,
    capacity: usize,
    whole: Layout,
    memories: Arc<Memories>,
}

// SAFETY: as for the giver.
unsafe impl LinearMemory for Linear {
    fn byte_size(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        if new_size > self.capacity {
            return Err(wasmtime::Error::msg("no more was reserved"));
        }
        self.bytes.store(new_size, Ordering::SeqCst);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.base)
    }
}

impl Drop for Linear {
    fn drop(&mut self) {
        let mut alive = self.memories.alive.lock().unwrap();
        self.memories.keep(self.base, &self.bytes, AFTER);
        alive.remove(&self.base);
        // SAFETY: it was allocated so, and nobody looks at what is not alive.
        unsafe { dealloc(self.as_ptr(), self.whole) };
    }
}

/// A journal in memory that looks into the guests' memories whenever one makes a host call.
pub(crate) struct Watching {
    pub(crate) record: Arc<Memory>,
    pub(crate) memories: Arc<Memories>,
}

#[async_trait]
impl CallRecorder for Watching {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        self.memories.look();
        self.record.recorded(ordinal, request).await
    }

    async fn sent(&self, ordinal: Ordinal, request: Digest, for_ms: u64, summary: &str) -> Result<(), RecordError> {
        self.record.sent(ordinal, request, for_ms, summary).await
    }

    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        body: Vec<u8>,
        seals: Vec<Seal>,
        until: Until,
    ) -> Result<(), RecordError> {
        self.record.answered(ordinal, request, answer, body, seals, until).await
    }
}
