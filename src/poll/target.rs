//! One target: its latest reading, and the polls that renew it.
//!
//! # Callers wait only briefly for a failing target
//!
//! While a target's last poll has failed, or a caller with the same patience has timed out on the current poll, callers wait for at most
//! [`FAILING_WAIT_MAX`] and get the known failure. The poll continues; when it succeeds, the next caller gets its reading. So servers that
//! accept a connection and never respond do not slow down each scrape and push, and a server that recovers is noticed at once, because
//! it responds at once.

use super::admission::{Admitted, Lane};
use super::circuit_breaker::CircuitBreaker;
pub use super::client_builder::ClientError;
use super::continuity::{counts_the_same, is_same_server};
use super::counted_windows::CountedWindows;
use super::deadline::Deadline;
use super::http_client::HttpClient;
use super::infrequent_parts::InfrequentParts;
use super::part_client::{PartClient, TargetShared};
use super::part_requests::internal_error;
use super::recent::history::History;
use super::recent::key_figures::figures_of;
use super::refresh::Refresh;
use super::state::TargetState;
use super::target_credentials::TargetCredentials;
use super::tickets::Tickets;
use super::totals_file::{TotalsFile, TotalsState};
use super::waiters::Waiters;
use super::{Limits, Reading, RecordArrival, RecordReader};
use crate::config;
use crate::model::{Metric, vocabulary};
use crate::net::{ProblemLog, Redactor};
use crate::source::{CounterMemory, Trace};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::field::{Empty, display};
use tracing::{Instrument, debug_span};

/// The source of the current time for windows, ages and the points of a reading.
pub type Clock = fn() -> SystemTime;

/// The longest time that a caller waits for a target that is known to fail.
const FAILING_WAIT_MAX: Duration = Duration::from_secs(1);

/// A mail server that is polled.
#[derive(Debug)]
pub struct Target {
    /// The target's configuration.
    pub config: config::Target,
    pub(super) shared: TargetShared,
    pub(super) parts: Vec<Arc<PartClient>>,
    pub(super) clock: Clock,
    /// State that only polls use. The poll that runs holds the lock.
    pub(super) polling: Arc<tokio::sync::Mutex<PollMemory>>,
    pub(super) waiters: Waiters,
    state: Mutex<TargetState>,
    pub(super) refresh: Refresh,
    /// The file with totals, if they are to continue after a restart.
    pub(super) totals_file: Option<Arc<TotalsFile>>,
    /// The arrival of the target's delivery records.
    pub records: Arc<RecordArrival>,
}

/// State that is kept from one poll to the next.
#[derive(Debug, Default)]
pub(super) struct PollMemory {
    pub(super) counters: CounterMemory,
    pub(super) windows: CountedWindows,
    /// The reason why a window that has ended cannot be read.
    pub(super) unreadable_window: ProblemLog<String>,
    pub(super) infrequent_parts: InfrequentParts,
    pub(super) totals: TotalsState,
    /// The server accepted the credential of the required part in the last poll that it responded to.
    pub(super) is_credential_accepted: bool,
}

impl Target {
    /// Creates a target. It sends no requests until its first reading is requested.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn new(config: config::Target, limits: Limits) -> Result<Arc<Self>, ClientError> {
        Self::with_clock(config, limits, SystemTime::now)
    }

    /// Creates a target with its own clock.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_clock(config: config::Target, limits: Limits, clock: Clock) -> Result<Arc<Self>, ClientError> {
        let client = Arc::new(HttpClient::new(&config, &limits)?);
        let shared = TargetShared {
            client,
            credentials: Arc::new(TargetCredentials::new(&config)),
            limits,
            tickets: Tickets::default(),
            is_failing: false,
            deadline: Deadline::new(Instant::now(), config.timeout),
        };
        let parts = config.parts.iter().map(|part| Arc::new(PartClient::new(&config, part, &shared.credentials))).collect();
        let history = history_of(&config);
        let breaker = CircuitBreaker::new(config.min_interval, config.backoff_max);
        let records = Arc::new(RecordArrival::new(&config));
        let mut state = TargetState::new(&config, clock(), history, breaker);
        state.set_from_records(&records);
        let state = Mutex::new(state);
        let (polling, waiters, refresh) = (Arc::default(), Waiters::default(), Refresh::default());
        let totals_file = totals_file(&config, &shared.limits);
        Ok(Arc::new(Self { config, shared, parts, clock, polling, waiters, state, refresh, totals_file, records }))
    }

    /// Creates the target that replaces one whose configuration has changed. If the server and the requests are the same, it inherits the
    /// rate budget, the sums, the history of the last hour and the error counters. It never inherits the last reading.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn succeeding(config: config::Target, before: &Self) -> Result<Arc<Self>, ClientError> {
        let is_same_server = is_same_server(&config, &before.config);
        let mut client = HttpClient::new(&config, &before.shared.limits)?;
        let history = history_of(&config);
        let breaker = CircuitBreaker::new(config.min_interval, config.backoff_max);
        let records = Arc::new(RecordArrival::new(&config));
        let mut state = TargetState::new(&config, (before.clock)(), history, breaker);
        state.set_from_records(&records);
        let mut polling = Arc::default();
        if is_same_server {
            client.share_budget(&before.shared.client);
            state.inherit_from(&before.state());
            if counts_the_same(&config, &before.config) {
                polling = before.polling.clone();
            }
        }
        let deadline = Deadline::new(Instant::now(), config.timeout);
        let (client, limits) = (Arc::new(client), before.shared.limits.clone());
        let credentials = Arc::new(TargetCredentials::new(&config));
        let shared = TargetShared { client, credentials, limits, tickets: Tickets::default(), is_failing: false, deadline };
        let parts = config.parts.iter().map(|part| Arc::new(PartClient::new(&config, part, &shared.credentials))).collect();
        let (waiters, state, refresh) = (Waiters::default(), Mutex::new(state), Refresh::default());
        let totals_file = totals_file(&config, &shared.limits);
        Ok(Arc::new(Self { config, shared, parts, clock: before.clock, polling, waiters, state, refresh, totals_file, records }))
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// A reader of the target's delivery log, or `None` if the log is not to be followed. The reader shares the target's connection,
    /// limits and rate budget.
    #[must_use]
    pub fn record_reader(&self) -> Option<RecordReader> {
        let (messages, records) = (self.config.delivery_log.as_ref()?, self.config.source.delivery_log?);
        Some(RecordReader::new(&self.config, messages, records, self.shared.clone()))
    }

    /// The current time by the target's clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Returns a reading no older than `min_interval`: the latest one, or the one of the poll that runs, or that of a new poll. While the
    /// circuit is open, it is a failed reading.
    pub async fn reading(self: &Arc<Self>) -> Arc<Reading> {
        let requested = Instant::now();
        if let Some(latest) = self.fresh_reading(requested) {
            return latest;
        }
        if !self.config.is_polled() {
            let (mut state, now) = (self.state(), self.now());
            state.set_from_records(&self.records);
            return state.unpolled_reading(now);
        }
        let target = self.clone();
        // The poll is a task of its own: a caller that is dropped must not cancel a poll that others wait for, or that the server has
        // counted already.
        let poll = async move {
            let reading = target.poll_if_needed(requested).await;
            target.plan_refresh();
            reading
        };
        let poll = tokio::spawn(poll.in_current_span());
        match poll.await {
            Ok(reading) => reading,
            Err(_) => self.publish_failure((self.clock)(), requested, internal_error()),
        }
    }

    /// Returns a reading as [`Self::reading`] does. If that polls the server, the second value is the trace of the mapping.
    pub async fn reading_with_trace(self: &Arc<Self>) -> (Arc<Reading>, Option<Trace>) {
        self.polling.lock().await.counters.request_trace();
        let reading = self.reading().await;
        let trace = self.polling.lock().await.counters.take_trace();
        self.shared.credentials.read_files().await;
        (reading, trace)
    }

    /// Redacts the secrets that requests to the server contain: a server may repeat them in its responses.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.shared.client.redactor(&self.shared.credentials)
    }

    /// Returns a reading as [`Self::reading`] does, but waits for at most `limit`. After that the target is down for this caller. Optional
    /// parts that would use up most of that time are cancelled, so that they do not take the target down.
    ///
    /// A caller waits only briefly for a target that is known to fail. A target that waits for the concurrency limit is not down for that
    /// reason: the caller gets its latest reading.
    pub async fn reading_within(self: &Arc<Self>, limit: Duration) -> Arc<Reading> {
        let requested = Instant::now();
        if let Some(latest) = self.fresh_reading(requested) {
            return latest;
        }
        let is_failing = self.state().is_known_to_fail(limit);
        let patience = if is_failing { limit.min(FAILING_WAIT_MAX) } else { limit };
        let _waiter = self.waiters.join(limit);
        match tokio::time::timeout(patience, self.reading()).await {
            Ok(reading) => reading,
            Err(_) if patience < limit => self.state().known_failure((self.clock)(), requested, limit),
            Err(_) => self.state().time_out_caller((self.clock)(), requested, limit),
        }
    }

    /// The latest reading, if it is not yet due for renewal.
    pub(super) fn fresh_reading(&self, now: Instant) -> Option<Arc<Reading>> {
        self.latest().filter(|latest| now.saturating_duration_since(latest.began) < self.reading_age_max())
    }

    /// The age at which a reading is due for renewal.
    pub(super) fn reading_age_max(&self) -> Duration {
        self.config.min_interval.mul_f64(config::DUE_SHARE)
    }

    async fn poll_if_needed(&self, requested: Instant) -> Arc<Reading> {
        let mut memory = self.polling.lock().await;
        // A poll that ended after the request serves it, even if that poll took longer than min_interval.
        let served = self.state().reading_since(requested);
        if let Some(reading) = served.or_else(|| self.fresh_reading(Instant::now())) {
            return reading;
        }
        let now = Instant::now();
        if let Some(failed) = self.state().circuit_open_reading((self.clock)(), now) {
            return failed;
        }
        let wait = self.shared.client.budget_wait(now);
        if let Some(failed) = self.state().rate_limited_reading((self.clock)(), wait) {
            return failed;
        }
        self.poll_admitted(&mut memory).await
    }

    /// Waits for the concurrency limit, and polls.
    pub(super) async fn poll_admitted(&self, memory: &mut PollMemory) -> Arc<Reading> {
        let _admitted = self.admit().await;
        // The span is for traces; log lines have the target in a field of their own.
        let span = debug_span!("poll", target = self.name(), system = self.config.source.name, otel.status_description = Empty);
        // Allocated only now, because it is large, and most of a thousand targets wait for the limit at the beginning of a scrape.
        let reading = Box::pin(self.poll(memory)).instrument(span.clone()).await;
        if let Err(error) = &reading.outcome {
            span.record("otel.status_description", display(error));
        }
        reading
    }

    /// Waits for the concurrency limit for a poll. The poll and its deadline start afterwards.
    async fn admit(&self) -> Admitted {
        let (admission, lane) = (&self.shared.limits.admission, Lane::of(self.state().breaker.is_failing()));
        if let Some(admitted) = admission.try_admit(lane, self.parts.len()) {
            return admitted;
        }
        self.state().waits_for_limit = true;
        let admitted = admission.admit(lane, self.parts.len()).await;
        self.state().waits_for_limit = false;
        admitted
    }

    pub(super) fn state(&self) -> MutexGuard<'_, TargetState> {
        self.state.lock()
    }
}

/// The empty history of a target.
fn history_of(config: &config::Target) -> History {
    let from_records = metrics_from_records(config);
    History::new(figures_of(&config.parts, from_records), from_records)
}

/// The metrics that are counted from the delivery records of a target instead of its polls.
fn metrics_from_records(config: &config::Target) -> &'static [&'static Metric] {
    if config.has_records() { vocabulary::DELIVERY_METRICS } else { &[] }
}

fn totals_file(config: &config::Target, limits: &Limits) -> Option<Arc<TotalsFile>> {
    let directory = limits.state_dir.as_deref().filter(|_| config.is_polled() && config.source.adds_up_counters())?;
    Some(TotalsFile::new(directory, config))
}
