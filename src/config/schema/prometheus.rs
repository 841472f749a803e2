//! The keys of `export.prometheus:`.

use super::DefaultValue::{Choice, Description, Duration as DurationIs, Flag, Required};
use super::{Key, NONE, Shape, key, names};
use crate::config::access::{NETWORKS_MAX, OPEN_PATHS, TOKENS_MAX};
use crate::config::prometheus::SCRAPE_WAIT_MAX_DEFAULT;
use crate::config::server_tls::{CIPHER_SUITES, CLIENT_AUTH, CURVES, MAX_VERSIONS, MIN_VERSIONS, NAMES_MAX};
use crate::model::TranslationStrategy;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `export.prometheus:`
pub static PROMETHEUS: &[Key] = &[
    key(
        "listen",
        Shape::Text,
        Description("OTEL_EXPORTER_PROMETHEUS_HOST and _PORT, or else localhost:9464"),
        "The host and port to listen on.",
    ),
    key(
        "auth",
        Shape::Map(AUTH),
        Description("no authentication"),
        "The clients that may read. A client needs to satisfy one of the keys below.",
    ),
    key("rate_limit", Shape::Map(RATE_LIMIT), Description("no limit"), "A rate limit per client address, applied before authentication."),
    key("tls", Shape::Map(SERVER_TLS), Description("plain HTTP"), "TLS, with the keys of the exporter-toolkit's tls_server_config."),
    key("web_config_file", Shape::Text, NONE, "A web configuration file in the exporter-toolkit's format, instead of tls and auth.basic."),
    key(
        "allow_unprotected",
        Shape::Flag,
        Flag(false),
        "Accept a web_config_file without users, and reloads that remove authentication, TLS or rate limits.",
    ),
    key(
        "scrape_wait_max",
        Shape::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        DurationIs(SCRAPE_WAIT_MAX_DEFAULT),
        "The longest time that a scrape waits for targets, within the scraper's own timeout (Telegraf: 5 s, Zabbix: 3 s).",
    ),
    key(
        "translation_strategy",
        Shape::Choice(|| names(&TranslationStrategy::ALL)),
        Choice("UnderscoreEscapingWithSuffixes"),
        "The translation of canonical names, as in Prometheus' otlp.translation_strategy.",
    ),
    key(
        "scope_labels",
        Shape::Flag,
        Flag(false),
        "Add the labels otel_scope_name, otel_scope_version and otel_scope_schema_url to each series. OpenTelemetry's default is true.",
    ),
    key("created_lines", Shape::Flag, Flag(false), "Write start times as _created lines in OpenMetrics. Protobuf always contains them."),
];

/// `auth:`
pub static AUTH: &[Key] = &[
    key(
        "tokens",
        Shape::List(&Shape::Map(TOKEN), 0..=TOKENS_MAX),
        NONE,
        "Bearer tokens, by their hashes. `postmeter token new` creates one.",
    ),
    key("basic", Shape::MapOf(&Shape::Secret), NONE, "User names with bcrypt hashes of their passwords."),
    key(
        "trusted",
        Shape::List(&Shape::Text, 0..=NETWORKS_MAX),
        NONE,
        "Addresses and networks that need no credentials. X-Forwarded-For and similar headers are ignored.",
    ),
    key("open", Shape::List(&Shape::Choice(|| OPEN_PATHS.to_vec()), 0..=OPEN_PATHS.len()), NONE, "Paths that need no authentication."),
];

/// An item of `auth.tokens:`.
pub static TOKEN: &[Key] = &[
    key("name", Shape::Text, Required, "A unique name, shown in metrics and on the status page."),
    key("sha256", Shape::Text, Required, "The SHA-256 of the token: 64 hexadecimal digits."),
    key("expires", Shape::Text, Description("never"), "The expiry: a date (midnight UTC) or an RFC 3339 time."),
];

/// Requests per minute, and at once.
const RATE: RangeInclusive<usize> = 1..=60_000;

/// `rate_limit:`
pub static RATE_LIMIT: &[Key] = &[
    key("per_minute", Shape::Integer(RATE), Required, "The requests that a client may send per minute."),
    key("burst", Shape::Integer(RATE), Description("per_minute"), "The requests that a client may send at once."),
];

/// `tls:` of the pull endpoint, and `tls_server_config:` of a web configuration file.
pub static SERVER_TLS: &[Key] = &[
    key("cert_file", Shape::Text, Description("required, or cert"), "The PEM certificate chain."),
    key("cert", Shape::Text, Description("required, or cert_file"), "The PEM certificate chain, inline."),
    key("key_file", Shape::Text, Description("required, or key"), "The PEM private key."),
    key("key", Shape::Secret, Description("required, or key_file"), "The PEM private key, inline."),
    key("client_ca_file", Shape::Text, NONE, "PEM certificates of the authorities that sign client certificates."),
    key("client_ca", Shape::Text, NONE, "PEM certificates of those authorities, inline."),
    key("client_auth_type", Shape::Choice(|| names(&CLIENT_AUTH)), Choice("NoClientCert"), "The policy for client certificates."),
    key(
        "client_allowed_sans",
        Shape::List(&Shape::Text, 0..=NAMES_MAX),
        Description("any"),
        "DNS names, addresses and URIs; a client certificate must contain one of them.",
    ),
    key("min_version", Shape::Choice(|| names(&MIN_VERSIONS)), Choice("TLS12"), "The lowest TLS version; versions below 1.2 mean 1.2."),
    key("max_version", Shape::Choice(|| names(&MAX_VERSIONS)), Choice("TLS13"), "The highest TLS version."),
    key(
        "cipher_suites",
        Shape::List(&Shape::Choice(|| names(&CIPHER_SUITES)), 0..=NAMES_MAX),
        Description("all supported"),
        "Cipher suites of TLS 1.2, by their Go names.",
    ),
    key(
        "curve_preferences",
        Shape::List(&Shape::Choice(|| names(&CURVES)), 0..=NAMES_MAX),
        Description("all supported"),
        "Key exchange curves in order of preference, by their Go names.",
    ),
    key("prefer_server_cipher_suites", Shape::Flag, Flag(true), "Use the server's order of cipher suites."),
];
