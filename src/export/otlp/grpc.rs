//! Unary gRPC requests whose message is encoded and compressed already.
//!
//! tonic's client compresses each message itself, again for each attempt and at a level that costs more than everything else in a push.
//! tonic still opens connections, and reads the status of a response.

use super::exporter::{RESPONSE_BYTES_MAX, decode_response, unreadable_response};
use super::http_response;
use super::response::SendError;
use crate::config::Compression;
use crate::export::request_body::{RequestBody, decompress};
use crate::net::root_cause;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;
use tonic::{Code, Status, TimeoutExpired};

/// The length of the prefix of a message: a flag whether it is compressed, and its length.
const PREFIX_LEN: usize = 5;
/// The problem of a response whose HTTP status is a success and that has no gRPC status.
const NO_STATUS: &str = "the response has no gRPC status, so it is incomplete or not from an OTLP receiver";
/// The header with the code of a status.
const CODE: &str = "grpc-status";
/// The header with the message of a status.
const MESSAGE: &str = "grpc-message";
/// The header with details of a status.
const DETAILS: &str = "grpc-status-details-bin";
/// Details of a status: base64 with or without padding.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Sends a request and returns the response.
///
/// # Errors
/// Fails if the receiver does not accept the request.
pub(crate) async fn send(
    mut channel: Channel,
    path: &'static str,
    headers: HeaderMap,
    timeout: Duration,
    body: &RequestBody,
) -> Result<ExportMetricsServiceResponse, SendError> {
    let deadline = Instant::now() + timeout;
    let late = || SendError::Unreachable(format!("no response within {timeout:?}"));
    let request = request(path, headers, timeout, body)?;
    let head = async {
        poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| SendError::Unreachable(root_cause(&error)))?;
        // tonic reads the timeout from the header and has a text of its own.
        let failed = |error: tonic::transport::Error| {
            if is_timeout(&error) { late() } else { SendError::from_grpc(&Status::from_error(error.into())) }
        };
        channel.call(request).await.map_err(failed)
    };
    let response = timeout_at(deadline, head).await.map_err(|_| late())??;
    if response.status().is_success() && http_response::is_web_page(response.headers()) {
        return Err(http_response::web_page());
    }
    let http_status = response.status();
    let read = timeout_at(deadline, read(response)).await;
    // A proxy has rejected the request, even if the body of its response is late.
    read.map_err(|_| if http_status.is_success() { late() } else { SendError::from_grpc(&status_of_http(http_status)) })?
}

/// Returns true if tonic ended the request at its timeout.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|error| error.is::<TimeoutExpired>())
}

fn request(path: &'static str, headers: HeaderMap, timeout: Duration, body: &RequestBody) -> Result<Request<Body>, SendError> {
    let len = u32::try_from(body.bytes.len()).map_err(|_| SendError::TooLarge("gRPC messages have at most 4 GiB".to_owned()))?;
    let mut prefix = BytesMut::with_capacity(PREFIX_LEN);
    prefix.put_u8(u8::from(body.compression != Compression::None));
    prefix.put_u32(len);
    let mut request = Request::new(Body::new(Message([prefix.freeze(), body.bytes.clone()])));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let timeout = format!("{}m", timeout.as_millis());
    headers.insert("grpc-timeout", HeaderValue::try_from(timeout).map_err(|error| SendError::Config(format!("timeout: {error}")))?);
    if let Some(coding) = body.compression.coding() {
        headers.insert("grpc-encoding", HeaderValue::from_static(coding));
        headers.insert("grpc-accept-encoding", HeaderValue::from_static(coding));
    }
    Ok(request)
}

/// The frames of a message that have not been sent yet.
struct Message([Bytes; 2]);

impl HttpBody for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.iter_mut().find(|bytes| !bytes.is_empty()).map(std::mem::take);
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }
}

/// Reads a response. Once the status is a success, a message that cannot be decoded is a warning only.
async fn read(response: Response<Body>) -> Result<ExportMetricsServiceResponse, SendError> {
    let (head, mut body) = response.into_parts();
    if let Some(status) = status(&head.headers) {
        return if status.code() == Code::Ok { Ok(ExportMetricsServiceResponse::default()) } else { Err(SendError::from_grpc(&status)) };
    }
    let (mut data, mut is_too_long, mut trailers) = (BytesMut::new(), false, HeaderMap::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = match frame {
            Ok(frame) => frame,
            // The status of HTTP, which a proxy sent, is known.
            Err(_) if !head.status.is_success() => break,
            Err(status) => return Err(SendError::from_grpc(&status)),
        };
        match frame.into_data() {
            Ok(bytes) if data.len() + bytes.len() <= RESPONSE_BYTES_MAX + PREFIX_LEN => data.extend_from_slice(&bytes),
            Ok(_) => is_too_long = true,
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let status = match status(&trailers) {
        Some(status) => status,
        // The end of the response is missing, so it is not known whether the request was accepted.
        None if head.status.is_success() => return Err(SendError::Unreachable(NO_STATUS.to_owned())),
        None => status_of_http(head.status),
    };
    if status.code() != Code::Ok {
        return Err(SendError::from_grpc(&status));
    }
    if is_too_long {
        return Ok(unreadable_response("it is too long"));
    }
    let encoding = head.headers.get("grpc-encoding").and_then(|value| value.to_str().ok());
    Ok(message(data.freeze(), encoding).map_or_else(|problem| unreadable_response(&problem), decode_response))
}

/// Returns the message of a response. Servers in Go compress the response like the request, whatever the request accepts.
fn message(mut data: Bytes, encoding: Option<&str>) -> Result<Bytes, String> {
    if data.is_empty() {
        return Ok(data);
    }
    let (Ok(flag), Ok(len)) = (data.try_get_u8(), data.try_get_u32()) else { return Err("it is too short".to_owned()) };
    if data.len() != len as usize {
        return Err("it has another length than its prefix".to_owned());
    }
    let compression = match flag {
        0 => Compression::None,
        _ => {
            let known = [Compression::Gzip, Compression::Zstd].into_iter().find(|known| known.coding() == encoding);
            known.ok_or("its compression is not supported")?
        }
    };
    decompress(&data, compression, RESPONSE_BYTES_MAX).map_err(|error| error.to_string())
}

/// Returns the status in headers or trailers. An invalid message or invalid details do not change the code, as gRPC demands: tonic would
/// replace the code, or panic.
fn status(headers: &HeaderMap) -> Option<Status> {
    let code = Code::from_bytes(headers.get(CODE)?.as_bytes());
    let message = headers.get(MESSAGE).map(|message| decoded_message(message.as_bytes())).unwrap_or_default();
    let details = headers.get(DETAILS).and_then(|details| BASE64.decode(details).ok()).unwrap_or_default();
    Some(Status::with_details(code, message, details.into()))
}

/// Decodes a message. An invalid escape is kept, and bytes that are not valid UTF-8 are replaced.
fn decoded_message(message: &[u8]) -> String {
    let (mut decoded, mut rest) = (Vec::with_capacity(message.len()), message);
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        let byte = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &rest[3..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The status of a response without a gRPC status, which a proxy sent: as gRPC defines it for the HTTP status.
fn status_of_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let hint = if status.is_redirection() { "; redirects are not followed, set export.otlp.endpoint to the final URL" } else { "" };
    Status::new(code, format!("the response has no gRPC status: HTTP status code {}{hint}", status.as_u16()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The data of a response with this message.
    fn framed(flag: u8, message: &[u8]) -> Bytes {
        [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat().into()
    }

    #[test]
    fn compressed_responses_are_decompressed() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let body = RequestBody::compressed("a response".into(), compression);
            assert_eq!(message(framed(1, &body.bytes), compression.coding()).unwrap(), "a response");
        }
        for encoding in [None, Some("gzip"), Some("unknown")] {
            assert_eq!(message(framed(0, b"a response"), encoding).unwrap(), "a response", "{encoding:?}");
        }
        assert_eq!(message(Bytes::new(), None).unwrap(), "");
    }

    #[test]
    fn invalid_responses_are_recognized() {
        let gzip = RequestBody::compressed("a response".into(), Compression::Gzip).bytes;
        let bomb = RequestBody::compressed(vec![0; RESPONSE_BYTES_MAX + 1].into(), Compression::Gzip).bytes;
        for (data, encoding) in [
            (framed(1, &gzip), None),
            (framed(1, &gzip), Some("zstd")),
            (framed(1, &gzip), Some("snappy")),
            (framed(1, b"not compressed"), Some("gzip")),
            (framed(1, &bomb), Some("gzip")),
            (framed(0, b"message").slice(..PREFIX_LEN - 1), None),
            (framed(0, b"message").slice(..PREFIX_LEN + 1), None),
        ] {
            assert!(message(data.clone(), encoding).is_err(), "{data:?} {encoding:?}");
        }
    }

    #[test]
    fn invalid_details_of_a_status_are_ignored() {
        let headers = |details: &str| {
            [("grpc-status", "8"), ("grpc-message", "busy"), (DETAILS, details)]
                .into_iter()
                .map(|(name, value)| (http::HeaderName::try_from(name).unwrap(), value.try_into().unwrap()))
                .collect::<HeaderMap>()
        };
        for details in ["!", "CAE", "CAE=", "a", ""] {
            let status = status(&headers(details)).unwrap();
            assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "busy"), "{details}");
        }
    }

    #[test]
    fn a_proxy_that_rejects_the_size_is_recognized() {
        let error = SendError::from_grpc(&status_of_http(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(error.error_type(), "too_large");
        let error = SendError::from_grpc(&status_of_http(StatusCode::BAD_GATEWAY));
        assert_eq!(error.error_type(), "busy");
    }
}
