//! Reads requests of Prometheus' remote write, version 1: a protocol buffer, compressed with snappy by Prometheus and with zstd by vmagent.

use crate::common::is_named;
use crate::sink::Tally;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
}

/// Counts the samples of a request.
pub fn read(headers: &http::HeaderMap, body: &[u8], tally: &mut Tally) {
    let bytes = match headers.get(http::header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        Some(b"snappy") => decompress_snappy(body),
        Some(b"zstd") => zstd::decode_all(body).unwrap(),
        other => panic!("a request has an unexpected encoding: {other:?}"),
    };
    for series in WriteRequest::decode(&*bytes).unwrap().series {
        if series.labels.iter().any(|label| label.name == "__name__" && is_named(&label.value)) {
            series.samples.iter().for_each(|sample| tally.add(sample.value));
        }
    }
}

/// Decompresses a block of snappy: its length, then pieces that are literal or copies of earlier bytes.
fn decompress_snappy(mut input: &[u8]) -> Vec<u8> {
    let len = prost::decode_length_delimiter(&mut input).unwrap();
    let mut output = Vec::with_capacity(len);
    while let [tag, rest @ ..] = input {
        let (kind, high) = (tag & 3, usize::from(tag >> 2));
        // The bytes of the length of a long literal, or of the offset of a copy.
        let extra = match kind {
            0 => high.saturating_sub(59),
            3 => 4,
            kind => usize::from(kind),
        };
        let (number, rest) = rest.split_at(extra);
        let number = number.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte));
        input = rest;
        if kind == 0 {
            let (literal, rest) = input.split_at(1 + if extra > 0 { number } else { high });
            output.extend_from_slice(literal);
            input = rest;
            continue;
        }
        let (len, offset) = match kind {
            1 => (4 + (high & 7), (high >> 3) << 8 | number),
            _ => (1 + high, number),
        };
        let start = output.len() - offset;
        // A copy may overlap what it writes.
        (start..start + len).for_each(|at| output.push(output[at]));
    }
    assert_eq!(output.len(), len, "a block of snappy is incomplete");
    output
}
