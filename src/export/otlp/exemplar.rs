//! Encodes exemplars.

use super::wire::{bytes, delimited, double, eight_bytes, fixed64, key_value};
use crate::model::Exemplar;

/// Writes an exemplar as this field. An exemplar without a timestamp gets the time of the reading, as in Prometheus.
pub(crate) fn write_exemplar(to: &mut Vec<u8>, field: u8, exemplar: &Exemplar<'_>, reading_time: u64) {
    const TIME: u8 = fixed64(2);
    const VALUE: u8 = fixed64(3);
    const SPAN_ID: u8 = delimited(4);
    const TRACE_ID: u8 = delimited(5);
    const ATTRIBUTES: u8 = delimited(7);
    let mut message = Vec::new();
    eight_bytes(&mut message, TIME, if exemplar.time() == 0 { reading_time } else { exemplar.time() });
    double(&mut message, VALUE, exemplar.value());
    for (name, value) in exemplar.labels() {
        let id = match name {
            "trace_id" => from_hex::<16>(value).map(|id| (TRACE_ID, id.to_vec())),
            "span_id" => from_hex::<8>(value).map(|id| (SPAN_ID, id.to_vec())),
            _ => None,
        };
        match id {
            Some((field, id)) => bytes(&mut message, field, &id),
            None => key_value(&mut message, ATTRIBUTES, name.as_bytes(), value.as_bytes()),
        }
    }
    bytes(to, field, &message);
}

/// Decodes an id of exactly `BYTES` bytes from hexadecimal digits.
fn from_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut id = [0; BYTES];
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(id)
}
