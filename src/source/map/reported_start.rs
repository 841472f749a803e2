//! The start time that a server reports, to detect restarts.

use std::time::SystemTime;

/// The start of a server's counters or of its process, as reported.
///
/// A later start alone is not a restart: exporters calculate it from the time of the host's boot, which moves when the clock is set. As in a
/// report, it is one if it is later than the last reading. The two are of different clocks, so if the server's is wrong, a restart is found
/// only when a counter falls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReportedStart {
    /// The start that the state of the counters belongs to.
    since: Option<SystemTime>,
    /// The time of the last poll that reported a start.
    read_at: Option<SystemTime>,
}

impl ReportedStart {
    /// Stores the start that the poll at `now` reports. Returns `true` if the server has restarted. `has_fallen`: a counter is lower than in
    /// the poll before, which is not a restart by itself.
    pub(super) fn update(&mut self, since: Option<SystemTime>, now: SystemTime, has_fallen: bool) -> bool {
        let Some(since) = since else { return false };
        // The server's clock is wrong if its counters begin after the reading.
        let is_after_last = self.read_at.replace(now).is_some_and(|read_at| read_at < since && since <= now);
        let before = self.since.get_or_insert(since);
        let is_restarted = since > *before && (has_fallen || is_after_last);
        if is_restarted || since < *before {
            *before = since;
        }
        is_restarted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_later_start_is_a_restart_after_the_last_reading_or_with_a_fall() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut start = ReportedStart::default();
        for (now, since, has_fallen, expected) in [
            (1000, Some(900), false, false),
            (1010, Some(901), false, false),
            (1020, None, true, false),
            // The reading before did not report the start.
            (1030, Some(1015), false, true),
            (1040, Some(1015), true, false),
            // The server's clock is ahead, and then behind.
            (1050, Some(1055), false, false),
            (1060, Some(1066), true, true),
            (1070, Some(1000), true, false),
            (1080, Some(1001), false, false),
            (1090, Some(1001), true, true),
            (1100, Some(1001), true, false),
        ] {
            assert_eq!(start.update(since.map(at), at(now), has_fallen), expected, "{now} {since:?}");
        }
    }
}
