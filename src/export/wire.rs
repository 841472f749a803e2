//! Elements of the Protobuf wire format. Native metrics are written directly, which is about ten times faster than building messages.
//!
//! A message whose length is not known in advance reserves four bytes for it, which is more than most need. Protobuf allows leading zeros
//! in a length, so nothing has to be moved or measured twice.

use crate::model::short_bytes::append;
use crate::model::{NANOS_PER_SECOND, SampleRef, escaped_by_values, is_scope_label, is_translatable};
use std::borrow::Cow;

/// The number of bytes that are reserved for the length of an open message.
pub(crate) const LENGTH_BYTES: usize = 4;
/// The largest length that fits into the reserved bytes.
pub(crate) const OPEN_BYTES_MAX: usize = (1 << (7 * LENGTH_BYTES)) - 1;

/// The tag of a field of wire type 0.
pub(crate) const fn varint(field: u8) -> u8 {
    field << 3
}

/// The tag of a field of wire type 1.
pub(crate) const fn fixed64(field: u8) -> u8 {
    field << 3 | 1
}

/// The tag of a field of wire type 2.
pub(crate) const fn delimited(field: u8) -> u8 {
    field << 3 | 2
}

/// Opens a message whose length is not known yet. Returns the position of its content, for [`close`].
pub(crate) fn open(to: &mut Vec<u8>, tag: u8) -> usize {
    to.push(tag);
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    to.len()
}

/// Closes a message whose content starts at `start`.
pub(crate) fn close(to: &mut [u8], start: usize) {
    let len = to.len() - start;
    debug_assert!(len <= OPEN_BYTES_MAX);
    for at in 0..LENGTH_BYTES {
        let more = if at + 1 < LENGTH_BYTES { 0x80 } else { 0 };
        to[start - LENGTH_BYTES + at] = (len >> (7 * at)) as u8 & 0x7f | more;
    }
}

/// The encoded size of a length.
pub(crate) const fn length_len(n: usize) -> usize {
    if n < 0x80 { 1 } else { (n.ilog2() as usize / 7) + 1 }
}

/// The encoded size of a field with a value of `n` bytes.
pub(crate) const fn field_len(n: usize) -> usize {
    1 + length_len(n) + n
}

/// Writes a length.
pub(crate) fn length(to: &mut Vec<u8>, n: usize) {
    number(to, n as u64);
}

/// Writes a number without its tag, in wire type 0.
pub(crate) fn number(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

/// The encoding of a signed number in which small absolute values are short.
pub(crate) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The encoded size of a field of wire type 1.
pub(crate) const FIXED_LEN: usize = 9;

/// Writes a whole number as a field of wire type 1.
#[inline]
pub(crate) fn eight_bytes(to: &mut Vec<u8>, tag: u8, value: u64) {
    let mut field = [tag; FIXED_LEN];
    field[1..].copy_from_slice(&value.to_le_bytes());
    to.extend_from_slice(&field);
}

/// Writes a double as a field of wire type 1.
#[inline]
pub(crate) fn double(to: &mut Vec<u8>, tag: u8, value: f64) {
    eight_bytes(to, tag, value.to_bits());
}

/// Writes a `google.protobuf.Timestamp`.
pub(crate) fn timestamp(to: &mut Vec<u8>, tag: u8, unix_nanos: u64) {
    const SECONDS: u8 = varint(1);
    const NANOS: u8 = varint(2);
    let start = open(to, tag);
    to.push(SECONDS);
    number(to, unix_nanos / NANOS_PER_SECOND);
    to.push(NANOS);
    number(to, unix_nanos % NANOS_PER_SECOND);
    close(to, start);
}

/// Writes a field of wire type 2.
pub(crate) fn bytes(to: &mut Vec<u8>, tag: u8, value: &[u8]) {
    to.push(tag);
    length(to, value.len());
    append(to, value);
}

/// The encoded size of the labels of a series as attributes of its point. If `is_scoped`, labels that describe the scope are left out.
#[inline]
pub(crate) fn labels_len(sample: &SampleRef<'_>, is_scoped: bool) -> usize {
    let is_attribute = |name: &[u8]| !is_scoped || !is_scope_label(name);
    let attributes = sample.label_bytes().filter(|(name, _)| is_attribute(name));
    attributes.map(|(name, value)| field_len(key_value_len(&attribute_name(name), value))).sum()
}

const fn key_value_len(name: &[u8], value: &[u8]) -> usize {
    field_len(name.len()) + field_len(field_len(value.len()))
}

/// Writes the labels of a series as `repeated KeyValue`. If `is_scoped`, labels that describe the scope are left out.
#[inline]
pub(crate) fn labels(to: &mut Vec<u8>, tag: u8, sample: &SampleRef<'_>, is_scoped: bool) {
    for (name, value) in sample.label_bytes() {
        if !is_scoped || !is_scope_label(name) {
            key_value(to, tag, &attribute_name(name), value);
        }
    }
}

/// The name of a label as an attribute. One that Prometheus' OTLP receiver cannot translate is escaped: the receiver would reject the whole
/// request, with the metrics of all targets.
#[inline]
pub(crate) fn attribute_name(name: &[u8]) -> Cow<'_, [u8]> {
    if is_translatable(name) { Cow::Borrowed(name) } else { Cow::Owned(escaped_by_values(&String::from_utf8_lossy(name)).into_bytes()) }
}

/// Writes a `KeyValue` with a string.
pub(crate) fn key_value(to: &mut Vec<u8>, tag: u8, name: &[u8], value: &[u8]) {
    const KEY: u8 = delimited(1);
    const VALUE: u8 = delimited(2);
    const STRING: u8 = delimited(1);
    let len = key_value_len(name, value);
    if len < 0x80 {
        // All lengths fit into one byte.
        to.extend_from_slice(&[tag, len as u8, KEY, name.len() as u8]);
        append(to, name);
        to.extend_from_slice(&[VALUE, value.len() as u8 + 2, STRING, value.len() as u8]);
        append(to, value);
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
    fn the_size_of_a_length_is_known_before_it_is_written() {
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, OPEN_BYTES_MAX] {
            let mut to = Vec::new();
            length(&mut to, n);
            assert_eq!(to.len(), length_len(n), "{n}");
            assert_eq!(prost::decode_length_delimiter(to.as_slice()).unwrap(), n);
        }
    }

    #[test]
    fn a_length_with_leading_zeros_is_decoded() {
        let mut to = vec![1, 2, 3];
        let start = open(&mut to, 0x0a);
        to.extend_from_slice(&[7; 300]);
        close(&mut to, start);
        assert_eq!(prost::decode_length_delimiter(&to[4..]).unwrap(), 300);
    }
}
