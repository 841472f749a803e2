//! One target: who asks it, when, and what is remembered from one poll to the next.

use super::beside::beside;
use super::callers::Callers;
use super::circuit::{Breaker, Circuit, to_tenths};
use super::client::Client;
pub use super::client::StartError;
use super::figure::figures_of;
use super::history::History;
use super::part::{Asker, Shared};
use super::parts::{Asked, Question, broken, deadline};
use super::published::Published;
use super::relayed::relayed;
use super::window::{self, Window};
use super::{Limits, PartReport, PollError, Reading, RecordReader, Tally};
use crate::config;
use crate::model::{Families, Native, Snapshot, vocabulary};
use crate::source::{Context, Memory, Part, apply};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tracing::{Instrument, debug_span, info};

/// Tells the time: what windows, ages and the points of a reading go by.
pub type Clock = fn() -> SystemTime;

/// A mail server that is polled.
#[derive(Debug)]
pub struct Target {
    /// As configured.
    pub config: config::Target,
    shared: Shared,
    parts: Vec<Arc<Asker>>,
    clock: Clock,
    /// Held by the one poll that runs; what only polls read and write.
    polling: Arc<tokio::sync::Mutex<Remembered>>,
    callers: Callers,
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Remembered {
    memory: Memory,
    window: Option<Window>,
}

/// The pages of each part that was read.
type Read = Vec<(&'static Part, Families)>;

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
        let shared = Shared { client: Client::new(&config)?, limits, suspect: false };
        let parts = config.parts.iter().map(|part| Arc::new(Asker::new(&config, part))).collect();
        let history = History::new(figures_of(&config.parts));
        let breaker = Breaker::new(config.min_interval, config.backoff_max);
        let published = Mutex::new(Published::new(&config, clock(), history, breaker));
        Ok(Arc::new(Self { config, shared, parts, clock, polling: Arc::default(), callers: Callers::default(), published }))
    }

    /// The target that takes the place of one whose configuration was changed. If it is the same server, asked for the same,
    /// what is known of it goes on: its budget, its sums, its last hour, and the counters of what went wrong. The last reading
    /// does not.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn succeeding(config: config::Target, before: &Self) -> Result<Arc<Self>, StartError> {
        let same = same_server(&config, &before.config);
        let mut client = Client::new(&config)?;
        let history = History::new(figures_of(&config.parts));
        let breaker = Breaker::new(config.min_interval, config.backoff_max);
        let mut published = Published::new(&config, (before.clock)(), history, breaker);
        let mut polling = Arc::default();
        if same {
            client.share_budget(&before.shared.client);
            published.go_on_from(&before.published());
            if same_question(&config, &before.config) {
                polling = before.polling.clone();
            }
        }
        let shared = Shared { client, limits: before.shared.limits.clone(), suspect: false };
        let parts = config.parts.iter().map(|part| Arc::new(Asker::new(&config, part))).collect();
        let (callers, published) = (Callers::default(), Mutex::new(published));
        Ok(Arc::new(Self { config, shared, parts, clock: before.clock, polling, callers, published }))
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
        let poll = tokio::spawn(async move { target.poll_unless_answered(asked).await }.in_current_span());
        match poll.await {
            Ok(reading) => reading,
            Err(_) => self.publish_failure((self.clock)(), asked, broken()),
        }
    }

    /// The same, waiting for at most `limit`: after that the target is down for this caller. Optional parts that would take most of it
    /// are cut short, so that they do not bring that about.
    pub async fn reading_within(self: &Arc<Self>, limit: Duration) -> Arc<Reading> {
        let asked = Instant::now();
        let _caller = self.callers.join(limit);
        match tokio::time::timeout(limit, self.reading()).await {
            Ok(reading) => reading,
            Err(_) => self.published().give_up((self.clock)(), asked, limit),
        }
    }

    fn fresh(&self, now: Instant) -> Option<Arc<Reading>> {
        self.latest().filter(|latest| now.saturating_duration_since(latest.began) < self.keep())
    }

    /// How old a reading may be.
    fn keep(&self) -> Duration {
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
        if let Some(left_alone) = self.published().left_alone((self.clock)(), now, wait) {
            return left_alone;
        }
        // A span for traces; the log names the target in its own fields.
        let span = debug_span!("poll", target = self.name(), system = self.config.source.name);
        self.poll(&mut remembered).instrument(span).await
    }

    async fn poll(&self, remembered: &mut Remembered) -> Arc<Reading> {
        let (at, began) = ((self.clock)(), Instant::now());
        let window = window::at(&self.config.window, at);
        let closing_bytes = match self.close_window(remembered, at, window, began).await {
            Ok(bytes) => bytes,
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

    /// A day that has ended is asked for once more, so that its last minutes are not lost. Gives the bytes of the answer.
    async fn close_window(&self, remembered: &mut Remembered, at: SystemTime, now: Window, began: Instant) -> Result<u64, PollError> {
        let mut bytes = 0;
        let sliding = matches!(self.config.window, config::Window::Sliding(_));
        let ended = remembered.window.filter(|last| self.config.source.windowed && !sliding && last.start < now.start);
        if let (Some(last), Some(required)) = (ended, self.parts.first()) {
            let answer = deadline(began, self.config.timeout, required.ask(&self.shared(), last.until(now))).await?;
            bytes = answer.bytes as u64;
            let pages: Vec<_> = answer.pages.into_iter().map(|page| (required.part, page)).collect();
            let (snapshot, _) = self.apply(remembered, pages, bytes, self.context(at, last)).await?;
            remembered.memory.close_window(&snapshot);
            self.published().count(&snapshot.repairs);
        }
        remembered.window = Some(now);
        Ok(bytes)
    }

    async fn poll_parts(
        &self,
        remembered: &mut Remembered,
        at: SystemTime,
        window: Window,
        began: Instant,
    ) -> (Result<(Snapshot, Native), PollError>, Vec<PartReport>, u64) {
        let question = Question { shared: self.shared(), callers: &self.callers, window, began, timeout: self.config.timeout };
        let mut answers = Vec::new();
        let probe = self.published().breaker.is_probe();
        if probe {
            // One request, before a server that kept failing is asked for more.
            answers = question.ask(&self.parts[..1]).await;
        }
        if answers.iter().all(|asked| asked.result.is_ok()) {
            answers.extend(question.ask(&self.parts[answers.len()..]).await);
        }
        if answers.first().is_some_and(|required| required.result.is_ok()) {
            self.note_optional(&answers);
        }
        let mut reports = Vec::with_capacity(answers.len());
        let mut read: Read = Vec::new();
        let mut body_bytes = 0;
        for (asker, answer) in self.parts.iter().zip(answers) {
            let Asked { took, result } = answer;
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
                let native = beside(body_bytes, move || relayed(source, &relay, pages)).await;
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
    async fn apply(&self, remembered: &mut Remembered, read: Read, bytes: u64, context: Context) -> Result<(Snapshot, Read), PollError> {
        let source = self.config.source;
        let mut memory = std::mem::take(&mut remembered.memory);
        let work = move || (apply(source, &read, &mut memory, &context), read, memory);
        let (snapshot, read, memory) = beside(bytes, work).await?;
        remembered.memory = memory;
        Ok((snapshot, read))
    }

    /// What becomes of the circuits of optional parts; that of the target is the required one's.
    fn note_optional(&self, answers: &[Asked]) {
        for (asker, asked) in self.parts.iter().zip(answers).skip(1).filter(|(_, asked)| asked.took.is_some()) {
            if let Some(pause) = asker.note(Instant::now(), asked.result.as_ref().err()) {
                let (target, part) = (self.name(), asker.part.name);
                info!(target, part, next_in = ?to_tenths(pause), "keeps failing, and is asked less often from now on");
            }
        }
    }

    fn shared(&self) -> Shared {
        Shared { suspect: self.published().breaker.is_suspect(), ..self.shared.clone() }
    }

    fn context(&self, now: SystemTime, window: Window) -> Context {
        let start = u64::try_from(window.start).ok().map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        Context {
            now,
            window_start: start.filter(|_| self.config.source.windowed),
            sliding: matches!(self.config.window, config::Window::Sliding(_)),
            detail: self.config.detail.clone(),
            of_records: if self.config.messages.is_some() { vocabulary::OF_RECORDS } else { &[] },
        }
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_server(a: &config::Target, b: &config::Target) -> bool {
    (a.source.name, &a.url, &a.credentials.username) == (b.source.name, &b.url, &b.credentials.username)
}

/// Whether sums that were kept of one are sums of the other.
fn same_question(a: &config::Target, b: &config::Target) -> bool {
    (&a.window, &a.format, &a.detail) == (&b.window, &b.format, &b.detail)
}
