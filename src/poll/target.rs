//! One target: who asks it, when, and what is remembered from one poll to the next.
//!
//! # A target that fails is waited for only briefly
//!
//! While a target's last poll is a failure, or a caller that waited as long has given up on the poll that runs, a caller waits
//! for [`FAILING_WAIT_MAX`], and gets the failure that is known. The poll goes on; when it ends well, the next caller gets its reading. So
//! servers that accept a connection and never respond do not slow down each scrape and each push of all others, and a server that is
//! back is seen at once, because it responds at once.

use super::admission::{Admitted, Lane};
use super::circuit_breaker::{Circuit, CircuitBreaker, to_tenths};
use super::counted_windows::CountedWindows;
use super::cpu::beside;
use super::deadline::Deadline;
use super::http_client::Client;
pub use super::http_client::StartError;
use super::part_client::{PartClient, TargetShared};
use super::part_requests::{PartOutcome, PollRequest, broken};
use super::passthrough::relayed;
use super::recent::history::History;
use super::recent::key_figures::figures_of;
use super::refresh::Refresh;
use super::seldom_parts::SeldomParts;
use super::state::TargetState;
use super::waiters::Waiters;
use super::window::{self, Window};
use super::{Limits, PartReport, PollError, Reading, RecordReader, Tally, Usage};
use crate::config;
use crate::model::{Families, SelectedFamilies, Snapshot, vocabulary};
use crate::source::{Context, CounterMemory, Part, apply};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{Instrument, debug_span, info};

/// Tells the time: what windows, ages and the points of a reading go by.
pub type Clock = fn() -> SystemTime;

/// How long a caller waits for a target that is known to fail.
const FAILING_WAIT_MAX: Duration = Duration::from_secs(1);

/// A mail server that is polled.
#[derive(Debug)]
pub struct Target {
    /// As configured.
    pub config: config::Target,
    shared: TargetShared,
    parts: Vec<Arc<PartClient>>,
    clock: Clock,
    /// Held by the one poll that runs; what only polls read and write.
    polling: Arc<tokio::sync::Mutex<PollState>>,
    callers: Waiters,
    published: Mutex<TargetState>,
    pub(super) refresh: Refresh,
}

#[derive(Debug, Default)]
struct PollState {
    memory: CounterMemory,
    windows: CountedWindows,
    seldom: SeldomParts,
}

/// The pages of each part that was read.
type PagesByPart = Vec<(&'static Part, Families)>;

impl Target {
    /// A target as configured; nothing is asked yet.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(config: config::Target, limits: Limits) -> Result<Arc<Self>, StartError> {
        Self::with_clock(config, limits, SystemTime::now)
    }

    /// The same, by a clock of its own.
    ///
    /// # Errors
    /// As there.
    pub fn with_clock(config: config::Target, limits: Limits, clock: Clock) -> Result<Arc<Self>, StartError> {
        let client = Client::new(&config, &limits)?;
        let shared = TargetShared { client, limits, suspect: false, deadline: Deadline::new(Instant::now(), config.timeout) };
        let parts = config.parts.iter().map(|part| Arc::new(PartClient::new(&config, part))).collect();
        let history = History::new(figures_of(&config.parts));
        let breaker = CircuitBreaker::new(config.min_interval, config.backoff_max);
        let published = Mutex::new(TargetState::new(&config, clock(), history, breaker));
        let (polling, callers, refresh) = (Arc::default(), Waiters::default(), Refresh::default());
        Ok(Arc::new(Self { config, shared, parts, clock, polling, callers, published, refresh }))
    }

    /// The target that takes the place of one whose configuration was changed. If it is the same server, asked for the same,
    /// what is known of it goes on: its budget, its sums, its last hour, and the counters of what went wrong. The last reading
    /// does not.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn succeeding(config: config::Target, before: &Self) -> Result<Arc<Self>, StartError> {
        let same = same_server(&config, &before.config);
        let mut client = Client::new(&config, &before.shared.limits)?;
        let history = History::new(figures_of(&config.parts));
        let breaker = CircuitBreaker::new(config.min_interval, config.backoff_max);
        let mut published = TargetState::new(&config, (before.clock)(), history, breaker);
        let mut polling = Arc::default();
        if same {
            client.share_budget(&before.shared.client);
            published.go_on_from(&before.published());
            if same_question(&config, &before.config) {
                polling = before.polling.clone();
            }
        }
        let deadline = Deadline::new(Instant::now(), config.timeout);
        let shared = TargetShared { client, limits: before.shared.limits.clone(), suspect: false, deadline };
        let parts = config.parts.iter().map(|part| Arc::new(PartClient::new(&config, part))).collect();
        let (callers, published, refresh) = (Waiters::default(), Mutex::new(published), Refresh::default());
        Ok(Arc::new(Self { config, shared, parts, clock: before.clock, polling, callers, published, refresh }))
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The last reading, however old.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Reading>> {
        self.published().latest.clone()
    }

    /// What the server last said of its version.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.published().version.clone()
    }

    /// The attributes of the resource that the server last gave by `target_info`.
    #[must_use]
    pub fn target_info(&self) -> Vec<(String, String)> {
        self.published().target_info.clone()
    }

    /// What follows its delivery log, if it is to be followed. It shares the target's connection, limits and budget.
    #[must_use]
    pub fn record_reader(&self) -> Option<RecordReader> {
        let (messages, records) = (self.config.messages.as_ref()?, self.config.source.records?);
        Some(RecordReader::new(&self.config, messages, records, self.shared.clone()))
    }

    /// How far the limits are used that it shares with all other targets.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.shared.limits.usage()
    }

    /// The time that its readings go by.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Looks at the last hour.
    pub fn history<R>(&self, look: impl FnOnce(&History) -> R) -> R {
        look(&self.published().history)
    }

    /// How long until the server may be asked again: until the latest reading is due, and until its budget and its circuit allow it.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let due = self.latest().map(|latest| (latest.began + self.keep()).saturating_duration_since(now));
        let held = match self.circuit() {
            Circuit::Open { until, .. } => until.saturating_duration_since(now),
            Circuit::Closed => Duration::ZERO,
        };
        due.unwrap_or_default().max(self.shared.client.wait(now)).max(held)
    }

    /// Whether it is asked at all at present.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.published().breaker.state()
    }

    /// A reading no older than `min_interval`: the latest, that of the poll that runs, or that of a new poll. While its circuit
    /// is open, a failed one.
    pub async fn reading(self: &Arc<Self>) -> Arc<Reading> {
        let asked = Instant::now();
        if let Some(latest) = self.fresh(asked) {
            return latest;
        }
        let target = self.clone();
        // A task of its own: a caller that goes away must not cut off a poll that others wait for, or that the server counted.
        let poll = async move {
            let reading = target.poll_unless_answered(asked).await;
            target.plan_refresh();
            reading
        };
        let poll = tokio::spawn(poll.in_current_span());
        match poll.await {
            Ok(reading) => reading,
            Err(_) => self.publish_failure((self.clock)(), asked, broken()),
        }
    }

    /// The same, waiting for at most `limit`: after that the target is down for this caller. Optional parts that would take most of it
    /// are cut short, so that they do not bring that about.
    ///
    /// A target that is known to fail is waited for only briefly. One that waits for a free slot is not down for that: the caller
    /// gets the latest reading.
    pub async fn reading_within(self: &Arc<Self>, limit: Duration) -> Arc<Reading> {
        let asked = Instant::now();
        if let Some(latest) = self.fresh(asked) {
            return latest;
        }
        let is_failing = self.published().is_known_to_fail(limit);
        let patience = if is_failing { limit.min(FAILING_WAIT_MAX) } else { limit };
        let _caller = self.callers.join(limit);
        match tokio::time::timeout(patience, self.reading()).await {
            Ok(reading) => reading,
            Err(_) if patience < limit => self.published().known_failure((self.clock)(), asked, limit),
            Err(_) => self.published().give_up((self.clock)(), asked, limit),
        }
    }

    /// The latest reading, while it is young enough.
    pub(super) fn fresh(&self, now: Instant) -> Option<Arc<Reading>> {
        self.latest().filter(|latest| now.saturating_duration_since(latest.began) < self.keep())
    }

    /// How old a reading may be.
    pub(super) fn keep(&self) -> Duration {
        self.config.min_interval.mul_f64(config::DUE_SHARE)
    }

    async fn poll_unless_answered(&self, asked: Instant) -> Arc<Reading> {
        let mut remembered = self.polling.lock().await;
        // A poll that ended after the question is its answer, even one that took longer than min_interval.
        let answered = self.published().answer_to(asked);
        if let Some(answer) = answered.or_else(|| self.fresh(Instant::now())) {
            return answer;
        }
        let now = Instant::now();
        if let Some(held) = self.published().held((self.clock)(), now) {
            return held;
        }
        let wait = self.shared.client.wait(now);
        if let Some(left_alone) = self.published().left_alone((self.clock)(), wait) {
            return left_alone;
        }
        let _admitted = self.admitted().await;
        // A span for traces; the log names the target in its own fields.
        let span = debug_span!("poll", target = self.name(), system = self.config.source.name);
        self.poll(&mut remembered).instrument(span).await
    }

    /// Slots for a poll. The poll and its deadline begin afterwards.
    async fn admitted(&self) -> Admitted {
        let (admission, lane) = (&self.shared.limits.admission, Lane::of(self.published().breaker.is_suspect()));
        if let Some(admitted) = admission.try_admit(lane, self.parts.len()) {
            return admitted;
        }
        self.published().waits_for_slot = true;
        let admitted = admission.admit(lane, self.parts.len()).await;
        self.published().waits_for_slot = false;
        admitted
    }

    async fn poll(&self, remembered: &mut PollState) -> Arc<Reading> {
        let (at, began) = ((self.clock)(), Instant::now());
        let today = window::at(&self.config.window, at);
        let (window, closing_bytes) = match self.count_windows(remembered, at, today, began).await {
            Ok(counted) => counted,
            Err(error) => return self.publish_failure(at, began, error),
        };
        let (outcome, parts, body_bytes) = self.poll_parts(remembered, at, window, began).await;
        let body_bytes = closing_bytes + body_bytes;
        let (outcome, native) = match outcome {
            Ok((snapshot, native)) => (Ok(snapshot), Arc::new(native)),
            Err(error) => (Err(error), Arc::default()),
        };
        let (ended, tally) = (Instant::now(), Tally::default());
        self.published().publish(Reading { at, began, ended, outcome, native, parts, body_bytes, tally, tally_since: at })
    }

    fn publish_failure(&self, at: SystemTime, began: Instant, error: PollError) -> Arc<Reading> {
        let parts = vec![PartReport { part: self.config.source.required().name, took: Some(began.elapsed()), error: Some(error.clone()) }];
        self.published().publish(Reading { parts, ..Reading::failed(at, began, error) })
    }

    /// The window to count, of a source that has windows; those that have ended are read before it. Returns it with the bytes of
    /// what was read.
    async fn count_windows(
        &self,
        remembered: &mut PollState,
        at: SystemTime,
        today: Window,
        began: Instant,
    ) -> Result<(Window, u64), PollError> {
        let required = match self.parts.first() {
            Some(required) if self.config.source.windowed && !matches!(self.config.window, config::Window::Sliding(_)) => required,
            _ => return Ok((today, 0)),
        };
        let window = remembered.windows.at(today);
        let mut bytes = 0;
        for ended in remembered.windows.ended() {
            let deadline = Deadline::new(began, self.config.timeout);
            let shared = TargetShared { deadline: deadline.clone(), ..self.shared() };
            let answer = match deadline.run(required.ask(&shared, ended.window)).await {
                Ok(answer) => answer,
                // What was recorded late is found by the next poll.
                Err(_) if ended.is_again => continue,
                Err(error) => return Err(error),
            };
            bytes += answer.bytes as u64;
            let pages: Vec<_> = answer.pages.into_iter().map(|page| (required.part, page)).collect();
            let (snapshot, _) = self.apply(remembered, pages, answer.bytes as u64, self.context(at, ended.window)).await?;
            remembered.windows.note_read(ended, today.end);
            if !ended.is_again {
                self.published().count(&snapshot.repairs);
            }
        }
        Ok((window, bytes))
    }

    async fn poll_parts(
        &self,
        remembered: &mut PollState,
        at: SystemTime,
        window: Window,
        began: Instant,
    ) -> (Result<(Snapshot, SelectedFamilies), PollError>, Vec<PartReport>, u64) {
        let question = PollRequest { shared: self.shared(), callers: &self.callers, window, began, timeout: self.config.timeout };
        let probe = self.published().breaker.is_probe();
        let (mut due, mut kept) = (Vec::new(), Vec::new());
        for asker in &self.parts {
            match remembered.seldom.recent(asker, began) {
                Some(answer) => kept.push((asker.clone(), answer)),
                None => due.push(asker.clone()),
            }
        }
        let mut answers = Vec::new();
        if probe {
            // One request, before a server that kept failing is asked for more.
            answers = question.ask(&due[..1]).await;
        }
        if answers.iter().all(|asked| asked.result.is_ok()) {
            answers.extend(question.ask(&due[answers.len()..]).await);
        }
        let mut answers: Vec<(Arc<PartClient>, PartOutcome)> = due.into_iter().zip(answers).collect();
        if answers.first().is_some_and(|(_, required)| required.result.is_ok()) {
            // A counter that fell may mean a restart, which these parts report.
            let watched = self.parts.iter().any(|asker| asker.part.interval.is_some());
            if watched && self.has_fallen(remembered, &mut answers[0].1).await && !kept.is_empty() {
                let parts: Vec<_> = kept.drain(..).map(|(asker, _)| asker).collect();
                let renewed = question.ask(&parts).await;
                answers.extend(parts.into_iter().zip(renewed));
            }
            remembered.seldom.keep(began, &answers);
            self.note_optional(&answers);
        }
        remembered.memory.repeats_process_start(!kept.is_empty());
        answers.extend(kept);
        let mut reports = Vec::with_capacity(answers.len());
        let mut read: PagesByPart = Vec::new();
        let mut body_bytes = 0;
        for (asker, answer) in answers {
            let PartOutcome { took, result } = answer;
            let error = match result {
                Ok(answer) => {
                    body_bytes += answer.bytes as u64;
                    read.extend(answer.pages.into_iter().map(|page| (asker.part, page)));
                    None
                }
                Err(error) => Some(error),
            };
            reports.push(PartReport { part: asker.part.name, took, error });
        }
        if let Some(error) = reports.first().and_then(|required| required.error.clone()) {
            return (Err(error), reports, body_bytes);
        }
        let applied = self.apply(remembered, read, body_bytes, self.context(at, window)).await;
        let (source, relay) = (self.config.source, self.config.relay.clone());
        let outcome = match applied {
            Ok((mut snapshot, read)) => {
                let pages = read.into_iter().map(|(_, families)| families).collect();
                let readings = self.shared.limits.readings.clone();
                let native = beside(body_bytes, move || relayed(source, &relay, pages).within_budget(&readings)).await;
                native.map(|native| {
                    snapshot.repairs.add_all(&native.repairs);
                    (snapshot, native)
                })
            }
            Err(error) => Err(error),
        };
        (outcome, reports, body_bytes)
    }

    /// What was read in canonical words, and as it was.
    async fn apply(
        &self,
        remembered: &mut PollState,
        read: PagesByPart,
        bytes: u64,
        context: Context,
    ) -> Result<(Snapshot, PagesByPart), PollError> {
        let source = self.config.source;
        let mut memory = std::mem::take(&mut remembered.memory);
        let work = move || (apply(source, &read, &mut memory, &context), read, memory);
        let (snapshot, read, memory) = beside(bytes, work).await?;
        remembered.memory = memory;
        Ok((snapshot, read))
    }

    /// Whether a counter of the required part fell since the last poll.
    async fn has_fallen(&self, remembered: &mut PollState, required: &mut PartOutcome) -> bool {
        let Ok(answer) = &mut required.result else { return false };
        let (part, bytes) = (self.config.source.required(), answer.bytes as u64);
        let pages: PagesByPart = std::mem::take(&mut answer.pages).into_iter().map(|page| (part, page)).collect();
        let mut memory = std::mem::take(&mut remembered.memory);
        let looked = beside(bytes, move || (memory.has_fallen(part, &pages), pages, memory)).await;
        match looked {
            Ok((fell, pages, memory)) => {
                answer.pages = pages.into_iter().map(|(_, page)| page).collect();
                remembered.memory = memory;
                fell
            }
            Err(error) => {
                required.result = Err(error);
                false
            }
        }
    }

    /// What becomes of the circuits of optional parts; that of the target is the required one's.
    fn note_optional(&self, answers: &[(Arc<PartClient>, PartOutcome)]) {
        for (asker, asked) in answers.iter().skip(1).filter(|(_, asked)| asked.took.is_some()) {
            if let Some(pause) = asker.note(Instant::now(), asked.result.as_ref().err()) {
                let (target, part) = (self.name(), asker.part.name);
                info!(target, part, next_in = ?to_tenths(pause), "keeps failing, and is asked less often from now on");
            }
        }
    }

    fn shared(&self) -> TargetShared {
        TargetShared { suspect: self.published().breaker.is_suspect(), ..self.shared.clone() }
    }

    fn context(&self, now: SystemTime, window: Window) -> Context {
        let start = u64::try_from(window.start).ok().map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        Context {
            now,
            window_start: start.filter(|_| self.config.source.windowed),
            sliding: matches!(self.config.window, config::Window::Sliding(_)),
            detail: self.config.detail.clone(),
            of_records: if self.config.messages.is_some() { vocabulary::DELIVERY_LOG_METRICS } else { &[] },
        }
    }

    pub(super) fn published(&self) -> MutexGuard<'_, TargetState> {
        self.published.lock()
    }
}

fn same_server(a: &config::Target, b: &config::Target) -> bool {
    (a.source.name, &a.url, &a.credentials.username) == (b.source.name, &b.url, &b.credentials.username)
}

/// Whether sums that were kept of one are sums of the other.
fn same_question(a: &config::Target, b: &config::Target) -> bool {
    // Another time zone takes effect at its next midnight, and the sums go on.
    let today = |window: &config::Window| matches!(window, config::Window::Today(_));
    let same_window = a.window == b.window || today(&a.window) && today(&b.window);
    same_window && (&a.format, &a.detail) == (&b.format, &b.detail)
}
