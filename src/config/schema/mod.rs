//! The keys of the configuration file: one row for each key, with its name, its shape, its default, its limits and its help.
//!
//! The decoder takes names, limits and defaults from these rows, and `postmeter config-schema` prints them as JSON Schema and as
//! the tables of `docs/configuration.md`. The decoder adds the rules that a row cannot express: how keys depend on each other,
//! and which environment variables supply a value.

mod otlp;
mod prometheus;
mod receive;
mod target;
mod targets_http;
mod telemetry;
mod web;

pub use crate::yaml::schema::{DefaultValue, Key, Shape};

pub(super) use otlp::{OTLP, QUEUE, RETRY, SPOOL, TELEMETRY_OTLP};
pub(super) use prometheus::{AUTH, PROMETHEUS, RATE_LIMIT, SERVER_TLS, TOKEN};
pub(super) use receive::{DELIVERIES, LOG_FILES, RECEIVE};
pub(super) use target::{CREDENTIALS, DELIVERY_LOG, DETAIL, RELAY, TARGET, TLS, WINDOW};
pub(super) use targets_http::TARGETS_HTTP;
pub(super) use telemetry::TELEMETRY;
pub(super) use web::{HTTP_SERVER, WEB_CONFIG, WEB_RATE_LIMIT};

use super::path_patterns::PATTERNS_MAX;
use crate::yaml::schema::{NONE, key, names};
use DefaultValue::{Description, Flag};

/// The keys at the top of the file.
pub static FILE: &[Key] = &[
    key(
        "targets",
        Shape::List(&Shape::Target(TARGET), 1..=super::load::TARGETS_MAX),
        Description("none"),
        "The mail servers to poll. Required, unless there are targets_files or targets_http.",
    ),
    key(
        "targets_files",
        Shape::List(&Shape::Text, 1..=PATTERNS_MAX),
        NONE,
        "Paths of files with more targets (.yaml, .yml or .json). The last part of a path may contain * and ?.",
    ),
    key(
        "targets_http",
        Shape::Map(TARGETS_HTTP),
        NONE,
        "A list of more targets, requested over HTTP in the form of Prometheus' HTTP service discovery.",
    ),
    key(
        "systems_files",
        Shape::List(&Shape::Text, 1..=PATTERNS_MAX),
        NONE,
        "Paths of files that define mail systems (.yaml or .yml), relative to this file. The last part of a path may contain * and ?.",
    ),
    key(
        "defaults",
        Shape::Defaults(TARGET),
        NONE,
        "Keys that several targets have in common. A target's own key replaces the default as a whole; nothing is merged.",
    ),
    key(
        "shard",
        Shape::Text,
        Description("all targets"),
        "I/N, counted from 0: poll only the targets of this shard. The option --shard overrides it.",
    ),
    key(
        "state_dir",
        Shape::Text,
        Description("no state is kept"),
        "A directory for state that must survive a restart: read positions of delivery logs, delivery records that are not exported yet, the key of their hashes, and totals of counters that Postmeter adds up.",
    ),
    key("export", Shape::Map(EXPORT), Description("prometheus only, and otlp if an OTEL_* variable enables it"), "The exporters."),
    key(
        "health",
        Shape::Map(HEALTH),
        NONE,
        "A separate listener for liveness and readiness probes, for an instance without a pull endpoint.",
    ),
    key("receive", Shape::Map(RECEIVE), Description("off"), "A listener for delivery records that mail systems send. Requires state_dir."),
    key("telemetry", Shape::Map(TELEMETRY), Description("text logs, no OTLP"), "Postmeter's own logs, metrics and traces."),
    key("reload", Shape::Map(RELOAD), Description("SIGHUP only"), "Additional triggers that reload this file, besides SIGHUP."),
];

/// `export:`
pub(super) static EXPORT: &[Key] = &[
    key(
        "otlp",
        Shape::Either(&[Shape::Switch, Shape::Map(OTLP)]),
        Description("off, unless an OTEL_* variable enables it"),
        "Pushes metrics and delivery records over OTLP. OTEL_EXPORTER_OTLP_[METRICS_]* variables supply keys that are absent.",
    ),
    key(
        "prometheus",
        Shape::Either(&[Shape::Switch, Shape::Map(PROMETHEUS)]),
        Description("on, unless OTEL_METRICS_EXPORTER excludes it"),
        "Serves metrics to Prometheus and other scrapers, and the status page.",
    ),
];

/// `health:`
pub(super) static HEALTH: &[Key] =
    &[key("listen", Shape::Text, DefaultValue::Required, "The host and port of /-/healthy and /-/ready, without TLS and authentication.")];

/// `reload:`
pub(super) static RELOAD: &[Key] = &[
    key("endpoint", Shape::Flag, Flag(false), "Reload on POST /-/reload. The option --enable-reload does the same."),
    key("watch", Shape::Flag, Flag(false), "Reload when the file changes."),
];
