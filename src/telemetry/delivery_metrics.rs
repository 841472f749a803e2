//! Metrics of the delivery records of one target.
//!
//! # Counted when accepted
//!
//! A record counts when the OTLP receiver has accepted it (or immediately if there is no receiver), not when it is read: a record that is
//! read again after a crash would otherwise count twice. The metrics contain no personal data.
//!
//! # One source per metric
//!
//! The metrics of deliveries that the mail server has itself are used until the first record arrives ([`RecordArrival`]). The series begin
//! anew then. The exports add up nothing: a metric is either read from the server or counted here.

use super::delivery_counts::DeliveryCounts;
use super::record_histograms::RecordHistogram;
use crate::config::RecordDetail;
use crate::model::vocabulary::{ERROR_TYPE, POLL_ERRORS, POLL_PART, POLL_RECORDS, RECORD_LAG, RECORD_QUEUE_DEPTH, RECORD_STATE};
use crate::model::{Point, Record, RecordState, RecordUid, unix_nanos};
use crate::poll::RecordArrival;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The metrics of the delivery records of one target.
#[derive(Debug)]
pub struct DeliveryMetrics {
    counts: Arc<Mutex<Counts>>,
    arrival: Arc<RecordArrival>,
}

/// The times since which records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsSince {
    /// The start of the counts by state.
    pub states: SystemTime,
    /// The start of the sums and distributions that are counted from the contents of records.
    pub contents: SystemTime,
}

#[derive(Debug)]
struct Counts {
    /// The time since which records are counted by state.
    since: SystemTime,
    deliveries: DeliveryCounts,
    /// Records by state, in the order of [`RecordState::ALL`].
    records: [u64; RecordState::ALL.len()],
    errors: BTreeMap<(&'static str, &'static str), u64>,
    /// The number of records that are not accepted yet, if it is known.
    queued: Option<u64>,
    /// The last time at which the log was completely read and accepted.
    complete_at: Option<Instant>,
    /// The number of changes of what is counted.
    changes: u64,
}

impl DeliveryMetrics {
    /// Metrics without records. `detail` determines the series into which they are split, and `arrival` which metrics are counted here.
    #[must_use]
    pub fn new(detail: RecordDetail, arrival: Arc<RecordArrival>) -> Self {
        let since = SystemTime::now();
        let deliveries = DeliveryCounts::new(detail, since);
        let (records, errors, complete_at, changes) = Default::default();
        Self { counts: Arc::new(Mutex::new(Counts { since, deliveries, records, errors, queued: Some(0), complete_at, changes })), arrival }
    }

    /// Continues the counts and histograms of another target's metrics. Both share them until the other one ends. If the records are split
    /// by other fields than before, what was counted from their contents begins anew.
    #[must_use]
    pub fn continuing(self, before: &Self) -> Self {
        self.arrival.inherit_from(&before.arrival);
        let mut own = self.counts.lock();
        let mut counts = before.counts.lock();
        if counts.deliveries.groups.detail.is_by_same(&own.deliveries.groups.detail) {
            counts.deliveries.groups.detail.groups_max = own.deliveries.groups.detail.groups_max;
            drop((own, counts));
            return Self { counts: before.counts.clone(), ..self };
        }
        (own.since, own.records, own.queued, own.complete_at) = (counts.since, counts.records, counts.queued, counts.complete_at);
        own.errors.clone_from(&counts.errors);
        drop((own, counts));
        self
    }

    /// Counts accepted records.
    pub fn record(&self, records: &[(RecordUid, Record)]) {
        if records.is_empty() {
            return;
        }
        let (now, at) = (SystemTime::now(), Instant::now());
        let mut counts = self.counts();
        counts.changes += 1;
        if self.arrival.arrived(at) {
            counts.deliveries.since = now;
        }
        let nanos = unix_nanos(now);
        for (uid, record) in records {
            counts.deliveries.count(*uid, record, nanos);
        }
    }

    /// Counts records by state.
    pub fn count(&self, state: RecordState, n: u64) {
        let mut counts = self.counts();
        counts.records[state as usize] += n;
        counts.changes += u64::from(n > 0);
    }

    /// Counts a failed request for records.
    pub fn failed(&self, part: &'static str, error_type: &'static str) {
        let mut counts = self.counts();
        *counts.errors.entry((part, error_type)).or_default() += 1;
        counts.changes += 1;
    }

    /// Sets the number of records that are not accepted yet. `None` if it is not known.
    pub fn set_queued(&self, records: Option<u64>) {
        self.counts().queued = records;
    }

    /// Notes that all records that existed at this time were accepted.
    pub fn completed(&self, at: Instant) {
        self.counts().complete_at = Some(at);
    }

    /// The last time at which a record arrived or all existing records were read, or else the creation of the target.
    #[must_use]
    pub fn last_activity(&self) -> Instant {
        let last = self.arrival.last();
        self.counts().complete_at.map_or(last, |complete_at| last.max(complete_at))
    }

    /// A number that differs if anything was counted.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.counts().changes
    }

    /// The times since which records are counted.
    #[must_use]
    pub fn since(&self) -> RecordsSince {
        let counts = self.counts();
        RecordsSince { states: counts.since, contents: counts.deliveries.since }
    }

    /// The points of all metrics except the histograms, as of `now`.
    #[must_use]
    pub fn points(&self, now: Instant) -> Vec<Point> {
        let counts = self.counts();
        let mut points = counts.deliveries.points();
        // Few systems have records that are joined, or send items that are ignored.
        let is_used = |(state, n): &(RecordState, u64)| !matches!(state, RecordState::Ignored | RecordState::Unjoined) || *n > 0;
        for (state, n) in RecordState::ALL.into_iter().zip(counts.records).filter(is_used) {
            points.push(Point::new(&POLL_RECORDS, &[(&RECORD_STATE, state.as_str())], n as f64));
        }
        for ((part, error), n) in &counts.errors {
            points.push(Point::new(&POLL_ERRORS, &[(&POLL_PART, part), (&ERROR_TYPE, error)], *n as f64));
        }
        points.extend(counts.queued.map(|records| Point::new(&RECORD_QUEUE_DEPTH, &[], records as f64)));
        if let Some(complete_at) = counts.complete_at {
            points.push(Point::new(&RECORD_LAG, &[], now.saturating_duration_since(complete_at).as_secs_f64()));
        }
        points
    }

    /// The histograms.
    #[must_use]
    pub fn histograms(&self) -> Vec<RecordHistogram> {
        self.counts().deliveries.histograms()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
