//! URLs as they are displayed: without the parts that may be secret.

use super::redact::{HIDDEN, is_public_value, is_random};
use reqwest::Url;

/// The URL with `***` in place of its password, of the values of its query, and of path segments that look random. Values such as
/// `prometheus` or `json`, which are never secret, are kept.
#[must_use]
pub fn masked_url(url: &Url) -> String {
    let user = if url.username().is_empty() && url.password().is_none() { String::new() } else { format!("{HIDDEN}@") };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let segment = |segment| if is_random(segment) { HIDDEN } else { segment };
    let path: Vec<&str> = url.path().split('/').map(segment).collect();
    let pair = |pair: &str| match pair.split_once('=') {
        _ if is_public_value(pair) => pair.to_owned(),
        Some((name, value)) => format!("{name}={}", if is_public_value(value) || value.is_empty() { value } else { HIDDEN }),
        None => HIDDEN.to_owned(),
    };
    let query: Option<Vec<String>> = url.query().map(|query| query.split('&').map(pair).collect());
    let query = query.map(|pairs| format!("?{}", pairs.join("&"))).unwrap_or_default();
    format!("{}://{user}{host}{port}{}{query}", url.scheme(), path.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn passwords_queries_and_random_segments_are_masked() {
        for (url, expected) in [
            ("https://mx1.example.com", "https://mx1.example.com/"),
            (
                "http://192.0.2.5:8000/metrics?token=hunter2&x&format=prometheus",
                "http://192.0.2.5:8000/metrics?token=***&***&format=prometheus",
            ),
            ("http://192.0.2.5/metrics?k=1&json", "http://192.0.2.5/metrics?k=***&json"),
            ("https://mx1.example.com/base/a1b2c3d4e5f6g7/metrics", "https://mx1.example.com/base/***/metrics"),
            ("http://user:pa55@proxy.example.com:3128", "http://***@proxy.example.com:3128/"),
            ("http://only@proxy.example.com:3128", "http://***@proxy.example.com:3128/"),
            ("https://[2001:db8::1]:2087/", "https://[2001:db8::1]:2087/"),
        ] {
            assert_eq!(masked_url(&Url::parse(url).unwrap()), expected);
        }
    }
}
