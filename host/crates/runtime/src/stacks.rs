//! The host stacks on which guests' calls run, kept from call to call: to map and unmap one took a sixth of a call. What
//! a call left on one is wiped before the next gets it; guests cannot see them in any case, they hold frames of the host.
//!
//! Must never give one out twice at the same time, nor without a guard page below it.

#![expect(unsafe_code, reason = "wasmtime takes stacks as raw memory; each block says why it is sound")]

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::{StackCreator, StackMemory};

/// Stacks that are kept at once. Each that is kept holds [`WARM_BYTES`] of memory.
const KEPT: usize = 64;
/// The uppermost bytes, which a call nearly always uses: wiped, and left mapped. What lies below is given back to the
/// operating system, which has it zero when it is touched again.
const WARM_BYTES: usize = 64 << 10;

/// Stacks that no call runs on.
#[derive(Default)]
pub(crate) struct Stacks(Arc<Shelf>);

#[derive(Default)]
struct Shelf(Mutex<Vec<Mapping>>);

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Vec<Mapping>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard page, and above it the stack. Unmapped when it is dropped.
struct Mapping {
    guard: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it owns its pages, which nothing else points to but the one call that it was given to.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference only addresses are read.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `bytes` of stack, rounded up to whole pages, all zero.
    fn new(bytes: usize) -> rustix::io::Result<Self> {
        let bytes = bytes.next_multiple_of(page_size());
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: new pages, at an address that the kernel chooses.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes + page_size(), access, flags) }?;
        let guard = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        let mapping = Self { guard, bytes };
        // SAFETY: the lowest of those pages; nothing is in it yet.
        unsafe { mprotect(guard.as_ptr().cast(), page_size(), MprotectFlags::empty()) }?;
        Ok(mapping)
    }

    fn bottom(&self) -> *mut u8 {
        self.guard.as_ptr().wrapping_add(page_size())
    }

    fn top(&self) -> *mut u8 {
        self.bottom().wrapping_add(self.bytes)
    }

    /// Leaves nothing on it. The caller has no frame on it any more.
    fn wipe(&mut self) -> rustix::io::Result<()> {
        let warm = WARM_BYTES.min(self.bytes);
        let cold = self.bytes - warm;
        // SAFETY: the uppermost bytes of pages that this owns, readable and writable, and that no frame is on.
        unsafe { self.top().wrapping_sub(warm).write_bytes(0, warm) };
        if cold > 0 {
            // SAFETY: the other pages of it; private and anonymous, so that they are zero when next touched.
            unsafe { madvise(self.bottom().cast(), cold, Advice::LinuxDontNeed) }?;
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the pages that `new` mapped, which nothing points to any more.
        let unmapped = unsafe { munmap(self.guard.as_ptr().cast(), self.bytes + page_size()) };
        if let Err(error) = unmapped {
            tracing::error!(%error, "a stack could not be unmapped");
        }
    }
}

/// A stack that one call runs on; back on the shelf when wasmtime drops it, which is after the call's last frame.
struct Stack {
    mapping: Option<Mapping>,
    shelf: Arc<Shelf>,
}

impl Stack {
    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("taken only when it is dropped")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mut mapping) = self.mapping.take() else { return };
        if mapping.wipe().is_err() {
            return;
        }
        let mut kept = self.shelf.kept();
        if kept.len() < KEPT {
            kept.push(mapping);
        }
    }
}

// SAFETY: each stack is page-aligned, zero, of the size asked for, above a guard page, and of one call at a time.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let kept = self.0.kept().pop();
        let mapping = match kept.filter(|mapping| mapping.bytes >= size) {
            Some(mapping) => mapping,
            None => Mapping::new(size)?,
        };
        Ok(Box::new(Stack { mapping: Some(mapping), shelf: Arc::clone(&self.0) }))
    }
}

// SAFETY: the addresses are those of the mapping, which lives as long as this does.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.mapping().top()
    }

    fn range(&self) -> Range<usize> {
        self.mapping().bottom() as usize..self.mapping().top() as usize
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.mapping().guard.as_ptr()..self.mapping().bottom()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 1 << 20;

    fn bytes(stack: &mut dyn StackMemory) -> &mut [u8] {
        // SAFETY: all of a stack that only the test has, and only once at a time.
        unsafe { std::slice::from_raw_parts_mut(stack.range().start as *mut u8, stack.range().len()) }
    }

    /// What the kernel lets a process do with the page at this address.
    fn access(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| {
            let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
            (from..to).contains(&address)
        });
        line.unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_stack_that_comes_again_holds_nothing_of_the_call_before() {
        let stacks = Stacks::default();
        let mut first = stacks.new_stack(BYTES, false).unwrap();
        let place = first.range();
        bytes(&mut *first).fill(7);
        drop(first);
        let mut second = stacks.new_stack(BYTES, false).unwrap();
        assert_eq!(second.range(), place, "the same memory");
        assert!(bytes(&mut *second).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn no_two_calls_share_a_stack_and_each_has_a_guard_below_it() {
        let stacks = Stacks::default();
        for _ in 0..3 {
            let all: Vec<_> = (0..KEPT + 8).map(|_| stacks.new_stack(BYTES, false).unwrap()).collect();
            let mut places: Vec<_> = all.iter().map(|stack| stack.range()).collect();
            places.sort_by_key(|place| place.start);
            assert!(places.windows(2).all(|two| two[0].end < two[1].start));
            for stack in &all {
                let (range, guard) = (stack.range(), stack.guard_range());
                assert_eq!((range.len(), range.start % page_size()), (BYTES, 0));
                assert_eq!((guard.end as usize, stack.top() as usize), (range.start, range.end));
                assert_eq!(access(guard.start as usize), "---p");
                assert_eq!(access(range.start), "rw-p");
            }
            drop(all);
            assert_eq!(stacks.0.kept().len(), KEPT, "and no more are kept");
        }
    }

    #[test]
    fn one_that_is_too_small_is_not_given_out() {
        let stacks = Stacks::default();
        drop(stacks.new_stack(page_size(), false).unwrap());
        assert_eq!(stacks.new_stack(BYTES, false).unwrap().range().len(), BYTES);
    }
}
