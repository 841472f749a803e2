//! The delivery logs that are followed: one for each target with the part, begun and ended as targets come and go.

use super::service::StartError;
use crate::config::{self, Config};
use crate::delivery_log;
use crate::export::otlp::{LogsExport, OtlpExporter, SendError};
use crate::net::ProblemLog;
use crate::telemetry::{CollectedTarget, TargetSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

/// How long to wait before one that could not be begun is begun again.
const BEGIN_AGAIN_WAIT: Duration = Duration::from_secs(5);

/// All of them.
#[derive(Debug)]
pub(super) struct Logs {
    state_dir: Option<PathBuf>,
    otlp: Option<config::Otlp>,
    /// One connection for all of them, once there is one to deliver.
    sender: Option<Arc<OtlpExporter>>,
    running: Vec<Running>,
    /// At least one delivery log could not be opened, and is opened again later.
    open_problem: ProblemLog<()>,
}

/// One that is followed.
#[derive(Debug)]
struct Running {
    of: Arc<CollectedTarget>,
    stop: DropGuard,
    tasks: [JoinHandle<()>; 2],
}

/// Ends them, each at the same time, and waits for that: the state in their files is then nobody's.
async fn end(all: Vec<Running>) {
    let tasks: Vec<_> = all.into_iter().flat_map(|Running { stop, tasks, .. }| (drop(stop), tasks).1).collect();
    for task in tasks {
        if let Err(error) = task.await {
            error!("a part of Postmeter failed, please report it: {error}");
        }
    }
}

impl Logs {
    /// Follows the logs of these.
    ///
    /// # Errors
    /// Which state cannot be used.
    pub(super) fn start(config: &Config, targets: &TargetSet) -> Result<Self, StartError> {
        let (state_dir, otlp) = (config.state_dir.clone(), config.export.otlp.clone());
        let mut logs = Self { state_dir, otlp, sender: None, running: Vec::new(), open_problem: ProblemLog::default() };
        for monitored in targets.now().iter() {
            logs.begin(monitored)?;
        }
        Ok(logs)
    }

    /// Begins to follow one, if it is to be followed.
    fn begin(&mut self, monitored: &Arc<CollectedTarget>) -> Result<(), StartError> {
        // The configuration demands a directory where there is anything to follow.
        let Some(state_dir) = &self.state_dir else { return Ok(()) };
        let name = monitored.target.name().to_owned();
        let opened = delivery_log::open(monitored, state_dir).map_err(|error| StartError::State { name, error })?;
        let Some((follower, feed, key)) = opened else { return Ok(()) };
        let sender = self.sender()?;
        let stopped = CancellationToken::new();
        let following = tokio::spawn(follower.run(stopped.clone()));
        let delivering = match sender {
            Some(sender) => tokio::spawn(LogsExport::new(feed, key, monitored.clone(), sender).run(stopped.clone())),
            None => tokio::spawn(feed.count(stopped.clone())),
        };
        self.running.push(Running { of: monitored.clone(), stop: stopped.drop_guard(), tasks: [following, delivering] });
        Ok(())
    }

    fn sender(&mut self) -> Result<Option<Arc<OtlpExporter>>, SendError> {
        if let (None, Some(otlp)) = (&self.sender, &self.otlp) {
            self.sender = Some(Arc::new(OtlpExporter::new(otlp.clone())?));
        }
        Ok(self.sender.clone())
    }

    /// Follows the targets of the moment each time they were `replaced`, until `stop` says so.
    pub(super) async fn run(mut self, targets: TargetSet, replaced: Arc<Notify>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = replaced.notified() => {}
                () = tokio::time::sleep(BEGIN_AGAIN_WAIT), if self.open_problem.is_ongoing() => {}
            }
            self.follow(&targets).await;
        }
        end(self.running).await;
    }

    async fn follow(&mut self, targets: &TargetSet) {
        let now = targets.now();
        let is_there = |running: &Running| now.iter().any(|monitored| Arc::ptr_eq(monitored, &running.of));
        let (kept, gone) = std::mem::take(&mut self.running).into_iter().partition(is_there);
        self.running = kept;
        // Before their successors begin: both have the same file.
        end(gone).await;
        let mut errors = Vec::new();
        for monitored in now.iter() {
            let is_followed = self.running.iter().any(|running| Arc::ptr_eq(monitored, &running.of));
            if !is_followed && let Err(error) = self.begin(monitored) {
                // Another process may hold the state for a moment longer, or the disk is full.
                errors.push(error);
            }
        }
        if errors.is_empty() {
            self.open_problem.end();
        } else if self.open_problem.start(()) {
            for error in errors {
                error!("its delivery log is not followed yet: {error}");
            }
        }
    }
}
