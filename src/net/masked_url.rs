//! URLs as they are displayed: without the parts that may be secret.

use super::redact::{HIDDEN, is_public_value, is_random};

/// The URL with `***` in place of its user and password, of the values of its query, and of path segments that look random. Values such as
/// `prometheus` or `json`, which are never secret, are kept. The fragment, which is not sent, is omitted.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or_else(|| authority.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    let segment = |segment| if is_random(segment) { HIDDEN } else { segment };
    let path: Vec<&str> = path.split('/').map(segment).collect();
    let pair = |pair: &str| match pair.split_once('=') {
        _ if is_public_value(pair) => pair.to_owned(),
        Some((name, value)) => format!("{name}={}", if is_public_value(value) || value.is_empty() { value } else { HIDDEN }),
        None => HIDDEN.to_owned(),
    };
    let query: Option<Vec<String>> = query.map(|query| query.split('&').map(pair).collect());
    let query = query.map(|pairs| format!("?{}", pairs.join("&"))).unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{authority}{}{query}", path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_queries_and_random_segments_are_masked() {
        for (url, expected) in [
            ("https://mx1.example.com", "https://mx1.example.com"),
            ("https://mx1.example.com/", "https://mx1.example.com/"),
            (
                "http://192.0.2.5:8000/metrics?token=hunter2&x&format=prometheus",
                "http://192.0.2.5:8000/metrics?token=***&***&format=prometheus",
            ),
            ("http://192.0.2.5/metrics?k=1&json", "http://192.0.2.5/metrics?k=***&json"),
            ("https://mx1.example.com/base/a1b2c3d4e5f6g7/metrics", "https://mx1.example.com/base/***/metrics"),
            ("http://user:pa55@proxy.example.com:3128", "http://***@proxy.example.com:3128"),
            ("http://only@proxy.example.com:3128", "http://***@proxy.example.com:3128"),
            ("http://user:p@ss@proxy.example.com/x", "http://***@proxy.example.com/x"),
            ("https://[2001:db8::1]:2087/", "https://[2001:db8::1]:2087/"),
            (
                "https://otlp.example.com:443/receiver/v1/otlp/ZaVnC4dhaV0abcDEF123==/v1/metrics",
                "https://otlp.example.com:443/receiver/v1/otlp/***/v1/metrics",
            ),
            ("http://192.0.2.5/api/v1/metrics/#a1b2c3d4e5f6g7", "http://192.0.2.5/api/v1/metrics/"),
            ("otlp.example.com:4318/v1/a1b2c3d4e5f6g7", "otlp.example.com:4318/v1/***"),
        ] {
            assert_eq!(masked_url(url), expected);
        }
    }
}
