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

use super::record_failures::{DETAILED_FAILURES_MAX, FAILURES_MAX, Failures};
use super::record_groups::RecordGroups;
use super::record_histograms::{DURATION_SECONDS, RecordHistogram, SIZE_BYTES};
use crate::config::RecordDetail;
use crate::model::vocabulary::{
    BOUNCE_TYPE, BOUNCES, COMPLAINT_TYPE, COMPLAINTS, DELIVERY_ATTEMPTS, DELIVERY_DURATION, DELIVERY_FAILURES, DELIVERY_OUTCOME,
    ERROR_TYPE, MESSAGE_SIZE, MESSAGE_SOURCE, POLL_ERRORS, POLL_PART, POLL_RECORDS, PROTOCOL, RECEIVED_MESSAGES, RECORD_LAG,
    RECORD_QUEUE_DEPTH, RECORD_STATE, REJECTED_MESSAGES, REJECTION_REASON,
};
use crate::model::{
    Attribute, Attributes, BounceType, ComplaintType, FailureKind, MeasuredExemplar, MeasuredHistogram, Metric, Outcome, Point, Record,
    RecordEvent, RecordState, RecordUid, unix_nanos,
};
use crate::poll::RecordArrival;
use parking_lot::{Mutex, MutexGuard};
use smallvec::smallvec;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The reason of a rejection that a record does not report.
const UNSPECIFIED: &str = "unspecified";

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

/// The sums and distributions that are counted from the contents of records.
#[derive(Debug)]
struct DeliveryCounts {
    /// The time since which these are counted.
    since: SystemTime,
    groups: RecordGroups,
    by_group: Vec<GroupCounts>,
    failures: Failures,
    /// Message sizes by source.
    sizes: BTreeMap<Option<&'static str>, MeasuredHistogram>,
    /// Received messages by protocol and source.
    received: BTreeMap<(Option<&'static str>, Option<&'static str>), u64>,
    rejected: u64,
}

/// The counts of a group of records.
#[derive(Debug, Default)]
struct GroupCounts {
    /// Attempts by outcome, in the order of `DELIVERY_OUTCOME`.
    attempts: [u64; DELIVERY_OUTCOME.values.len()],
    /// Bounces by type, the last ones without a type.
    bounces: [u64; BounceType::ALL.len() + 1],
    /// Complaints by type, the last ones without a type.
    complaints: [u64; ComplaintType::ALL.len() + 1],
    duration: Option<Box<MeasuredHistogram>>,
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

impl DeliveryCounts {
    fn new(detail: RecordDetail, since: SystemTime) -> Self {
        let failures_max = if detail.by.is_empty() { FAILURES_MAX } else { DETAILED_FAILURES_MAX };
        Self {
            since,
            groups: RecordGroups::new(detail),
            by_group: Vec::new(),
            failures: Failures::new(failures_max),
            sizes: BTreeMap::new(),
            received: BTreeMap::new(),
            rejected: 0,
        }
    }

    fn count(&mut self, uid: RecordUid, record: &Record, nanos: u64) {
        match record.event {
            RecordEvent::Delivery => self.count_delivery(uid, record, nanos),
            RecordEvent::Bounce => {
                let index = record.bounce.map_or(BounceType::ALL.len(), |bounce| bounce as usize);
                self.group(record).1.bounces[index] += 1;
            }
            RecordEvent::Complaint => {
                let index = record.complaint.map_or(ComplaintType::ALL.len(), |complaint| complaint as usize);
                self.group(record).1.complaints[index] += 1;
            }
            RecordEvent::Received => {
                let protocol = record.protocol.filter(|protocol| PROTOCOL.values.contains(protocol));
                let source = record.source.filter(|source| MESSAGE_SOURCE.values.contains(source));
                *self.received.entry((protocol, source)).or_default() += 1;
            }
            RecordEvent::Rejection => self.rejected += 1,
        }
    }

    /// Counts a record of a delivery. Only attempts count: a message that ends without one was counted with its last attempt.
    fn count_delivery(&mut self, uid: RecordUid, record: &Record, nanos: u64) {
        let Some(outcome) = record.outcome.filter(|outcome| outcome.is_attempt()) else { return };
        let (group, counts) = self.group(record);
        let index = DELIVERY_OUTCOME.values.iter().position(|value| *value == outcome.as_str());
        index.into_iter().for_each(|index| counts.attempts[index] += 1);
        let observed = |value| MeasuredExemplar { uid, value, nanos };
        // The duration and size are recorded with the final outcome.
        if let Some(seconds) = record.duration.filter(|_| outcome != Outcome::Deferred) {
            let duration = counts.duration.get_or_insert_with(|| Box::new(MeasuredHistogram::new(DURATION_SECONDS)));
            duration.observe(observed(seconds));
        }
        match outcome {
            Outcome::Deferred => self.failures.count(record, FailureKind::Transient, group),
            Outcome::Failed => self.failures.count(record, FailureKind::Permanent, group),
            _ => {}
        }
        if let Some(bytes) = record.size.filter(|_| outcome != Outcome::Deferred) {
            let source = record.source.filter(|source| MESSAGE_SOURCE.values.contains(source));
            self.sizes.entry(source).or_insert_with(|| MeasuredHistogram::new(SIZE_BYTES)).observe(observed(bytes as f64));
        }
    }

    /// The index of a record's group, and its counts.
    fn group(&mut self, record: &Record) -> (usize, &mut GroupCounts) {
        let index = self.groups.index_of(record);
        if index >= self.by_group.len() {
            self.by_group.resize_with(index + 1, GroupCounts::default);
        }
        (index, &mut self.by_group[index])
    }

    fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        let mut add = |metric: &'static Metric, attributes: Attributes, group: usize, n: u64| {
            let attributes = attributes.into_iter().chain(self.groups.attributes(group).iter().cloned()).collect();
            points.push(Point { metric, attributes, value: n as f64 });
        };
        // Without `by`, the counts are there before the first record.
        let empty = GroupCounts::default();
        let is_undetailed = self.groups.detail.by.is_empty();
        let before_first = Some(&empty).filter(|_| is_undetailed && self.by_group.is_empty());
        for (group, counts) in self.by_group.iter().chain(before_first).enumerate() {
            let is_used = is_undetailed || counts.attempts.iter().any(|n| *n > 0);
            for (outcome, n) in DELIVERY_OUTCOME.values.iter().zip(counts.attempts).filter(|_| is_used) {
                add(&DELIVERY_ATTEMPTS, smallvec![(&DELIVERY_OUTCOME, Cow::Borrowed(*outcome))], group, n);
            }
            let types = BounceType::ALL.iter().map(|bounce| Some(bounce.as_str())).chain([None]);
            for (bounce, n) in types.zip(counts.bounces).filter(|(_, n)| *n > 0) {
                add(&BOUNCES, optional(&BOUNCE_TYPE, bounce), group, n);
            }
            let types = ComplaintType::ALL.iter().map(|complaint| Some(complaint.as_str())).chain([None]);
            for (complaint, n) in types.zip(counts.complaints).filter(|(_, n)| *n > 0) {
                add(&COMPLAINTS, optional(&COMPLAINT_TYPE, complaint), group, n);
            }
        }
        for (attributes, group, n) in self.failures.iter() {
            add(&DELIVERY_FAILURES, attributes, group, n);
        }
        // Received and rejected messages have no provider or sending source.
        for ((protocol, source), n) in &self.received {
            let attributes = optional(&PROTOCOL, *protocol).into_iter().chain(optional(&MESSAGE_SOURCE, *source)).collect();
            points.push(Point { metric: &RECEIVED_MESSAGES, attributes, value: *n as f64 });
        }
        if self.rejected > 0 {
            points.push(Point::new(&REJECTED_MESSAGES, &[(&REJECTION_REASON, UNSPECIFIED)], self.rejected as f64));
        }
        points
    }

    /// All histograms, those of a metric in a row.
    fn histograms(&self) -> Vec<RecordHistogram> {
        let since = self.since;
        let durations = self.by_group.iter().enumerate().filter_map(|(group, counts)| {
            let (attributes, histogram) = (self.groups.attributes(group).into(), counts.duration.as_deref()?.clone());
            Some(RecordHistogram { metric: &DELIVERY_DURATION, attributes, histogram, since })
        });
        let sizes = self.sizes.iter().map(|(source, histogram)| {
            let attributes = optional(&MESSAGE_SOURCE, *source);
            RecordHistogram { metric: &MESSAGE_SIZE, attributes, histogram: histogram.clone(), since }
        });
        durations.chain(sizes).collect()
    }
}

/// The attribute with this value, if there is one.
fn optional(attribute: &'static Attribute, value: Option<&'static str>) -> Attributes {
    value.into_iter().map(|value| (attribute, Cow::Borrowed(value))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
