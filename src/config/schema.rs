//! The keys of the configuration file as a table: what an editor is told by `postmeter config-schema`.
//!
//! # Why beside the decoder
//!
//! The decoder is code: it knows what one key means for another, and says where a value came from. The table says what a key
//! may hold. Ranges and words are the decoder's own, and a test compares the keys of each map with those the decoder takes,
//! both ways.

use super::decode::{show, show_bytes};
use super::files::PATTERNS_MAX;
use super::queue::{GIVE_UP_RANGE, QUEUE_BYTES_RANGE, RETRY_RANGE, SPOOL_BYTES_RANGE};
use super::relay::SERIES_MAX_RANGE;
use super::target::{BODY_BYTES_MAX_RANGE, DETAIL_TOP_RANGE, DETAILS, MIN_INTERVAL_RANGE, TIMEOUT_RANGE};
use super::telemetry::{FORMATS, LEVELS};
use super::window::SLIDING_RANGE;
use super::{otlp, relay};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may hold.
    pub shape: Shape,
    /// What it is for, in a sentence.
    pub help: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// What a value may be. Any single value may hold a reference like `${env:NAME}` too.
#[derive(Debug)]
pub enum Shape {
    /// Any text; a number or a word like `true` is taken as it is written.
    Text,
    /// A password, a token, or a header's value.
    Secret,
    /// Text that begins with `http://` or `https://`.
    Url,
    /// `10s`, within these.
    Duration(&'static RangeInclusive<Duration>),
    /// `64MiB` or a number of bytes, within these.
    Bytes(&'static RangeInclusive<usize>),
    /// A whole number within these.
    Integer(&'static RangeInclusive<usize>),
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
    /// The name of a mail system.
    System,
    /// A map with these keys and no others.
    Map(&'static [Key]),
    /// A map whose keys are the user's.
    MapOf(&'static Shape),
    /// A list with at least one of these.
    List(&'static Shape, RangeInclusive<usize>),
    /// Either of these.
    Either(&'static [Shape]),
    /// `false`: not at all.
    Off,
}

const fn key(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, shape, help, required: false }
}

const fn required(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, shape, help, required: true }
}

/// The whole file.
pub static FILE: &[Key] = &[
    key("targets", Shape::List(&Shape::Map(TARGET), 1..=super::TARGETS_MAX), "The mail servers to poll; here, or in targets_files."),
    key("targets_files", Shape::List(&Shape::Text, 1..=PATTERNS_MAX), "Paths of files that hold more targets; * and ? in the last part."),
    key("defaults", Shape::Map(SHARED), "What several targets have in common. A key that a target has itself hides the default's."),
    key("shard", Shape::Text, "I/N, counted from 0: only the targets of this shard are polled here. Left out: all of them."),
    key("export", Shape::Map(EXPORT), "The ways out. Left out: Prometheus on localhost:9464, and OTLP if an OTEL_ variable asks for it."),
    key("reload", Shape::Map(RELOAD), "How else than by SIGHUP a running Postmeter is told to read the file again."),
    key("telemetry", Shape::Map(TELEMETRY), "What Postmeter says about itself."),
];

static RELOAD: &[Key] = &[
    key("endpoint", Shape::Flag, "By POST /-/reload. Left out: false."),
    key("watch", Shape::Flag, "By a change of the file. Left out: false."),
];

/// A target: its own keys, and those that it may have from `defaults`.
pub static TARGET: &[Key] = &[
    required("name", Shape::Text, "Unique; letters, digits, '.', '_' and '-'. The label instance and service.instance.id."),
    required("system", Shape::System, "Which mail system answers there."),
    required("url", Shape::Url, "Scheme, host and port; for the system prometheus the whole address."),
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    PARTS,
    FORMAT,
    TIMEOUT,
    MIN_INTERVAL,
    WINDOW,
    TLS,
    HEADERS,
    PROXY,
    RESOURCE,
    DETAIL,
    BODY_BYTES_MAX,
    RELAY,
];

/// `defaults:`.
pub static SHARED: &[Key] = &[
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    PARTS,
    FORMAT,
    TIMEOUT,
    MIN_INTERVAL,
    WINDOW,
    TLS,
    HEADERS,
    PROXY,
    RESOURCE,
    DETAIL,
    BODY_BYTES_MAX,
    RELAY,
];

const USERNAME: Key = key("username", Shape::Text, "Who asks, where the system wants a name.");
const PASSWORD: Key = key("password", Shape::Secret, "Better as ${env:NAME} or ${file:PATH}.");
const PASSWORD_FILE: Key = key("password_file", Shape::Text, "The file that holds the password.");
const TOKEN: Key = key("token", Shape::Secret, "Better as ${env:NAME} or ${file:PATH}.");
const TOKEN_FILE: Key = key("token_file", Shape::Text, "The file that holds the token.");
const PARTS: Key = key("parts", Shape::MapOf(&PART), "Optional parts by name. Left out: only the required one.");
const FORMAT: Key = key("format", Shape::Text, "Which of several formats to ask for. Left out: the system's first.");
const TIMEOUT: Key = key("timeout", Shape::Duration(&TIMEOUT_RANGE), "How long a poll may take, all parts together.");
const MIN_INTERVAL: Key = key("min_interval", Shape::Duration(&MIN_INTERVAL_RANGE), "A reading younger than this is not replaced.");
const WINDOW: Key = key("window", Shape::Map(WINDOWS), "The window of time whose sums are asked for. Left out: {today: UTC}.");
const TLS: Key = key("tls", Shape::Map(TLS_KEYS), "How the server's certificate is checked. Left out: by the system's authorities.");
const HEADERS: Key = key("headers", Shape::MapOf(&Shape::Secret), "Sent with each request.");
const PROXY: Key = key("proxy", Shape::Url, "An HTTP proxy. Left out: none, whatever the environment says.");
const RESOURCE: Key =
    key("resource", Shape::MapOf(&Shape::Text), "Attributes of the target's resource besides those that Postmeter finds.");
const DETAIL: Key = key("detail", Shape::Map(DETAIL_KEYS), "Splits queue totals. Left out: totals only.");
const BODY_BYTES_MAX: Key =
    key("body_bytes_max", Shape::Bytes(&BODY_BYTES_MAX_RANGE), "Of an answer, decompressed. Left out: the system's own limit.");
const RELAY: Key =
    key("relay", Shape::Either(RELAYS), "What of the server's own families is passed on. Left out: everything; false: nothing.");

static RELAYS: &[Shape] = &[Shape::Off, Shape::Map(RELAY_KEYS)];

static PART: Shape = Shape::Map(CREDENTIALS);

static CREDENTIALS: &[Key] = &[USERNAME, PASSWORD, PASSWORD_FILE, TOKEN, TOKEN_FILE];

static WINDOWS: &[Key] = &[
    key("today", Shape::Text, "From midnight in this time zone, such as Europe/Berlin."),
    key("sliding", Shape::Duration(&SLIDING_RANGE), "The last hour, or whatever is written here, whenever it is asked for."),
];

static TLS_KEYS: &[Key] = &[
    key("ca_file", Shape::Text, "PEM certificates of the authorities to trust in place of the system's."),
    key("cert_file", Shape::Text, "PEM certificate chain to show to the server, together with key_file."),
    key("key_file", Shape::Text, "PEM private key of that certificate."),
    key("server_name", Shape::Text, "The name that the server's certificate must have. Left out: the url's host."),
    key("insecure_skip_verify", Shape::Flag, "true takes any certificate: anyone in between can read the credentials."),
];

static DETAIL_KEYS: &[Key] = &[
    required("by", Shape::Choice(|| names(DETAILS)), "What totals are split by."),
    key("top", Shape::Integer(&DETAIL_TOP_RANGE), "How many of the largest; the rest is folded into _other. Left out: 20."),
];

static PATTERNS: &[Shape] = &[Shape::Text, Shape::List(&Shape::Text, 0..=relay::PATTERNS_MAX)];

static RELAY_KEYS: &[Key] = &[
    key("enabled", Shape::Flag, "false is the same as relay: false."),
    key("include", Shape::Either(PATTERNS), "Regular expressions over whole family names, one or a list. Left out: every family."),
    key("exclude", Shape::Either(PATTERNS), "The same, taken from what is included."),
    key("series_max", Shape::Integer(&SERIES_MAX_RANGE), "Of one reading. Left out: 2000000."),
    key("min_value", Shape::MapOf(&Shape::Number), "By family, the smallest value worth keeping."),
    key("prefix", Shape::Text, "Put before each name, and not part of the names above."),
];

static EXPORT: &[Key] = &[
    key("otlp", Shape::Either(&[Shape::Off, Shape::Map(OTLP)]), "Pushes. What is left out is filled by OTEL_EXPORTER_OTLP_[METRICS_]*."),
    key("prometheus", Shape::Either(&[Shape::Off, Shape::Map(PROMETHEUS)]), "Is there to be scraped."),
];

const ENDPOINT: Key = key("endpoint", Shape::Text, "A URL; its scheme decides whether TLS is used.");
const INTERVAL: Key = key("interval", Shape::Duration(&otlp::INTERVAL_RANGE), "How often. Left out: 60s.");
const OTLP_TIMEOUT: Key = key("timeout", Shape::Duration(&otlp::OTLP_TIMEOUT_RANGE), "How long a request may take. Left out: 10s.");
const COMPRESSION: Key = key("compression", Shape::Choice(|| names(otlp::COMPRESSIONS)), "Left out: none.");

static OTLP: &[Key] = &[
    ENDPOINT,
    key("protocol", Shape::Choice(|| names(otlp::PROTOCOLS)), "Left out: grpc."),
    INTERVAL,
    OTLP_TIMEOUT,
    COMPRESSION,
    HEADERS,
    TLS,
    key("temporality", Shape::Choice(|| names(otlp::TEMPORALITIES)), "What counters and histograms say. Left out: cumulative."),
    key("queue", Shape::Map(QUEUE), "What waits in memory for a receiver that is away."),
    key("retry", Shape::Map(RETRY), "When a request that was not taken is sent again."),
    key("spool", Shape::Map(SPOOL), "What waits on disk, and outlives the process. Left out: memory only."),
];

static QUEUE: &[Key] =
    &[key("max_bytes", Shape::Bytes(&QUEUE_BYTES_RANGE), "One whole collection is kept even where it is larger. Left out: 64MiB.")];

static RETRY: &[Key] = &[
    key("initial", Shape::Duration(&RETRY_RANGE), "The wait before the first repetition; doubled each time. Left out: 5s."),
    key("max", Shape::Duration(&RETRY_RANGE), "The longest wait. Left out: 30s."),
    key("give_up_after", Shape::Duration(&GIVE_UP_RANGE), "The age at which a request is given up. Left out: never."),
];

static SPOOL: &[Key] = &[
    required("dir", Shape::Text, "The directory of the spool; one process has it."),
    key("max_bytes", Shape::Bytes(&SPOOL_BYTES_RANGE), "Of requests in it. Left out: 1GiB."),
];

static PROMETHEUS: &[Key] =
    &[key("listen", Shape::Text, "Host and port. Left out: OTEL_EXPORTER_PROMETHEUS_HOST and _PORT, or else localhost:9464.")];

static TELEMETRY: &[Key] = &[
    key("log_format", Shape::Choice(|| names(FORMATS)), "Left out: text."),
    key("log_level", Shape::Choice(|| names(LEVELS)), "Left out: OTEL_LOG_LEVEL, or else info."),
    key("otlp", Shape::Either(&[Shape::Off, Shape::Map(TELEMETRY_OTLP)]), "Sends its own telemetry by gRPC. Left out: it is not sent."),
];

static TELEMETRY_OTLP: &[Key] = &[
    ENDPOINT,
    INTERVAL,
    OTLP_TIMEOUT,
    COMPRESSION,
    HEADERS,
    TLS,
    key("traces", Shape::Flag, "Of polls and exports. Left out: true."),
    key("metrics", Shape::Flag, "Left out: true."),
    key("logs", Shape::Flag, "Left out: true."),
];

/// The words of a table of the decoder's.
fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

impl Shape {
    /// Within what it must be, in words.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        match self {
            Self::Duration(range) => Some(format!("A duration from {} to {}.", show(*range.start()), show(*range.end()))),
            Self::Bytes(range) => Some(format!("Bytes from {} to {}.", show_bytes(*range.start()), show_bytes(*range.end()))),
            _ => None,
        }
    }
}
