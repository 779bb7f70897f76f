//! The process's allocator: as the product's, the system's, and zeroes what is freed, so that what is measured pays for
//! it; with a count of live bytes that is kept only where it is asked for. It measures what Rust allocates; SQLite's own
//! page cache is not in it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes of a piece of heap with glibc's own: 8 before it, rounded up to 16, at least 32 (malloc/malloc.c, "chunk").
fn chunk(size: usize) -> i64 {
    ((size + 8).next_multiple_of(16).max(32)) as i64
}

fn count(bytes: i64) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: everything is the system's; a block is written to only before it is given back, within its layout.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(chunk(layout.size()));
        // SAFETY: the caller's promise about `layout` is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(chunk(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-chunk(layout.size()));
        // SAFETY: the pointer came from here, with this layout, and is the caller's until it is given back.
        unsafe {
            std::ptr::write_bytes(pointer, 0, layout.size());
            System.dealloc(std::hint::black_box(pointer), layout);
        }
    }

    // `realloc` is the provided one, as the product's: a new block, a copy, and the old one through `dealloc`.
}

/// Counts from now on, from zero.
pub(crate) fn begin() {
    LIVE.store(0, Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
}

/// Bytes allocated since [`begin`] and not freed. Counts no longer.
pub(crate) fn end() -> i64 {
    ON.store(false, Ordering::Relaxed);
    LIVE.load(Ordering::Relaxed)
}
