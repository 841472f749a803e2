//! Metrics of the delivery records of one target.
//!
//! # Counted when accepted
//!
//! A record counts when the OTLP receiver has accepted it (or immediately if there is no receiver), not when it is read: a record that is
//! read again after a crash would otherwise count twice. The metrics contain no personal data.

use super::meter_provider::measured_histogram;
use crate::model::vocabulary::{
    DELIVERY_ATTEMPTS, DELIVERY_DURATION, DELIVERY_FAILURES, DELIVERY_OUTCOME, DELIVERY_STAGE, ERROR_TYPE, FAILURE_KIND, MESSAGE_SIZE,
    MESSAGE_SOURCE, OTHER, POLL_ERRORS, POLL_PART, POLL_RECORDS, RECORD_LAG, RECORD_QUEUE_DEPTH, RECORD_STATE, SYSTEM_NAME,
};
use crate::model::{Attributes, EnhancedStatus, FailureKind, Outcome, Point, Record, RecordEvent, RecordState};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use parking_lot::{Mutex, MutexGuard};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Combinations of stage, kind and status with a series of their own. The status is chosen by foreign servers, so it must be limited.
pub const FAILURES_MAX: usize = 500;
/// Upper bounds from one second, the resolution of mail servers, to five days, after which most servers give up.
const DURATION_SECONDS: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0, 432_000.0];
/// Upper bounds from a line of text to a size that most servers reject.
const SIZE_BYTES: [f64; 12] = [
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    10_485_760.0,
    20_971_520.0,
    31_457_280.0,
    52_428_800.0,
    104_857_600.0,
];

/// The metrics of the delivery records of one target.
#[derive(Debug)]
pub struct DeliveryMetrics {
    system: KeyValue,
    duration: Histogram<f64>,
    size: Histogram<f64>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Attempts by outcome, in the order of `DELIVERY_OUTCOME`.
    attempts: [u64; DELIVERY_OUTCOME.values.len()],
    failures: BTreeMap<Failure, u64>,
    /// Records by state, in the order of [`RecordState::ALL`].
    records: [u64; RecordState::ALL.len()],
    errors: BTreeMap<(&'static str, &'static str), u64>,
    queued: u64,
    /// The last time at which the log was completely read and accepted.
    complete_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    stage: Option<&'static str>,
    kind: &'static str,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Known(EnhancedStatus),
    Unknown,
    Other,
}

impl DeliveryMetrics {
    pub(super) fn new(meter: &Meter, system: &'static str) -> Self {
        let duration = measured_histogram(meter, &DELIVERY_DURATION, &DURATION_SECONDS);
        let size = measured_histogram(meter, &MESSAGE_SIZE, &SIZE_BYTES);
        Self { system: KeyValue::new(SYSTEM_NAME.key, system), duration, size, counts: Arc::default() }
    }

    /// Continues the counts of another target's metrics. Both share them until the other one ends. The histograms begin anew.
    pub(super) fn continuing(self, before: &Self) -> Self {
        Self { counts: before.counts.clone(), ..self }
    }

    /// Counts accepted records.
    pub fn record(&self, records: &[Record]) {
        let mut counts = self.counts();
        for record in records {
            let attempt = record.outcome.filter(|outcome| outcome.is_attempt() && record.event == RecordEvent::Delivery);
            let Some(outcome) = attempt else { continue };
            let index = DELIVERY_OUTCOME.values.iter().position(|value| *value == outcome.as_str());
            index.into_iter().for_each(|index| counts.attempts[index] += 1);
            match outcome {
                Outcome::Deferred => counts.count_failure(record, FailureKind::Transient.as_str()),
                Outcome::Failed => counts.count_failure(record, FailureKind::Permanent.as_str()),
                _ => {}
            }
            if outcome == Outcome::Deferred {
                // The duration and size are recorded with the final outcome.
                continue;
            }
            if let Some(seconds) = record.duration {
                self.duration.record(seconds, std::slice::from_ref(&self.system));
            }
            if let Some(bytes) = record.size {
                let source = record.source.map(|source| KeyValue::new(MESSAGE_SOURCE.key, source));
                let attributes: Vec<KeyValue> = std::iter::once(self.system.clone()).chain(source).collect();
                self.size.record(bytes as f64, &attributes);
            }
        }
    }

    /// Counts records by state.
    pub fn count(&self, state: RecordState, n: u64) {
        self.counts().records[state as usize] += n;
    }

    /// Counts a failed request for records.
    pub fn failed(&self, part: &'static str, error_type: &'static str) {
        *self.counts().errors.entry((part, error_type)).or_default() += 1;
    }

    /// Sets the number of records that are not accepted yet.
    pub fn set_queued(&self, records: u64) {
        self.counts().queued = records;
    }

    /// Notes that all records that existed at this time were accepted.
    pub fn completed(&self, at: Instant) {
        self.counts().complete_at = Some(at);
    }

    /// The points of all metrics except the histograms, as of `now`.
    #[must_use]
    pub fn points(&self, now: Instant) -> Vec<Point> {
        let counts = self.counts();
        let mut points = Vec::new();
        for (outcome, n) in DELIVERY_OUTCOME.values.iter().zip(counts.attempts) {
            points.push(Point::new(&DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, outcome)], n as f64));
        }
        for (failure, n) in &counts.failures {
            points.push(Point { metric: &DELIVERY_FAILURES, attributes: failure.attributes(), value: *n as f64 });
        }
        for (state, n) in RecordState::ALL.into_iter().zip(counts.records) {
            points.push(Point::new(&POLL_RECORDS, &[(&RECORD_STATE, state.as_str())], n as f64));
        }
        for ((part, error), n) in &counts.errors {
            points.push(Point::new(&POLL_ERRORS, &[(&POLL_PART, part), (&ERROR_TYPE, error)], *n as f64));
        }
        points.push(Point::new(&RECORD_QUEUE_DEPTH, &[], counts.queued as f64));
        if let Some(complete_at) = counts.complete_at {
            points.push(Point::new(&RECORD_LAG, &[], now.saturating_duration_since(complete_at).as_secs_f64()));
        }
        points
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Counts {
    fn count_failure(&mut self, record: &Record, kind: &'static str) {
        let status = match record.reply.status {
            Some(status) if status.class != 2 => Status::Known(status),
            _ => Status::Unknown,
        };
        let failure = Failure { stage: record.reply.stage, kind, status };
        let is_over_limit = self.failures.len() >= FAILURES_MAX && !self.failures.contains_key(&failure);
        let failure = if is_over_limit { Failure { status: Status::Other, ..failure } } else { failure };
        *self.failures.entry(failure).or_default() += 1;
    }
}

impl Failure {
    fn attributes(&self) -> Attributes {
        let status = match self.status {
            Status::Known(status) => Some(Cow::Owned(status.to_string())),
            Status::Unknown => None,
            Status::Other => Some(Cow::Borrowed(OTHER)),
        };
        let stage = self.stage.map(|stage| (&DELIVERY_STAGE, Cow::Borrowed(stage)));
        let kind = (&FAILURE_KIND, Cow::Borrowed(self.kind));
        stage.into_iter().chain([kind]).chain(status.map(|status| (&ERROR_TYPE, status))).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Reply;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::SdkMeterProvider;

    fn deliveries() -> DeliveryMetrics {
        DeliveryMetrics::new(&SdkMeterProvider::builder().build().meter("test"), "cpanel")
    }

    fn record(outcome: Outcome, reply: Reply) -> Record {
        Record { at: 20, outcome: Some(outcome), duration: Some(10.0), size: Some(5), reply, ..Record::default() }
    }

    fn status(class: u8, subject: u16, detail: u16) -> Reply {
        Reply { code: None, status: Some(EnhancedStatus { class, subject, detail }), stage: None }
    }

    fn values(deliveries: &DeliveryMetrics, metric: &str) -> Vec<(Vec<String>, f64)> {
        let points = deliveries.points(Instant::now());
        let of = points.into_iter().filter(|point| point.metric.name == metric);
        of.map(|point| (point.attributes.iter().map(|(_, value)| value.to_string()).collect(), point.value)).collect()
    }

    #[test]
    fn outcomes_and_failures_are_counted() {
        let deliveries = deliveries();
        deliveries.record(&[
            record(Outcome::Delivered, status(2, 0, 0)),
            record(Outcome::Deferred, status(4, 7, 1)),
            record(Outcome::Failed, Reply { stage: Some("rcpt_to"), ..status(5, 1, 1) }),
            record(Outcome::Failed, status(2, 0, 0)),
            record(Outcome::InProgress, Reply::default()),
        ]);
        let attempts: Vec<f64> = values(&deliveries, "mail.delivery.attempts").into_iter().map(|(_, n)| n).collect();
        assert_eq!(attempts, [1.0, 1.0, 2.0]);
        let failures: Vec<String> = values(&deliveries, "mail.delivery.failures").into_iter().map(|(a, _)| a.join(" ")).collect();
        assert_eq!(failures, ["permanent", "transient 4.7.1", "rcpt_to permanent 5.1.1"]);
    }

    #[test]
    fn foreign_servers_cannot_create_unlimited_series() {
        let deliveries = deliveries();
        for subject in 0..FAILURES_MAX as u16 + 50 {
            deliveries.record(&[record(Outcome::Failed, status(5, subject % 1000, subject / 1000))]);
        }
        let failures = values(&deliveries, "mail.delivery.failures");
        assert_eq!(failures.len(), FAILURES_MAX + 1);
        assert!(failures.iter().any(|(attributes, n)| attributes.contains(&OTHER.to_owned()) && *n == 50.0));
    }
}
