//! The start time that a server reports, to detect restarts.

use std::time::SystemTime;

/// The largest number of earlier starts that are stored. If more processes respond in turn, the return of one may look like a restart.
const EARLIER_MAX: usize = 64;

/// The start of a server's counters or of its process, as reported.
///
/// A later start alone is not a restart: exporters calculate it from the time of the host's boot, which moves when the clock is set. As in
/// a report, it is one if it is later than the last reading. The two are of different clocks, so if the server's is wrong, a restart is
/// found only when a counter falls.
///
/// A start that returns is not a restart either: several processes respond in turn at the same address, each with its own counters.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportedStart {
    /// The start that the state of the counters belongs to.
    since: Option<SystemTime>,
    /// The time of the last poll that reported a start.
    read_at: Option<SystemTime>,
    /// The start that was reported last.
    reported: Option<SystemTime>,
    /// The last start that was after the poll that reported it first, unless that was the first poll.
    ahead: Option<SystemTime>,
    /// Starts that were reported before another one was, the latest last.
    earlier: Vec<SystemTime>,
    /// A start returned, and counters fell with it: a fall no longer shows that a later start is a restart.
    alternates: bool,
}

impl ReportedStart {
    /// Returns `true` if this start was reported before, and another one since.
    pub(super) fn has_returned(&self, since: Option<SystemTime>) -> bool {
        since.is_some_and(|since| self.earlier.contains(&since))
    }

    /// Returns `true` if no poll has reported a start.
    pub(super) fn is_unknown(&self) -> bool {
        self.since.is_none()
    }

    /// Stores the start that the poll at `now` reports. Returns `true` if the server has restarted. `has_fallen`: a counter is lower than
    /// in the poll before, which is not a restart by itself.
    pub(super) fn update(&mut self, since: Option<SystemTime>, now: SystemTime, has_fallen: bool) -> bool {
        let Some(reported) = since else { return false };
        let is_new = self.reported != since;
        // The server's clock is wrong if its counters begin after the reading.
        if is_new && reported > now && self.read_at.is_some() {
            self.ahead = since;
        }
        let is_after_last = self.read_at.replace(now).is_some_and(|read_at| read_at < reported && reported <= now) && is_new;
        let has_returned = self.has_returned(since);
        self.remember(reported);
        let before = self.since.get_or_insert(reported);
        if has_returned {
            self.alternates |= has_fallen;
            return false;
        }
        let is_restarted = reported > *before && (is_after_last || has_fallen && !self.alternates);
        if is_restarted || reported < *before {
            *before = reported;
        }
        self.alternates &= !is_restarted;
        is_restarted
    }

    /// Returns the start to export in the poll that reported `since`: the one of the state, if several processes respond in turn. None if
    /// the server's clock is ahead: the start would follow values that were counted after it.
    pub(super) fn exported(&self, since: Option<SystemTime>) -> Option<SystemTime> {
        let since = since.filter(|since| Some(*since) != self.ahead);
        if self.alternates || self.has_returned(since) { since.and(self.since) } else { since }
    }

    fn remember(&mut self, reported: SystemTime) {
        let replaced = self.reported.replace(reported).filter(|before| *before != reported && !self.earlier.contains(before));
        if let Some(replaced) = replaced {
            if self.earlier.len() == EARLIER_MAX {
                self.earlier.remove(0);
            }
            self.earlier.push(replaced);
        }
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
            (1058, Some(1055), false, false),
            (1060, Some(1066), true, true),
            (1068, Some(1066), false, false),
            (1070, Some(1000), true, false),
            (1080, Some(1001), false, false),
            (1090, Some(1001), true, true),
            (1100, Some(1001), true, false),
        ] {
            assert_eq!(start.update(since.map(at), at(now), has_fallen), expected, "{now} {since:?}");
        }
    }

    #[test]
    fn a_start_that_returns_is_not_a_restart() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut start = ReportedStart::default();
        for (now, since, has_fallen, restarted, exported) in [
            (1000, 901, false, false, 901),
            // An older process, and the first one again.
            (1010, 900, true, false, 900),
            (1020, 901, false, false, 900),
            (1030, 900, true, false, 900),
            (1040, 900, false, false, 900),
            // A third one, which a fall would make a restart of.
            (1050, 903, true, false, 900),
            (1060, 901, true, false, 900),
            // All restart. The first poll sees one of the new processes, the next the others.
            (1070, 1065, true, true, 1065),
            (1080, 1066, true, true, 1066),
            (1090, 1065, true, false, 1066),
            (1100, 1066, true, false, 1066),
            (1110, 1067, true, false, 1066),
        ] {
            assert_eq!(start.update(Some(at(since)), at(now), has_fallen), restarted, "{now} {since}");
            assert_eq!(start.exported(Some(at(since))), Some(at(exported)), "{now} {since}");
        }
        assert_eq!(start.exported(None), None);
    }

    #[test]
    fn a_start_ahead_of_the_clock_is_exported_only_if_nothing_was_read_before() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut start = ReportedStart::default();
        for (now, since, exported) in [(1000, 1002, Some(1002)), (1010, 1002, Some(1002)), (1020, 1022, None), (1030, 1022, None)] {
            start.update(Some(at(since)), at(now), since == 1022);
            assert_eq!(start.exported(Some(at(since))), exported.map(at), "{now}");
        }
    }

    #[test]
    fn earlier_starts_are_bounded() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut start = ReportedStart::default();
        for n in 0..200 {
            start.update(Some(at(1000 - n)), at(2000 + n), false);
        }
        assert_eq!(start.earlier.len(), EARLIER_MAX);
        assert!(start.has_returned(Some(at(803))) && !start.has_returned(Some(at(1000))) && !start.has_returned(Some(at(801))));
    }
}
