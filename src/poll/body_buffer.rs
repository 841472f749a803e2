//! A response body while it arrives, in one buffer that is as large as the last body of the part was.
//!
//! A buffer that begins empty is copied several times while it grows, and ends with up to half of its memory unused.
//!
//! # The length in a header is not trusted
//!
//! Memory is reserved for a length that a response of this server has had, or in proportion to what has arrived. A server that only
//! announces a large response gets no memory for it.

use crate::model::buffer_with_capacity;

/// The smallest size of a buffer.
const BUFFER_BYTES_MIN: usize = 4 * 1024;
/// A body may be longer than the last one by one n-th without a second buffer.
const GROWTH_SHARE: usize = 32;

/// The bytes of a body that have arrived.
#[derive(Debug)]
pub(super) struct BodyBuffer {
    bytes: Vec<u8>,
    /// The length of the body, if the response announces it.
    content_length: Option<usize>,
}

impl BodyBuffer {
    /// Creates a buffer. `bytes_expected` is the length of the last body.
    pub(super) fn new(bytes_expected: usize, content_length: Option<usize>) -> Self {
        let expected = bytes_expected + bytes_expected / GROWTH_SHARE;
        let capacity = content_length.map_or(expected, |announced| announced.min(expected));
        Self { bytes: buffer_with_capacity(capacity), content_length }
    }

    /// The number of bytes that have arrived.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        let needed = self.bytes.len() + chunk.len();
        if needed > self.bytes.capacity() {
            let doubled = (2 * self.bytes.len()).max(BUFFER_BYTES_MIN);
            let capacity = self.content_length.map_or(doubled, |announced| announced.min(doubled)).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// The whole body.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the largest capacity while a body of this length arrives, and the number of buffers.
    fn receive(expected: usize, content_length: Option<usize>, len: usize) -> (usize, usize) {
        let mut body = BodyBuffer::new(expected, content_length);
        let (mut capacity, mut buffers) = (body.bytes.capacity(), 1);
        for chunk in vec![7; len].chunks(1000) {
            body.add(chunk);
            buffers += usize::from(body.bytes.capacity() != capacity);
            capacity = body.bytes.capacity();
        }
        assert_eq!(body.len(), len);
        assert_eq!(body.into_bytes(), vec![7; len]);
        (capacity, buffers)
    }

    #[test]
    fn a_body_like_the_last_one_needs_one_buffer() {
        for content_length in [None, Some(100_000)] {
            assert_eq!(receive(100_000, content_length, 100_000).1, 1);
        }
        assert_eq!(receive(100_000, None, 103_000), (103_125, 1));
        assert_eq!(receive(100_000, Some(50_000), 50_000), (50_000, 1), "a shorter body needs less memory");
        assert_eq!(receive(100_000, Some(150_000), 150_000), (150_000, 2));
    }

    #[test]
    fn an_announced_length_alone_reserves_no_memory() {
        assert_eq!(receive(0, Some(usize::MAX), 10), (BUFFER_BYTES_MIN, 2));
        assert!(receive(0, Some(usize::MAX), 100_000).0 <= 200_000);
        assert_eq!(receive(0, Some(70_000), 70_000).0, 70_000);
        assert_eq!(receive(0, Some(10), 20_000).0, 20_000, "a wrong length is harmless");
    }
}
