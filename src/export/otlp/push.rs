//! Collects all targets every interval and sends what they say.
//!
//! # No one waits for a target that hangs
//!
//! What is there after a few seconds is sent; a target that is still being polled follows in requests of its own.

use super::SendError;
use super::deliver::deliver;
use super::encode::{REQUEST_BYTES_MAX, requests, told};
use super::outbox::Outbox;
use super::send::Sender;
use super::spool::Key;
use crate::config;
use crate::export::series::SeriesState;
use crate::poll::Reading;
use crate::telemetry::{Monitored, Own};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{Instrument, debug_span, warn};

/// How long targets are waited for before those that are there are sent.
const STRAGGLER_WAIT: Duration = Duration::from_secs(5);
/// How long the last flush may take, collecting and sending.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// The push of all targets.
#[derive(Debug)]
pub struct Push {
    targets: Vec<Pushed>,
    sender: Sender,
    outbox: Arc<Outbox>,
    own: Arc<Own>,
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
    /// What was told last.
    told: Weak<Reading>,
}

impl Pushed {
    /// Whether there is a reading that was not told: one for a pull, say.
    fn has_more(&self) -> bool {
        self.monitored.target.latest().is_some_and(|latest| !std::ptr::eq(self.told.as_ptr(), Arc::as_ptr(&latest)))
    }
}

impl Push {
    /// The push of these targets.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(targets: &[Arc<Monitored>], config: config::Otlp, own: Arc<Own>) -> Result<Self, SendError> {
        let outbox = Arc::new(Outbox::new(&config, own.clone())?);
        let sender = Sender::new(config)?;
        let temporality = sender.config().temporality;
        let pushed =
            |monitored: &Arc<Monitored>| Pushed { monitored: monitored.clone(), series: SeriesState::new(temporality), told: Weak::new() };
        Ok(Self { targets: targets.iter().map(pushed).collect(), sender, outbox, own })
    }

    /// What waits, and how it goes.
    #[must_use]
    pub fn outbox(&self) -> Arc<Outbox> {
        self.outbox.clone()
    }

    /// Pushes every interval until `stop` says so, then once more within a deadline.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { targets, sender, outbox, own } = self;
        let (endpoint, interval) = (sender.endpoint().to_owned(), sender.config().interval);
        let mut collector = Collector { targets, outbox: outbox.clone(), interval };
        let delivery = tokio::spawn(deliver(outbox.clone(), sender, own, stop.clone()));
        let mut tick = tokio::time::interval(interval);
        // After a pause the next one is a whole interval away: two collections in a row would say the same.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = tick.tick() => {}
            }
            let span = debug_span!("export", endpoint);
            collector.collect(&mut stop).instrument(span).await;
        }
        let abort = delivery.abort_handle();
        let flush = async {
            collector.flush(&mut stop).await;
            outbox.close();
            let _ = delivery.await;
        };
        if tokio::time::timeout(FLUSH_DEADLINE, flush).await.is_err() {
            warn!(endpoint, "the last push did not end within {FLUSH_DEADLINE:?} and was given up");
            abort.abort();
        }
        outbox.end().await;
    }
}

/// Reads targets and fills the outbox.
#[derive(Debug)]
struct Collector {
    targets: Vec<Pushed>,
    outbox: Arc<Outbox>,
    interval: Duration,
}

impl Collector {
    fn begin(&self) -> Collection {
        Collection { number: self.outbox.collection(), parts: 0, due: Instant::now() + self.interval }
    }

    /// A stop ends the waiting for targets; what is read is queued in any case, for the next collection says only what came since.
    async fn collect(&mut self, stop: &mut watch::Receiver<bool>) {
        let mut polls = JoinSet::new();
        for (index, pushed) in self.targets.iter().enumerate() {
            let target = pushed.monitored.target.clone();
            let limit = self.interval.max(STRAGGLER_WAIT);
            polls.spawn(async move { (index, target.reading_within(limit).await) }.in_current_span());
        }
        let wait = tokio::time::sleep(STRAGGLER_WAIT.min(self.interval));
        tokio::pin!(wait);
        let mut collection = self.begin();
        let mut ready = Vec::new();
        let mut waited = false;
        loop {
            tokio::select! {
                joined = polls.join_next() => match joined {
                    Some(Ok(read)) => ready.push(read),
                    Some(Err(error)) => warn!("a collection failed inside Postmeter, please report it: {error}"),
                    None => break,
                },
                () = stopped(stop) => break,
                () = &mut wait, if !waited => {
                    waited = true;
                    collection = self.queue(collection, std::mem::take(&mut ready), Ends::Told, stop).await;
                }
            }
        }
        self.queue(collection, ready, Ends::Told, stop).await;
    }

    /// The last push. A target that is down or gone, and a series that is gone, say nothing more: the end of its series, told late by an instance that
    /// is being replaced, would end those of its successor.
    async fn flush(&mut self, stop: &mut watch::Receiver<bool>) {
        let latest = |(index, pushed): (usize, &Pushed)| Some((index, pushed.monitored.target.latest()?));
        let good = |(_, reading): &(usize, Arc<Reading>)| reading.outcome.is_ok();
        let ready = self.targets.iter().enumerate().filter(|(_, pushed)| pushed.has_more()).filter_map(latest).filter(good).collect();
        self.queue(self.begin(), ready, Ends::Kept, stop).await;
    }

    /// Encodes what was read and queues it. A request is written when there is room for it, but nobody waits longer than an
    /// interval for that: the next collection is not late because the receiver is slow.
    async fn queue(
        &mut self,
        collection: Collection,
        ready: Vec<(usize, Arc<Reading>)>,
        ends: Ends,
        stop: &mut watch::Receiver<bool>,
    ) -> Collection {
        let mut all = Vec::with_capacity(ready.len());
        for (index, reading) in ready {
            let Some(pushed) = self.targets.get_mut(index) else { continue };
            let collected = pushed.monitored.collect(&reading);
            let identity = pushed.monitored.identity(&reading);
            let system = pushed.monitored.target.config.source.name;
            pushed.told = Arc::downgrade(&reading);
            let told = told(&collected, system, &reading, &identity, &mut pushed.series);
            all.push(match ends {
                Ends::Told => told,
                Ends::Kept => told.without_ends(),
            });
        }
        let Collection { number, mut parts, due } = collection;
        for request in requests(&all, REQUEST_BYTES_MAX) {
            tokio::select! {
                () = self.outbox.room() => {}
                () = tokio::time::sleep_until(due) => {}
                () = stopped(stop) => {}
            }
            self.outbox.put(Key { collection: number, part: parts }, request).await;
            parts = parts.saturating_add(1);
        }
        Collection { number, parts, due }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A collection that is being queued.
#[derive(Clone, Copy, Debug)]
struct Collection {
    number: u64,
    /// Requests so far.
    parts: u32,
    /// When the next one is.
    due: Instant,
}
