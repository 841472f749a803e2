//! Self-metrics about polling: the usage of the limits that all targets share.

use super::self_metrics::{
    POLL_LANE, POLL_REQUESTS, POLL_REQUESTS_LIMIT, POLLS_WAITING, READINGS_MEMORY, READINGS_MEMORY_LIMIT, READINGS_WITHOUT_NATIVE, counter,
    gauge,
};
use crate::poll::{LaneUsage, LimitUsage, READINGS_BYTES_MAX};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use std::sync::atomic::{AtomicU64, Ordering};

/// The instruments of polling.
#[derive(Debug)]
pub struct PollMetrics {
    requests: Gauge<u64>,
    requests_max: Gauge<u64>,
    waiting: Gauge<u64>,
    memory: Gauge<u64>,
    memory_max: Gauge<u64>,
    without_native: Counter<u64>,
    /// Readings without native metrics that the counter contains.
    without_native_counted: AtomicU64,
}

impl PollMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            requests: gauge(meter, &POLL_REQUESTS),
            requests_max: gauge(meter, &POLL_REQUESTS_LIMIT),
            waiting: gauge(meter, &POLLS_WAITING),
            memory: gauge(meter, &READINGS_MEMORY),
            memory_max: gauge(meter, &READINGS_MEMORY_LIMIT),
            without_native: counter(meter, &READINGS_WITHOUT_NATIVE),
            without_native_counted: AtomicU64::new(0),
        }
    }

    /// Records the usage of the limits.
    pub fn observe(&self, usage: &LimitUsage) {
        let lanes = POLL_LANE.values.iter().zip([usage.responding, usage.failing]);
        for (lane, LaneUsage { requests, requests_max, waiting }) in lanes {
            let lane = [KeyValue::new(POLL_LANE.key, *lane)];
            self.requests.record(requests as u64, &lane);
            self.requests_max.record(requests_max as u64, &lane);
            self.waiting.record(waiting as u64, &lane);
        }
        self.memory.record(usage.readings_bytes as u64, &[]);
        self.memory_max.record(READINGS_BYTES_MAX as u64, &[]);
        let before = self.without_native_counted.fetch_max(usage.readings_without_native, Ordering::Relaxed);
        self.without_native.add(usage.readings_without_native.saturating_sub(before), &[]);
    }
}
