//! What one poll came to: a snapshot or why there is none, and what is known about the poll itself.

use super::PollError;
use crate::model::vocabulary::{
    ERROR_TYPE, POLL_AGE, POLL_BODY_SIZE, POLL_DURATION, POLL_ERRORS, POLL_PART, POLL_REPAIRS, POLL_SERIES, REPAIR_KIND, SERIES_STATE, UP,
};
use crate::model::{Point, Repairs, SelectedFamilies, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What one poll came to.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When the poll began, by the clock: the time of its points.
    pub at: SystemTime,
    /// The same, for ages.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What was read, or why the required part was not.
    pub outcome: Result<Snapshot, PollError>,
    /// What was read, in the server's own words, for the relay.
    pub native: Arc<SelectedFamilies>,
    /// Each part that was to be asked.
    pub parts: Vec<PartReport>,
    /// Bytes of all answers, decompressed.
    pub body_bytes: u64,
    /// All that went wrong so far.
    pub tally: Tally,
    /// When the target was first asked: where the tally begins.
    pub tally_since: SystemTime,
}

/// How asking for one part went.
#[derive(Clone, Debug)]
pub struct PartReport {
    /// Which part.
    pub part: &'static str,
    /// How long it took, body included; nothing where it was not asked, because it keeps failing or wants to be left alone.
    pub took: Option<Duration>,
    /// Why it failed, where it did; or why it last did, where it was not asked.
    pub error: Option<PollError>,
}

/// Counters of a target's polls since Postmeter began.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By part and `error.type`.
    pub errors: BTreeMap<(&'static str, &'static str), u64>,
    /// By kind.
    pub repairs: Repairs,
    /// Postmeter follows the target's delivery log, and counts what is in it itself.
    pub of_records: bool,
}

impl Reading {
    /// A poll that began at `began` and has just failed.
    pub(super) fn failed(at: SystemTime, began: Instant, error: PollError) -> Self {
        let (native, parts, body_bytes, tally) = Default::default();
        Self { at, began, ended: Instant::now(), outcome: Err(error), native, parts, body_bytes, tally, tally_since: at }
    }

    /// What was read, when it was.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.outcome.as_ref().ok()
    }

    /// Whether every part was read.
    #[must_use]
    pub fn has_all_parts(&self) -> bool {
        self.outcome.is_ok() && self.parts.iter().all(|part| part.error.is_none())
    }

    /// Whether all that the server counts was read: what is not in it was not there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let leaves_out = |snapshot: &Snapshot| snapshot.repairs.iter().any(|(repair, _)| repair.hides_series());
        self.has_all_parts() && !self.native.memory_exceeded && !self.snapshot().is_some_and(leaves_out)
    }

    /// All canonical points as of `now`: what was read, and what is known about the poll.
    #[must_use]
    pub fn points(&self, now: Instant) -> Vec<Point> {
        let mut points = self.poll_points(now);
        points.extend(self.snapshot().into_iter().flat_map(|snapshot| snapshot.points.iter().cloned()));
        points
    }

    fn poll_points(&self, now: Instant) -> Vec<Point> {
        let mut points = vec![Point::new(&UP, &[], f64::from(self.outcome.is_ok()))];
        for (part, took) in self.parts.iter().filter_map(|part| Some((part.part, part.took?))) {
            points.push(Point::new(&POLL_DURATION, &[(&POLL_PART, part)], took.as_secs_f64()));
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
        points
    }
}
