//! Reads the delivery log and the log files of each target that has them configured, and follows changes of the targets.

use super::service::StartError;
use crate::config::{self, Config};
use crate::delivery_log;
use crate::export::otlp::{LogsExport, OtlpExporter, SendError};
use crate::net::ProblemLog;
use crate::receive::{LogFileFollower, RecordStore};
use crate::telemetry::{CollectedTarget, TargetSet};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

/// The wait before a delivery log that could not be opened is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// The delivery logs of all targets.
#[derive(Debug)]
pub(super) struct DeliveryLogs {
    state_dir: Option<PathBuf>,
    otlp: Option<config::Otlp>,
    /// The store of records that are read from log files.
    record_store: Option<Arc<RecordStore>>,
    /// The connection that all delivery logs share; `None` until it is needed.
    exporter: Option<Arc<OtlpExporter>>,
    running: Vec<RunningLog>,
    /// At least one delivery log could not be opened, and is opened again later.
    open_problem: ProblemLog<()>,
}

/// A delivery log that is being read.
#[derive(Debug)]
struct RunningLog {
    target: Arc<CollectedTarget>,
    stop: DropGuard,
    tasks: Vec<JoinHandle<()>>,
}

/// Stops delivery logs at the same time and waits for them to end. Their state files are then unlocked.
async fn stop_all(logs: Vec<RunningLog>) {
    let tasks: Vec<_> = logs.into_iter().flat_map(|RunningLog { stop, tasks, .. }| (drop(stop), tasks).1).collect();
    for task in tasks {
        if let Err(error) = task.await {
            error!("a task panicked, please report it: {error}");
        }
    }
}

impl DeliveryLogs {
    /// Starts reading the delivery logs of these targets.
    ///
    /// # Errors
    /// The state of a delivery log cannot be used.
    pub(super) fn start(config: &Config, targets: &TargetSet, record_store: Option<Arc<RecordStore>>) -> Result<Self, StartError> {
        let (state_dir, otlp) = (config.state_dir.clone(), config.export.otlp.clone());
        let mut logs = Self { state_dir, otlp, record_store, exporter: None, running: Vec::new(), open_problem: ProblemLog::default() };
        for target in targets.now().iter() {
            logs.start_log(target)?;
        }
        Ok(logs)
    }

    /// Starts reading the delivery log and the log files of a target, if they are configured.
    fn start_log(&mut self, target: &Arc<CollectedTarget>) -> Result<(), StartError> {
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        tasks.extend(self.start_log_files(target, &stop)?);
        tasks.extend(self.start_delivery_log(target, &stop)?);
        if !tasks.is_empty() {
            self.running.push(RunningLog { target: target.clone(), stop: stop.drop_guard(), tasks });
        }
        Ok(())
    }

    fn start_log_files(&self, target: &Arc<CollectedTarget>, stop: &CancellationToken) -> Result<Option<JoinHandle<()>>, StartError> {
        let has_files = target.target.config.deliveries.as_ref().is_some_and(|deliveries| deliveries.log_files.is_some());
        let Some((state_dir, store)) = self.state_dir.as_ref().zip(self.record_store.as_ref()).filter(|_| has_files) else {
            return Ok(None);
        };
        let name = target.target.name().to_owned();
        let opened = LogFileFollower::open(target, state_dir, store.inlet()?);
        let follower = opened.map_err(|error| StartError::State { name, error })?;
        Ok(follower.map(|follower| tokio::spawn(follower.run(stop.clone()))))
    }

    fn start_delivery_log(&mut self, target: &Arc<CollectedTarget>, stop: &CancellationToken) -> Result<Vec<JoinHandle<()>>, StartError> {
        // The configuration requires a directory for state if any delivery log is configured.
        let Some(state_dir) = &self.state_dir else { return Ok(Vec::new()) };
        let name = target.target.name().to_owned();
        let opened = delivery_log::open(target, state_dir).map_err(|error| StartError::State { name, error })?;
        let Some((follower, feed, key)) = opened else { return Ok(Vec::new()) };
        let exporter = self.exporter()?;
        let reader = tokio::spawn(follower.run(stop.clone()));
        let export = match exporter {
            Some(exporter) => tokio::spawn(LogsExport::new(feed, key, target.clone(), exporter).run(stop.clone())),
            None => tokio::spawn(feed.count(stop.clone())),
        };
        Ok(vec![reader, export])
    }

    fn exporter(&mut self) -> Result<Option<Arc<OtlpExporter>>, SendError> {
        if let (None, Some(otlp)) = (&self.exporter, &self.otlp) {
            self.exporter = Some(Arc::new(OtlpExporter::new(otlp.clone())?));
        }
        Ok(self.exporter.clone())
    }

    /// Updates the delivery logs on each notification of `targets_changed`, until `stop` is cancelled.
    pub(super) async fn run(mut self, targets: TargetSet, targets_changed: Arc<Notify>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = targets_changed.notified() => {}
                () = tokio::time::sleep(RETRY_WAIT), if self.open_problem.is_ongoing() => {}
            }
            self.update(&targets).await;
        }
        stop_all(self.running).await;
    }

    /// Takes the delivery logs of targets that no longer exist.
    fn take_removed(&mut self, targets: &[Arc<CollectedTarget>]) -> Vec<RunningLog> {
        let present: HashSet<_> = targets.iter().map(Arc::as_ptr).collect();
        self.running.extract_if(.., |log| !present.contains(&Arc::as_ptr(&log.target))).collect()
    }

    /// Stops the delivery logs of removed targets and starts those of new ones.
    async fn update(&mut self, targets: &TargetSet) {
        let targets = targets.now();
        // A changed target uses the same state file, so that its previous log must end first.
        stop_all(self.take_removed(&targets)).await;
        let running: HashSet<_> = self.running.iter().map(|log| Arc::as_ptr(&log.target)).collect();
        let mut errors = Vec::new();
        for target in targets.iter().filter(|target| !running.contains(&Arc::as_ptr(target))) {
            if let Err(error) = self.start_log(target) {
                // Another process may hold the state for a moment longer, or the disk is full.
                errors.push(error);
            }
        }
        if errors.is_empty() {
            self.open_problem.end();
        } else if self.open_problem.start(()) {
            let note = self.open_problem.note();
            for error in errors {
                error!("cannot read the delivery log, trying again: {error}{note}");
            }
        }
    }
}
