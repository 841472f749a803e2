//! Content negotiation by `Accept` and `Accept-Encoding`, with q-values (RFC 9110, section 12.5).

use crate::export::exposition::{Escaping, Format};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName};

/// The media type of Protobuf.
const PROTOBUF: &str = "application/vnd.google.protobuf";
/// The only message that is supported.
const METRIC_FAMILY: &str = "io.prometheus.client.MetricFamily";

/// The compression of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// Returns the value of `Content-Encoding`, or `None` without compression.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Returns the format of `/metrics` for this client. The default is text 0.0.4, as in every exporter.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    let mut best = (0.0, Format::Text);
    for item in items(headers, &ACCEPT) {
        // An unknown escaping scheme is ignored.
        let escaping = || item.parameter("escaping").and_then(Escaping::by_name).unwrap_or_default();
        let format = match (item.name.as_str(), item.parameter("version")) {
            ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => Format::OpenMetrics(escaping()),
            (PROTOBUF, _) if item.parameter("proto") == Some(METRIC_FAMILY) && item.parameter("encoding") == Some("delimited") => {
                Format::Protobuf(escaping())
            }
            ("text/plain", None | Some("0.0.4")) => Format::Text,
            ("text/plain", Some("1.0.0")) => Format::TextV1(escaping()),
            ("text/*" | "*/*", _) => Format::Text,
            _ => continue,
        };
        if item.q > best.0 {
            best = (item.q, format);
        }
    }
    best.1
}

/// Returns the compression for this client. Of several with the same q-value the cheapest is used.
pub(crate) fn encoding(headers: &HeaderMap) -> Encoding {
    let items = items(headers, &ACCEPT_ENCODING);
    let q =
        |name: &str| items.iter().find(|item| item.name == name).or_else(|| items.iter().find(|item| item.name == "*")).map(|item| item.q);
    let mut best = (q("identity").filter(|_| items.iter().any(|item| item.name == "identity")).unwrap_or(0.001), Encoding::Identity);
    for encoding in [Encoding::Zstd, Encoding::Gzip] {
        let q = encoding.name().and_then(q).unwrap_or(0.0);
        if q > best.0 {
            best = (q, encoding);
        }
    }
    best.1
}

/// An element of the header.
struct Item {
    name: String,
    parameters: Vec<(String, String)>,
    q: f64,
}

impl Item {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn items(headers: &HeaderMap, name: &HeaderName) -> Vec<Item> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(item).collect()
}

fn item(text: &str) -> Option<Item> {
    let mut pieces = text.split(';').map(str::trim);
    let name = pieces.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let mut item = Item { name, parameters: Vec::new(), q: 1.0 };
    for (name, value) in pieces.filter_map(|piece| piece.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => item.q = value.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
            name => item.parameters.push((name.to_owned(), value.to_owned())),
        }
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_METRICS: Format = Format::OpenMetrics(Escaping::Underscores);

    #[track_caller]
    fn assert_format(accept: &str, expected: Format) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(format(&headers), expected, "{accept}");
    }

    #[test]
    fn the_format_with_the_highest_q_value_is_used() {
        assert_eq!(format(&HeaderMap::new()), Format::Text);
        assert_format("*/*", Format::Text);
        assert_format("text/html,application/xhtml+xml", Format::Text);
        assert_format("application/openmetrics-text;version=1.0.0", OPEN_METRICS);
        assert_format("application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", OPEN_METRICS);
        assert_format("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Format::Text);
        assert_format("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9", Format::Text);
        assert_format("application/openmetrics-text;version=1.0.0;q=0,text/plain;version=0.0.4;q=0.1", Format::Text);
        assert_format(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics(Escaping::AllowUtf8),
        );
        assert_format("text/plain;version=1.0.0", Format::TextV1(Escaping::Underscores));
        assert_format("text/plain;version=1.0.0;escaping=values", Format::TextV1(Escaping::Values));
        assert_format(
            "text/plain;version=\"1.0.0\";escaping=\"dots\";q=0.4,text/plain;version=0.0.4;q=0.3",
            Format::TextV1(Escaping::Dots),
        );
        assert_format("text/plain;version=1.0.0;escaping=magic", Format::TextV1(Escaping::Underscores));
        assert_format("text/plain;version=0.0.4;escaping=allow-utf-8", Format::Text);
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        assert_format(protobuf, Format::Protobuf(Escaping::Underscores));
        // As Prometheus sends it if it prefers Protobuf, for start times or native histograms.
        assert_format(
            &format!(
                "{protobuf};escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
            ),
            Format::Protobuf(Escaping::AllowUtf8),
        );
        assert_format(&format!("{protobuf};escaping=dots;q=0.5,application/openmetrics-text;version=1.0.0;q=0.6"), OPEN_METRICS);
        for other in
            ["proto=io.prometheus.client.MetricFamily;encoding=text", "proto=other.Message;encoding=delimited", "encoding=delimited"]
        {
            assert_format(&format!("application/vnd.google.protobuf;{other},text/plain;q=0.1"), Format::Text);
        }
        assert_format("application/openmetrics-text;version=1.0.0;escaping=underscores", OPEN_METRICS);
        assert_format("application/openmetrics-text;q=nonsense,*/*;q=0.2", Format::Text);
    }

    #[track_caller]
    fn assert_encoding(accept: &str, expected: Encoding) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        assert_eq!(encoding(&headers), expected, "{accept}");
    }

    #[test]
    fn the_compression_with_the_highest_q_value_is_used() {
        assert_eq!(encoding(&HeaderMap::new()), Encoding::Identity);
        assert_encoding("gzip", Encoding::Gzip);
        assert_encoding("gzip, deflate, br, zstd", Encoding::Zstd);
        assert_encoding("zstd;q=0.2, gzip;q=0.8", Encoding::Gzip);
        assert_encoding("gzip;q=0", Encoding::Identity);
        assert_encoding("*", Encoding::Zstd);
        assert_encoding("*;q=0", Encoding::Identity);
        assert_encoding("identity, gzip;q=0.5", Encoding::Identity);
        assert_encoding("br", Encoding::Identity);
    }
}
