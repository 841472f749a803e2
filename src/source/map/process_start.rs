//! The start of a server's process, reported by an infrequent part. It shows whether accumulated counters restarted.

use super::CounterMemory;
use super::reported_start::ReportedStart;
use std::time::SystemTime;

/// The start of the server's process.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessStart {
    start: ReportedStart,
    /// The time of the last poll.
    polled_at: Option<SystemTime>,
    restart: Restart,
    /// `true` if the current poll reports the start.
    is_reported: bool,
    /// `true` if the report comes from an earlier poll.
    is_repeated: bool,
    /// `true` if a counter of the current poll decreased, so that a restart may have happened since the previous poll.
    pub(super) has_decreased: bool,
}

/// A restart of the server's process that the current poll reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Restart {
    #[default]
    None,
    /// The last poll was before it.
    SinceLastPoll,
    /// The last poll that reported the start was before it. Later polls may have counted after it already.
    SinceLastReport,
}

impl ProcessStart {
    /// Stores the start that the poll at `now` reports.
    pub(super) fn set(&mut self, since: Option<SystemTime>, now: SystemTime) {
        let polled_at = self.polled_at.replace(now);
        // If the server's clock is ahead, a restart is known when its time has come.
        let since = since.filter(|since| *since <= now);
        self.is_reported = since.is_some() && !self.is_repeated;
        // A decrease is that of a pruned counter, so it does not confirm a restart.
        let is_restarted = self.start.update(since.filter(|_| self.is_reported), now, false);
        let is_recent = self.has_decreased && since.zip(polled_at).is_some_and(|(since, polled_at)| since > polled_at);
        self.restart = match (is_restarted, is_recent) {
            (false, _) => Restart::None,
            (true, true) => Restart::SinceLastPoll,
            (true, false) => Restart::SinceLastReport,
        };
    }

    /// Returns the restart that the current poll reports.
    pub(super) fn restart(&self) -> Restart {
        self.restart
    }

    /// Returns `true` if the current poll reports the start, and not an earlier one.
    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }
}

impl CounterMemory {
    /// Sets whether the report of the process start in the next mapping comes from an earlier poll.
    pub fn repeats_process_start(&mut self, is_repeated: bool) {
        self.process.is_repeated = is_repeated;
    }
}
