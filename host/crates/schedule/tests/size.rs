//! What a declared secret costs in memory. The allocator counts; the aim is below 1 KiB.

use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::declaration::{Input, load};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of one declared secret, names and settings of its own included.
const AIM_BYTES: usize = 640;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn ten_thousand_secrets_that_share_their_policy_stay_small() {
    const SECRETS: usize = 10_000;
    let mut text = "secrets:\n".to_owned();
    for number in 0..SECRETS {
        writeln!(
            text,
            "  - {{ name: payments/database-{number}, plugin: postgres-password, connection: pg-main, \
             settings: {{ roles: [app_{number}_a, app_{number}_b], group: app_{number} }}, \
             cadence: {{ cron: '0 3 * * mon', zone: Europe/Berlin, jitter: 10m }}, \
             stagger: {{ group: databases, at_least: 1s }}, \
             consumers: {{ app: {{ members: [app-1, app-2, app-3] }} }} }}"
        )
        .unwrap();
    }
    let loaded = load(&[Input { name: "a.yaml", text: &text }], &Catalog::unknown());
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    drop(loaded.sources);
    let mut specs = loaded.specs;
    specs.shrink_to_fit();
    let with = HELD.load(Ordering::Relaxed);
    assert_eq!(specs.len(), SECRETS);
    drop(specs);
    let each = (with - HELD.load(Ordering::Relaxed)) / SECRETS;
    assert!(each < AIM_BYTES, "{each} bytes for one secret");
    assert!(each > 100, "{each} bytes cannot be right");
}
