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
static LAST: FreeBuffer = FreeBuffer(Mutex::new(Vec::new()));

/// Returns an empty buffer of at least this capacity.
pub(crate) fn buffer_with_capacity(capacity: usize) -> Vec<u8> {
    LAST.with_capacity(capacity)
}

/// A buffer that is not used.
struct FreeBuffer(Mutex<Vec<u8>>);

impl FreeBuffer {
    fn with_capacity(&self, capacity: usize) -> Vec<u8> {
        let mut free = self.0.lock();
        let is_useful = capacity >= KEPT_BYTES_MIN && free.capacity() <= capacity.saturating_add(capacity / UNUSED_SHARE);
        let mut buffer = if is_useful { take(&mut *free) } else { Vec::new() };
        drop(free);
        buffer.reserve_exact(capacity);
        buffer
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        if (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            // The memory of the other one is freed after the lock.
            let _freed = std::mem::replace(&mut *self.0.lock(), buffer);
        }
    }
}

/// The text of a response.
#[derive(Clone, Debug, Default)]
pub(super) struct Body(pub(super) String);

impl Drop for Body {
    fn drop(&mut self) {
        LAST.keep(take(&mut self.0).into_bytes());
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
    fn a_large_buffer_is_used_again_if_it_fits() {
        for (kept, wanted, is_same) in [
            (1_000_000, 1_000_000, true),
            (1_000_000, 800_000, true),
            (1_000_000, 799_999, false),
            (KEPT_BYTES_MAX, KEPT_BYTES_MAX, true),
            (KEPT_BYTES_MAX + 1, KEPT_BYTES_MAX + 1, false),
            (KEPT_BYTES_MIN - 1, KEPT_BYTES_MIN, false),
            (KEPT_BYTES_MIN, KEPT_BYTES_MIN - 1, false),
            (KEPT_BYTES_MIN, 0, false),
        ] {
            let free = FreeBuffer(Mutex::new(Vec::new()));
            let mut body = Vec::with_capacity(kept);
            body.push(7);
            let address = body.as_ptr();
            free.keep(body);
            let is_kept = (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&kept);
            let buffer = free.with_capacity(wanted);
            assert!(buffer.is_empty() && buffer.capacity() >= wanted, "{kept}, {wanted}");
            assert_eq!(is_kept && buffer.as_ptr() == address, is_same, "{kept}, {wanted}");
            let left = free.0.lock().capacity();
            assert_eq!(left > 0, is_kept && !is_same, "{kept}, {wanted}");
        }
    }
}
