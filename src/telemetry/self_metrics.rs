//! The table of Postmeter's self-metrics: instruments, `postmeter metrics --self` and the documentation are made from it.
//!
//! Names that begin with `otel.sdk` and `http.server` are defined by OpenTelemetry's semantic conventions.

use crate::model::{Attribute, Metric};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry_sdk::metrics::{Instrument, Stream};

/// Upper bounds of duration histograms in seconds, as the conventions for `http.server.request.duration` advise.
const DURATION_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The largest number of series of a self-metric with an attribute whose values are not listed: routes with their status codes, tokens,
/// errors.
const OPEN_SERIES_MAX: usize = 300;

/// The condition of `error.type`.
const IF_FAILED: &str = "If the operation failed.";

/// The version of Postmeter.
pub(super) static VERSION: Attribute = Attribute::open("service.version");
/// The route of a request to the pull endpoint.
pub(super) static HTTP_ROUTE: Attribute = Attribute::open("http.route");
/// The status code of a response of the pull endpoint.
pub(super) static HTTP_STATUS_CODE: Attribute = Attribute::open("http.response.status_code");
/// The reason for a failed push.
pub(super) static ERROR_TYPE: Attribute = Attribute::open("error.type");
/// The reason for a rejected request or connection.
pub(super) static REFUSAL_REASON: Attribute = Attribute::open("postmeter.refusal.reason");
/// The configured name of a token.
pub(super) static TOKEN_NAME: Attribute = Attribute::open("postmeter.token.name");
/// The storage of the export queue.
pub(super) static QUEUE_STORAGE: Attribute = Attribute::closed("postmeter.export.queue.storage", &["memory", "disk"]);
/// The shard of this process, counted from zero.
pub(super) static SHARD_INDEX: Attribute = Attribute::open("postmeter.shard.index");
/// The kind of a change to a native metric.
pub(super) static CHANGE: Attribute = Attribute::open("postmeter.relay.change");
/// The lane of a poll: targets that respond and failing ones have separate concurrency limits.
pub(super) static POLL_LANE: Attribute = Attribute::closed("postmeter.poll.lane", &["healthy", "failing"]);

macro_rules! self_metrics {
    ($($id:ident = $metric:expr;)*) => {
        $(pub(super) static $id: Metric = $metric;)*
        /// All self-metrics, in the order of the documentation.
        pub static SELF_METRICS: &[&Metric] = &[$(&$id),*];
    };
}

self_metrics! {
    BUILD_INFO = Metric::int_gauge("postmeter.build_info", "", "Always 1, with the version of Postmeter.").by(&[&VERSION]);
    SHARDS = Metric::int_gauge("postmeter.shards", "{shard}", "The number of shards among which the targets are divided, reported by each of them; missing without shards, 0 for a shard that the process has left.")
        .by(&[&SHARD_INDEX]);
    REQUEST_DURATION = Metric::histogram("http.server.request.duration", "s", "Duration of requests to the pull endpoint, including the wait for mail servers.")
        .by(&[&HTTP_ROUTE, &HTTP_STATUS_CODE]).conditional("If the request has a route.", &[&HTTP_ROUTE]);
    PULL_REFUSALS = Metric::counter("postmeter.pull.refusals", "{refusal}", "Rejected or interrupted requests and connections to the pull endpoint and to the receiver of delivery records, by reason.")
        .by(&[&REFUSAL_REASON]);
    TOKEN_LAST_USED = Metric::int_gauge("postmeter.token.last_used_timestamp", "s", "When a token was last used, in Unix time.").by(&[&TOKEN_NAME]);
    PASSWORD_CHECKS = Metric::counter("postmeter.password.checks", "{check}", "Passwords that were compared with a bcrypt hash; results are cached.");
    CERTIFICATE_NOT_AFTER = Metric::int_gauge("postmeter.certificate.not_after_timestamp", "s", "When the certificate of the pull endpoint, or another one of its chain, expires, in Unix time; 0 if a reload has disabled TLS.");

    EXPORTED_POINTS = Metric::counter("otel.sdk.exporter.metric_data_point.exported", "{data_point}", "Points that were pushed or, with error.type, lost. Each counts once, after its last attempt.")
        .by(&[&ERROR_TYPE]).conditional(IF_FAILED, &[&ERROR_TYPE]);
    INFLIGHT_POINTS = Metric::up_down("otel.sdk.exporter.metric_data_point.inflight", "{data_point}", "Points in the export queue, including those being sent.");
    EXPORTED_RECORDS = Metric::counter("otel.sdk.exporter.log.exported", "{log_record}", "Delivery records that were pushed or, with error.type, rejected by the receiver, also those of targets that were removed since.")
        .by(&[&ERROR_TYPE]).conditional(IF_FAILED, &[&ERROR_TYPE]);
    EXPORT_DURATION = Metric::histogram("otel.sdk.exporter.operation.duration", "s", "Duration of one attempt to send a request.").by(&[&ERROR_TYPE]).conditional(IF_FAILED, &[&ERROR_TYPE]);
    EXPORT_RETRIES = Metric::counter("postmeter.export.retries", "{request}", "Requests that failed and will be retried, by error.type.").by(&[&ERROR_TYPE]).conditional(IF_FAILED, &[&ERROR_TYPE]);
    QUEUE_USAGE = Metric::int_gauge("postmeter.export.queue.usage", "By", "Size of the requests in the export queue.").by(&[&QUEUE_STORAGE]);
    QUEUE_LIMIT = Metric::int_gauge("postmeter.export.queue.limit", "By", "Size at which the export queue drops the oldest collection.").by(&[&QUEUE_STORAGE]);
    SPOOL_FAILING = Metric::int_gauge("postmeter.export.spool.failing", "", "1 if the spool cannot be read or written and requests are queued in memory instead, 0 otherwise.");
    SPOOL_DAMAGED = Metric::counter("postmeter.export.spool.damaged_requests", "{request}", "Requests in the spool that are damaged or have an older format; they are quarantined and not sent.");
    PASSTHROUGH_CHANGES = Metric::counter("postmeter.relay.changes", "{change}", "Native metrics that could not be exported unchanged, by change.").by(&[&CHANGE]);

    POLL_REQUESTS = Metric::int_gauge("postmeter.poll.request.active", "{request}", "Concurrent requests of polls, by lane.").by(&[&POLL_LANE]);
    POLL_REQUESTS_LIMIT = Metric::int_gauge("postmeter.poll.request.limit", "{request}", "Limit of the concurrent requests of polls, by lane.").by(&[&POLL_LANE]);
    POLLS_WAITING = Metric::int_gauge("postmeter.poll.request.waiting", "{poll}", "Polls that wait for the concurrency limit, by lane.").by(&[&POLL_LANE]);
    READINGS_MEMORY = Metric::int_gauge("postmeter.reading.memory.usage", "By", "Memory of the native metrics of all readings.");
    READINGS_MEMORY_LIMIT = Metric::int_gauge("postmeter.reading.memory.limit", "By", "Limit of the memory of native metrics.");
    READINGS_WITHOUT_NATIVE = Metric::counter("postmeter.reading.without_native", "{reading}", "Readings whose native metrics were dropped because the memory limit of all readings was reached.");

    RELOAD_SUCCESSFUL = Metric::int_gauge("postmeter.config.last_reload.successful", "", "1 if the configuration was applied when it was last read, at startup or by a reload; 0 otherwise.");
    RELOAD_SUCCESS_TIME = Metric::gauge("postmeter.config.last_reload.success.timestamp", "s", "When the configuration was last applied, in Unix time.");
    TARGETS_FILES_FAILING = Metric::int_gauge("postmeter.targets_files.failing", "", "Files of targets_files that are invalid; their last valid content stays in use.");
    TARGETS_FILES_ERRORS = Metric::counter("postmeter.targets_files.errors", "{error}", "Changes to files of targets_files that were rejected as invalid.");
    TARGETS_HTTP_FAILING = Metric::int_gauge("postmeter.targets_http.failing", "", "1 if the last request of targets_http failed or its response was rejected; the targets of the last valid list stay in use. 0 otherwise.");
    TARGETS_HTTP_ERRORS = Metric::counter("postmeter.targets_http.errors", "{error}", "Requests of targets_http that failed, and responses that were rejected as invalid.");

    LOG_LINES_DROPPED = Metric::counter("postmeter.log.lines.dropped", "{line}", "Log lines that were dropped because standard error was not read or could not be written.");
    COLLECTION_IDLE = Metric::int_gauge("postmeter.collection.idle", "", "1 if there was no scrape and no accepted push for telemetry.idle_after, 0 otherwise.");
    TARGETS_STALE = Metric::int_gauge("postmeter.targets.stale", "{target}", "Targets whose latest reading is older than the longest of 5 minutes, three times min_interval and three push intervals.");
    TARGETS_CIRCUIT_OPEN = Metric::int_gauge("postmeter.targets.circuit_open", "{target}", "Targets that fail repeatedly and are polled less often until they respond.");
    TARGETS_RECORDS_MISSING = Metric::int_gauge("postmeter.targets.records_missing", "{target}", "Targets with delivery records of which no record has arrived for an hour, and whose log could not be read completely either.");
}

/// Limits the series of a self-metric. By default the SDK allocates memory for 2,000 series when an instrument is created.
pub(super) fn series_limit(instrument: &Instrument) -> Option<Stream> {
    stream_of(SELF_METRICS.iter().find(|metric| metric.name == instrument.name())?)
}

/// The stream of a metric. `None` if the SDK rejects its limit.
fn stream_of(metric: &Metric) -> Option<Stream> {
    let is_open = metric.attributes.iter().any(|attribute| attribute.values.is_empty());
    let combinations = metric.attributes.iter().map(|attribute| attribute.values.len()).product();
    Stream::builder().with_cardinality_limit(if is_open { OPEN_SERIES_MAX } else { combinations }).build().ok()
}

pub(super) fn counter(meter: &Meter, metric: &'static Metric) -> Counter<u64> {
    meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

pub(super) fn up_down_counter(meter: &Meter, metric: &'static Metric) -> UpDownCounter<i64> {
    meter.i64_up_down_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

pub(super) fn gauge(meter: &Meter, metric: &'static Metric) -> Gauge<u64> {
    meter.u64_gauge(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

pub(super) fn float_gauge(meter: &Meter, metric: &'static Metric) -> Gauge<f64> {
    meter.f64_gauge(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

pub(super) fn duration_histogram(meter: &Meter, metric: &'static Metric) -> Histogram<f64> {
    let builder = meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.help);
    builder.with_boundaries(DURATION_SECONDS.to_vec()).build()
}

/// The attribute `error.type`, if there is an error.
pub(super) fn error_type(error: Option<&'static str>) -> Vec<KeyValue> {
    error.map(|error| KeyValue::new(ERROR_TYPE.key, error)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_descriptions_are_sentences() {
        let mut names: Vec<_> = SELF_METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SELF_METRICS.len());
        for metric in SELF_METRICS {
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn the_series_of_each_metric_are_limited() {
        for metric in SELF_METRICS {
            assert!(stream_of(metric).is_some(), "{}", metric.name);
        }
    }
}
