//! `web_config_file`: the web configuration of Prometheus' exporter-toolkit, read as it is.
//!
//! # What is meant by it
//!
//! The format is that of docs/web-configuration.md in prometheus/exporter-toolkit: unknown keys are refused, relative paths begin
//! at the file's directory, headers are those that it allows, and a dollar sign is a dollar sign. Two things are stricter: bcrypt
//! hashes have a highest cost, and `rate_limit.burst` is at least 1 (0 would refuse everything).

use super::access::{User, users};
use super::decode::{Decoder, Item};
use super::server_tls::ServerTls;
use super::yaml::{self, Node, Value};
use super::{Environment, FILE_BYTES_MAX, Problem, Problems};
use crate::net::FileStamp;
use http::HeaderValue;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Headers that can be set, and the values that each may have; any where there are none.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];
/// Requests at once.
const BURST_MAX: usize = 1_000_000;
/// The longest time between two requests.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// A web configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// Where it is.
    pub path: PathBuf,
    /// The stamp of the file before it was read. The file may have changed since.
    pub stamp: Option<FileStamp>,
    /// `tls_server_config:` Left out: plain HTTP.
    pub tls: Option<ServerTls>,
    /// `http_server_config.http2:` whether HTTP/2 is offered where there is TLS. Left out: true.
    pub http2: bool,
    /// `http_server_config.headers:` put on each answer. Left out: none.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// `basic_auth_users:` Left out: no authentication by it.
    pub users: Vec<User>,
    /// `rate_limit:` of all clients together. Left out: none.
    pub rate_limit: Option<EndpointRate>,
}

/// A token bucket for all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRate {
    /// `interval:` between two requests.
    pub interval: Duration,
    /// `burst:` how many at once.
    pub burst: u32,
}

impl WebConfig {
    /// Reads it. Beside it what may not be meant.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Problems> {
        let file = path.display().to_string();
        let whole = |line, message: String| Problems::new(vec![Problem { file: file.clone(), line, path: String::new(), message }]);
        let stamp = FileStamp::of(path);
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| whole(None, error.to_string()))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(whole(None, format!("has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| whole(None, "is not UTF-8 text".to_owned()))?;
        let node = literal(yaml::parse(&text).map_err(|(line, message)| whole(line, message))?);
        let environment = Environment::default();
        let mut decoder = Decoder::new(&file, &environment, &[]);
        let config = Self::decode(&mut decoder, &Item::root(&node), path, stamp);
        if decoder.problems.is_empty() { Ok((config, decoder.warnings)) } else { Err(Problems::new(decoder.problems)) }
    }

    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, path: &Path, stamp: Option<FileStamp>) -> Self {
        let mut map = decoder.map(item).unwrap_or_default();
        let base = path.parent().unwrap_or(Path::new(""));
        let tls = map.take("tls_server_config").and_then(|item| ServerTls::decode(decoder, &item, base));
        let http = map.take("http_server_config").and_then(|item| decoder.map(&item));
        let (mut http2, mut headers) = (None, Vec::new());
        if let Some(mut http) = http {
            http2 = http.take("http2").and_then(|item| decoder.flag(&item));
            headers = http.take("headers").map(|item| decode_headers(decoder, &item)).unwrap_or_default();
            decoder.finish(http);
        }
        let users = map.take("basic_auth_users").map(|item| users(decoder, &item)).unwrap_or_default();
        let rate_limit = map.take("rate_limit").and_then(|item| EndpointRate::decode(decoder, &item));
        decoder.finish(map);
        Self { path: path.to_owned(), stamp, tls, http2: http2.unwrap_or(true), headers, users, rate_limit }
    }
}

/// The same, in which a dollar sign means itself.
fn literal(node: Node) -> Node {
    let value = match node.value {
        Value::Nothing => Value::Nothing,
        Value::Scalar(text) => Value::Scalar(text.replace('$', "$$")),
        Value::List(list) => Value::List(list.into_iter().map(literal).collect()),
        Value::Map(map) => Value::Map(map.into_iter().map(|(key, node)| (key, literal(node))).collect()),
    };
    Node { line: node.line, value }
}

fn decode_headers(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(&'static str, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, item) in decoder.map(item).map(super::decode::Map::rest).unwrap_or_default() {
        let Some((name, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            decoder.unknown_key(name, &item.place, &HEADERS.map(|(name, _)| name));
            continue;
        };
        let Some(text) = decoder.text(&item).filter(|text| !text.is_empty()) else { continue };
        if !values.is_empty() && !values.contains(&text.as_str()) {
            decoder.problem(&item.place, format!("unknown value {text}; there are {}", values.join(", ")));
        }
        let value = HeaderValue::from_str(&text).map_err(|_| "cannot be sent: it has signs that a header may not have".to_owned());
        headers.extend(decoder.noted(&item.place, value).map(|value| (*name, value)));
    }
    headers
}

impl EndpointRate {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item)?;
        let (interval, burst) = (map.take("interval"), map.take("burst"));
        decoder.finish(map);
        let interval = interval?;
        let is_off = decoder.text(&interval).is_some_and(|text| text == "0");
        let interval = if is_off { Duration::ZERO } else { decoder.duration(&interval, &(Duration::ZERO..=INTERVAL_MAX))? };
        if interval.is_zero() {
            return None;
        }
        let Some(burst) = burst else {
            decoder.problem(&item.place, "burst is missing, and so 0: every request would be refused");
            return None;
        };
        let burst = decoder.integer(&burst, &(1..=BURST_MAX)).and_then(|burst| u32::try_from(burst).ok())?;
        Some(Self { interval, burst })
    }
}
