//! Points in time, and the status of a reading.

use crate::model::{RecordMetrics, unix_nanos};
use crate::poll::Reading;
use crate::telemetry::RecordsSince;
use std::num::NonZeroU64;
use std::time::SystemTime;

/// A point in time in Unix nanoseconds. It is never zero, so that an optional one needs no more than eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(NonZeroU64);

impl UnixNanos {
    /// The first representable time: one nanosecond after the start of 1970.
    pub const EARLIEST: Self = Self(NonZeroU64::MIN);

    /// The time that is this many nanoseconds after the start of 1970. `None` for 0, which OTLP reads as "unset".
    #[must_use]
    #[inline]
    pub const fn new(nanos: u64) -> Option<Self> {
        match NonZeroU64::new(nanos) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Nanoseconds since the start of 1970.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The time this many nanoseconds later.
    pub(super) const fn later(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The time this many nanoseconds earlier, at least [`EARLIEST`](Self::EARLIEST).
    pub(super) fn earlier(self, nanos: u64) -> Self {
        Self::new(self.get().saturating_sub(nanos)).unwrap_or(Self::EARLIEST)
    }
}

impl From<SystemTime> for UnixNanos {
    /// A time before 1970 becomes [`EARLIEST`](Self::EARLIEST).
    fn from(time: SystemTime) -> Self {
        Self::new(unix_nanos(time)).unwrap_or(Self::EARLIEST)
    }
}

/// The time of a reading, how complete it is, and when its counters began.
#[derive(Clone, Copy, Debug)]
pub struct ReadingStatus {
    /// The time at which the poll began.
    pub time: UnixNanos,
    /// The required part was read.
    pub is_good: bool,
    /// Everything that the server counts was read: a missing series does not exist.
    pub is_complete: bool,
    /// Everything that the server reported could be read: a missing series was not reported, unless its own value is invalid.
    pub has_all_series: bool,
    /// The start time of the server's counters, if the server reports it.
    pub counters_since: Option<UnixNanos>,
    /// The start time of canonical counters that continue after a restart of the server, if it is known.
    pub continued_since: Option<UnixNanos>,
    /// The time at which Postmeter began to count the errors and repairs of the target.
    pub tally_since: Option<UnixNanos>,
    /// The times since which Postmeter counts the target's delivery records.
    pub records_since: Option<RecordsSince>,
    /// The metrics that Postmeter counts itself, from the target's delivery records.
    pub from_records: RecordMetrics,
    /// The server drops idle series, which start again at zero: one that is missing from a complete reading does not resume.
    pub drops_idle_series: bool,
}

impl ReadingStatus {
    /// The status of a failed poll that began at this time.
    #[must_use]
    pub const fn failed(time: UnixNanos) -> Self {
        Self {
            time,
            is_good: false,
            is_complete: false,
            has_all_series: false,
            counters_since: None,
            continued_since: None,
            tally_since: None,
            records_since: None,
            from_records: RecordMetrics::NONE,
            drops_idle_series: false,
        }
    }

    /// The status of a reading of a target whose delivery records are counted since these times.
    #[must_use]
    pub fn of(reading: &Reading, records_since: Option<RecordsSince>) -> Self {
        let snapshot = reading.snapshot();
        Self {
            time: reading.at.into(),
            is_good: snapshot.is_some(),
            is_complete: reading.is_complete(),
            has_all_series: reading.has_all_series(),
            counters_since: snapshot.and_then(|snapshot| snapshot.counters_since).map(UnixNanos::from),
            continued_since: snapshot.and_then(|snapshot| snapshot.continued.since).map(UnixNanos::from),
            tally_since: Some(reading.tally_since.into()),
            records_since,
            from_records: reading.record_metrics(),
            drops_idle_series: snapshot.is_some_and(|snapshot| snapshot.drops_idle_series),
        }
    }
}
