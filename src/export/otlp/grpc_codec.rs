//! The gRPC codec of the exporter: requests are encoded already, responses are decoded leniently.

use super::exporter::{RESPONSE_BYTES_MAX, decode_response};
use bytes::{Buf, BufMut, Bytes};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

/// A codec that sends bytes as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedRequestCodec;

impl Codec for EncodedRequestCodec {
    type Encode = Bytes;
    type Decode = ExportMetricsServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for EncodedRequestCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for EncodedRequestCodec {
    type Item = ExportMetricsServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Ok(Some(decode_response(from.copy_to_bytes(from.remaining()))))
    }
}

/// Returns true if tonic rejected a response because it exceeds [`RESPONSE_BYTES_MAX`]. The receiver has accepted the request then. A
/// receiver that rejects a request for its size has another limit.
pub(crate) fn is_response_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().ends_with(&format!("the limit is: {RESPONSE_BYTES_MAX} bytes"))
}
