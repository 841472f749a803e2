//! The text of a response, whose memory is used again.
//!
//! The memory of a large buffer is returned to the kernel when it is freed, and the kernel clears it again, page by page, for the next one.
//! A response of a mail server is about as long as its last one, so one buffer is kept.

use parking_lot::Mutex;
use std::mem::take;
use std::ops::{Deref, DerefMut};

/// A smaller buffer is not kept: its memory comes from the heap, which keeps it anyway.
const KEPT_BYTES_MIN: usize = 128 * 1024;
/// A larger buffer is not kept, because it would be unused memory between two polls.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A buffer is used again if it is larger than needed by at most one n-th.
const UNUSED_SHARE: usize = 4;

/// The buffer of the last body that was freed.
static FREE_BUFFER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Returns an empty buffer of at least this capacity.
pub(crate) fn buffer_with_capacity(capacity: usize) -> Vec<u8> {
    let mut free = FREE_BUFFER.lock();
    let is_useful = capacity >= KEPT_BYTES_MIN && free.capacity() <= capacity.saturating_add(capacity / UNUSED_SHARE);
    let mut buffer = if is_useful { take(&mut *free) } else { Vec::new() };
    drop(free);
    buffer.reserve_exact(capacity);
    buffer
}

/// The text of a response.
#[derive(Clone, Debug, Default)]
pub(super) struct Body(pub(super) String);

impl Body {
    /// Takes the bytes out of the body.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        take(&mut self.0).into_bytes()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&self.0.capacity()) {
            let mut buffer = self.take_bytes();
            buffer.clear();
            // The memory of the other one is freed after the lock.
            let _freed = std::mem::replace(&mut *FREE_BUFFER.lock(), buffer);
        }
    }
}

impl Deref for Body {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_empty_and_has_the_capacity() {
        // Other tests use the free buffer, too, so its address is not known.
        for capacity in [0, 10, KEPT_BYTES_MIN, KEPT_BYTES_MIN + 1, 1_000_000, KEPT_BYTES_MAX + 1] {
            drop(Body("x".repeat(capacity)));
            for wanted in [0, 1, capacity / 2, capacity, 2 * capacity] {
                let buffer = buffer_with_capacity(wanted);
                assert!(buffer.is_empty());
                assert!((wanted..=wanted + wanted / UNUSED_SHARE).contains(&buffer.capacity()), "{wanted}: {}", buffer.capacity());
            }
        }
    }
}
