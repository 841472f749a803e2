//! The result of one poll: a snapshot or an error, and facts about the poll itself.

use super::{PollError, RecordArrival};
use crate::model::vocabulary::{
    ERROR_TYPE, POLL_AGE, POLL_BODY_SIZE, POLL_ERRORS, POLL_LATENCY, POLL_PART, POLL_REPAIRS, POLL_SERIES, REPAIR_KIND, SERIES_STATE, UP,
};
use crate::model::{Point, RecordMetrics, Repair, Repairs, SelectedFamilies, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// About how many points there are about a poll itself.
const POLL_POINTS: usize = 8;

/// The result of one poll.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The start of the poll by the target's clock: the time of its points.
    pub at: SystemTime,
    /// The start of the poll, for ages.
    pub began: Instant,
    /// The end of the poll.
    pub ended: Instant,
    /// The canonical metrics, or the error of the required part.
    pub outcome: Result<Snapshot, PollError>,
    /// The native metrics to forward.
    pub native: Arc<SelectedFamilies>,
    /// One report for each part of the target.
    pub parts: Vec<PartReport>,
    /// Bytes of all responses, decompressed.
    pub body_bytes: u64,
    /// The target's counters after this poll.
    pub tally: Tally,
    /// The time since which the tally counts: the creation of the target.
    pub tally_since: SystemTime,
}

/// The outcome of one part.
#[derive(Clone, Debug)]
pub struct PartReport {
    /// The part's name.
    pub part: &'static str,
    /// The duration of the request, body included. `None` if the part was not requested, because its circuit is open or because of the
    /// server's rate limit.
    pub took: Option<Duration>,
    /// The error, if the part failed. For a part that was not requested, its last error.
    pub error: Option<PollError>,
}

/// Counters of a target's polls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Errors by part and `error.type`.
    pub errors: BTreeMap<(&'static str, &'static str), u64>,
    /// Repairs by kind.
    pub repairs: Repairs,
    /// The server is not polled: it sends records only.
    pub is_unpolled: bool,
    /// The metrics that Postmeter counted from the target's delivery records when the poll began. [`Reading::record_metrics`] has those of
    /// now.
    pub from_records: RecordMetrics,
    /// The arrival of the target's delivery records.
    pub records: Option<Arc<RecordArrival>>,
}

impl Reading {
    /// The reading of a poll that began at `began` and has just failed.
    pub(super) fn failed(at: SystemTime, began: Instant, error: PollError) -> Self {
        let (native, parts, body_bytes, tally) = Default::default();
        Self { at, began, ended: Instant::now(), outcome: Err(error), native, parts, body_bytes, tally, tally_since: at }
    }

    /// The metrics that are counted from delivery records and not in this reading. A failed reading has no values of the server, so what
    /// has arrived since the poll counts at once.
    #[must_use]
    pub fn record_metrics(&self) -> RecordMetrics {
        let since_failure = self.tally.records.as_ref().filter(|_| self.outcome.is_err());
        since_failure.map_or(self.tally.from_records, |records| records.counted())
    }

    /// The canonical metrics, if the poll succeeded.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.outcome.as_ref().ok()
    }

    /// Returns true if every part succeeded.
    #[must_use]
    pub fn has_all_parts(&self) -> bool {
        self.outcome.is_ok() && self.parts.iter().all(|part| part.error.is_none())
    }

    /// Returns true if everything that the server reported is in the reading, so that a missing series is missing on the server.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.has_all_series() && !self.snapshot().is_some_and(|snapshot| snapshot.repairs.hide_series())
    }

    /// Returns true if everything that the server reported could be read, so that a series that the reading lacks was not reported, unless
    /// its own value is invalid: the canonical metrics of such values are known ([`Snapshot::unknown_metrics`]), and the native families
    /// too.
    #[must_use]
    pub fn has_all_series(&self) -> bool {
        self.has_all_parts() && !self.native.memory_exceeded && !self.snapshot().is_some_and(|snapshot| snapshot.may_lack_series)
    }

    /// Returns true if it is complete and no sum of a previous reading is omitted, so that a missing canonical point did not exist.
    #[must_use]
    pub fn has_all_sums(&self) -> bool {
        self.is_complete() && self.snapshot().is_none_or(|snapshot| snapshot.repairs.get(Repair::IncompleteSum) == 0)
    }

    /// All canonical points as of `now`: those of the snapshot, and those about the poll itself.
    #[must_use]
    pub fn points(&self, now: Instant) -> Vec<Point> {
        let of_snapshot = self.snapshot().map_or(&[][..], |snapshot| &snapshot.points);
        let mut points = Vec::with_capacity(of_snapshot.len() + POLL_POINTS);
        self.add_poll_points(now, &mut points);
        points.extend_from_slice(of_snapshot);
        points
    }

    fn add_poll_points(&self, now: Instant, points: &mut Vec<Point>) {
        if self.tally.is_unpolled {
            return;
        }
        points.push(Point::new(&UP, &[], f64::from(self.outcome.is_ok())));
        for (part, took) in self.parts.iter().filter_map(|part| Some((part.part, part.took?))) {
            points.push(Point::new(&POLL_LATENCY, &[(&POLL_PART, part)], took.as_secs_f64()));
        }
        if self.outcome.is_ok() {
            points.push(Point::new(&POLL_AGE, &[], now.saturating_duration_since(self.began).as_secs_f64()));
            points.push(Point::new(&POLL_BODY_SIZE, &[], self.body_bytes as f64));
            points.push(Point::new(&POLL_SERIES, &[(&SERIES_STATE, "kept")], self.native.kept as f64));
            points.push(Point::new(&POLL_SERIES, &[(&SERIES_STATE, "dropped")], self.native.dropped as f64));
        }
        for ((part, error), n) in &self.tally.errors {
            points.push(Point::new(&POLL_ERRORS, &[(&POLL_PART, part), (&ERROR_TYPE, error)], *n as f64));
        }
        for (repair, n) in self.tally.repairs.iter() {
            points.push(Point::new(&POLL_REPAIRS, &[(&REPAIR_KIND, repair.as_str())], n as f64));
        }
    }
}
