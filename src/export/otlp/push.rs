//! Collects all targets every interval and sends what they say.
//!
//! # No one waits for a target that hangs
//!
//! What is there after a few seconds is sent; a target that is still being polled follows in requests of its own.

use super::answer::SendError;
use super::encode::{REQUEST_BYTES_MAX, requests, told};
use super::send::{Sender, Signal};
use crate::export::series::SeriesState;
use crate::poll::Reading;
use crate::telemetry::{Monitored, Own};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{Instrument, debug_span, info, warn};

/// How long targets are waited for before those that are there are sent.
const STRAGGLER_WAIT: Duration = Duration::from_secs(5);
/// How long the last flush may take, collecting and sending.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// The push of all targets.
#[derive(Debug)]
pub struct Push {
    targets: Vec<Pushed>,
    sender: Sender,
    interval: Duration,
    own: Arc<Own>,
    /// What went wrong last: said once, until something else does.
    failing: Option<&'static str>,
}

/// Whether the ends of series are told.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Told,
    Kept,
}

#[derive(Debug)]
struct Pushed {
    monitored: Arc<Monitored>,
    series: SeriesState,
}

impl Push {
    /// The push of these targets.
    #[must_use]
    pub fn new(targets: &[Arc<Monitored>], sender: Sender, interval: Duration, own: Arc<Own>) -> Self {
        let pushed =
            |monitored: &Arc<Monitored>| Pushed { monitored: monitored.clone(), series: SeriesState::new(sender.config().temporality) };
        Self { targets: targets.iter().map(pushed).collect(), sender, interval, own, failing: None }
    }

    /// Pushes every interval until `stop` says so, then once more within a deadline.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.interval);
        // After a pause the next one is a whole interval away: two collections in a row would say the same.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = tick.tick() => {}
            }
            let span = debug_span!("export", endpoint = self.sender.endpoint());
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.collect().instrument(span) => {}
            }
        }
        if tokio::time::timeout(FLUSH_DEADLINE, self.flush()).await.is_err() {
            warn!(endpoint = self.sender.endpoint(), "the last push did not end within {FLUSH_DEADLINE:?} and was given up");
        }
    }

    async fn collect(&mut self) {
        let mut polls = JoinSet::new();
        for (index, pushed) in self.targets.iter().enumerate() {
            let target = pushed.monitored.target.clone();
            let limit = self.interval.max(STRAGGLER_WAIT);
            polls.spawn(async move { (index, target.reading_within(limit).await) }.in_current_span());
        }
        let wait = tokio::time::sleep(STRAGGLER_WAIT.min(self.interval));
        tokio::pin!(wait);
        let mut ready = Vec::new();
        let mut waited = false;
        loop {
            tokio::select! {
                joined = polls.join_next() => match joined {
                    Some(Ok(read)) => ready.push(read),
                    Some(Err(error)) => warn!("a collection failed inside Postmeter, please report it: {error}"),
                    None => break,
                },
                () = &mut wait, if !waited => {
                    waited = true;
                    self.send(std::mem::take(&mut ready), Ends::Told).await;
                }
            }
        }
        self.send(ready, Ends::Told).await;
    }

    /// The last push. A target that is down or gone, and a series that is gone, say nothing more: the end of its series, told late by an instance that
    /// is being replaced, would end those of its successor.
    async fn flush(&mut self) {
        let latest = |(index, pushed): (usize, &Pushed)| Some((index, pushed.monitored.target.latest()?));
        let good = |(_, reading): &(usize, Arc<Reading>)| reading.outcome.is_ok();
        let ready = self.targets.iter().enumerate().filter_map(latest).filter(good).collect();
        self.send(ready, Ends::Kept).await;
    }

    async fn send(&mut self, ready: Vec<(usize, Arc<Reading>)>, ends: Ends) {
        let mut all = Vec::with_capacity(ready.len());
        for (index, reading) in ready {
            let Some(pushed) = self.targets.get_mut(index) else { continue };
            let collected = pushed.monitored.collect(&reading);
            let identity = pushed.monitored.identity(&reading);
            let system = pushed.monitored.target.config.source.name;
            let told = told(&collected, system, &reading, &identity, &mut pushed.series);
            all.push(match ends {
                Ends::Told => told,
                Ends::Kept => told.without_ends(),
            });
        }
        for request in requests(&all, REQUEST_BYTES_MAX) {
            let began = Instant::now();
            let result = self.sender.send(Signal::Metrics, request.bytes).await;
            let error = result.as_ref().err().map(SendError::error_type);
            self.own.exported(request.points, error, began.elapsed());
            self.report(result.map(|rejected| (rejected.count, rejected.reason)));
        }
    }

    fn report(&mut self, result: Result<(u64, String), SendError>) {
        let endpoint = self.sender.endpoint();
        let now = match &result {
            Ok((0, _)) => None,
            Ok(_) => Some("rejected"),
            Err(error) => Some(error.error_type()),
        };
        if self.failing == now {
            return;
        }
        match result {
            Ok((0, _)) => info!(endpoint, "the receiver takes metrics again"),
            Ok((points, reason)) => warn!(endpoint, points, "the receiver left points out: {reason}"),
            Err(error) => warn!(endpoint, error.type = error.error_type(), "metrics were not delivered: {error}"),
        }
        self.failing = now;
    }
}
