//! Self-metrics about the push.

use super::self_metrics::{
    EXPORT_DURATION, EXPORT_RETRIES, EXPORTED_POINTS, EXPORTED_RECORDS, INFLIGHT_POINTS, QUEUE_LIMIT, QUEUE_STORAGE, QUEUE_USAGE,
    SPOOL_DAMAGED, SPOOL_FAILING, counter, duration_histogram, error_type, gauge, up_down_counter,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The instruments of the push.
#[derive(Debug)]
pub struct ExportMetrics {
    exported: Counter<u64>,
    exported_records: Counter<u64>,
    inflight: UpDownCounter<i64>,
    duration: Histogram<f64>,
    retries: Counter<u64>,
    queue_usage: Gauge<u64>,
    queue_limit: Gauge<u64>,
    spool_failing: Gauge<u64>,
    metrics_spool_failing: AtomicBool,
    logs_spool_failing: AtomicBool,
    spool_damaged: Counter<u64>,
    damaged_requests: AtomicU64,
    last_accepted: Mutex<Option<Instant>>,
}

impl ExportMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            exported: counter(meter, &EXPORTED_POINTS),
            exported_records: counter(meter, &EXPORTED_RECORDS),
            inflight: up_down_counter(meter, &INFLIGHT_POINTS),
            duration: duration_histogram(meter, &EXPORT_DURATION),
            retries: counter(meter, &EXPORT_RETRIES),
            queue_usage: gauge(meter, &QUEUE_USAGE),
            queue_limit: gauge(meter, &QUEUE_LIMIT),
            spool_failing: gauge(meter, &SPOOL_FAILING),
            metrics_spool_failing: AtomicBool::new(false),
            logs_spool_failing: AtomicBool::new(false),
            spool_damaged: counter(meter, &SPOOL_DAMAGED),
            damaged_requests: AtomicU64::new(0),
            last_accepted: Mutex::default(),
        }
    }

    /// Counts points that were accepted or, with an error, lost.
    pub fn exported(&self, points: u64, error: Option<&'static str>) {
        if error.is_none() {
            *self.last_accepted.lock() = Some(Instant::now());
        }
        self.exported.add(points, &error_type(error));
    }

    /// Counts delivery records that were accepted or, with an error, rejected.
    pub fn exported_records(&self, records: u64, error: Option<&'static str>) {
        if records > 0 {
            self.exported_records.add(records, &error_type(error));
        }
    }

    /// The last time at which a receiver accepted points.
    #[must_use]
    pub fn last_accepted(&self) -> Option<Instant> {
        *self.last_accepted.lock()
    }

    /// Records an attempt to send a request.
    pub fn attempted(&self, error: Option<&'static str>, took: Duration) {
        self.duration.record(took.as_secs_f64(), &error_type(error));
    }

    /// Counts a request that failed and will be retried.
    pub fn retried(&self, error: &'static str) {
        self.retries.add(1, &error_type(Some(error)));
    }

    /// Changes the number of points in the queue.
    pub fn waiting(&self, points: i64) {
        self.inflight.add(points, &[]);
    }

    /// Records the size and the limit of a part of the queue (`memory` or `disk`), in bytes.
    pub fn queue(&self, storage: &'static str, bytes: usize, max_bytes: usize) {
        let storage = [KeyValue::new(QUEUE_STORAGE.key, storage)];
        self.queue_usage.record(bytes as u64, &storage);
        self.queue_limit.record(max_bytes as u64, &storage);
    }

    /// Records whether the spool of metrics is failing.
    pub fn set_metrics_spool_failing(&self, is_failing: bool) {
        self.metrics_spool_failing.store(is_failing, Ordering::Relaxed);
        self.record_spools();
    }

    /// Records whether the spool of received delivery records is failing.
    pub fn set_logs_spool_failing(&self, is_failing: bool) {
        self.logs_spool_failing.store(is_failing, Ordering::Relaxed);
        self.record_spools();
    }

    /// Records whether any spool is failing.
    fn record_spools(&self) {
        let is_failing = self.metrics_spool_failing.load(Ordering::Relaxed) || self.logs_spool_failing.load(Ordering::Relaxed);
        self.spool_failing.record(u64::from(is_failing), &[]);
    }

    /// Counts damaged requests in the spool. Called with 0 at startup, so that the counter exists before the first one.
    pub fn spool_damaged(&self, requests: u64) {
        self.spool_damaged.add(requests, &[]);
        self.damaged_requests.fetch_add(requests, Ordering::Relaxed);
    }

    /// The number of damaged requests in the spool since startup.
    #[must_use]
    pub fn damaged_requests(&self) -> u64 {
        self.damaged_requests.load(Ordering::Relaxed)
    }
}
