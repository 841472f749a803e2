//! The sums and distributions that are counted from the contents of a target's delivery records.

use super::record_failures::{DETAILED_FAILURES_MAX, FAILURES_MAX, Failures};
use super::record_groups::RecordGroups;
use super::record_histograms::{DURATION_SECONDS, RecordHistogram, SIZE_BYTES};
use crate::config::RecordDetail;
use crate::model::vocabulary::{
    BOUNCE_TYPE, BOUNCES, COMPLAINT_TYPE, COMPLAINTS, DELIVERY_ATTEMPTS, DELIVERY_DURATION, DELIVERY_FAILURES, DELIVERY_OUTCOME,
    MESSAGE_SIZE, MESSAGE_SOURCE, PROTOCOL, RECEIVED_MESSAGES, REJECTED_MESSAGES, REJECTION_REASON,
};
use crate::model::{
    Attribute, Attributes, BounceType, ComplaintType, FailureKind, MeasuredExemplar, MeasuredHistogram, Metric, Outcome, Point, Record,
    RecordEvent, RecordUid,
};
use smallvec::smallvec;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The reason of a rejection that a record does not report.
const UNSPECIFIED: &str = "unspecified";

/// The sums and distributions that are counted from the contents of records.
#[derive(Debug)]
pub(super) struct DeliveryCounts {
    /// The time since which these are counted.
    pub(super) since: SystemTime,
    pub(super) groups: RecordGroups,
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

impl DeliveryCounts {
    pub(super) fn new(detail: RecordDetail, since: SystemTime) -> Self {
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

    pub(super) fn count(&mut self, uid: RecordUid, record: &Record, nanos: u64) {
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

    pub(super) fn points(&self) -> Vec<Point> {
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
    pub(super) fn histograms(&self) -> Vec<RecordHistogram> {
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
