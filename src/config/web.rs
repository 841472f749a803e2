//! The web configuration file of Prometheus' exporter-toolkit: `web_config_file:`.
//!
//! The format is that of docs/web-configuration.md in prometheus/exporter-toolkit: unknown keys are rejected, relative paths start
//! at the file's directory, only some headers can be set, and `$` does not introduce a reference. Two limits are stricter: bcrypt
//! hashes have a highest cost, and `rate_limit.burst` is at least 1, because 0 would reject every request.

use super::access::{User, decode_users};
use super::decode::Decoder;
use super::map::Item;
use super::schema::{HTTP_SERVER, WEB_CONFIG, WEB_RATE_LIMIT};
use super::server_tls::ServerTls;
use super::yaml::{self, Node, Value};
use super::{Environment, FILE_BYTES_MAX, Problem, Problems};
use crate::net::{FileStamp, explain_denied_access, read_limited};
use crate::source::SystemList;
use http::HeaderValue;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The headers that can be set, with their valid values; an empty list accepts any value.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// A web configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// The stamp of the file before it was read. The file may have changed since.
    pub stamp: Option<FileStamp>,
    /// Key `tls_server_config`: TLS settings.
    pub tls: Option<ServerTls>,
    /// Key `http_server_config.http2`: offers HTTP/2 over TLS.
    pub http2: bool,
    /// Key `http_server_config.headers`: headers to add to each response.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// Key `basic_auth_users`: users of Basic authentication.
    pub users: Vec<User>,
    /// Key `rate_limit`: the limit for all clients together.
    pub rate_limit: Option<EndpointRate>,
}

/// A token bucket for all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRate {
    /// Key `interval`: the time between two requests.
    pub interval: Duration,
    /// Key `burst`: the requests that are accepted at once.
    pub burst: u32,
}

impl WebConfig {
    /// Reads a file. The second value is the warnings.
    ///
    /// # Errors
    /// Returns every problem of the file.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Problems> {
        let file = path.display().to_string();
        let of_file = |line, message: String| Problems::of_file(&file, line, message);
        let stamp = FileStamp::of(path);
        let read = File::open(path).and_then(|file| read_limited(file, FILE_BYTES_MAX as u64));
        let read = read.map_err(|error| explain_denied_access(path, error));
        let bytes = read.map_err(|error| Problems::of_file("", None, format!("cannot read {file}: {error}")))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(of_file(None, format!("exceeds the limit of {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| of_file(None, "is not UTF-8 text".to_owned()))?;
        let node = escape_references(yaml::parse(&text).map_err(|error| of_file(error.line, error.message))?);
        let environment = Environment::default();
        let mut decoder = Decoder::new(&file, &environment, SystemList::default());
        let config = Self::decode(&mut decoder, &Item::root(&node), path, stamp);
        let (problems, warnings) = decoder.into_findings();
        if problems.is_empty() { Ok((config, warnings)) } else { Err(Problems::new(problems)) }
    }

    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, path: &Path, stamp: Option<FileStamp>) -> Self {
        let mut map = decoder.map_or_empty(Some(item), WEB_CONFIG);
        let base = path.parent().unwrap_or(Path::new(""));
        let tls = map.take("tls_server_config").and_then(|item| ServerTls::decode(decoder, &item, base));
        let http = map.take("http_server_config");
        let mut http = decoder.map_or_empty(http.as_ref(), HTTP_SERVER);
        let http2 = http.flag_or_default(decoder, "http2");
        let headers = http.take("headers").map(|item| decode_headers(decoder, &item)).unwrap_or_default();
        decoder.finish(http);
        let users = map.take("basic_auth_users").map(|item| decode_users(decoder, &item)).unwrap_or_default();
        let rate_limit = map.take("rate_limit").and_then(|item| EndpointRate::decode(decoder, &item));
        decoder.finish(map);
        Self { path: path.to_owned(), stamp, tls, http2, headers, users, rate_limit }
    }
}

/// Escapes every dollar sign, so that none introduces a reference.
fn escape_references(node: Node) -> Node {
    let value = match node.value {
        Value::Nothing => Value::Nothing,
        Value::Scalar(text) => Value::Scalar(text.replace('$', "$$")),
        Value::List(list) => Value::List(list.into_iter().map(escape_references).collect()),
        Value::Map(map) => Value::Map(map.into_iter().map(|(key, node)| (key, escape_references(node))).collect()),
    };
    Node { value, ..node }
}

fn decode_headers(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(&'static str, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, item) in decoder.user_map(item) {
        let Some((name, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            decoder.report_unknown_key(name, &item.location, &HEADERS.map(|(name, _)| name));
            continue;
        };
        let Some(text) = decoder.text(&item).filter(|text| !text.is_empty()) else { continue };
        if !values.is_empty() && !values.contains(&text.as_str()) {
            decoder.report(&item.location, format!("unknown value {text}; expected one of: {}", values.join(", ")));
        }
        let value = HeaderValue::from_str(&text).map_err(|_| "contains characters that are not allowed in a header".to_owned());
        headers.extend(decoder.ok_or_report(&item.location, value).map(|value| (*name, value)));
    }
    headers
}

impl EndpointRate {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item, WEB_RATE_LIMIT)?;
        let limits = map.duration_limits("interval");
        let interval = map.take("interval");
        let has_burst = map.has_own("burst");
        let burst = map.integer(decoder, "burst");
        decoder.finish(map);
        let interval = interval?;
        let is_zero = decoder.text(&interval).is_some_and(|text| text == "0");
        let interval = if is_zero { Duration::ZERO } else { decoder.duration(&interval, limits)? };
        if interval.is_zero() {
            return None;
        }
        if !has_burst {
            decoder.report(&item.location, "burst is missing, which means 0: every request would be rejected");
            return None;
        }
        let burst = u32::try_from(burst?).ok()?;
        if burst == 0 {
            decoder.report(&item.location, "burst is 0: every request would be rejected");
        }
        Some(Self { interval, burst })
    }
}
