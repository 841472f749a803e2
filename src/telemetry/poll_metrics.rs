//! Self-metrics about polling: how far the limits are used that all targets share.

use crate::poll::{LaneUsage, READINGS_BYTES_MAX, Usage};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use std::sync::atomic::{AtomicU64, Ordering};

/// The instruments of polling.
#[derive(Debug)]
pub struct Polling {
    requests: Gauge<u64>,
    requests_max: Gauge<u64>,
    waiting: Gauge<u64>,
    memory: Gauge<u64>,
    memory_max: Gauge<u64>,
    without_native: Counter<u64>,
    counted: AtomicU64,
}

impl Polling {
    pub(super) fn new(meter: &Meter) -> Self {
        let gauge = |name: &'static str, unit, help| meter.u64_gauge(name).with_unit(unit).with_description(help).build();
        let without_native = meter.u64_counter("postmeter.readings.without_native").with_unit("{reading}").with_description(
            "Readings whose native metrics were left out because readings of all targets already kept as much memory as they may.",
        );
        Self {
            requests: gauge("postmeter.poll.requests", "{request}", "Slots for requests to mail servers that polls hold, by lane."),
            requests_max: gauge("postmeter.poll.requests.limit", "{request}", "All slots for requests to mail servers, by lane."),
            waiting: gauge("postmeter.poll.waiting", "{poll}", "Polls that wait for a slot, by lane."),
            memory: gauge("postmeter.readings.memory", "By", "Memory that native metrics of readings keep until the next reading."),
            memory_max: gauge("postmeter.readings.memory.limit", "By", "Memory that they may keep, over all targets."),
            without_native: without_native.build(),
            counted: AtomicU64::new(0),
        }
    }

    /// Records how far the limits are used now.
    pub fn observe(&self, usage: &Usage) {
        for (lane, LaneUsage { requests, requests_max, waiting }) in [("answering", usage.responding), ("failing", usage.failing)] {
            let lane = [KeyValue::new("postmeter.poll.lane", lane)];
            self.requests.record(requests as u64, &lane);
            self.requests_max.record(requests_max as u64, &lane);
            self.waiting.record(waiting as u64, &lane);
        }
        self.memory.record(usage.readings_bytes as u64, &[]);
        self.memory_max.record(READINGS_BYTES_MAX as u64, &[]);
        let before = self.counted.fetch_max(usage.readings_without_native, Ordering::Relaxed);
        self.without_native.add(usage.readings_without_native.saturating_sub(before), &[]);
    }
}
