//! `export:` and `telemetry:`.

use super::target::{HEADERS, TLS};
use super::{Key, Shape, key, names, required};
use crate::config::access::{NETWORKS_MAX, OPEN, RATE_MAX, TOKENS_MAX};
use crate::config::export::SCRAPE_WAIT_MAX_RANGE;
use crate::config::otlp;
use crate::config::queue::{GIVE_UP_RANGE, QUEUE_BYTES_RANGE, RETRY_RANGE, SPOOL_BYTES_RANGE};
use crate::config::server_tls::{CIPHER_SUITES, CLIENT_AUTH, CURVES, MAX_VERSIONS, MIN_VERSIONS, NAMES_MAX};
use crate::config::telemetry::{FORMATS, IDLE_AFTER_RANGE, LEVELS};
use std::ops::RangeInclusive;

pub(super) static EXPORT: &[Key] = &[
    key("otlp", Shape::Either(&[Shape::Off, Shape::Map(OTLP)]), "Pushes. What is left out is filled by OTEL_EXPORTER_OTLP_[METRICS_]*."),
    key("prometheus", Shape::Either(&[Shape::Off, Shape::Map(PROMETHEUS)]), "Is there to be scraped."),
];

const ENDPOINT: Key =
    key("endpoint", Shape::Text, "A URL; its scheme decides whether TLS is used. Over HTTP, /v1/metrics is appended unless it is there.");
const INTERVAL: Key = key("interval", Shape::Duration(&otlp::INTERVAL_RANGE), "How often. Left out: 60s.");
const OTLP_TIMEOUT: Key = key("timeout", Shape::Duration(&otlp::OTLP_TIMEOUT_RANGE), "How long a request may take. Left out: 10s.");

static OTLP: &[Key] = &[
    ENDPOINT,
    key("protocol", Shape::FamilySelection(|| names(otlp::PROTOCOLS)), "Left out: grpc."),
    INTERVAL,
    OTLP_TIMEOUT,
    key("compression", Shape::FamilySelection(|| names(otlp::COMPRESSIONS)), "Left out: gzip."),
    key("max_request_bytes", Shape::Bytes(&otlp::REQUEST_BYTES_RANGE), "Of a request before compression. Left out: 4 MiB less 64 KiB."),
    HEADERS,
    TLS,
    key("temporality", Shape::FamilySelection(|| names(otlp::TEMPORALITIES)), "What counters and histograms say. Left out: cumulative."),
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
    key("max_bytes", Shape::Bytes(&SPOOL_BYTES_RANGE), "What its files take of the disk at most. Left out: 1GiB."),
];

static PROMETHEUS: &[Key] = &[
    key("listen", Shape::Text, "Host and port. Left out: OTEL_EXPORTER_PROMETHEUS_HOST and _PORT, or else localhost:9464."),
    key("auth", Shape::Map(AUTH), "Who may read; one of these is enough. Left out: everybody who reaches the address."),
    key("rate_limit", Shape::Map(RATE_LIMIT), "How often a client may ask, by its address. Left out: no limit."),
    key("tls", Shape::Map(SERVER_TLS), "The keys of the exporter-toolkit's tls_server_config. Left out: plain HTTP."),
    key("web_config_file", Shape::Text, "All of that in the exporter-toolkit's own format; in place of tls and auth.basic."),
    key("allow_unprotected", Shape::Flag, "Whether a change may take away protection without a restart. Left out: false."),
    key(
        "scrape_wait_max",
        Shape::Duration(&SCRAPE_WAIT_MAX_RANGE),
        "How long a scrape waits for targets, within its own timeout; Telegraf gives up after 5 s, Zabbix after 3 s. Left out: 8s.",
    ),
];

static AUTH: &[Key] = &[
    key("tokens", Shape::List(&TOKEN, 0..=TOKENS_MAX), "Sent as Authorization: Bearer; postmeter token new makes one."),
    key("basic", Shape::MapOf(&Shape::Secret), "User names and bcrypt hashes of their passwords."),
    key("trusted", Shape::List(&Shape::Text, 0..=NETWORKS_MAX), "Addresses and networks of the other end that need neither."),
    key("open", Shape::List(&Shape::FamilySelection(|| OPEN.to_vec()), 0..=OPEN.len()), "Paths that everybody may read. Left out: none."),
];

static TOKEN: Shape = Shape::Map(&[
    required("name", Shape::Text, "Unique; what it is called in metrics and on the page."),
    required("sha256", Shape::Text, "Of the token, 64 hexadecimal digits."),
    key("expires", Shape::Text, "A date (its first moment in UTC) or an RFC 3339 time. Left out: never."),
]);

static RATE: RangeInclusive<usize> = 1..=RATE_MAX;

static RATE_LIMIT: &[Key] = &[
    required("per_minute", Shape::Integer(&RATE), "Requests that a client may make in a minute."),
    key("burst", Shape::Integer(&RATE), "How many of them at once. Left out: all."),
];

static SERVER_TLS: &[Key] = &[
    key("cert_file", Shape::Text, "PEM certificate chain. Required, or cert with the text itself."),
    key("cert", Shape::Text, "The certificate chain itself."),
    key("key_file", Shape::Text, "PEM private key. Required, or key with the text itself."),
    key("key", Shape::Secret, "The private key itself."),
    key("client_ca_file", Shape::Text, "PEM certificates of the authorities of clients."),
    key("client_ca", Shape::Text, "The same, the text itself."),
    key("client_auth_type", Shape::FamilySelection(|| names(&CLIENT_AUTH)), "What is asked of clients. Left out: NoClientCert."),
    key("client_allowed_sans", Shape::List(&Shape::Text, 0..=NAMES_MAX), "Names of which a client's certificate has one. Left out: any."),
    key("min_version", Shape::FamilySelection(|| names(&MIN_VERSIONS)), "Left out: TLS12, the oldest that there is here."),
    key("max_version", Shape::FamilySelection(|| names(&MAX_VERSIONS)), "Left out: TLS13."),
    key(
        "cipher_suites",
        Shape::List(&Shape::FamilySelection(|| names(&CIPHER_SUITES)), 0..=NAMES_MAX),
        "Of TLS 1.2, by Go's names. Left out: all.",
    ),
    key("curve_preferences", Shape::List(&Shape::FamilySelection(|| names(&CURVES)), 0..=NAMES_MAX), "By Go's names. Left out: all."),
    key("prefer_server_cipher_suites", Shape::Flag, "Whether the server's order counts. Left out: true."),
];

pub(super) static TELEMETRY: &[Key] = &[
    key("log_format", Shape::FamilySelection(|| names(FORMATS)), "Left out: text."),
    key("log_level", Shape::FamilySelection(|| names(LEVELS)), "Left out: OTEL_LOG_LEVEL, or else info."),
    key("idle_after", Shape::Duration(&IDLE_AFTER_RANGE), "How long without a scrape or an accepted push is reported. Left out: 5m."),
    key("otlp", Shape::Either(&[Shape::Off, Shape::Map(TELEMETRY_OTLP)]), "Sends its own telemetry by gRPC. Left out: it is not sent."),
];

static TELEMETRY_OTLP: &[Key] = &[
    ENDPOINT,
    INTERVAL,
    OTLP_TIMEOUT,
    key("compression", Shape::FamilySelection(|| names(otlp::COMPRESSIONS)), "Left out: none."),
    HEADERS,
    TLS,
    key("traces", Shape::Flag, "Of polls and exports. Left out: true."),
    key("metrics", Shape::Flag, "Left out: true."),
    key("logs", Shape::Flag, "Left out: true."),
];
