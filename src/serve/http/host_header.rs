//! The header `Host` of a request.

use axum::http::header::{HOST, HeaderMap};
use axum::http::{HeaderValue, Version};

/// The characters of a host and port besides letters and digits ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2)).
const SYMBOLS: &[u8] = b"-._~%!$&'()*+,;=:[]";

/// Returns `false` for a request that [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-3.2) requires to be rejected: one of
/// HTTP/1.1 without the header, and one of any version with more than one, or with a value that is not a host. It may be empty.
pub(super) fn has_valid_host(version: Version, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(value), None) => is_host(value),
        (Some(_), Some(_)) => false,
    }
}

fn is_host(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || SYMBOLS.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_host() {
        for (version, hosts, expected) in [
            (Version::HTTP_11, &[][..], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_2, &[], true),
            (Version::HTTP_11, &["postmeter_1:9464"], true),
            (Version::HTTP_11, &["[fe80::1]:9464"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_11, &["a", "a"], false),
            (Version::HTTP_10, &["a", "b"], false),
            (Version::HTTP_11, &["a b"], false),
            (Version::HTTP_11, &["a/b"], false),
            (Version::HTTP_10, &["u@a"], false),
        ] {
            let headers = hosts.iter().map(|host| (HOST, HeaderValue::from_static(host))).collect();
            assert_eq!(has_valid_host(version, &headers), expected, "{version:?} {hosts:?}");
        }
    }
}
