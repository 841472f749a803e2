//! Reads the delivery log and the log files of each target that has them configured, and follows changes of the targets.

use super::start_error::StartError;
use crate::config::{self, Config};
use crate::delivery_log::{self, Feed, Follower, HashKey};
use crate::export::otlp::{LogsExport, OtlpExporter, SendError};
use crate::net::{FileThread, ProblemLog};
use crate::receive::{LogFileFollower, RecordStore};
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info};

/// The wait before a delivery log that could not be opened is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// The delivery logs of all targets.
#[derive(Debug)]
pub(super) struct DeliveryLogs {
    state_dir: Option<PathBuf>,
    otlp: Option<config::Otlp>,
    /// The store of records that are read from log files.
    record_store: Option<Arc<RecordStore>>,
    self_telemetry: Arc<SelfTelemetry>,
    /// The connection that all delivery logs share; `None` until it is needed.
    exporter: Option<Arc<OtlpExporter>>,
    running: Vec<RunningLog>,
    /// Opens state files while requests are served. All of them are in one directory, so that one thread at most waits for them.
    state_thread: FileThread,
    /// At least one delivery log could not be opened, and is opened again later.
    open_problem: ProblemLog<Vec<String>>,
}

/// The delivery log and the log files of a target, with their state files open. They are not read yet.
#[derive(Debug)]
struct OpenedLog {
    log_files: Option<LogFileFollower>,
    delivery_log: Option<(Follower, Feed, HashKey)>,
}

impl OpenedLog {
    /// Returns `true` if a target has state files.
    fn is_configured(target: &CollectedTarget) -> bool {
        let config = &target.target.config;
        config.delivery_log.is_some() || config.deliveries.as_ref().is_some_and(|deliveries| deliveries.log_files.is_some())
    }

    /// Opens the state files of a target, if it has any. The file system may not respond.
    fn open(target: &Arc<CollectedTarget>, state_dir: &Path, record_store: Option<&RecordStore>) -> Result<Self, StartError> {
        let state_error = |error| StartError::State { name: target.target.name().to_owned(), error };
        let has_files = target.target.config.deliveries.as_ref().is_some_and(|deliveries| deliveries.log_files.is_some());
        let log_files = match record_store.filter(|_| has_files) {
            Some(store) => LogFileFollower::open(target, state_dir, store.inlet()?).map_err(state_error)?,
            None => None,
        };
        Ok(Self { log_files, delivery_log: delivery_log::open(target, state_dir).map_err(state_error)? })
    }
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
    pub(super) fn start(
        config: &Config,
        targets: &TargetSet,
        record_store: Option<Arc<RecordStore>>,
        self_telemetry: Arc<SelfTelemetry>,
    ) -> Result<Self, StartError> {
        let (state_dir, otlp) = (config.state_dir.clone(), config.export.otlp.clone());
        let (running, state_thread, open_problem) = Default::default();
        let mut logs = Self { state_dir, otlp, record_store, self_telemetry, exporter: None, running, state_thread, open_problem };
        // The configuration requires a directory for state if any delivery log is configured.
        let Some(state_dir) = logs.state_dir.clone() else { return Ok(logs) };
        for target in targets.now().iter().filter(|target| OpenedLog::is_configured(target)) {
            let opened = OpenedLog::open(target, &state_dir, logs.record_store.as_deref())?;
            logs.start_log(target, opened)?;
        }
        Ok(logs)
    }

    /// Starts reading the delivery log and the log files of a target, if they are configured.
    fn start_log(&mut self, target: &Arc<CollectedTarget>, opened: OpenedLog) -> Result<(), StartError> {
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        let exporter = if opened.delivery_log.is_some() { self.exporter()? } else { None };
        tasks.extend(opened.log_files.map(|follower| tokio::spawn(follower.run(stop.clone()))));
        if let Some((follower, feed, key)) = opened.delivery_log {
            tasks.push(tokio::spawn(follower.run(stop.clone())));
            tasks.push(match exporter {
                Some(exporter) => {
                    let export = LogsExport::new(feed, key, target.clone(), exporter, self.self_telemetry.clone());
                    tokio::spawn(export.run(stop.clone()))
                }
                None => tokio::spawn(feed.count(stop.clone())),
            });
        }
        if !tasks.is_empty() {
            self.running.push(RunningLog { target: target.clone(), stop: stop.drop_guard(), tasks });
        }
        Ok(())
    }

    /// Opens the state files of a target, and starts reading. The wait for files is limited.
    async fn open_and_start(&mut self, target: &Arc<CollectedTarget>, state_dir: &Path) -> Result<(), StartError> {
        let (of_thread, directory, record_store) = (target.clone(), state_dir.to_owned(), self.record_store.clone());
        let opened = self.state_thread.run(move || OpenedLog::open(&of_thread, &directory, record_store.as_deref())).await;
        let unresponsive =
            |error| StartError::UnresponsiveState { name: target.target.name().to_owned(), directory: state_dir.to_owned(), error };
        self.start_log(target, opened.map_err(unresponsive)??)
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

    /// The targets whose delivery logs are configured and not read.
    fn missing(&self, targets: &[Arc<CollectedTarget>]) -> Vec<Arc<CollectedTarget>> {
        let running: HashSet<_> = self.running.iter().map(|log| Arc::as_ptr(&log.target)).collect();
        let is_missing = |target: &&Arc<CollectedTarget>| OpenedLog::is_configured(target) && !running.contains(&Arc::as_ptr(target));
        targets.iter().filter(is_missing).cloned().collect()
    }

    /// Stops the delivery logs of removed targets and starts those of new ones.
    async fn update(&mut self, targets: &TargetSet) {
        let targets = targets.now();
        // A changed target uses the same state file, so that its previous log must end first.
        stop_all(self.take_removed(&targets)).await;
        let Some(state_dir) = self.state_dir.clone() else { return };
        let mut errors = Vec::new();
        for target in self.missing(&targets) {
            let Err(error) = self.open_and_start(&target, &state_dir).await else { continue };
            // Another process may hold the state for a moment longer, or the disk is full.
            errors.push(error.to_string());
            if matches!(error, StartError::UnresponsiveState { .. }) {
                // The state of the other targets is in the same directory, and would wait for the same thread.
                break;
            }
        }
        if errors.is_empty() {
            if self.open_problem.end().is_some() {
                info!("all delivery logs are read");
            }
        } else if let Some(note) = self.open_problem.start(errors.clone()) {
            for error in errors {
                error!("cannot read the delivery log, trying again: {error}{note}");
            }
        }
    }
}
