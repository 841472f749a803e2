//! The push: collects all targets every interval, queues the encoded requests and sends them, until it is stopped.

use super::collector::Collector;
use super::exporter::{OtlpExporter, Signal};
use super::response::SendError;
use crate::config;
use crate::export::queue::queue::ExportQueue;
use crate::export::queue::worker::Worker;
use crate::telemetry::{SelfTelemetry, TargetSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, error, warn};

/// The deadline of the last push: collecting and sending together.
const LAST_PUSH_MAX: Duration = Duration::from_secs(5);

/// The push of all targets to one receiver.
#[derive(Debug)]
pub struct Push {
    targets: TargetSet,
    exporter: Arc<OtlpExporter>,
    queue: Arc<ExportQueue>,
    telemetry: Arc<SelfTelemetry>,
    interval: watch::Sender<Duration>,
}

impl Push {
    /// Creates a push of these targets.
    ///
    /// # Errors
    /// Fails if the exporter cannot be created from the configuration.
    pub fn new(targets: TargetSet, config: config::Otlp, telemetry: Arc<SelfTelemetry>) -> Result<Self, SendError> {
        let queue = Arc::new(ExportQueue::new(config.receiver(), &config.queue, telemetry.clone()));
        let interval = watch::Sender::new(config.interval);
        let exporter = Arc::new(OtlpExporter::new(config)?);
        Ok(Self { targets, exporter, queue, telemetry, interval })
    }

    /// The export queue.
    #[must_use]
    pub fn queue(&self) -> Arc<ExportQueue> {
        self.queue.clone()
    }

    /// The push interval. A new value applies immediately.
    #[must_use]
    pub fn interval(&self) -> watch::Sender<Duration> {
        self.interval.clone()
    }

    /// Pushes every interval until `stop` is cancelled, then once more within a deadline.
    pub async fn run(self, stop: CancellationToken) {
        let Self { targets, exporter, queue, telemetry, interval: intervals } = self;
        let mut intervals = intervals.subscribe();
        let (endpoint, interval) = (exporter.endpoint().to_owned(), *intervals.borrow_and_update());
        let mut collector = Collector::new(targets, exporter.clone(), queue.clone(), telemetry, interval);
        let worker = tokio::spawn(send_requests(queue.clone(), exporter, stop.clone()));
        let abort_worker = worker.abort_handle();
        let deadline = deadline(stop.clone());
        let work = async {
            let mut ticks = ticks(Instant::now(), interval);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Ok(()) = intervals.changed() => {
                        collector.interval = *intervals.borrow_and_update();
                        ticks = self::ticks(Instant::now() + collector.interval, collector.interval);
                        continue;
                    }
                    _ = ticks.tick() => {}
                }
                let span = debug_span!("export", endpoint);
                collector.collect(&stop).instrument(span).await;
            }
            collector.flush(&stop).await;
            queue.close();
            if let Err(error) = worker.await {
                error!(endpoint, "internal error: sending metrics failed, please report this: {error}");
            }
        };
        tokio::select! {
            () = work => {}
            () = deadline => {
                warn!(endpoint, deadline = ?LAST_PUSH_MAX, "the last push did not complete in time and was aborted");
                abort_worker.abort();
            }
        }
        queue.shut_down().await;
    }
}

async fn send_requests(queue: Arc<ExportQueue>, exporter: Arc<OtlpExporter>, shutdown: CancellationToken) {
    let worker = Worker {
        queue: &queue,
        exporter: exporter.as_ref(),
        request_size: exporter.request_size(Signal::Metrics),
        retry: exporter.config().queue.retry,
    };
    worker.run(shutdown).await;
}

/// Completes at the deadline of the last push, which includes a collection that is running when `stop` is cancelled.
async fn deadline(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_PUSH_MAX).await;
}

fn ticks(first: Instant, interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(first, interval);
    // A collection that has lasted for an interval is followed by the next one at once, which is due then. The ticks after that are a whole
    // interval apart, and not those that were missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
