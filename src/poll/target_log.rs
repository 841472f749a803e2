//! The log lines about the readings of a target: each problem when it starts or changes, and when it ends.

use super::circuit_breaker::to_tenths;
use super::{PollError, READINGS_BYTES_MAX, Reading};
use crate::config::{self, show_bytes};
use crate::model::NameCollision;
use crate::net::{LoggedSet, ProblemLog};
use std::time::Duration;
use tracing::{info, warn};

/// Name collisions of a target that are logged. Further ones are only counted.
const COLLISIONS_LOGGED_MAX: usize = 1000;

/// The problems of a target that were logged.
#[derive(Debug)]
pub(super) struct TargetLog {
    target: String,
    /// The part that a reading requires.
    required: &'static str,
    /// The last error of each part: its type and cause.
    part_problems: Vec<(&'static str, ProblemLog<(&'static str, String)>)>,
    /// The longest wait of a caller, while polls succeed but take longer than that.
    late_limit: Option<Duration>,
    lateness: ProblemLog<()>,
    /// The native families of the last reading exceeded the memory limit.
    memory_problem: ProblemLog<()>,
    /// Families with the same name in Prometheus.
    collisions: LoggedSet<NameCollision>,
    /// The advice that was logged last.
    advice: ProblemLog<Vec<String>>,
}

impl TargetLog {
    /// Nothing has been logged.
    pub(super) fn new(target: &config::Target) -> Self {
        Self {
            target: target.name.clone(),
            required: target.source.required().name,
            part_problems: Vec::new(),
            late_limit: None,
            lateness: ProblemLog::new(),
            memory_problem: ProblemLog::new(),
            collisions: LoggedSet::new(COLLISIONS_LOGGED_MAX),
            advice: ProblemLog::new(),
        }
    }

    /// Inherits the problems of the target that this one replaces, so that they are not logged again. A new target may select fewer
    /// native families, so an exceeded memory limit is logged anew.
    pub(super) fn inherit_from(&mut self, before: &Self) {
        self.part_problems.clone_from(&before.part_problems);
        self.late_limit = before.late_limit;
        self.lateness.clone_from(&before.lateness);
        self.collisions.clone_from(&before.collisions);
        self.advice.clone_from(&before.advice);
    }

    /// Logs what has changed with a reading. `timed_out_after` is the longest wait of a caller that has timed out on its poll.
    pub(super) fn reading(&mut self, reading: &Reading, timed_out_after: Option<Duration>) {
        self.log_part_problems(reading);
        self.log_lateness(reading, timed_out_after);
        self.log_memory(reading);
        self.log_name_collisions(reading);
        self.log_advice(reading);
    }

    /// Logs that the target is polled less often, for this time.
    pub(super) fn slowdown(&self, pause: Duration) {
        info!(target = self.target.as_str(), next_in = ?to_tenths(pause), "polling slowed down after repeated failures");
    }

    fn log_memory(&mut self, reading: &Reading) {
        let (target, exceeded) = (self.target.as_str(), reading.native.memory_exceeded);
        if reading.outcome.is_err() {
            return;
        }
        if exceeded {
            if let Some(note) = self.memory_problem.start(()) {
                let limit = show_bytes(READINGS_BYTES_MAX);
                warn!(
                    target,
                    limit,
                    "native metrics omitted: readings of all targets have reached the memory limit; exclude families with relay{note}"
                );
            }
        } else if self.memory_problem.end().is_some() {
            info!(target, "native metrics are complete again");
        }
    }

    fn log_part_problems(&mut self, reading: &Reading) {
        let target = self.target.as_str();
        for report in reading.parts.iter().filter(|report| report.took.is_some()) {
            let known = self.part_problems.iter().position(|(part, _)| *part == report.part);
            let at = known.unwrap_or_else(|| {
                self.part_problems.push((report.part, ProblemLog::default()));
                self.part_problems.len() - 1
            });
            let problem = &mut self.part_problems[at].1;
            match &report.error {
                Some(error) => {
                    if let Some(note) = problem.start((error.error_type(), error.cause())) {
                        warn!(target, part = report.part, error.type = error.error_type(), "poll failed: {error}{note}");
                    }
                }
                None if problem.end().is_some() => info!(target, part = report.part, "poll succeeded again"),
                None => {}
            }
        }
    }

    /// Logs the advice that follows from the metrics: once, and again when it changes.
    fn log_advice(&mut self, reading: &Reading) {
        let Some(snapshot) = reading.snapshot() else { return };
        if snapshot.advice.is_empty() {
            self.advice.end();
        } else if let Some(note) = self.advice.start(snapshot.advice.clone()) {
            let target = self.target.as_str();
            snapshot.advice.iter().for_each(|advice| warn!(target, "{advice}{note}"));
        }
    }

    /// Logs each collision once: the families of a server rarely change.
    fn log_name_collisions(&mut self, reading: &Reading) {
        let target = self.target.as_str();
        for collision in reading.native.name_collisions() {
            if self.collisions.insert(collision) {
                warn!(target, "{collision}");
            }
        }
    }

    /// Logs polls that succeed but end after a caller has timed out. No part has failed, but that caller had `mail.up` 0.
    fn log_lateness(&mut self, reading: &Reading, timed_out_after: Option<Duration>) {
        let (target, part) = (self.target.as_str(), self.required);
        let took = reading.ended.saturating_duration_since(reading.began);
        match (self.late_limit, timed_out_after) {
            _ if reading.outcome.is_err() => {
                self.late_limit = None;
                self.lateness.end();
            }
            (_, Some(limit)) => {
                if let Some(note) = self.lateness.start(()) {
                    let error = PollError::Late(limit);
                    warn!(target, part, error.type = error.error_type(), took = ?to_tenths(took), "poll failed: {error}{note}");
                }
                self.late_limit = Some(limit);
            }
            (Some(limit), None) if took < limit => {
                if self.lateness.end().is_some() {
                    info!(target, part, "server responds in time again");
                }
                self.late_limit = None;
            }
            (_, None) => {}
        }
    }
}
