//! The keys of `export.otlp:` and `telemetry.otlp:`.

use super::DefaultValue::{Bytes, Choice, Description, Duration as DurationIs, Flag, Required};
use super::target::{HEADERS, TLS_OF_CLIENT};
use super::{Key, Shape, key, names};
use crate::config::otlp::{
    COMPRESSIONS, HISTOGRAM_FORMS, INTERVAL_DEFAULT, PROTOCOLS, REQUEST_BYTES_DEFAULT, TELEMETRY_COMPRESSIONS, TEMPORALITIES,
    TIMEOUT_DEFAULT,
};
use crate::config::queue::{QUEUE_BYTES_DEFAULT, RETRY_INITIAL_DEFAULT, RETRY_MAX_DEFAULT, SPOOL_BYTES_DEFAULT};
use std::ops::RangeInclusive;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

const ENDPOINT: Key = key(
    "endpoint",
    Shape::Text,
    Description("http://localhost:4317 (grpc), http://localhost:4318/v1/metrics (http/protobuf)"),
    "The URL of the receiver. Its scheme determines whether TLS is used. With http/protobuf, /v1/metrics is appended unless the path ends in it.",
);
const INTERVAL: Key = key(
    "interval",
    Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
    DurationIs(INTERVAL_DEFAULT),
    "The time between two pushes.",
);
const TIMEOUT: Key = key(
    "timeout",
    Shape::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
    DurationIs(TIMEOUT_DEFAULT),
    "The longest time that a request may take.",
);

/// `export.otlp:`
pub static OTLP: &[Key] = &[
    ENDPOINT,
    key("protocol", Shape::Choice(|| names(PROTOCOLS)), Choice("grpc"), "The transport."),
    INTERVAL,
    TIMEOUT,
    key(
        "compression",
        Shape::Choice(|| names(COMPRESSIONS)),
        Choice("gzip"),
        "The compression of requests. A receiver without zstd gets gzip.",
    ),
    key(
        "max_request_bytes",
        Shape::Bytes(4 * 1024..=64 * MIB),
        Bytes(REQUEST_BYTES_DEFAULT),
        "The largest request, before compression. A request that the receiver rejects as too large is split.",
    ),
    HEADERS,
    TLS_OF_CLIENT,
    key(
        "temporality",
        Shape::Choice(|| names(TEMPORALITIES)),
        Choice("cumulative"),
        "The temporality of counters and histograms; lowmemory is delta for histograms only.",
    ),
    key(
        "histograms",
        Shape::Choice(|| names(HISTOGRAM_FORMS)),
        Choice("explicit"),
        "The buckets of histograms from delivery records: explicit bounds, or exponential ones (native histograms in Prometheus).",
    ),
    key(
        "queue",
        Shape::Map(QUEUE),
        Description("64MiB in memory"),
        "The memory queue for requests that the receiver has not accepted yet.",
    ),
    key("retry", Shape::Map(RETRY), Description("after 5s, then up to every 30s"), "The backoff of retries."),
    key("spool", Shape::Map(SPOOL), Description("memory only"), "A queue on disk, which survives a restart."),
];

/// `queue:`
pub static QUEUE: &[Key] = &[key(
    "max_bytes",
    Shape::Bytes(MIB..=16 * 1024 * MIB),
    Bytes(QUEUE_BYTES_DEFAULT),
    "The size of the queue; requests count as they are sent, compressed. One whole collection is kept even if it is larger.",
)];

/// The shortest and longest backoff.
const BACKOFF: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// `retry:`
pub static RETRY: &[Key] = &[
    key("initial", Shape::Duration(BACKOFF), DurationIs(RETRY_INITIAL_DEFAULT), "The wait before the first retry. It doubles each time."),
    key(
        "max",
        Shape::Duration(BACKOFF),
        DurationIs(RETRY_MAX_DEFAULT),
        "The longest wait, unless the receiver requests a longer one (Retry-After), of at most 1h.",
    ),
    key(
        "give_up_after",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600)),
        Description("never"),
        "The age at which a request is dropped.",
    ),
];

/// `spool:`
pub static SPOOL: &[Key] = &[
    key("dir", Shape::Text, Required, "The directory of the spool. One process can use it at a time."),
    key(
        "max_bytes",
        Shape::Bytes(MIB..=1024 * 1024 * MIB),
        Bytes(SPOOL_BYTES_DEFAULT),
        "The disk space that its files may use; requests are stored compressed.",
    ),
];

/// `telemetry.otlp:`
pub static TELEMETRY_OTLP: &[Key] = &[
    ENDPOINT,
    INTERVAL,
    TIMEOUT,
    key("compression", Shape::Choice(|| names(TELEMETRY_COMPRESSIONS)), Choice("gzip"), "The compression of requests."),
    HEADERS,
    TLS_OF_CLIENT,
    key("traces", Shape::Flag, Flag(true), "Export traces of polls and exports."),
    key("metrics", Shape::Flag, Flag(true), "Export Postmeter's own metrics."),
    key("logs", Shape::Flag, Flag(true), "Export Postmeter's own log."),
];
