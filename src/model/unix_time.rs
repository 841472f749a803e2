//! Times as numbers since 1970. A time before 1970 is 0.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The nanoseconds of one second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The start of 2026, before the first release, in Unix seconds. A clock that shows an earlier time has not been set.
pub const CLOCK_SECONDS_MIN: u64 = 1_767_225_600;

/// The nanoseconds since 1970.
#[must_use]
pub fn unix_nanos(time: SystemTime) -> u64 {
    u64::try_from(since_1970(time).as_nanos()).unwrap_or(u64::MAX)
}

/// The whole seconds since 1970.
#[must_use]
pub fn unix_seconds(time: SystemTime) -> u64 {
    since_1970(time).as_secs()
}

/// The time since 1970.
#[must_use]
pub fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
