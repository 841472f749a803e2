//! Everything that runs together: targets, push, pull endpoint, and their end.

use crate::config::Config;
use crate::export::otlp::{Delivery, Outbox, Push, PushStatus, SendError, Sender};
use crate::messages::{self, Feed, Follower, Key, StateError};
use crate::poll::{self, Limits, Target};
use crate::serve::{Access, AccessError, Served};
use crate::telemetry::{Monitored, Own, OwnError, PipelineError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;

/// A running Postmeter.
#[derive(Debug)]
pub struct Service {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    own: Arc<Own>,
    /// What is polled.
    pub targets: Arc<[Arc<Monitored>]>,
    /// Where the pull endpoint listens, if there is one.
    pub address: Option<SocketAddr>,
    /// What waits to be pushed, if something is.
    pub outbox: Option<Arc<Outbox>>,
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
    Pipeline(#[from] PipelineError),
    /// The push.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Its own telemetry.
    #[error(transparent)]
    Own(#[from] OwnError),
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
    pub async fn start(config: Config, own: Own, setting: &'static str) -> Result<Self, StartError> {
        let own = Arc::new(own);
        let limits = Limits::default();
        let mut targets = Vec::with_capacity(config.targets.len());
        for target in config.targets {
            let name = target.name.clone();
            let target = Target::new(target, limits.clone()).map_err(|error| StartError::Target { name, error })?;
            targets.push(Arc::new(Monitored::new(target)?));
        }
        let targets: Arc<[_]> = targets.into();
        let listener = match &config.export.prometheus {
            Some(prometheus) => {
                let access = Access::new(prometheus.clone(), own.clone())?;
                Some((listen(&prometheus.listen, setting).await?, access))
            }
            None => None,
        };
        let logs = open_logs(&targets, config.state_dir.as_deref())?;
        let log_sender = match &config.export.otlp {
            Some(otlp) if !logs.is_empty() => Some(Arc::new(Sender::new(otlp.clone())?)),
            _ => None,
        };
        let push = match config.export.otlp {
            Some(otlp) => Some(Push::new(&targets, otlp, own.clone())?),
            None => None,
        };

        let outbox = push.as_ref().map(Push::outbox);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let address = listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        if let Some((listener, access)) = listener {
            let served = Served::new(targets.clone(), own.clone(), access).with_push(outbox.clone());
            tasks.push(tokio::spawn(served.run(listener, stopped.clone())));
        }
        for (monitored, (follower, feed, key)) in logs {
            tasks.push(tokio::spawn(follower.run(stopped.clone())));
            tasks.push(match log_sender.clone() {
                Some(sender) => tokio::spawn(Delivery::new(feed, key, monitored, sender).run(stopped.clone())),
                None => tokio::spawn(feed.count(stopped.clone())),
            });
        }
        if let Some(push) = push {
            tasks.push(tokio::spawn(push.run(stopped)));
        }
        // Once at the start, so that readiness does not wait for a scrape that waits for readiness.
        for monitored in targets.iter() {
            let target = monitored.target.clone();
            tokio::spawn(async move { target.reading().await });
        }
        Ok(Self { stop, tasks, own, targets, address, outbox })
    }

    /// How the push stands, if there is one.
    #[must_use]
    pub fn push_status(&self) -> Option<PushStatus> {
        self.outbox.as_ref().map(|outbox| outbox.status())
    }

    /// Stops accepting, pushes once more, and ends. Each step has a deadline of its own.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
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

type Log = (Follower, Feed, Key);

/// The delivery logs that are to be followed.
fn open_logs(targets: &[Arc<Monitored>], state_dir: Option<&Path>) -> Result<Vec<(Arc<Monitored>, Log)>, StartError> {
    let mut logs = Vec::new();
    for monitored in targets {
        // The configuration demands a directory where there is anything to follow.
        let Some(state_dir) = state_dir else { break };
        let name = monitored.target.name().to_owned();
        let log = messages::open(monitored, state_dir).map_err(|error| StartError::State { name, error })?;
        logs.extend(log.map(|log| (monitored.clone(), log)));
    }
    Ok(logs)
}

async fn listen(address: &str, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { listen: address.to_owned(), error, setting })
}
