//! Responses of an OTLP receiver over HTTP: any of them is a result or an error that fits into a line of the log.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use postmeter::export::otlp::result_of_response;

/// The largest size of a message, in bytes: 200 characters of the receiver, and the text around them.
const MESSAGE_BYTES_MAX: usize = 1200;
const STATUSES: [u16; 8] = [200, 202, 400, 401, 413, 415, 429, 503];
const TYPES: [&str; 6] =
    ["application/x-protobuf", "application/json; charset=utf-8", "", "text/plain", "text/html", "application/octet-stream"];

/// Checks a response. The first byte selects the status and the media type, and the others are the body.
pub fn check(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let choice = usize::from(*choice);
    let status = StatusCode::from_u16(STATUSES[choice % STATUSES.len()]).expect("a status");
    let media_type = HeaderValue::from_static(TYPES[choice / STATUSES.len() % TYPES.len()]);
    let result = result_of_response(status, &HeaderMap::from_iter([(CONTENT_TYPE, media_type)]), body, None);
    assert!(status.is_success() || result.is_err(), "{status} is an error");
    let message = match result {
        Ok(success) => success.message,
        Err(error) => {
            assert!(!error.cause().contains('\n'), "{error}");
            error.to_string()
        }
    };
    assert!(message.len() <= MESSAGE_BYTES_MAX && !message.contains(char::is_control), "{message:?}");
}
