//! Protobuf, written directly: what messages are made of.
//!
//! Messages whose length is known only behind them get four bytes for it in front, more than most need: a length may have
//! leading zeros, and so nothing has to be moved or measured twice.

use crate::model::{SampleRef, is_scope_label};

/// Bytes of a length that is filled in later.
pub(crate) const LENGTH_BYTES: usize = 4;
/// What fits into it.
pub(crate) const OPEN_BYTES_MAX: usize = (1 << (7 * LENGTH_BYTES)) - 1;

/// A field of wire type 0.
pub(crate) const fn varint(field: u8) -> u8 {
    field << 3
}

/// A field of wire type 1.
pub(crate) const fn fixed64(field: u8) -> u8 {
    field << 3 | 1
}

/// A field of wire type 2.
pub(crate) const fn delimited(field: u8) -> u8 {
    field << 3 | 2
}

/// Begins a message, and says where.
pub(crate) fn open(to: &mut Vec<u8>, tag: u8) -> usize {
    to.push(tag);
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    to.len()
}

/// Ends a message that began here.
pub(crate) fn close(to: &mut [u8], began: usize) {
    let len = to.len() - began;
    debug_assert!(len <= OPEN_BYTES_MAX);
    for at in 0..LENGTH_BYTES {
        let more = if at + 1 < LENGTH_BYTES { 0x80 } else { 0 };
        to[began - LENGTH_BYTES + at] = (len >> (7 * at)) as u8 & 0x7f | more;
    }
}

/// How many bytes a length takes.
pub(crate) const fn length_len(n: usize) -> usize {
    if n < 0x80 { 1 } else { (n.ilog2() as usize / 7) + 1 }
}

/// How many bytes a field of this many takes.
pub(crate) const fn field_len(n: usize) -> usize {
    1 + length_len(n) + n
}

pub(crate) fn length(to: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

pub(crate) fn bytes(to: &mut Vec<u8>, tag: u8, value: &[u8]) {
    to.push(tag);
    length(to, value.len());
    to.extend_from_slice(value);
}

/// How many bytes the labels of a series take, as attributes of its point; where it is `scoped`, without those that describe its scope.
#[inline]
pub(crate) fn labels_len(sample: &SampleRef<'_>, scoped: bool) -> usize {
    let of_point = |name: &[u8]| !scoped || !is_scope_label(name);
    sample.label_bytes().filter(|(name, _)| of_point(name)).map(|(name, value)| field_len(key_value_len(name, value))).sum()
}

const fn key_value_len(name: &[u8], value: &[u8]) -> usize {
    field_len(name.len()) + field_len(field_len(value.len()))
}

/// Writes the labels of a series as `repeated KeyValue`; where it is `scoped`, without those that describe its scope.
#[inline]
pub(crate) fn labels(to: &mut Vec<u8>, tag: u8, sample: &SampleRef<'_>, scoped: bool) {
    for (name, value) in sample.label_bytes() {
        if !scoped || !is_scope_label(name) {
            key_value(to, tag, name, value);
        }
    }
}

pub(crate) fn key_value(to: &mut Vec<u8>, tag: u8, name: &[u8], value: &[u8]) {
    const KEY: u8 = delimited(1);
    const VALUE: u8 = delimited(2);
    const STRING: u8 = delimited(1);
    let len = key_value_len(name, value);
    if len < 0x80 {
        // All lengths are one byte.
        to.extend_from_slice(&[tag, len as u8, KEY, name.len() as u8]);
        to.extend_from_slice(name);
        to.extend_from_slice(&[VALUE, value.len() as u8 + 2, STRING, value.len() as u8]);
        to.extend_from_slice(value);
        return;
    }
    to.push(tag);
    length(to, len);
    bytes(to, KEY, name);
    to.push(VALUE);
    length(to, field_len(value.len()));
    bytes(to, STRING, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_as_many_bytes_as_are_said() {
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, OPEN_BYTES_MAX] {
            let mut to = Vec::new();
            length(&mut to, n);
            assert_eq!(to.len(), length_len(n), "{n}");
            assert_eq!(prost::decode_length_delimiter(to.as_slice()).unwrap(), n);
        }
    }

    #[test]
    fn a_length_with_leading_zeros_is_the_same_length() {
        let mut to = vec![1, 2, 3];
        let began = open(&mut to, 0x0a);
        to.extend_from_slice(&[7; 300]);
        close(&mut to, began);
        assert_eq!(prost::decode_length_delimiter(&to[4..]).unwrap(), 300);
    }
}
