//! Self-metrics about the configuration and its reloads.

use super::self_metrics::{
    RELOAD_SUCCESS_TIME, RELOAD_SUCCESSFUL, SHARD_INDEX, SHARDS, TARGETS_FILES_ERRORS, TARGETS_FILES_FAILING, TARGETS_HTTP_ERRORS,
    TARGETS_HTTP_FAILING, counter, float_gauge, gauge,
};
use crate::config::Shard;
use crate::model::since_1970;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use parking_lot::Mutex;
use std::time::SystemTime;

/// The instruments of reloads, of `targets_files` and of `targets_http`.
#[derive(Debug)]
pub struct ReloadMetrics {
    successful: Gauge<u64>,
    success_time: Gauge<f64>,
    files_failing: Gauge<u64>,
    files_errors: Counter<u64>,
    shards: Gauge<u64>,
    /// The shard that was recorded last.
    shard: Mutex<Option<Shard>>,
    http_failing: Gauge<u64>,
    http_errors: Counter<u64>,
    status: Mutex<ReloadStatus>,
}

/// The state of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadStatus {
    /// The time at which the configuration was last applied.
    pub applied: Option<SystemTime>,
    /// The time at which the configuration was last read, if it was rejected.
    pub rejected: Option<SystemTime>,
    /// The number of files of `targets_files` that are invalid now.
    pub files_failing: usize,
    /// `true` if the last request of `targets_http` failed or its response was rejected.
    pub http_is_failing: bool,
}

impl ReloadMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            successful: gauge(meter, &RELOAD_SUCCESSFUL),
            success_time: float_gauge(meter, &RELOAD_SUCCESS_TIME),
            files_failing: gauge(meter, &TARGETS_FILES_FAILING),
            files_errors: counter(meter, &TARGETS_FILES_ERRORS),
            shards: gauge(meter, &SHARDS),
            shard: Mutex::default(),
            http_failing: gauge(meter, &TARGETS_HTTP_FAILING),
            http_errors: counter(meter, &TARGETS_HTTP_ERRORS),
            status: Mutex::default(),
        }
    }

    /// Records that the configuration was read, and whether it was applied.
    pub fn reloaded(&self, successful: bool) {
        let now = SystemTime::now();
        self.successful.record(u64::from(successful), &[]);
        let mut status = self.status.lock();
        status.rejected = (!successful).then_some(now);
        if successful {
            status.applied = Some(now);
            self.success_time.record(since_1970(now).as_secs_f64(), &[]);
        }
    }

    /// Records the number of invalid files of `targets_files`, and how many of them have become invalid since the last call.
    pub fn targets_files(&self, failing: usize, newly_failing: usize) {
        self.files_failing.record(failing as u64, &[]);
        self.files_errors.add(newly_failing as u64, &[]);
        self.status.lock().files_failing = failing;
    }

    /// Records the shard of this process. A previous one becomes 0, because a series of a synchronous gauge cannot be removed.
    pub fn shard(&self, shard: Option<Shard>) {
        let record = |shard: Shard, count: u32| {
            self.shards.record(count.into(), &[KeyValue::new(SHARD_INDEX.key, i64::from(shard.index()))]);
        };
        let previous = std::mem::replace(&mut *self.shard.lock(), shard);
        if let Some(previous) = previous.filter(|previous| Some(previous.index()) != shard.map(Shard::index)) {
            record(previous, 0);
        }
        if let Some(shard) = shard {
            record(shard, shard.count());
        }
    }

    /// Records whether `targets_http` fails, and the failed requests and rejected responses since the last call.
    pub fn targets_http(&self, is_failing: bool, errors: u64) {
        self.http_failing.record(u64::from(is_failing), &[]);
        self.http_errors.add(errors, &[]);
        self.status.lock().http_is_failing = is_failing;
    }

    /// The state of the configuration, for the status page.
    #[must_use]
    pub fn status(&self) -> ReloadStatus {
        *self.status.lock()
    }
}
