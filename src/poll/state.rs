//! The published state of a target: its latest reading and its counters.

use super::circuit_breaker::CircuitBreaker;
use super::recent::history::History;
use super::target_log::TargetLog;
use super::{PollError, Reading, RecordArrival, Tally};
use crate::config;
use crate::model::{RecordMetrics, Repairs, Snapshot};
use crate::net::random_share;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The age up to which the latest reading is served while a poll waits for the concurrency limit.
const UNADMITTED_AGE_MAX: Duration = Duration::from_secs(300);

/// The state of one target. It changes at the end of each poll.
#[derive(Debug)]
pub(super) struct TargetState {
    /// The part that a reading requires.
    required: &'static str,
    since: SystemTime,
    pub(super) latest: Option<Arc<Reading>>,
    /// The last hour, for the status page.
    pub(super) history: History,
    tally: Tally,
    /// The version that the server last reported.
    pub(super) version: Option<String>,
    /// The resource attributes that the server last reported with `target_info`.
    pub(super) target_info: Vec<(String, String)>,
    /// The longest wait after which a caller timed out on the current poll. The poll is then counted as a timeout already.
    timed_out_after: Option<Duration>,
    pub(super) breaker: CircuitBreaker,
    /// The next poll waits for the concurrency limit.
    pub(super) waits_for_limit: bool,
    /// The current poll is an early one, for a scrape that is expected before this time.
    pub(super) early_for: Option<Instant>,
    /// Until this time, scrapes get the latest reading regardless of its age.
    early_until: Option<Instant>,
    /// The age at which a reading is due for renewal.
    reading_age_max: Duration,
    log: TargetLog,
}

impl TargetState {
    pub(super) fn new(target: &config::Target, since: SystemTime, history: History, breaker: CircuitBreaker) -> Self {
        Self {
            required: target.source.required().name,
            since,
            latest: None,
            history,
            tally: Tally { is_unpolled: !target.is_polled(), ..Tally::default() },
            version: None,
            target_info: Vec::new(),
            timed_out_after: None,
            breaker,
            waits_for_limit: false,
            early_for: None,
            early_until: None,
            reading_age_max: target.min_interval.mul_f64(config::DUE_SHARE),
            log: TargetLog::new(target),
        }
    }

    /// Inherits the counters of the target that this one replaces.
    pub(super) fn inherit_from(&mut self, before: &Self) {
        self.since = before.since;
        let Tally { is_unpolled, from_records, records, .. } = std::mem::take(&mut self.tally);
        self.tally = Tally { is_unpolled, from_records, records, ..before.tally.clone() };
        self.history.inherit_from(&before.history);
        self.version.clone_from(&before.version);
        self.target_info.clone_from(&before.target_info);
        self.log.inherit_from(&before.log);
    }

    /// The reading of a target that is not polled: it has no points of its own.
    pub(super) fn unpolled_reading(&mut self, at: SystemTime) -> Arc<Reading> {
        let (began, (native, parts, body_bytes)) = (Instant::now(), Default::default());
        let (outcome, tally, tally_since) = (Ok(Snapshot::default()), self.tally.clone(), self.since);
        let reading = Arc::new(Reading { at, began, ended: began, outcome, native, parts, body_bytes, tally, tally_since });
        self.latest = Some(reading.clone());
        reading
    }

    /// The latest reading, if its poll ended after it was requested.
    pub(super) fn reading_since(&self, requested: Instant) -> Option<Arc<Reading>> {
        self.latest.clone().filter(|latest| latest.ended >= requested)
    }

    /// The latest reading, if its poll began early for a scrape that comes at `now`.
    pub(super) fn early_reading(&self, now: Instant) -> Option<Arc<Reading>> {
        let latest = self.latest.clone().filter(|latest| latest.outcome.is_ok());
        latest.filter(|_| self.early_until.is_some_and(|until| now <= until))
    }

    /// Returns true if a caller that waits for `limit` would most likely wait in vain: the last poll failed, or the current poll has
    /// exceeded the wait of a caller that waited at least as long.
    pub(super) fn is_known_to_fail(&self, limit: Duration) -> bool {
        self.timed_out_after.is_some_and(|waited| waited >= limit) || self.latest.as_ref().is_some_and(|latest| latest.outcome.is_err())
    }

    /// Notes the metrics that are counted from delivery records and not read from the server, until the next poll begins.
    pub(super) fn set_from_records(&mut self, records: &Arc<RecordArrival>) {
        self.tally.from_records = records.counted();
        self.tally.records = Some(records.clone());
    }

    /// The metrics that are counted from delivery records.
    pub(super) const fn record_metrics(&self) -> RecordMetrics {
        self.tally.from_records
    }

    /// Counts the repairs of a response that has no reading of its own. They are published with the next reading.
    pub(super) fn count_repairs(&mut self, repairs: &Repairs) {
        self.tally.repairs.add_all(repairs);
    }

    /// Counts an error of the required part that does not make the poll fail. It is published with the next reading.
    pub(super) fn count_error(&mut self, error: &PollError) {
        *self.tally.errors.entry((self.required, error.error_type())).or_default() += 1;
    }

    /// Publishes the reading of a poll that has ended.
    pub(super) fn publish(&mut self, mut reading: Reading) -> Arc<Reading> {
        let timed_out_after = self.timed_out_after.take();
        // An early reading is served until the scrape has come, and at least for as long as any other reading.
        self.early_until = self.early_for.take().map(|until| until.max(reading.ended + self.reading_age_max));
        for report in reading.parts.iter().filter(|report| report.took.is_some()) {
            if let Some(error) = &report.error {
                let is_counted = timed_out_after.is_some() && report.part == self.required && error.error_type() == "timeout";
                *self.tally.errors.entry((report.part, error.error_type())).or_default() += u64::from(!is_counted);
            }
        }
        if let Ok(snapshot) = &reading.outcome {
            self.tally.repairs.add_all(&snapshot.repairs);
            if snapshot.version.is_some() {
                self.version.clone_from(&snapshot.version);
            }
            if self.target_info != reading.native.resource_attributes() {
                self.target_info = reading.native.resource_attributes().to_vec();
            }
        }
        reading.tally = self.tally.clone();
        reading.tally_since = self.since;
        self.log.reading(&reading, timed_out_after);
        self.history.add(&reading);
        if let Some(pause) = self.breaker.record(reading.ended, reading.outcome.as_ref().err(), random_share()) {
            self.log.slowdown(pause);
        }
        let reading = Arc::new(reading);
        self.latest = Some(reading.clone());
        reading
    }

    /// The reading while the circuit is open, without a poll. It is not counted and does not become the latest.
    pub(super) fn circuit_open_reading(&self, at: SystemTime, now: Instant) -> Option<Arc<Reading>> {
        let error = self.breaker.blocking_error(now)?.clone();
        Some(self.uncounted_failure(at, error))
    }

    /// The reading while the server's rate limit requires a wait, without a poll. A rejection by the server is counted once.
    pub(super) fn rate_limited_reading(&self, at: SystemTime, wait: Duration) -> Option<Arc<Reading>> {
        let was_rejected = self.latest.as_ref().is_some_and(|latest| matches!(latest.outcome, Err(PollError::RateLimited(_))));
        let error = (was_rejected && !wait.is_zero()).then_some(PollError::RateLimited(wait))?;
        Some(self.uncounted_failure(at, error))
    }

    /// The reading for a caller that has waited for `limit` and continues without the poll.
    pub(super) fn time_out_caller(&mut self, at: SystemTime, requested: Instant, limit: Duration) -> Arc<Reading> {
        // The poll may have ended at this very moment.
        if let Some(reading) = self.reading_since(requested) {
            return reading;
        }
        if self.waits_for_limit {
            return self.unadmitted_reading(at, limit);
        }
        let error = PollError::Late(limit);
        if self.timed_out_after.is_none() {
            *self.tally.errors.entry((self.required, error.error_type())).or_default() += 1;
        }
        self.timed_out_after = self.timed_out_after.max(Some(limit));
        self.uncounted_failure(at, error)
    }

    /// The reading for a caller that has waited briefly for a target that is known to fail. The failure is not counted again.
    pub(super) fn known_failure(&self, at: SystemTime, requested: Instant, limit: Duration) -> Arc<Reading> {
        if let Some(reading) = self.reading_since(requested) {
            return reading;
        }
        let last = self.latest.as_ref().and_then(|latest| latest.outcome.as_ref().err().cloned());
        self.uncounted_failure(at, last.unwrap_or(PollError::Late(self.timed_out_after.unwrap_or(limit))))
    }

    /// The reading while a poll waits for the concurrency limit. The server was not requested, so it did not fail: the latest reading is
    /// served with its age.
    fn unadmitted_reading(&self, at: SystemTime, limit: Duration) -> Arc<Reading> {
        let latest = self.latest.clone().filter(|latest| latest.outcome.is_ok() && latest.ended.elapsed() < UNADMITTED_AGE_MAX);
        latest.unwrap_or_else(|| self.uncounted_failure(at, PollError::Late(limit)))
    }

    fn uncounted_failure(&self, at: SystemTime, error: PollError) -> Arc<Reading> {
        Arc::new(Reading { tally: self.tally.clone(), tally_since: self.since, ..Reading::failed(at, Instant::now(), error) })
    }
}
