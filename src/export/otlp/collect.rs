//! One collection: reads all targets, encodes what they say, and queues it.
//!
//! # No one waits for a target that hangs
//!
//! What is there after a few seconds is sent; targets that are still being polled follow in requests of their own, every few seconds what
//! has come in. A target that is known to fail is waited for only briefly.
//!
//! # A reading is sent once
//!
//! Where the push interval is shorter than a target's `min_interval`, nothing is sent of the target until it has been polled again:
//! a point has the time of its reading, and a receiver may reject a point that it has already.
//!
//! # A reload is seen by the next collection
//!
//! A target that stays keeps its series, and so does one whose configuration changed if it is the same server under the same
//! name. One that was taken away is gone: the ends of its series are told once, dated right after what was told last, so that
//! another server under its name begins after them.

use super::metrics::{Request, TargetMetrics, ended, requests, told};
use crate::config::Temporality;
use crate::export::queue::queue::ExportQueue;
use crate::export::queue::request_list::Key;
use crate::poll::Reading;
use crate::report::SeriesState;
use crate::telemetry::{CollectedTarget, TargetSet};
use std::iter::Peekable;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, warn};

/// How long targets are waited for before those that are there are sent; and again, as long as there are others.
const STRAGGLER_WAIT: Duration = Duration::from_secs(5);

/// Reads targets and fills the outbox.
#[derive(Debug)]
pub(crate) struct Collector {
    targets: TargetSet,
    pushed: Vec<Pushed>,
    /// Taken away by a reload; their series have not been ended yet.
    left: Vec<Pushed>,
    outbox: Arc<ExportQueue>,
    pub(crate) interval: Duration,
    temporality: Temporality,
}

impl Collector {
    pub(crate) fn new(targets: TargetSet, outbox: Arc<ExportQueue>, interval: Duration, temporality: Temporality) -> Self {
        Self { targets, pushed: Vec::new(), left: Vec::new(), outbox, interval, temporality }
    }

    fn begin(&self) -> Collection {
        Collection { number: self.outbox.collection(), parts: 0, due: Instant::now() + self.interval }
    }

    /// Takes up what a reload changed: series stay with targets that stay.
    fn follow(&mut self) {
        let now = self.targets.now();
        if now.len() == self.pushed.len() && now.iter().zip(&self.pushed).all(|(now, pushed)| Arc::ptr_eq(now, &pushed.monitored)) {
            return;
        }
        let mut before = std::mem::take(&mut self.pushed);
        for monitored in now.iter() {
            let same = before.iter().position(|pushed| pushed.monitored.continues(monitored));
            let pushed = match same.map(|at| before.swap_remove(at)) {
                Some(pushed) => Pushed { monitored: monitored.clone(), ..pushed },
                None => {
                    let series = SeriesState::new(self.temporality);
                    Pushed { monitored: monitored.clone(), series, sent: SentReadings::default() }
                }
            };
            self.pushed.push(pushed);
        }
        self.left.extend(before.into_iter().filter(|pushed| pushed.sent.last.is_some()));
    }

    /// The ends of what was taken away, once.
    fn ended(&mut self) -> Vec<TargetMetrics> {
        let end = |mut pushed: Pushed| {
            let identity = pushed.monitored.last_identity();
            ended(pushed.monitored.system(), &identity, &mut pushed.series)
        };
        self.left.drain(..).map(end).collect()
    }

    /// A stop ends the waiting for targets; what is read is queued in any case, for the next collection says only what came since.
    pub(crate) async fn collect(&mut self, stop: &CancellationToken) {
        self.follow();
        let mut polls = JoinSet::new();
        for (index, pushed) in self.pushed.iter().enumerate() {
            let target = pushed.monitored.target.clone();
            let limit = self.interval.max(STRAGGLER_WAIT);
            polls.spawn(async move { (index, target.reading_within(limit).await) }.in_current_span());
        }
        let wait = STRAGGLER_WAIT.min(self.interval);
        let mut send = tokio::time::interval_at(Instant::now() + wait, wait);
        send.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collection = self.begin();
        let mut ready = Vec::new();
        loop {
            tokio::select! {
                joined = polls.join_next() => match joined {
                    Some(Ok(read)) => ready.push(read),
                    Some(Err(error)) => warn!("a collection failed inside Postmeter, please report it: {error}"),
                    None => break,
                },
                () = stop.cancelled() => break,
                _ = send.tick(), if !ready.is_empty() => {
                    collection = self.queue(collection, std::mem::take(&mut ready), Ends::TargetMetrics, stop).await;
                }
            }
        }
        self.queue(collection, ready, Ends::TargetMetrics, stop).await;
        if let Some(pushed) = self.pushed.first() {
            self.outbox.own().poll.observe(&pushed.monitored.target.usage());
        }
    }

    /// The last push. A target that is down or gone, and a series that is gone, say nothing more: the end of its series, told late by an
    /// instance that is being replaced, would end those of its successor.
    pub(crate) async fn flush(&mut self, stop: &CancellationToken) {
        self.follow();
        let latest = |(index, pushed): (usize, &Pushed)| Some((index, pushed.monitored.target.latest()?));
        let good = |(_, reading): &(usize, Arc<Reading>)| reading.outcome.is_ok();
        let ready = self.pushed.iter().enumerate().filter(|(_, pushed)| pushed.has_more()).filter_map(latest).filter(good).collect();
        self.queue(self.begin(), ready, Ends::Kept, stop).await;
    }

    /// Encodes what was read and queues it. A request is written when there is room for it, but nobody waits longer than an
    /// interval for that: the next collection is not late because the receiver is slow.
    async fn queue(
        &mut self,
        collection: Collection,
        ready: Vec<(usize, Arc<Reading>)>,
        ends: Ends,
        stop: &CancellationToken,
    ) -> Collection {
        let mut all = self.ended();
        for (index, reading) in ready {
            let Some(pushed) = self.pushed.get_mut(index).filter(|pushed| !pushed.sent.contains(&reading)) else { continue };
            pushed.sent.add(&reading);
            let collected = pushed.monitored.collect(&reading);
            let identity = pushed.monitored.identity(&reading);
            let system = pushed.monitored.target.config.source.name;
            let told = told(collected, system, &reading, &identity, &mut pushed.series);
            self.outbox.left_out(told.left_out());
            all.push(match ends {
                Ends::TargetMetrics => told,
                Ends::Kept => told.without_ends(),
            });
        }
        let Collection { number, mut parts, due } = collection;
        let mut unput = Unqueued { outbox: &self.outbox, requests: requests(&all, self.outbox.request_size().limit()).peekable() };
        while let Some(request) = unput.requests.peek().cloned() {
            tokio::select! {
                () = self.outbox.room() => {}
                () = tokio::time::sleep_until(due) => {}
                () = stop.cancelled() => {}
            }
            self.outbox.put(Key { collection: number, part: parts }, request).await;
            unput.requests.next();
            parts = parts.saturating_add(1);
        }
        Collection { number, parts, due }
    }
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

/// What of a collection has not been put. Where the last push ends before that, it is counted as lost.
struct Unqueued<'a, I: Iterator<Item = Request>> {
    outbox: &'a ExportQueue,
    requests: Peekable<I>,
}

impl<I: Iterator<Item = Request>> Drop for Unqueued<'_, I> {
    fn drop(&mut self) {
        let points = self.requests.by_ref().map(|request| request.points).sum();
        if points > 0 {
            self.outbox.not_put(points);
        }
    }
}

/// Whether the ends of series are told.
#[derive(Clone, Copy, Debug)]
enum Ends {
    TargetMetrics,
    Kept,
}

#[derive(Debug)]
struct Pushed {
    monitored: Arc<CollectedTarget>,
    series: SeriesState,
    sent: SentReadings,
}

impl Pushed {
    /// Whether there is a reading that was not sent: one for a pull, say.
    fn has_more(&self) -> bool {
        self.monitored.target.latest().is_some_and(|latest| !self.sent.contains(&latest))
    }
}

/// The readings of a target that were encoded and queued: the last of all, and the last good one, which a target keeps as its latest
/// while a poll that somebody gave up on goes on.
#[derive(Debug, Default)]
struct SentReadings {
    last: Option<Weak<Reading>>,
    last_good: Option<Weak<Reading>>,
}

impl SentReadings {
    fn contains(&self, reading: &Arc<Reading>) -> bool {
        let is_this = |sent: &Weak<Reading>| std::ptr::eq(sent.as_ptr(), Arc::as_ptr(reading));
        self.last.iter().chain(&self.last_good).any(is_this)
    }

    fn add(&mut self, reading: &Arc<Reading>) {
        self.last = Some(Arc::downgrade(reading));
        if reading.outcome.is_ok() {
            self.last_good.clone_from(&self.last);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config;
    use crate::telemetry::SelfTelemetry;

    #[test]
    fn what_the_end_finds_unput_is_counted() {
        let outbox = ExportQueue::new(&config::Otlp::to("http://localhost:4317"), Arc::new(SelfTelemetry::quiet().unwrap()));
        let requests = [3, 4, 5].map(|points| Request { points, ..Request::default() });
        let mut unput = Unqueued { outbox: &outbox, requests: requests.into_iter().peekable() };
        unput.requests.next();
        unput.requests.peek();
        drop(unput);
        assert_eq!(outbox.status().lost_points, 9);
        assert_eq!(outbox.status().waiting_points, 0);
    }
}
