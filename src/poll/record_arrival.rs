//! The arrival of a target's delivery records, which determines where its metrics of deliveries come from.
//!
//! The metrics that the mail server counts itself are used until the first record has arrived. From then on, those of deliveries are
//! counted from the records. What the records may lack, such as received messages, is read from the server for ever if the server has it.

use crate::config;
use crate::model::vocabulary::DELIVERY_METRICS;
use crate::model::{Metric, RecordMetrics};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The time at which the newest record of a target arrived, if one has.
#[derive(Debug)]
pub struct RecordArrival {
    /// The metrics that are counted from records before the first one arrives: those that the server does not have.
    before: RecordMetrics,
    /// The metrics that are counted from records afterwards.
    after: RecordMetrics,
    has_arrived: AtomicBool,
    /// The time of the last record, or else the creation of the target.
    last: Mutex<Instant>,
}

impl RecordArrival {
    /// No records of a target have arrived.
    pub(super) fn new(target: &config::Target) -> Self {
        let is_polled = |metric: &Metric| {
            target.is_polled() && target.parts.iter().any(|part| part.part.rules.iter().any(|rule| rule.metric == metric))
        };
        let countable = if target.has_records() { target.source.record_metrics() } else { RecordMetrics::NONE };
        let counts =
            |is_counted: &dyn Fn(&'static Metric) -> bool| RecordMetrics::of(|metric| countable.contains(metric) && is_counted(metric));
        let before = counts(&|metric| !is_polled(metric));
        let after = counts(&|metric| DELIVERY_METRICS.contains(&metric) || !is_polled(metric));
        // Nothing changes with the first record if the server has none of the metrics.
        Self { before, after, has_arrived: AtomicBool::new(before == after), last: Mutex::new(Instant::now()) }
    }

    /// The metrics that are counted from records now.
    #[must_use]
    pub fn counted(&self) -> RecordMetrics {
        if self.has_arrived() { self.after } else { self.before }
    }

    /// All metrics that can be counted from records.
    #[must_use]
    pub const fn countable(&self) -> RecordMetrics {
        self.after
    }

    /// Returns `true` if the metrics of deliveries are counted from records.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.has_arrived.load(Ordering::Acquire)
    }

    /// The time of the last record, or else the creation of the target.
    #[must_use]
    pub fn last(&self) -> Instant {
        *self.last.lock()
    }

    /// Notes that records arrived. Returns `true` if their metrics were not counted from records until now.
    pub fn arrived(&self, at: Instant) -> bool {
        let mut last = self.last.lock();
        *last = at.max(*last);
        !self.has_arrived.swap(true, Ordering::AcqRel)
    }

    /// Notes that records arrived before this process was started, so that the metrics do not change their source once more.
    pub fn resume(&self) {
        self.has_arrived.store(true, Ordering::Release);
    }

    /// Continues the state of the target that this one replaces.
    pub fn inherit_from(&self, before: &Self) {
        if before.has_arrived() && before.after != RecordMetrics::NONE {
            self.resume();
        }
        *self.last.lock() = before.last();
    }
}
