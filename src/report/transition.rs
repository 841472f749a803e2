//! The step from one reading of a target to the next: the time of its points, and the start times that follow from the readings before.

use super::times::{ReadingStatus, UnixNanos};
use crate::model::NANOS_PER_SECOND;
use crate::poll::Continuity;
use crate::telemetry::RecordsSince;
use std::time::SystemTime;

/// The time resolution of Prometheus.
pub(super) const TIME_RESOLUTION_NANOS: u64 = 1_000_000;
/// A reading is at least this much later than the one before it, so that an end marker has a time between the two.
pub(super) const READING_STEP_NANOS: u64 = 2 * TIME_RESOLUTION_NANOS;
/// If the clock is further behind the last reading than this, the time of the last reading is considered wrong. Prometheus rejects samples
/// that are further ahead of its own clock.
const CLOCK_BEHIND_NANOS_MAX: u64 = 600 * NANOS_PER_SECOND;

/// The status of a reading, and the times that follow from the readings before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transition {
    /// The status of the reading.
    pub status: ReadingStatus,
    /// The time of all points of the reading.
    pub time: UnixNanos,
    /// The time of the reading before, good or not.
    pub last_time: Option<UnixNanos>,
    /// The time of the reading before, if that one had all series: one that is new now began after it.
    pub last_complete_time: Option<UnixNanos>,
    /// The time of the last successful reading before, or of the first reading if none was successful. `None` for the first reading.
    pub exported_until: Option<UnixNanos>,
    /// The new start time of the server's counters, if it reports that they restarted since the reading before.
    pub restarted_at: Option<UnixNanos>,
    /// The relation to the counters of the readings before, if a reload has changed the target since.
    pub continuity: Continuity,
    /// The counts of Postmeter that began anew since the reading before.
    pub new_counts: NewCounts,
}

/// The counts of Postmeter that began anew: because the target was removed and added again, or because its records are split by other
/// fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NewCounts {
    /// The errors and repairs of polls.
    pub polls: bool,
    /// The records by state.
    pub record_states: bool,
    /// The sums that are counted from the contents of records.
    pub record_contents: bool,
}

impl NewCounts {
    fn between(before: &ReadingStatus, now: &ReadingStatus) -> Self {
        let differs = |since: fn(&RecordsSince) -> SystemTime| {
            before.records_since.as_ref().zip(now.records_since.as_ref()).is_some_and(|(before, now)| since(before) != since(now))
        };
        Self {
            polls: before.tally_since.zip(now.tally_since).is_some_and(|(before, now)| before != now),
            record_states: differs(|since| since.states),
            record_contents: differs(|since| since.contents),
        }
    }
}

impl Transition {
    /// The same transition for counters that are not the server's own, so that its start time does not apply to them.
    pub(super) fn without_server_start(mut self) -> Self {
        (self.status.counters_since, self.restarted_at) = (None, None);
        self
    }

    /// The same transition for canonical counters that continue after a restart of the server, so that a later start is not theirs.
    pub(super) fn of_continued(mut self) -> Self {
        self.status.counters_since = self.status.continued_since;
        self.restarted_at = None;
        self
    }

    /// The same transition for series that may have existed before, without having been read.
    pub(super) fn with_unknown_past(mut self) -> Self {
        self.last_complete_time = None;
        self
    }

    /// The time of the end markers: before all points of the reading, and after those of the reading before.
    pub(super) fn end_time(&self) -> UnixNanos {
        self.time.earlier(TIME_RESOLUTION_NANOS)
    }

    /// Returns true if the mail server's native counters are those of the readings before.
    pub(super) fn is_same_server(&self) -> bool {
        self.continuity < Continuity::OtherServer
    }

    /// Returns true if the canonical counters of the mail server are those of the readings before.
    pub(super) fn has_same_rules(&self) -> bool {
        self.continuity < Continuity::OtherRules
    }

    /// The start time of a counter that the reading before did not have.
    pub(super) fn start_of_new_series(&self) -> Option<UnixNanos> {
        // A counter that was missing from a complete reading began after it, even if the process is older.
        self.status.counters_since.max(self.last_complete_time)
    }

    /// Returns true if no point was exported yet of a new counter that began at `start`.
    pub(super) fn is_unexported(&self, start: Option<UnixNanos>) -> bool {
        self.exported_until.zip(start).is_some_and(|(exported_until, start)| exported_until <= start)
    }

    /// The new start time of a counter that was last read at `last_read`, if it was reset since.
    pub(super) fn reset_start(&self, decreased: bool, last_read: UnixNanos) -> Option<UnixNanos> {
        if decreased {
            return Some(self.status.counters_since.filter(|since| *since > last_read).unwrap_or(last_read));
        }
        // A restarted counter may have passed its old value already. That is not noticed if the server's clock is behind: a start that is
        // not after the last reading may as well be that of the same process, moved because the server's clock was set.
        self.restarted_at.filter(|since| *since > last_read)
    }
}

/// The times of a target's readings so far.
#[derive(Debug, Default)]
pub(super) struct ReadingHistory {
    last: Option<PreviousReading>,
    exported_until: Option<UnixNanos>,
    /// The start time of its counters that the server reported last, by its own clock.
    counters_since: Option<UnixNanos>,
    /// The relation of the next reading to the readings so far.
    continuity: Continuity,
}

#[derive(Clone, Copy, Debug)]
struct PreviousReading {
    /// The time of its points, which can differ from that of the reading.
    time: UnixNanos,
    status: ReadingStatus,
}

impl ReadingHistory {
    /// The time of the last reading.
    pub(super) fn last_time(&self) -> Option<UnixNanos> {
        self.last.map(|last| last.time)
    }

    /// Notes that a reload has changed the target.
    pub(super) fn note_change(&mut self, continuity: Continuity) {
        self.continuity = continuity.max(self.continuity);
    }

    /// Returns true if the last reading is so far ahead of this time that the clock must have been wrong then.
    pub(super) fn is_ahead_of(&self, time: UnixNanos) -> bool {
        self.last.is_some_and(|last| last.time.get().saturating_sub(time.get()) > CLOCK_BEHIND_NANOS_MAX)
    }

    /// Moves all times to right before this one if they are so far ahead that the clock must have been wrong then.
    pub(super) fn follow_clock(&mut self, time: UnixNanos) {
        if self.is_ahead_of(time) {
            self.limit_times(time.earlier(READING_STEP_NANOS));
        }
    }

    /// Moves all times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        let times = self.last.iter_mut().map(|last| &mut last.time).chain(&mut self.exported_until);
        times.for_each(|time| *time = latest.min(*time));
    }

    /// Adds a reading.
    pub(super) fn add(&mut self, mut status: ReadingStatus) -> Transition {
        let earliest = self.last.map_or(UnixNanos::EARLIEST, |last| last.time.later(READING_STEP_NANOS));
        let time = status.time.max(earliest);
        let reported = status.counters_since;
        // The server's clock is wrong if its counters begin after the reading.
        status.counters_since = reported.filter(|since| *since <= time);
        status.continued_since = status.continued_since.filter(|since| *since <= time);
        let last_time = self.last_time();
        let continuity = self.continuity;
        let is_comparable =
            |last: &PreviousReading| last.status.is_good && last.status.has_all_series && continuity == Continuity::SameCounters;
        let last_complete_time = self.last.filter(is_comparable).map(|last| last.time);
        let new_counts = self.last.map(|last| NewCounts::between(&last.status, &status)).unwrap_or_default();
        self.last = Some(PreviousReading { time, status });
        let exported_until = self.exported_until;
        if status.is_good || exported_until.is_none() {
            self.exported_until = Some(time);
        }
        if status.is_good {
            self.continuity = Continuity::SameCounters;
        }
        if continuity == Continuity::OtherServer {
            self.counters_since = None;
        }
        // Compared with the server's last report and not with Postmeter's clock, which may be behind the server's. A start that was
        // reported before it had come by Postmeter's clock does not count as a restart when it has come.
        let restarted_at = status.counters_since.filter(|since| self.counters_since.is_some_and(|before| *since > before));
        self.counters_since = reported.or(self.counters_since);
        Transition { status, time, last_time, last_complete_time, exported_until, restarted_at, continuity, new_counts }
    }
}
