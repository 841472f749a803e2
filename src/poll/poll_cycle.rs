//! One poll of a target: requests to all parts, the mapping of their responses, and the reading that results.

use super::circuit_breaker::to_tenths;
use super::counted_windows::LATE;
use super::cpu::run_blocking_if_large;
use super::deadline::Deadline;
use super::part_client::{PartClient, TargetShared};
use super::part_requests::{PartOutcome, PollRequest};
use super::passthrough::select_native;
use super::target::PollMemory;
use super::window::{self, RequestedWindow, Window};
use super::{PartReport, PollError, Reading, Tally, Target};
use crate::config;
use crate::model::{Families, SelectedFamilies, Snapshot};
use crate::source::{Context, Credential, Part, map_to_canonical};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// The pages that were read, each with its part.
type PagesByPart = Vec<(&'static Part, Families)>;

impl Target {
    /// Polls the server and publishes the reading.
    pub(super) async fn poll(&self, memory: &mut PollMemory) -> Arc<Reading> {
        let (at, began) = ((self.clock)(), Instant::now());
        self.state().set_from_records(&self.records);
        if let Some(file) = &self.totals_file {
            file.read(memory).await;
        }
        let current = window::containing(&self.config.window, at);
        let (window, ended_bytes) = match self.count_windows(memory, at, current, began).await {
            Ok(counted) => counted,
            Err(error) => return self.publish_failure(at, began, error),
        };
        let (outcome, parts, part_bytes) = self.poll_parts(memory, at, window, began).await;
        let body_bytes = ended_bytes + part_bytes;
        let (outcome, native) = match outcome {
            Ok((snapshot, native)) => (Ok(snapshot), Arc::new(native)),
            Err(error) => (Err(error), Arc::default()),
        };
        if let Some(file) = self.totals_file.as_ref().filter(|_| outcome.is_ok()) {
            file.write(memory).await;
        }
        let (ended, tally) = (Instant::now(), Tally::default());
        self.state().publish(Reading { at, began, ended, outcome, native, parts, body_bytes, tally, tally_since: at })
    }

    /// Publishes a failed reading for a failure outside of the parts.
    pub(super) fn publish_failure(&self, at: SystemTime, began: Instant, error: PollError) -> Arc<Reading> {
        let parts = vec![PartReport { part: self.config.source.required().name, took: Some(began.elapsed()), error: Some(error.clone()) }];
        self.state().publish(Reading { parts, ..Reading::failed(at, began, error) })
    }

    /// The window to count, for a source that has windows. Windows that have ended are read first. Returns the window and the number of
    /// bytes that were read.
    async fn count_windows(
        &self,
        memory: &mut PollMemory,
        at: SystemTime,
        current: Window,
        began: Instant,
    ) -> Result<(RequestedWindow, u64), PollError> {
        let required = match self.parts.first() {
            Some(required) if self.config.source.windowed && !matches!(self.config.window, config::Window::Sliding(_)) => required,
            _ => return Ok((current.in_zone(self.config.window.zone()), 0)),
        };
        let starts = match self.config.source.window {
            Some(_) => window::recent_starts(&self.config.window, current),
            None => vec![current.start],
        };
        let late = self.config.source.window.map_or(LATE, |rule| rule.late);
        let window = memory.windows.advance(current, &starts, &self.config.window, required.names_dates());
        let mut bytes = 0;
        for ended in memory.windows.ended() {
            let deadline = Deadline::new(began, self.config.timeout);
            let shared = TargetShared { deadline: deadline.clone(), ..self.shared() };
            let requested = memory.windows.requested(ended.window);
            // Boxed, because few systems have windows, and it would be most of the future of each poll.
            let body = match deadline.run(Box::pin(required.read(&shared, &requested)).as_mut()).await {
                Ok(body) => body,
                // The next poll finds events that were recorded late.
                Err(_) if ended.is_repeated => continue,
                // The server responds, but not for that window, and nothing is added to it any more.
                Err(error) if error.is_response() && ended.is_settled(current.end, late) => {
                    self.state().count_error(&error);
                    if let Some(note) = memory.unreadable_window.start(error.to_string()) {
                        let target = self.name();
                        warn!(
                            target,
                            "a window of time that has ended cannot be read, so its last events are not counted yet: {error}{note}"
                        );
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            bytes += body.bytes as u64;
            let pages: Vec<_> = body.pages.into_iter().map(|page| (required.part, page)).collect();
            let (snapshot, _) = self.map(memory, pages, body.bytes as u64, self.context(at, ended.window)).await?;
            memory.windows.mark_read(ended, current.end, late);
            memory.unreadable_window.end();
            if !ended.is_repeated {
                self.state().count_repairs(&snapshot.repairs);
            }
        }
        Ok((memory.windows.requested(window), bytes))
    }

    async fn poll_parts(
        &self,
        memory: &mut PollMemory,
        at: SystemTime,
        requested: RequestedWindow,
        began: Instant,
    ) -> (Result<(Snapshot, SelectedFamilies), PollError>, Vec<PartReport>, u64) {
        let window = requested.window;
        let (outcomes, reused) = self.request_parts(memory, requested, began).await;
        memory.counters.repeats_process_start(!reused.is_empty());
        memory.counters.keep_parts(&self.parts.iter().map(|client| client.part).collect::<Vec<_>>());
        let mut reports = Vec::with_capacity(outcomes.len() + reused.len());
        let mut read: PagesByPart = Vec::new();
        let mut body_bytes = 0;
        for (client, outcome) in outcomes.into_iter().chain(reused) {
            let PartOutcome { took, result } = outcome;
            let error = match result {
                Ok(body) => {
                    body_bytes += body.bytes as u64;
                    read.extend(body.pages.into_iter().map(|page| (client.part, page.without_starts_after(at))));
                    None
                }
                Err(error) => Some(error),
            };
            reports.push(PartReport { part: client.part.name, took, error });
        }
        if let Some(error) = reports.first().and_then(|required| required.error.clone()) {
            return (Err(error), reports, body_bytes);
        }
        let mapped = self.map(memory, read, body_bytes, self.context(at, window)).await;
        let (source, passthrough) = (self.config.source, self.config.passthrough.clone());
        let outcome = match mapped {
            Ok((mut snapshot, read)) => {
                let pages = read.into_iter().map(|(_, families)| families).collect();
                let readings = self.shared.limits.readings.clone();
                let select = move || select_native(source, &passthrough, pages).within_budget(&readings);
                run_blocking_if_large(body_bytes, select).await.map(|native| {
                    snapshot.repairs.add_all(&native.repairs);
                    (snapshot, native)
                })
            }
            Err(error) => Err(error),
        };
        (outcome, reports, body_bytes)
    }

    /// Requests the parts that are due. Returns their outcomes, and the earlier outcomes of infrequent parts that are reused.
    async fn request_parts(
        &self,
        memory: &mut PollMemory,
        window: RequestedWindow,
        began: Instant,
    ) -> (Vec<(Arc<PartClient>, PartOutcome)>, Vec<(Arc<PartClient>, PartOutcome)>) {
        let request = PollRequest { shared: self.shared(), waiters: &self.waiters, window, began, timeout: self.config.timeout };
        // Servers count rejected keys, and block addresses that send many: a key is tried once before all parts send it.
        let is_key_untried = matches!(self.config.source.required().credential, Credential::Header(_)) && !memory.is_credential_accepted;
        let is_probe = self.state().breaker.is_probe() || is_key_untried;
        let (mut due, mut reused) = (Vec::new(), Vec::new());
        for client in &self.parts {
            match memory.infrequent_parts.recent(client, began) {
                Some(outcome) => reused.push((client.clone(), outcome)),
                None => due.push(client.clone()),
            }
        }
        let mut outcomes = Vec::new();
        if is_probe {
            // A server that has failed repeatedly gets a single request before it gets the others.
            outcomes = request.send(&due[..1]).await;
        }
        if outcomes.iter().all(|outcome| outcome.result.is_ok()) {
            outcomes.extend(request.send(&due[outcomes.len()..]).await);
        }
        let mut outcomes: Vec<(Arc<PartClient>, PartOutcome)> = due.into_iter().zip(outcomes).collect();
        match outcomes.first().map(|(_, required)| &required.result) {
            Some(Ok(_)) => memory.is_credential_accepted = true,
            Some(Err(PollError::Auth { .. })) => memory.is_credential_accepted = false,
            Some(Err(_)) | None => {}
        }
        if outcomes.first().is_some_and(|(_, required)| required.result.is_ok()) {
            // A counter that decreased may mean a restart, which infrequent parts report.
            let has_infrequent = self.parts.iter().any(|client| client.part.interval.is_some());
            if has_infrequent && self.has_decreased(memory, &mut outcomes[0].1).await && !reused.is_empty() {
                let clients: Vec<_> = reused.drain(..).map(|(client, _)| client).collect();
                let renewed = request.send(&clients).await;
                outcomes.extend(clients.into_iter().zip(renewed));
            }
            memory.infrequent_parts.keep(began, &outcomes);
            self.update_part_circuits(&outcomes);
        }
        (outcomes, reused)
    }

    /// Maps native families to canonical metrics. Returns the snapshot, and the pages unchanged.
    async fn map(
        &self,
        memory: &mut PollMemory,
        read: PagesByPart,
        bytes: u64,
        context: Context,
    ) -> Result<(Snapshot, PagesByPart), PollError> {
        let source = self.config.source;
        let mut counters = std::mem::take(&mut memory.counters);
        let work = move || (map_to_canonical(source, &read, &mut counters, &context), read, counters);
        let (snapshot, read, counters) = run_blocking_if_large(bytes, work).await?;
        memory.counters = counters;
        Ok((self.with_redacted_advice(snapshot).await, read))
    }

    /// Redacts the secrets of requests in advice, which contains text of the server.
    async fn with_redacted_advice(&self, mut snapshot: Snapshot) -> Snapshot {
        if !snapshot.advice.is_empty() {
            let redactor = self.shared.redactor().await;
            snapshot.advice.iter_mut().for_each(|text| redactor.redact(text));
        }
        snapshot
    }

    /// Returns true if a counter of the required part has decreased since the last poll.
    async fn has_decreased(&self, memory: &mut PollMemory, required: &mut PartOutcome) -> bool {
        let Ok(body) = &mut required.result else { return false };
        let (part, bytes) = (self.config.source.required(), body.bytes as u64);
        let pages: PagesByPart = std::mem::take(&mut body.pages).into_iter().map(|page| (part, page)).collect();
        let mut counters = std::mem::take(&mut memory.counters);
        let compared = run_blocking_if_large(bytes, move || (counters.has_decreased(part, &pages), pages, counters)).await;
        match compared {
            Ok((has_decreased, pages, counters)) => {
                body.pages = pages.into_iter().map(|(_, page)| page).collect();
                memory.counters = counters;
                has_decreased
            }
            Err(error) => {
                required.result = Err(error);
                false
            }
        }
    }

    /// Updates the circuits of optional parts. The circuit of the required part is that of the target.
    fn update_part_circuits(&self, outcomes: &[(Arc<PartClient>, PartOutcome)]) {
        for (client, outcome) in outcomes.iter().skip(1).filter(|(_, outcome)| outcome.took.is_some()) {
            if let Some(pause) = client.record(Instant::now(), outcome.result.as_ref().err()) {
                let (target, part) = (self.name(), client.part.name);
                info!(target, part, next_in = ?to_tenths(pause), "polling slowed down after repeated failures");
            }
        }
    }

    pub(super) fn shared(&self) -> TargetShared {
        TargetShared { is_failing: self.state().breaker.is_failing(), ..self.shared.clone() }
    }

    fn context(&self, now: SystemTime, window: Window) -> Context {
        let start = u64::try_from(window.start).ok().map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        Context {
            now,
            window_start: start.filter(|_| self.config.source.windowed),
            sliding: matches!(self.config.window, config::Window::Sliding(_)),
            detail: self.config.detail.clone(),
            // Before the first record, these are metrics without a rule.
            metrics_from_log: self.state().record_metrics(),
        }
    }
}
