//! What a target has published: its latest reading, all that went wrong so far, and what the log has said of it.

use super::circuit::Breaker;
use super::history::History;
use super::{PollError, Reading, Tally};
use crate::config;
use crate::model::Repairs;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Of one target; changed at the end of each poll.
#[derive(Debug)]
pub(super) struct Published {
    target: String,
    /// The part without which there is no reading.
    required: &'static str,
    since: SystemTime,
    pub(super) latest: Option<Arc<Reading>>,
    /// For people.
    pub(super) history: History,
    tally: Tally,
    /// What the server last said of its version.
    pub(super) version: Option<String>,
    /// The poll that runs was given up on by somebody, and is counted as a timeout already.
    given_up: bool,
    /// What was logged last about each part, so that only a change is logged.
    logged: Vec<(&'static str, Option<&'static str>)>,
    pub(super) breaker: Breaker,
}

impl Published {
    pub(super) fn new(target: &config::Target, since: SystemTime, history: History, breaker: Breaker) -> Self {
        let (latest, version, given_up, logged) = Default::default();
        let tally = Tally { of_records: target.messages.is_some(), ..Tally::default() };
        let (name, required) = (target.name.clone(), target.source.required().name);
        Self { target: name, required, since, latest, history, tally, version, given_up, logged, breaker }
    }

    /// Takes over the counters of a target that this one takes the place of.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        self.since = before.since;
        self.tally = Tally { of_records: self.tally.of_records, ..before.tally.clone() };
        self.history.go_on_from(&before.history);
        self.version.clone_from(&before.version);
        self.logged.clone_from(&before.logged);
    }

    /// The latest reading, if it ended after somebody asked.
    pub(super) fn answer_to(&self, asked: Instant) -> Option<Arc<Reading>> {
        self.latest.clone().filter(|latest| latest.ended >= asked)
    }

    /// Repairs of an answer that is no reading of its own: they count with the next one.
    pub(super) fn count(&mut self, repairs: &Repairs) {
        self.tally.repairs.add_all(repairs);
    }

    /// A poll has ended.
    pub(super) fn publish(&mut self, mut reading: Reading) -> Arc<Reading> {
        let already_counted = std::mem::take(&mut self.given_up);
        for report in &reading.parts {
            if let Some(error) = &report.error {
                let counted = already_counted && report.part == self.required && error.error_type() == "timeout";
                *self.tally.errors.entry((report.part, error.error_type())).or_default() += u64::from(!counted);
            }
        }
        if let Ok(snapshot) = &reading.outcome {
            self.tally.repairs.add_all(&snapshot.repairs);
            if snapshot.version.is_some() {
                self.version.clone_from(&snapshot.version);
            }
        }
        reading.tally = self.tally.clone();
        reading.tally_since = self.since;
        self.log_changes(&reading);
        self.history.add(&reading);
        if let Some(pause) = self.breaker.note(reading.ended, reading.outcome.as_ref().err(), chance()) {
            let target = self.target.as_str();
            info!(target, next_in = ?to_tenths(pause), "keeps failing, and is asked less often from now on");
        }
        let reading = Arc::new(reading);
        self.latest = Some(reading.clone());
        reading
    }

    /// What somebody who asks now is told without a poll: nothing of it is counted, or kept as the latest.
    pub(super) fn held(&self, at: SystemTime, now: Instant) -> Option<Arc<Reading>> {
        let error = self.breaker.held(now)?.clone();
        Some(Arc::new(Reading { tally: self.tally.clone(), tally_since: self.since, ..Reading::failed(at, now, error) }))
    }

    /// The same while a server that has refused wants to be left alone for `wait`: one refusal counts once.
    pub(super) fn left_alone(&self, at: SystemTime, now: Instant, wait: Duration) -> Option<Arc<Reading>> {
        let refused = self.latest.as_ref().is_some_and(|latest| matches!(latest.outcome, Err(PollError::RateLimited(_))));
        let error = (refused && !wait.is_zero()).then_some(PollError::RateLimited(wait))?;
        Some(Arc::new(Reading { tally: self.tally.clone(), tally_since: self.since, ..Reading::failed(at, now, error) }))
    }

    /// Somebody who asked has waited for `limit`, and goes on without.
    pub(super) fn give_up(&mut self, at: SystemTime, asked: Instant, limit: Duration) -> Arc<Reading> {
        // The poll may have ended in this very moment.
        if let Some(answer) = self.answer_to(asked) {
            return answer;
        }
        let error = PollError::Timeout(limit);
        if !std::mem::replace(&mut self.given_up, true) {
            *self.tally.errors.entry((self.required, error.error_type())).or_default() += 1;
        }
        Arc::new(Reading { tally: self.tally.clone(), tally_since: self.since, ..Reading::failed(at, Instant::now(), error) })
    }

    fn log_changes(&mut self, reading: &Reading) {
        let target = self.target.as_str();
        for report in &reading.parts {
            let now = report.error.as_ref().map(PollError::error_type);
            let before = self.logged.iter_mut().find(|(part, _)| *part == report.part);
            let (known, changed) = match before {
                Some((_, before)) => (true, std::mem::replace(before, now) != now),
                None => {
                    self.logged.push((report.part, now));
                    (false, true)
                }
            };
            match &report.error {
                Some(error) if changed => {
                    warn!(target, part = report.part, error.type = error.error_type(), "{error}");
                }
                None if changed && known => info!(target, part = report.part, "answers again"),
                _ => {}
            }
        }
    }
}

/// From 0 to 1, and nobody needs more of it than that no two targets have the same.
fn chance() -> f64 {
    let bits = std::collections::hash_map::RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// For the log: `3.3s`.
fn to_tenths(pause: Duration) -> Duration {
    Duration::from_secs_f64((pause.as_secs_f64() * 10.0).round() / 10.0)
}
