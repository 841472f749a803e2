//! The endpoint of an OTLP receiver: its default, its scheme and its path.

use super::Protocol;
use crate::config::decode::Decoder;
use crate::config::map::{Location, Map};
use crate::config::otel::{self, Signal, from_variable};
use crate::config::request::http_url;
use crate::net::masked_url;

/// The default of `endpoint` for gRPC.
const GRPC_ENDPOINT_DEFAULT: &str = "http://localhost:4317";
/// The default of `endpoint` for HTTP.
const HTTP_ENDPOINT_DEFAULT: &str = "http://localhost:4318/v1/metrics";
/// The registered port of OTLP over gRPC.
const GRPC_PORT: u16 = 4317;
/// The registered port of OTLP over HTTP.
const HTTP_PORT: u16 = 4318;
/// The path of metrics, which is appended to endpoints that are meant for all signals.
pub(super) const METRICS_PATH: &str = "/v1/metrics";

/// The treatment of an endpoint's path.
enum EndpointPath {
    /// The path is used unchanged: the endpoint is of one signal, or of gRPC.
    Unchanged,
    /// `/v1/metrics` is appended unless the path ends in it, as the specification demands for an endpoint of all signals.
    OfAllSignals,
}

/// Decodes `endpoint`. A URL of the file must have a scheme, and must not be that of the other protocol.
pub(super) fn decode(decoder: &mut Decoder<'_>, map: &mut Map<'_>, protocol: Protocol, signal: Signal) -> String {
    let insecure = from_variable(decoder, |d| d.otlp_variable(signal, "INSECURE"), otel::boolean);
    let is_http = protocol == Protocol::HttpProtobuf;
    let endpoint = match map.take("endpoint") {
        Some(item) => decoder.non_empty_text(&item).and_then(|text| {
            let path = if is_http { EndpointPath::OfAllSignals } else { EndpointPath::Unchanged };
            let url = check_scheme(&text, insecure).and_then(|()| endpoint_url(&text, insecure.unwrap_or(false), path));
            let url = url.and_then(|url| check_protocol(&url, &text, protocol).map(|()| url));
            decoder.ok_or_report(&item.location, url)
        }),
        None => decoder.otlp_variable(signal, "ENDPOINT").and_then(|variable| {
            let path = if is_http && !variable.is_for_metrics { EndpointPath::OfAllSignals } else { EndpointPath::Unchanged };
            let url = decoder.ok_or_ignore(&variable, endpoint_url(&variable.value, insecure.unwrap_or(false), path))?;
            // The variable may be meant for other programs, too, so its value is used nevertheless.
            if let Err(message) = check_protocol(&url, &variable.value, protocol) {
                decoder.warn(&Location::variable(&variable.name), message);
            }
            Some(url)
        }),
    };
    endpoint.unwrap_or_else(|| if is_http { HTTP_ENDPOINT_DEFAULT } else { GRPC_ENDPOINT_DEFAULT }.to_owned())
}

/// Rejects an endpoint for which nothing determines whether TLS is used.
fn check_scheme(text: &str, insecure: Option<bool>) -> Result<(), String> {
    if text.contains("://") || insecure.is_some() {
        return Ok(());
    }
    let text = masked_url(text);
    Err(format!("has no scheme; write http://{text} for a connection without TLS, or https://{text}"))
}

/// Rejects the registered port of the other protocol, and a path for gRPC, which has none.
fn check_protocol(url: &str, written: &str, protocol: Protocol) -> Result<(), String> {
    let Ok(parsed) = reqwest::Url::parse(url) else { return Ok(()) };
    let host = parsed.host_str().unwrap_or_default();
    match (protocol, parsed.port()) {
        (Protocol::Grpc, Some(HTTP_PORT)) => {
            Err(format!("port {HTTP_PORT} is that of OTLP over HTTP; set protocol: http/protobuf, or use port {GRPC_PORT}"))
        }
        (Protocol::HttpProtobuf, Some(GRPC_PORT)) => {
            Err(format!("port {GRPC_PORT} is that of OTLP over gRPC; set protocol: grpc, or use port {HTTP_PORT}"))
        }
        (Protocol::Grpc, port) if parsed.path() != "/" && written.contains(parsed.path()) => {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let base = format!("{}://{host}{port}", parsed.scheme());
            Err(format!("gRPC has no path; write {base}, or set protocol: http/protobuf"))
        }
        _ => Ok(()),
    }
}

fn endpoint_url(text: &str, insecure: bool, path: EndpointPath) -> Result<String, String> {
    let scheme = if text.contains("://") {
        ""
    } else if insecure {
        "http://"
    } else {
        "https://"
    };
    let text = format!("{scheme}{text}");
    let mut url = http_url(&text, "send them in headers")?;
    let base = url.path().trim_end_matches('/').to_owned();
    match path {
        EndpointPath::OfAllSignals if !base.ends_with(METRICS_PATH) => url.set_path(&format!("{base}{METRICS_PATH}")),
        EndpointPath::OfAllSignals => url.set_path(&base),
        EndpointPath::Unchanged => {}
    }
    let parsed = url.as_str();
    // A URL without a path has a slash added when it is parsed.
    let has_added_slash = url.path() == "/" && parsed.ends_with('/') && !text.ends_with('/');
    Ok(parsed.strip_suffix('/').filter(|_| has_added_slash).unwrap_or(parsed).to_owned())
}
