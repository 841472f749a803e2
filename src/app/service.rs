//! Everything that runs together: targets, push, pull endpoint, delivery logs, and their end.

use super::delivery_logs::Logs;
use super::reload::{self, ConfigFile, ReplacedParts, RunningConfig};
use crate::config::Config;
use crate::delivery_log::StateError;
use crate::export::otlp::{ExportQueue, Push, PushStatus, SendError};
use crate::poll;
use crate::serve::{Access, AccessError, AppState, ReloadRequest};
use crate::telemetry::{MeterProviderError, SelfTelemetry, SelfTelemetryError, SelfWatch, TargetSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

/// A running Postmeter.
#[derive(Debug)]
pub struct Service {
    /// Ends the tasks, also when the service is dropped.
    stop: DropGuard,
    tasks: Vec<JoinHandle<()>>,
    own: Arc<SelfTelemetry>,
    live: Option<(RunningConfig, mpsc::Receiver<ReloadRequest>)>,
    /// What is polled.
    pub targets: TargetSet,
    /// Where the pull endpoint listens, if there is one.
    pub address: Option<SocketAddr>,
    /// What waits to be pushed, if something is.
    pub outbox: Option<Arc<ExportQueue>>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the pull endpoint cannot be had.
    #[error("cannot listen on {listen}: {error}; choose another address with {setting}")]
    Listen {
        /// Which.
        listen: String,
        /// Why.
        error: std::io::Error,
        /// Where it is set.
        setting: &'static str,
    },
    /// A target cannot be asked.
    #[error("target {name}: {error}")]
    Target {
        /// Which.
        name: String,
        /// Why.
        error: poll::StartError,
    },
    /// Who may read the pull endpoint.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The SDK.
    #[error(transparent)]
    Pipeline(#[from] MeterProviderError),
    /// The push.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Its own telemetry.
    #[error(transparent)]
    SelfTelemetry(#[from] SelfTelemetryError),
    /// What survives a restart.
    #[error("target {name}: {error}")]
    State {
        /// Whose.
        name: String,
        /// Why it cannot be used.
        error: StateError,
    },
}

impl Service {
    /// Starts it all. `setting` is what an operator changes when the address is taken.
    ///
    /// # Errors
    /// Why not; then nothing runs.
    pub async fn start(config: Config, own: SelfTelemetry, setting: &'static str) -> Result<Self, StartError> {
        let own = Arc::new(own);
        let (export, targets) = (config.export.clone(), TargetSet::default());
        let listener = match &export.prometheus {
            Some(prometheus) => {
                let access = Access::new(prometheus.clone(), own.clone())?;
                Some((listen(&prometheus.listen, setting).await?, access))
            }
            None => None,
        };
        let push = match export.otlp {
            Some(otlp) => Some(Push::new(targets.clone(), otlp, own.clone())?),
            None => None,
        };

        let logs_changed = Arc::new(Notify::new());
        let replaced = ReplacedParts {
            targets: targets.clone(),
            access: listener.as_ref().map(|(_, access)| access.clone()),
            interval: push.as_ref().map(Push::interval),
            logs: logs_changed.clone(),
        };
        // Polls each target once, so that readiness does not wait for a scrape that waits for readiness.
        let (live, asked) = RunningConfig::start(config.clone(), own.clone(), replaced)?;
        let outbox = push.as_ref().map(Push::queue);
        let push_interval = push.as_ref().map(|push| push.interval().subscribe());
        let watch = SelfWatch::new(targets.clone(), own.clone(), config.telemetry.idle_after, push_interval);
        let stopped = CancellationToken::new();
        let mut tasks = Vec::new();
        let address = listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        if let Some((listener, access)) = listener {
            let served = AppState::new(targets.clone(), own.clone(), access)
                .with_self_watch(watch.clone())
                .with_export_queue(outbox.clone())
                .with_reload(live.door.clone());
            tasks.push(tokio::spawn(served.run(listener, stopped.clone())));
        }
        tasks.push(tokio::spawn(watch.run(stopped.clone())));
        let logs = Logs::start(&config, &targets)?;
        tasks.push(tokio::spawn(logs.run(targets.clone(), logs_changed, stopped.clone())));
        if let Some(push) = push {
            tasks.push(tokio::spawn(push.run(stopped.clone())));
        }
        Ok(Self { stop: stopped.drop_guard(), tasks, own, targets, address, outbox, live: Some((live, asked)) })
    }

    /// Reads its configuration again when `hangup` is heard, when it is asked at `/-/reload`, and when files change that are
    /// looked at.
    pub fn follow(&mut self, followed: ConfigFile, hangup: Signal) {
        if let Some((live, asked)) = self.live.take() {
            self.tasks.push(tokio::spawn(reload::follow(live, followed, asked, hangup, self.stop.token().clone())));
        }
    }

    /// How the push stands, if there is one.
    #[must_use]
    pub fn push_status(&self) -> Option<PushStatus> {
        self.outbox.as_ref().map(|outbox| outbox.status())
    }

    /// Stops accepting, pushes once more, and ends. Each step has a deadline of its own.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            if let Err(error) = task.await {
                error!("a part of Postmeter failed, please report it: {error}");
            }
        }
        let own = self.own;
        // The SDK's shutdown waits for its threads.
        let _ = tokio::task::spawn_blocking(move || own.shutdown()).await;
    }
}

async fn listen(address: &str, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { listen: address.to_owned(), error, setting })
}
