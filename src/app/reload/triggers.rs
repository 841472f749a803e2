//! The task that waits for triggers of a reload: SIGHUP, the reload endpoint, changed files, and lists of targets.

use super::{ConfigFile, RunningConfig, TargetList};
use crate::serve;
use crate::telemetry::SelfTelemetry;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// The time after which a reload is reported as slow.
const SLOW_RELOAD: Duration = Duration::from_secs(10);

/// The triggers that come from other tasks.
#[derive(Debug)]
pub(in crate::app) struct Triggers {
    /// Requests of the reload endpoint.
    pub requests: mpsc::Receiver<serve::ReloadRequest>,
    /// Responses of `targets_http`.
    pub lists: mpsc::Receiver<TargetList>,
}

/// Waits for triggers and reloads the configuration until `stop` is cancelled.
pub(in crate::app) async fn reload_on_trigger(
    mut running: RunningConfig,
    mut file: ConfigFile,
    mut triggers: Triggers,
    mut hangup: Signal,
    stop: CancellationToken,
) {
    file.accept();
    let mut check = tokio::time::interval(file.check_interval);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (trigger, request, list) = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = hangup.recv() => (Some("SIGHUP"), None, None),
            Some(request) = triggers.requests.recv() => (Some("/-/reload"), Some(request), None),
            Some(list) = triggers.lists.recv() => (None, None, Some(list)),
            _ = check.tick() => (None, None, None),
        };
        let (self_telemetry, is_requested) = (running.self_telemetry.clone(), trigger.is_some());
        // Reading files and building clients would block the event loop.
        let task = tokio::task::spawn_blocking(move || {
            if let Some(list) = list {
                running.receive_target_list(list);
                return (running, file, None);
            }
            let trigger = trigger.or_else(|| (running.config.reload.watch && file.has_changed()).then_some("watch"));
            let result = match trigger {
                Some(trigger) => Some(running.reload(&mut file, trigger)),
                None => {
                    running.check_systems_files(&file);
                    running.check_targets_files();
                    None
                }
            };
            (running, file, result)
        });
        let Some(finished) = wait_for_reload(task, &stop, is_requested.then_some(&self_telemetry)).await else { return };
        let Ok((same_running, same_file, result)) = finished else {
            self_telemetry.reload.reloaded(false);
            error!("the reload task panicked, please report it; restart Postmeter to apply configuration changes");
            return;
        };
        (running, file) = (same_running, same_file);
        if let (Some(request), Some(result)) = (request, result) {
            // The client may have disconnected.
            let _ = request.send(result);
        }
    }
}

/// Waits for a task that may be blocked by an unresponsive file. Returns `None` if `stop` is cancelled first. A slow reload is logged,
/// and `self_telemetry` reports it as unsuccessful until it is finished.
async fn wait_for_reload<T>(
    mut task: JoinHandle<T>,
    stop: &CancellationToken,
    self_telemetry: Option<&Arc<SelfTelemetry>>,
) -> Option<Result<T, JoinError>> {
    let finish = async {
        if let Ok(finished) = tokio::time::timeout(SLOW_RELOAD, &mut task).await {
            return finished;
        }
        if let Some(self_telemetry) = self_telemetry {
            self_telemetry.reload.reloaded(false);
        }
        warn!(
            seconds = SLOW_RELOAD.as_secs(),
            "reading the configuration takes long, and further reloads wait for it; check for a file that cannot be read, such as a pipe or \
             a file on a lost network mount"
        );
        task.await
    };
    tokio::select! {
        () = stop.cancelled() => None,
        finished = finish => Some(finished),
    }
}
