//! What a target has published: its latest reading, all that went wrong so far, and what the log has said of it.

use super::circuit_breaker::{CircuitBreaker, chance, to_tenths};
use super::recent::history::History;
use super::{PollError, READINGS_BYTES_MAX, Reading, Tally};
use crate::config::{self, show_bytes};
use crate::model::{NameCollision, Repairs};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Of one target; changed at the end of each poll.
#[derive(Debug)]
pub(super) struct TargetState {
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
    /// The attributes of the resource that the server last gave by `target_info`.
    pub(super) target_info: Vec<(String, String)>,
    /// The poll that runs was given up on by somebody after so long (the longest of all), and is counted as a timeout already.
    given_up: Option<Duration>,
    /// Polls end well and take longer than this, which is all that who collects waits. So it was logged.
    late: Option<Duration>,
    /// What was logged last about each part, so that only a change is logged.
    logged: Vec<(&'static str, Option<&'static str>)>,
    /// Families with one name in Prometheus that were logged.
    collisions: HashSet<NameCollision>,
    pub(super) breaker: CircuitBreaker,
    /// The poll that is to begin has no slot yet.
    pub(super) waits_for_slot: bool,
    /// The poll that runs is an early one, for a scrape that comes before this.
    pub(super) early_for: Option<Instant>,
    /// Scrapes get the latest reading until then, however old it is.
    early_until: Option<Instant>,
    /// How long a reading is kept.
    keep: Duration,
    /// The native families of the last reading did not fit into memory, and that was logged.
    memory_logged: bool,
}

/// The age up to which a reading stands for a poll that has no slot yet.
const UNADMITTED_AGE_MAX: Duration = Duration::from_secs(300);
/// Name collisions of a target that are logged; the metric counts on.
const COLLISIONS_LOGGED_MAX: usize = 1000;

impl TargetState {
    pub(super) fn new(target: &config::Target, since: SystemTime, history: History, breaker: CircuitBreaker) -> Self {
        let (latest, version, target_info, given_up, late, logged, collisions) = Default::default();
        let tally = Tally { of_records: target.delivery_log.is_some(), ..Tally::default() };
        let (name, required) = (target.name.clone(), target.source.required().name);
        let keep = target.min_interval.mul_f64(config::DUE_SHARE);
        let (waits_for_slot, early_for, early_until, memory_logged) = Default::default();
        Self {
            target: name,
            required,
            since,
            latest,
            history,
            tally,
            version,
            target_info,
            given_up,
            late,
            logged,
            collisions,
            breaker,
            waits_for_slot,
            early_for,
            early_until,
            keep,
            memory_logged,
        }
    }

    /// Takes over the counters of a target that this one takes the place of.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        self.since = before.since;
        self.tally = Tally { of_records: self.tally.of_records, ..before.tally.clone() };
        self.history.go_on_from(&before.history);
        self.version.clone_from(&before.version);
        self.target_info.clone_from(&before.target_info);
        self.logged.clone_from(&before.logged);
        self.collisions.clone_from(&before.collisions);
        self.late = before.late;
    }

    /// The latest reading, if it ended after somebody asked.
    pub(super) fn answer_to(&self, asked: Instant) -> Option<Arc<Reading>> {
        self.latest.clone().filter(|latest| latest.ended >= asked)
    }

    /// The latest reading, if it was polled early for a scrape that comes now.
    pub(super) fn early_reading(&self, now: Instant) -> Option<Arc<Reading>> {
        let latest = self.latest.clone().filter(|latest| latest.outcome.is_ok());
        latest.filter(|_| self.early_until.is_some_and(|until| now <= until))
    }

    /// Whether nobody who waits for so long has to wait to learn that the target fails: its last poll did, or the poll that runs is too
    /// late for somebody who waited as long.
    pub(super) fn is_known_to_fail(&self, limit: Duration) -> bool {
        self.given_up.is_some_and(|given_up| given_up >= limit) || self.latest.as_ref().is_some_and(|latest| latest.outcome.is_err())
    }

    /// Repairs of an answer that is no reading of its own: they count with the next one.
    pub(super) fn count(&mut self, repairs: &Repairs) {
        self.tally.repairs.add_all(repairs);
    }

    /// A poll has ended.
    pub(super) fn publish(&mut self, mut reading: Reading) -> Arc<Reading> {
        let given_up = self.given_up.take();
        // Until the scrape has come, and for as long as a reading is kept that was polled when it was needed.
        self.early_until = self.early_for.take().map(|until| until.max(reading.ended + self.keep));
        for report in reading.parts.iter().filter(|report| report.took.is_some()) {
            if let Some(error) = &report.error {
                let counted = given_up.is_some() && report.part == self.required && error.error_type() == "timeout";
                *self.tally.errors.entry((report.part, error.error_type())).or_default() += u64::from(!counted);
            }
        }
        if let Ok(snapshot) = &reading.outcome {
            self.tally.repairs.add_all(&snapshot.repairs);
            if snapshot.version.is_some() {
                self.version.clone_from(&snapshot.version);
            }
            if self.target_info != reading.native.resource_attributes() {
                self.target_info = reading.native.resource_attributes().to_vec();
            }
        }
        reading.tally = self.tally.clone();
        reading.tally_since = self.since;
        self.log_changes(&reading);
        self.log_lateness(&reading, given_up);
        self.log_memory(&reading);
        self.log_name_collisions(&reading);
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
        Some(self.uncounted(at, error))
    }

    /// The same while a server that has refused wants to be left alone for `wait`: one refusal counts once.
    pub(super) fn left_alone(&self, at: SystemTime, wait: Duration) -> Option<Arc<Reading>> {
        let refused = self.latest.as_ref().is_some_and(|latest| matches!(latest.outcome, Err(PollError::RateLimited(_))));
        let error = (refused && !wait.is_zero()).then_some(PollError::RateLimited(wait))?;
        Some(self.uncounted(at, error))
    }

    /// Somebody who asked has waited for `limit`, and goes on without.
    pub(super) fn give_up(&mut self, at: SystemTime, asked: Instant, limit: Duration) -> Arc<Reading> {
        // The poll may have ended in this very moment.
        if let Some(answer) = self.answer_to(asked) {
            return answer;
        }
        if self.waits_for_slot {
            return self.not_admitted(at, limit);
        }
        let error = PollError::Late(limit);
        if self.given_up.is_none() {
            *self.tally.errors.entry((self.required, error.error_type())).or_default() += 1;
        }
        self.given_up = self.given_up.max(Some(limit));
        self.uncounted(at, error)
    }

    /// Somebody has waited briefly for a target that is known to fail: its failure, without counting it again.
    pub(super) fn known_failure(&self, at: SystemTime, asked: Instant, limit: Duration) -> Arc<Reading> {
        if let Some(answer) = self.answer_to(asked) {
            return answer;
        }
        let last = self.latest.as_ref().and_then(|latest| latest.outcome.as_ref().err().cloned());
        self.uncounted(at, last.unwrap_or(PollError::Late(self.given_up.unwrap_or(limit))))
    }

    /// Nothing was asked of the server yet, so it did not fail: the latest reading stands, with its age.
    fn not_admitted(&self, at: SystemTime, limit: Duration) -> Arc<Reading> {
        let latest = self.latest.clone().filter(|latest| latest.outcome.is_ok() && latest.ended.elapsed() < UNADMITTED_AGE_MAX);
        latest.unwrap_or_else(|| self.uncounted(at, PollError::Late(limit)))
    }

    fn uncounted(&self, at: SystemTime, error: PollError) -> Arc<Reading> {
        Arc::new(Reading { tally: self.tally.clone(), tally_since: self.since, ..Reading::failed(at, Instant::now(), error) })
    }

    fn log_memory(&mut self, reading: &Reading) {
        let (target, exceeded) = (self.target.as_str(), reading.native.memory_exceeded);
        if reading.outcome.is_err() || std::mem::replace(&mut self.memory_logged, exceeded) == exceeded {
            return;
        }
        if exceeded {
            let limit = show_bytes(READINGS_BYTES_MAX);
            warn!(target, "its native metrics are left out: readings of all targets keep {limit} already; exclude families with relay");
        } else {
            info!(target, "its native metrics are complete again");
        }
    }

    fn log_changes(&mut self, reading: &Reading) {
        let target = self.target.as_str();
        for report in reading.parts.iter().filter(|report| report.took.is_some()) {
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

    /// Each collision once: the families of a server rarely change.
    fn log_name_collisions(&mut self, reading: &Reading) {
        let target = self.target.as_str();
        for collision in reading.native.name_collisions() {
            if self.collisions.len() < COLLISIONS_LOGGED_MAX && !self.collisions.contains(collision) {
                self.collisions.insert(collision.clone());
                warn!(target, "{collision}");
            }
        }
    }

    /// A poll that ends well, and too late for somebody, is no failed part; whoever gave up has `mail.up` 0 all the same.
    fn log_lateness(&mut self, reading: &Reading, given_up: Option<Duration>) {
        let (target, part) = (self.target.as_str(), self.required);
        let took = reading.ended.saturating_duration_since(reading.began);
        match (self.late, given_up) {
            _ if reading.outcome.is_err() => self.late = None,
            (before, Some(limit)) => {
                if before.is_none() {
                    let error = PollError::Late(limit);
                    warn!(target, part, error.type = error.error_type(), took = ?to_tenths(took), "{error}");
                }
                self.late = Some(limit);
            }
            (Some(limit), None) if took < limit => {
                info!(target, part, "answers in time again");
                self.late = None;
            }
            (_, None) => {}
        }
    }
}
