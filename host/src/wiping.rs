//! Heap memory that is zeroed when it is given back. What keybaton holds itself is zeroized where it is dropped; this is
//! for the libraries in between, which keep copies that nobody else reaches: a database client's configuration, a
//! connection's buffers, a value on its way into a guest. It reads nothing, and never keeps anything.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr;

/// The system's allocator, which forgets.
pub(crate) struct Wiping;

#[expect(unsafe_code, reason = "an allocator is made of nothing else")]
// SAFETY: everything is the system's; a block is written to only before it is given back, within its layout.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until it is given back, and as long as the layout says.
        unsafe {
            ptr::write_bytes(block, 0, layout.size());
            // What is written to a block that is then freed may be left out, unless somebody might look at it before.
            System.dealloc(black_box(block), layout);
        }
    }

    // `realloc` is the provided one: a new block, a copy, and the old one through `dealloc`. The system's own would
    // leave the old block as it was.
}
