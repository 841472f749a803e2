//! The bodies of successful HTTP responses.
//!
//! OTLP requires a response in the encoding of the request, which is Protobuf. Receivers also send nothing, JSON or plain text: the status
//! counts, as for the Collector. A web page is different: a login page or another service responded in place of a receiver.

use super::exporter::{RESPONSE_BYTES_MAX, decode_response, unreadable_response};
use super::response::{SendError, shortened};
use crate::config::Compression;
use crate::export::queue::request_exporter::PartialSuccess;
use crate::export::request_body::decompress;
use crate::net::{GZIP_CODINGS, content_codings};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message;
use serde_json::Value;
use std::time::Duration;
use tonic_types::Status;

/// The media types of web pages.
const PAGE_TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];
/// The media types of Protobuf. Responses without a type have none of these, but are decoded as Protobuf.
const PROTOBUF_TYPES: [&str; 4] = ["application/x-protobuf", "application/protobuf", "application/octet-stream", ""];
/// The beginnings of web pages, in lower case.
const PAGE_BEGINNINGS: [&[u8]; 2] = [b"<!doctype html", b"<html"];
/// The names of the rejected points or records, in JSON.
const REJECTED: [&str; 2] = ["rejectedDataPoints", "rejectedLogRecords"];

/// Returns the result that a whole response is, as a request that gets it has it. `retry_after`: the time of its header.
///
/// # Errors
/// The status is not a success, or the response is a web page.
pub fn result_of_response(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    retry_after: Option<Duration>,
) -> Result<PartialSuccess, SendError> {
    decode_with_status(status, headers, body, retry_after).map(partial_success)
}

/// Decodes a response whose status is not known to be a success.
///
/// # Errors
/// The status is not a success, or the response is a web page.
pub(super) fn decode_with_status(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    retry_after: Option<Duration>,
) -> Result<ExportMetricsServiceResponse, SendError> {
    let decompressed = decompressed(headers, body);
    if status.is_success() {
        return match decompressed {
            Ok(body) => decode(headers, &body),
            Err(_) if is_web_page(headers) => Err(web_page()),
            Err(problem) => Ok(unreadable_response(&problem)),
        };
    }
    let message = match decompressed {
        Ok(body) => error_message(headers, &body),
        // A wrong Content-Encoding, such as a character set, does not make a text unreadable.
        Err(problem) => match std::str::from_utf8(body) {
            Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => text.to_owned(),
            _ => format!("(the response cannot be decoded: {problem})"),
        },
    };
    Err(SendError::from_http(status, message.as_bytes(), retry_after))
}

/// Decompresses the body of a response.
///
/// # Errors
/// The compression is not supported, or the data is invalid, incomplete or too long.
fn decompressed(headers: &HeaderMap, body: &[u8]) -> Result<Bytes, String> {
    let codings = content_codings(headers).join(", ");
    let compression = match codings.as_str() {
        "" => Compression::None,
        gzip if GZIP_CODINGS.contains(&gzip) => Compression::Gzip,
        "zstd" => Compression::Zstd,
        other => return Err(format!("its Content-Encoding {} is not supported", shortened(other))),
    };
    let compression = if body.is_empty() { Compression::None } else { compression };
    decompress(&Bytes::copy_from_slice(body), compression, RESPONSE_BYTES_MAX).map_err(|error| error.to_string())
}

/// The message of a response with an error: that of the `Status`, if the body is one in Protobuf, or else the body. A text can be valid
/// Protobuf, with unknown fields only.
fn error_message(headers: &HeaderMap, body: &[u8]) -> String {
    let status = if PROTOBUF_TYPES[..2].contains(&media_type(headers).as_str()) { Status::decode(body).ok() } else { None };
    status.filter(|status| !status.message.is_empty()).map_or_else(|| String::from_utf8_lossy(body).into_owned(), |status| status.message)
}

/// Returns the rejected points or records of a response, and its message, shortened.
pub(super) fn partial_success(response: ExportMetricsServiceResponse) -> PartialSuccess {
    let partial = response.partial_success.unwrap_or_default();
    PartialSuccess { rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0), message: shortened(&partial.error_message) }
}

/// Decodes the body of a successful response. One that cannot be decoded is a warning only, because the status is a success.
///
/// # Errors
/// The response is a web page.
fn decode(headers: &HeaderMap, body: &[u8]) -> Result<ExportMetricsServiceResponse, SendError> {
    let media_type = media_type(headers);
    if body.is_empty() {
        return Ok(ExportMetricsServiceResponse::default());
    }
    if is_page_type(&media_type) || has_page_beginning(body) {
        return Err(web_page());
    }
    Ok(match media_type.as_str() {
        "application/json" => decode_json(body).unwrap_or_else(|problem| unreadable_response(&problem)),
        known if PROTOBUF_TYPES.contains(&known) => decode_response(body),
        other => unreadable_response(&format!("its type is {}; is this an OTLP receiver?", shortened(other))),
    })
}

/// Returns true if a response has the type of a web page.
pub(super) fn is_web_page(headers: &HeaderMap) -> bool {
    is_page_type(&media_type(headers))
}

/// The error of a web page. It is retried, because the page may be that of a proxy in front of a receiver.
pub(super) fn web_page() -> SendError {
    SendError::Unreachable("the response is a web page, so this is probably not an OTLP receiver".to_owned())
}

/// The media type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_page_type(media_type: &str) -> bool {
    PAGE_TYPES.contains(&media_type)
}

fn has_page_beginning(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii_start();
    PAGE_BEGINNINGS.iter().any(|beginning| body.get(..beginning.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(beginning)))
}

fn decode_json(body: &[u8]) -> Result<ExportMetricsServiceResponse, String> {
    let response: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let partial_success = match response {
        Value::Object(mut members) => members.remove("partialSuccess").filter(|partial| !partial.is_null()),
        _ => return Err("it is not a JSON object".to_owned()),
    };
    let partial_success = partial_success.map(|partial| ExportMetricsPartialSuccess {
        rejected_data_points: REJECTED.iter().find_map(|name| integer(partial.get(name)?)).unwrap_or_default(),
        error_message: partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned(),
    });
    Ok(ExportMetricsServiceResponse { partial_success })
}

/// An integer of 64 bits, which JSON of Protobuf has as a string.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(media_type: &str, body: &[u8]) -> Result<(i64, String), SendError> {
        let headers = HeaderValue::from_str(media_type).map(|value| HeaderMap::from_iter([(CONTENT_TYPE, value)])).unwrap_or_default();
        let partial = decode(&headers, body)?.partial_success.unwrap_or_default();
        Ok((partial.rejected_data_points, partial.error_message))
    }

    #[test]
    fn a_web_page_is_not_an_accepted_request() {
        for (media_type, body) in [
            ("text/html", "<html><title>Sign in</title></html>"),
            ("Text/HTML; charset=utf-8", "Welcome"),
            ("application/xhtml+xml", "<?xml version='1.0'?>"),
            ("", "<!DOCTYPE html><html></html>"),
            ("application/x-protobuf", "\u{feff}\n <HTML>"),
        ] {
            let error = decoded(media_type, body.as_bytes()).map_err(|error| (error.error_type(), error.to_string()));
            let text = "the response is a web page, so this is probably not an OTLP receiver; check the endpoint, including http or https, and that the \
                        receiver is running";
            assert_eq!(error, Err(("unreachable", text.to_owned())), "{media_type} {body}");
        }
    }

    #[test]
    fn partial_success_is_decoded_in_both_encodings() -> Result<(), SendError> {
        let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "old".to_owned() });
        let bytes = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
        for media_type in ["application/x-protobuf", "application/octet-stream", ""] {
            assert_eq!(decoded(media_type, &bytes)?, (3, "old".to_owned()));
        }
        for (json, expected) in [
            (r#"{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "old"}}"#, (3, "old")),
            (r#"{"partialSuccess": {"rejectedLogRecords": 4}}"#, (4, "")),
            (r#"{"partialSuccess": null}"#, (0, "")),
            (r#"{"partialSuccess": 7}"#, (0, "")),
            (r#"{"partialSuccess": {"rejectedDataPoints": [1], "errorMessage": "note"}}"#, (0, "note")),
            (r#"{"status": "ok"}"#, (0, "")),
        ] {
            let (rejected, message) = decoded("application/json; charset=utf-8", json.as_bytes())?;
            assert_eq!((rejected, message.as_str()), expected, "{json}");
        }
        Ok(())
    }

    #[test]
    fn other_responses_are_warnings() -> Result<(), SendError> {
        for media_type in ["text/html", "text/plain", "application/json", "application/x-protobuf", ""] {
            assert_eq!(decoded(media_type, b"")?, (0, String::new()), "an empty body is a success");
        }
        let warning = |media_type, body: &[u8]| decoded(media_type, body).map(|(_, warning)| warning);
        assert_eq!(warning("text/plain", b"OK")?, "the response cannot be decoded: its type is text/plain; is this an OTLP receiver?");
        assert_eq!(warning("application/json", b"[]")?, "the response cannot be decoded: it is not a JSON object");
        assert!(warning("application/json", b"{")?.starts_with("the response cannot be decoded: "));
        assert!(warning("application/x-protobuf", b"not protobuf")?.starts_with("the response cannot be decoded: "));
        Ok(())
    }
}
