//! The identity of a record.

/// The length of an identity in bytes: half a SHA-256, as long as a UUID.
pub const UID_BYTES: usize = 16;

/// The identity of a record, `log.record.uid`. It is the same whenever the record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordUid([u8; UID_BYTES]);

impl RecordUid {
    /// The identity with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; UID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The identity in hexadecimal.
    #[must_use]
    pub fn hex(&self) -> [u8; 2 * UID_BYTES] {
        hex(&self.0)
    }

    /// The identity in hexadecimal, as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.hex().into_iter().map(char::from).collect()
    }

    /// A shortened identity, which is unique within a window.
    #[must_use]
    pub fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8; UID_BYTES]) -> [u8; 2 * UID_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 2 * UID_BYTES];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}
