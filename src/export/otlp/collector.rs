//! The collector: reads all targets, encodes their metrics and queues the requests.
//!
//! # Slow targets do not delay the others
//!
//! After a few seconds, the readings that are available are queued. The targets that are still being polled follow in further requests of
//! the same collection.
//!
//! # A reading is exported once
//!
//! If the push interval is shorter than a target's `min_interval`, the target is left out until it is polled again: a point has the time
//! of its reading, and receivers may reject a point that they have already. Counts of delivery records, which exist only in this process,
//! are exported once more with the latest reading when the process stops, and when a reload ends their series.
//!
//! # A reload applies to the next collection
//!
//! A target that remains keeps its series, even if its configuration changed, as long as it is the same server under the same name. The
//! series of a removed target are ended once, right after their last points, so that another server with that name can start new series.

use super::exporter::{OtlpExporter, Signal};
use super::metrics::{TargetMetrics, requests};
use super::pushed_target::PushedTarget;
use crate::export::queue::queue::ExportQueue;
use crate::export::queue::queued_request::RequestKey;
use crate::export::queue::request_exporter::ExportRequest;
use crate::poll::Reading;
use crate::report::SelfMetricsState;
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, warn};

/// The interval at which a collection queues the readings that are available, until all targets were polled.
const SLOW_TARGET_WAIT: Duration = Duration::from_secs(5);

/// Collects targets and fills the export queue.
#[derive(Debug)]
pub(crate) struct Collector {
    targets: TargetSet,
    pushed: Vec<PushedTarget>,
    /// Targets that a reload removed, and whose series have not been ended yet.
    removed: Vec<PushedTarget>,
    /// The counts of delivery records of targets that a reload replaced or removed.
    last_counts: Vec<TargetMetrics>,
    exporter: Arc<OtlpExporter>,
    queue: Arc<ExportQueue>,
    telemetry: Arc<SelfTelemetry>,
    self_metrics: SelfMetricsState,
    pub(crate) interval: Duration,
}

impl Collector {
    pub(crate) fn new(
        targets: TargetSet,
        exporter: Arc<OtlpExporter>,
        queue: Arc<ExportQueue>,
        telemetry: Arc<SelfTelemetry>,
        interval: Duration,
    ) -> Self {
        Self {
            targets,
            pushed: Vec::new(),
            removed: Vec::new(),
            last_counts: Vec::new(),
            exporter,
            queue,
            telemetry,
            self_metrics: SelfMetricsState::default(),
            interval,
        }
    }

    fn start_collection(&self) -> Collection {
        Collection { number: self.queue.next_collection(), parts: 0, next_at: Instant::now() + self.interval }
    }

    /// Applies a reload: targets that remain keep their series.
    fn update_targets(&mut self) {
        let current = self.targets.now();
        let is_same = |(current, pushed): (&Arc<CollectedTarget>, &PushedTarget)| Arc::ptr_eq(current, &pushed.collected);
        if current.len() == self.pushed.len() && current.iter().zip(&self.pushed).all(is_same) {
            return;
        }
        let mut previous: HashMap<String, Vec<PushedTarget>> = HashMap::new();
        for mut pushed in self.pushed.drain(..) {
            if let Some(reading) =
                pushed.with_unexported_counts().filter(|_| !current.iter().any(|target| Arc::ptr_eq(target, &pushed.collected)))
            {
                self.last_counts.push(pushed.export(&reading, self.exporter.config().histograms));
            }
            previous.entry(pushed.collected.instance().to_owned()).or_default().push(pushed);
        }
        for target in current.iter() {
            let of_instance = previous.get_mut(target.instance());
            let continued = of_instance.and_then(|previous| {
                let index = previous.iter().position(|pushed| pushed.collected.continues(target))?;
                Some(previous.swap_remove(index))
            });
            let pushed = match continued {
                Some(mut pushed) => {
                    pushed.series.note_change(target.target.continuity_after(&pushed.collected.target));
                    pushed.collected = target.clone();
                    pushed
                }
                None => PushedTarget::new(target.clone(), self.exporter.config().temporality),
            };
            self.pushed.push(pushed);
        }
        self.removed.extend(previous.into_values().flatten().filter(|pushed| pushed.exported.last.is_some()));
    }

    /// Ends the series of removed targets.
    fn end_removed_targets(&mut self) -> Vec<TargetMetrics> {
        let end = |mut pushed: PushedTarget| {
            let identity = pushed.collected.last_identity();
            TargetMetrics::new(&identity, pushed.series.end(pushed.collected.system()))
        };
        self.removed.drain(..).map(end).collect()
    }

    /// Collects all targets. `stop` ends the wait for slow targets; the available readings are queued all the same, because the next
    /// collection exports only newer ones.
    pub(crate) async fn collect(&mut self, stop: &CancellationToken) {
        self.update_targets();
        let mut polls = JoinSet::new();
        for (index, pushed) in self.pushed.iter().enumerate() {
            let target = pushed.collected.target.clone();
            let wait_max = self.interval.max(SLOW_TARGET_WAIT);
            polls.spawn(async move { (index, target.reading_within(wait_max).await) }.in_current_span());
        }
        let wait = SLOW_TARGET_WAIT.min(self.interval);
        let mut ticks = tokio::time::interval_at(Instant::now() + wait, wait);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collection = self.start_collection();
        let mut readings = Vec::new();
        loop {
            tokio::select! {
                joined = polls.join_next() => match joined {
                    Some(Ok(read)) => readings.push(read),
                    Some(Err(error)) => warn!("internal error: a collection failed, please report this: {error}"),
                    None => break,
                },
                () = stop.cancelled() => break,
                _ = ticks.tick(), if !readings.is_empty() => {
                    collection = self.queue(collection, std::mem::take(&mut readings), None, Ends::Export, stop).await;
                }
            }
        }
        let own = self.self_metrics();
        self.queue(collection, readings, own, Ends::Export, stop).await;
        if let Some(pushed) = self.pushed.first() {
            self.telemetry.poll.observe(&pushed.collected.target.usage());
        }
    }

    /// Queues the last push: successful readings that were not exported yet. Targets that are down and ended series are left out. If this
    /// instance is being replaced, a late end of a series would end the series of its successor.
    pub(crate) async fn flush(&mut self, stop: &CancellationToken) {
        self.update_targets();
        let latest = |(index, pushed): (usize, &PushedTarget)| Some((index, pushed.collected.target.latest()?));
        let is_ok = |(_, reading): &(usize, Arc<Reading>)| reading.outcome.is_ok();
        let unexported = self.pushed.iter().enumerate().filter(|(_, pushed)| pushed.has_unexported_reading());
        let mut readings: Vec<_> = unexported.filter_map(latest).filter(is_ok).collect();
        for (index, pushed) in self.pushed.iter().enumerate() {
            if let Some(reading) = pushed.with_unexported_counts().filter(|_| !readings.iter().any(|(other, _)| *other == index)) {
                // The native metrics would only be repeated.
                readings.push((index, Arc::new(Reading { native: Arc::default(), ..reading })));
            }
        }
        let own = self.self_metrics();
        self.queue(self.start_collection(), readings, own, Ends::Omit, stop).await;
    }

    /// Returns Postmeter's own metrics, if this push exports them.
    fn self_metrics(&mut self) -> Option<TargetMetrics> {
        let (identity, canonical) = self.telemetry.collect()?;
        Some(TargetMetrics::new(identity, self.self_metrics.report(SystemTime::now().into(), canonical)))
    }

    /// Encodes readings and Postmeter's `own` metrics, and queues the requests. Waits until the queue is short before each request, but not
    /// beyond the time of the next collection, so that a slow receiver does not delay it.
    async fn queue(
        &mut self,
        collection: Collection,
        readings: Vec<(usize, Arc<Reading>)>,
        own: Option<TargetMetrics>,
        ends: Ends,
        stop: &CancellationToken,
    ) -> Collection {
        let mut all = std::mem::take(&mut self.last_counts);
        all.extend(self.end_removed_targets());
        for (index, reading) in readings {
            let Some(pushed) = self.pushed.get_mut(index).filter(|pushed| !pushed.exported.contains(&reading)) else { continue };
            pushed.exported.add(&reading);
            let metrics = pushed.export(&reading, self.exporter.config().histograms);
            metrics.omitted_samples().into_iter().for_each(|(reason, samples)| self.telemetry.changed(reason, samples));
            all.push(match ends {
                Ends::Export => metrics,
                Ends::Omit => metrics.without_ends(),
            });
        }
        all.extend(own);
        let Collection { number, mut parts, next_at } = collection;
        let bytes_max = self.exporter.request_size(Signal::Metrics).limit();
        let mut unqueued =
            UnqueuedRequests { queue: &self.queue, requests: requests(&all, bytes_max).compressed(self.exporter.compression()).peekable() };
        while let Some(request) = unqueued.requests.peek().cloned() {
            tokio::select! {
                () = self.queue.wait_until_short() => {}
                () = tokio::time::sleep_until(next_at) => {}
                () = stop.cancelled() => {}
            }
            self.queue.add(RequestKey { collection: number, part: parts }, request).await;
            unqueued.requests.next();
            parts = parts.saturating_add(1);
        }
        Collection { number, parts, next_at }
    }
}

/// A collection whose requests are being queued.
#[derive(Clone, Copy, Debug)]
struct Collection {
    number: u64,
    /// The number of requests so far.
    parts: u32,
    /// The time of the next collection.
    next_at: Instant,
}

/// The requests of a collection that are not queued yet. If the last push is aborted, their points are counted as lost.
struct UnqueuedRequests<'a, I: Iterator<Item = ExportRequest>> {
    queue: &'a ExportQueue,
    requests: Peekable<I>,
}

impl<I: Iterator<Item = ExportRequest>> Drop for UnqueuedRequests<'_, I> {
    fn drop(&mut self) {
        let points = self.requests.by_ref().map(|request| request.points).sum();
        if points > 0 {
            self.queue.count_never_queued(points);
        }
    }
}

/// The treatment of ended series.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Export,
    Omit,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config;
    use crate::export::request_body::RequestBody;
    use bytes::Bytes;

    #[test]
    fn requests_that_shutdown_leaves_unqueued_are_counted_as_lost() {
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let queue = ExportQueue::new("http://localhost:4317".to_owned(), &config::Queue::default(), telemetry);
        let requests = [3, 4, 5].map(|points| ExportRequest { body: RequestBody::uncompressed(Bytes::new()), points });
        let mut unqueued = UnqueuedRequests { queue: &queue, requests: requests.into_iter().peekable() };
        unqueued.requests.next();
        unqueued.requests.peek();
        drop(unqueued);
        assert_eq!(queue.status().lost_points, 9);
        assert_eq!(queue.status().queued_points, 0);
    }
}
