//! What Postmeter says about its own push.
//!
//! Names that begin with `otel.sdk` are OpenTelemetry's (semantic conventions for SDK metrics): a point counts as exported once, when
//! its last attempt has ended.

use super::self_telemetry::SECONDS;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The instruments of the push.
#[derive(Debug)]
pub struct ExportMetrics {
    exported: Counter<u64>,
    inflight: UpDownCounter<i64>,
    duration: Histogram<f64>,
    retries: Counter<u64>,
    queue_usage: Gauge<u64>,
    queue_limit: Gauge<u64>,
    spool_failing: Gauge<u64>,
    spool_damaged: Counter<u64>,
    damaged_requests: AtomicU64,
    last_accepted: Mutex<Option<Instant>>,
}

impl ExportMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let exported = meter
            .u64_counter("otel.sdk.exporter.metric_data_point.exported")
            .with_unit("{data_point}")
            .with_description("Points that were pushed; with error.type, those that will never arrive.");
        let inflight = meter
            .i64_up_down_counter("otel.sdk.exporter.metric_data_point.inflight")
            .with_unit("{data_point}")
            .with_description("Points that wait to be pushed, those on their way included.");
        let duration = meter
            .f64_histogram("otel.sdk.exporter.operation.duration")
            .with_unit("s")
            .with_boundaries(SECONDS.to_vec())
            .with_description("How long one attempt to send a request took.");
        let retries = meter
            .u64_counter("postmeter.export.retries")
            .with_unit("{request}")
            .with_description("Requests that were not taken and are sent again, by error.type.");
        let queue_usage =
            meter.u64_gauge("postmeter.export.queue.usage").with_unit("By").with_description("Bytes of requests that wait to be pushed.");
        let queue_limit = meter
            .u64_gauge("postmeter.export.queue.limit")
            .with_unit("By")
            .with_description("Bytes that may wait before the oldest collection is dropped.");
        let spool_failing = meter
            .u64_gauge("postmeter.export.spool.failing")
            .with_description("Whether the disk of the spool does not do what it is asked: 1, and requests wait in memory; or 0.");
        let spool_damaged = meter
            .u64_counter("postmeter.export.spool.damaged_requests")
            .with_unit("{request}")
            .with_description("Requests in the spool that were damaged, or of an older format: they are set aside and not sent.");
        Self {
            exported: exported.build(),
            inflight: inflight.build(),
            duration: duration.build(),
            retries: retries.build(),
            queue_usage: queue_usage.build(),
            queue_limit: queue_limit.build(),
            spool_failing: spool_failing.build(),
            spool_damaged: spool_damaged.build(),
            damaged_requests: AtomicU64::new(0),
            last_accepted: Mutex::default(),
        }
    }

    /// Points have arrived, or never will.
    pub fn exported(&self, points: u64, error: Option<&'static str>) {
        if error.is_none() {
            *self.last_accepted.lock() = Some(Instant::now());
        }
        self.exported.add(points, &error_type(error));
    }

    /// When a receiver accepted points last.
    #[must_use]
    pub fn last_accepted(&self) -> Option<Instant> {
        *self.last_accepted.lock()
    }

    /// One attempt has ended.
    pub fn attempted(&self, error: Option<&'static str>, took: Duration) {
        self.duration.record(took.as_secs_f64(), &error_type(error));
    }

    /// A request was not taken and waits again.
    pub fn retried(&self, error: &'static str) {
        self.retries.add(1, &error_type(Some(error)));
    }

    /// So many points more wait, or fewer.
    pub fn waiting(&self, points: i64) {
        self.inflight.add(points, &[]);
    }

    /// Bytes that wait in a place (`memory` or `disk`), and that may.
    pub fn queue(&self, place: &'static str, bytes: usize, max_bytes: usize) {
        let place = [KeyValue::new("postmeter.queue.place", place)];
        self.queue_usage.record(bytes as u64, &place);
        self.queue_limit.record(max_bytes as u64, &place);
    }

    /// Whether the spool fails.
    pub fn spool(&self, failing: bool) {
        self.spool_failing.record(u64::from(failing), &[]);
    }

    /// Requests in the spool are damaged; none at the start, so that the counter is there before the first.
    pub fn spool_damaged(&self, requests: u64) {
        self.spool_damaged.add(requests, &[]);
        self.damaged_requests.fetch_add(requests, Ordering::Relaxed);
    }

    /// Requests in the spool that were damaged, since the start.
    #[must_use]
    pub fn damaged_requests(&self) -> u64 {
        self.damaged_requests.load(Ordering::Relaxed)
    }
}

fn error_type(error: Option<&'static str>) -> Vec<KeyValue> {
    error.map(|error| KeyValue::new("error.type", error)).into_iter().collect()
}
