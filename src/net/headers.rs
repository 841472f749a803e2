//! HTTP headers that several clients send and receive.

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::time::Duration;

/// A header value that debug output does not show. `None` if the text has characters that a header cannot have.
pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The wait of `Retry-After`, which has seconds or a date. `None` if the header is missing, is not valid, or has a date in the past.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_has_seconds_or_a_date() {
        for (value, expected) in
            [("120", Some(Duration::from_secs(120))), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("soon", None), ("-1", None)]
        {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), expected, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
