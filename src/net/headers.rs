//! HTTP headers that several clients send and receive.

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER};
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

/// A header value that debug output does not show. `None` if the text has characters that a header cannot have.
pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The names of gzip in `Content-Encoding`, which are equivalent (RFC 9110, section 8.4.1.3).
pub(crate) const GZIP_CODINGS: [&str; 2] = ["gzip", "x-gzip"];

/// The codings of a body in the order in which they were applied, in lower case and without `identity`. A body can have several headers.
pub(crate) fn content_codings(headers: &HeaderMap) -> Vec<String> {
    let lists = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let codings = lists.flat_map(|list| list.split(',').map(|coding| coding.trim().to_owned()).collect::<Vec<_>>());
    codings.filter(|coding| !coding.is_empty() && coding != "identity").collect()
}

/// A longer wait is limited to this: a wrong `Retry-After` must not suspend a target or the push for a day.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The wait of `Retry-After`, which has seconds or a date. `None` if the header is missing, is not valid, or has a date in the past.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = seconds(value) {
        return Some(Duration::from_secs(seconds));
    }
    let now = Timestamp::now();
    Duration::try_from(http_date(value, now)?.duration_since(now)).ok()
}

/// A number of seconds. A fraction, which some servers send, is rounded up, and a number that is too large is the largest one.
fn seconds(value: &str) -> Option<u64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rounding = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    Some(whole.parse().unwrap_or(u64::MAX).saturating_add(rounding))
}

/// A date in one of the three forms that a recipient must accept (RFC 9110, section 5.6.7).
fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(date) = rfc2822::parse(value) {
        return Some(date.timestamp());
    }
    let utc = |date: DateTime| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    if let Ok(date) = DateTime::strptime("%a %b %e %H:%M:%S %Y", value) {
        return utc(date);
    }
    // RFC 850 has two digits of the year, which mean the last year that is not more than 50 years in the future.
    let (_, date) = value.split_once(", ")?;
    let date = strtime::parse("%d-%b-%y %H:%M:%S GMT", date).ok()?.to_datetime().ok()?;
    let latest = now.to_zoned(TimeZone::UTC).datetime().checked_add(50.years()).ok()?;
    let (before, after) = (date.checked_sub(100.years()).ok()?, date.checked_add(100.years()).ok()?);
    [after, date, before].into_iter().find(|date| *date <= latest).and_then(utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_has_seconds_or_a_date() {
        for (value, expected) in [
            ("120", Some(Duration::from_secs(120))),
            ("2.5", Some(Duration::from_secs(3))),
            ("2.0", Some(Duration::from_secs(2))),
            ("999999999999999999999999", Some(Duration::from_secs(u64::MAX))),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("soon", None),
            ("-1", None),
            (".5", None),
            ("1.2.3", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), expected, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn codings_are_those_of_every_header() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["", "identity"], &[]),
            (&["GZip"], &["gzip"]),
            (&["identity, gzip"], &["gzip"]),
            (&["gzip ,x-gzip", "Identity,zstd"], &["gzip", "x-gzip", "zstd"]),
            (&["\u{fc}, gzip"], &["\u{fc}", "gzip"]),
        ] {
            let headers = values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).map(|value| (CONTENT_ENCODING, value)));
            let codings = headers.collect::<Result<HeaderMap, _>>().map(|headers| content_codings(&headers));
            assert_eq!(codings.unwrap_or_default(), expected, "{values:?}");
        }
    }

    #[test]
    fn all_forms_of_a_date_are_read() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap_or_default();
        let expected: Option<Timestamp> = "1994-11-06T08:49:37Z".parse().ok();
        for value in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(value, now), expected, "{value}");
        }
        assert_eq!(http_date("Sun Nov 16 08:49:37 2025", now), "2025-11-16T08:49:37Z".parse().ok());
        for (value, now, expected) in [
            ("Monday, 30-Nov-26 08:49:37 GMT", "2026-11-30T08:00:00Z", "2026-11-30T08:49:37Z"),
            ("Thursday, 31-Dec-76 23:59:59 GMT", "2026-12-31T23:59:59Z", "2076-12-31T23:59:59Z"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "2026-11-30T08:00:00Z", "1994-11-06T08:49:37Z"),
        ] {
            assert_eq!(http_date(value, now.parse().unwrap_or_default()), expected.parse().ok(), "{value} at {now}");
        }
        for value in ["", "Sun Nov 6", "Sunday, 06-Nov-94 08:49:37 CET", "Sun Nov  6 08:49:61 1994 GMT", "2026-11-30T08:00:00Z"] {
            assert_eq!(http_date(value, now), None, "{value}");
        }
    }
}
