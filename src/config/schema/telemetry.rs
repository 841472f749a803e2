//! The keys of `telemetry:`.

use super::DefaultValue::{Choice, Description, Duration as DurationIs};
use super::otlp::TELEMETRY_OTLP;
use super::{Key, Shape, key, names};
use crate::config::telemetry::{FORMATS, IDLE_AFTER_DEFAULT, LEVELS};
use std::time::Duration;

/// `telemetry:`
pub static TELEMETRY: &[Key] = &[
    key("log_format", Shape::Choice(|| names(FORMATS)), Choice("text"), "The format of log lines."),
    key(
        "log_level",
        Shape::Choice(|| names(LEVELS)),
        Choice("info"),
        "The least severe level to log. In releases, trace is the same as debug. OTEL_LOG_LEVEL supplies it if it is absent.",
    ),
    key(
        "idle_after",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600)),
        DurationIs(IDLE_AFTER_DEFAULT),
        "The time without a scrape or an accepted push after which Postmeter reports that it is idle.",
    ),
    key(
        "otlp",
        Shape::Either(&[Shape::Switch, Shape::Map(TELEMETRY_OTLP)]),
        Description("off"),
        "Exports Postmeter's own telemetry over OTLP/gRPC. OTEL_EXPORTER_OTLP_* variables supply keys that are absent.",
    ),
];
