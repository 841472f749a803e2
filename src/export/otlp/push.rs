//! The push: collects every interval, queues what was collected, and has it delivered, until it is told to stop.

use super::SendError;
use super::collect::Collector;
use super::exporter::OtlpExporter;
use crate::config;
use crate::export::queue::queue::ExportQueue;
use crate::export::queue::worker::deliver;
use crate::telemetry::{SelfTelemetry, TargetSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, error, warn};

/// How long the last flush may take, collecting and sending.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// The push of all targets.
#[derive(Debug)]
pub struct Push {
    targets: TargetSet,
    sender: OtlpExporter,
    outbox: Arc<ExportQueue>,
    own: Arc<SelfTelemetry>,
    interval: watch::Sender<Duration>,
}

impl Push {
    /// The push of these targets.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(targets: TargetSet, config: config::Otlp, own: Arc<SelfTelemetry>) -> Result<Self, SendError> {
        let outbox = Arc::new(ExportQueue::new(&config, own.clone()));
        let sender = OtlpExporter::new(config)?;
        let interval = watch::Sender::new(sender.config().interval);
        Ok(Self { targets, sender, outbox, own, interval })
    }

    /// What waits, and how it goes.
    #[must_use]
    pub fn outbox(&self) -> Arc<ExportQueue> {
        self.outbox.clone()
    }

    /// How often it collects; what is sent there counts from then on.
    #[must_use]
    pub fn interval(&self) -> watch::Sender<Duration> {
        self.interval.clone()
    }

    /// Pushes every interval until `stop` says so, then once more within a deadline.
    pub async fn run(self, stop: CancellationToken) {
        let Self { targets, sender, outbox, own, interval: intervals } = self;
        let mut intervals = intervals.subscribe();
        let (endpoint, interval) = (sender.receiver().to_owned(), *intervals.borrow_and_update());
        let temporality = sender.config().temporality;
        let mut collector = Collector::new(targets, outbox.clone(), interval, temporality);
        let delivery = tokio::spawn(deliver(outbox.clone(), sender, own, stop.clone()));
        let abort = delivery.abort_handle();
        let deadline = deadline(stop.clone());
        let work = async {
            let mut tick = ticks(Instant::now(), interval);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Ok(()) = intervals.changed() => {
                        collector.interval = *intervals.borrow_and_update();
                        tick = ticks(Instant::now() + collector.interval, collector.interval);
                        continue;
                    }
                    _ = tick.tick() => {}
                }
                let span = debug_span!("export", endpoint);
                collector.collect(&stop).instrument(span).await;
            }
            collector.flush(&stop).await;
            outbox.close();
            if let Err(error) = delivery.await {
                error!(endpoint, "delivering failed inside Postmeter, please report it: {error}");
            }
        };
        tokio::select! {
            () = work => {}
            () = deadline => {
                warn!(endpoint, "the last push did not end within {FLUSH_DEADLINE:?} and was given up");
                abort.abort();
            }
        }
        outbox.end().await;
    }
}

/// When the last push has to be over, with the collection that the end found under way.
async fn deadline(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FLUSH_DEADLINE).await;
}

fn ticks(first: Instant, interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(first, interval);
    // After a pause the next one is a whole interval away: two collections in a row would say the same.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
