//! The service: starts and stops targets, push, pull endpoint and delivery logs.

use super::delivery_logs::DeliveryLogs;
use super::reload::{ConfigFile, ReloadHandles, RunningConfig, Triggers, reload_on_trigger, request_lists};
use super::start_error::StartError;
use crate::config::{Config, Prometheus, RECEIVE_BYTES_DEFAULT};
use crate::export::otlp::{ExportQueue, Push, PushStatus};
use crate::receive::{ReceiveLimits, Receiver, RecordStore, StoreSettings};
use crate::serve::{Access, AppState, ListenerKind, ServerLimits};
use crate::telemetry::{SelfTelemetry, SelfWatch, TargetSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

/// The longest time for the end of the tasks, besides the store of records and the push. Longer than the limit of each of their steps.
const TASKS_END_MAX: Duration = Duration::from_secs(11);

/// A running Postmeter.
#[derive(Debug)]
pub struct Service {
    /// Stops the tasks, also when the service is dropped.
    stop: DropGuard,
    tasks: Vec<JoinHandle<()>>,
    push: Option<PushTask>,
    self_telemetry: Arc<SelfTelemetry>,
    record_store: Option<Arc<RecordStore>>,
    running_config: Option<(RunningConfig, Triggers)>,
    /// The targets that are polled.
    pub targets: TargetSet,
    /// The address of the pull endpoint, if it is enabled.
    pub address: Option<SocketAddr>,
    /// The address of the health endpoint, if it is enabled.
    pub health_address: Option<SocketAddr>,
    /// The address of the listener for delivery records, if it is enabled.
    pub receive_address: Option<SocketAddr>,
    /// The export queue of the push, if it is enabled.
    pub export_queue: Option<Arc<ExportQueue>>,
}

/// The task of the push, which ends after all others.
#[derive(Debug)]
struct PushTask {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts the service. `setting` is the flag or key to change if the address is in use.
    ///
    /// # Errors
    /// A part of the service cannot start. Nothing is left running.
    pub async fn start(config: Config, self_telemetry: SelfTelemetry, setting: &'static str) -> Result<Self, StartError> {
        let self_telemetry = Arc::new(self_telemetry);
        let (export, targets) = (config.export.clone(), TargetSet::default());
        let pull = match export.prometheus {
            Some(prometheus) => Some(Endpoint::bind(ListenerKind::Pull, prometheus, setting, &self_telemetry).await?),
            None => None,
        };
        let health = match &config.health {
            Some(health) => {
                let open = Prometheus::open(health.listen.clone());
                Some(Endpoint::bind(ListenerKind::Health, open, "health.listen", &self_telemetry).await?)
            }
            None => None,
        };
        let push = match export.otlp {
            Some(otlp) => Some(Push::new(targets.clone(), otlp, self_telemetry.clone())?),
            None => None,
        };

        let stop = CancellationToken::new();
        // Whatever was started ends if something else cannot start.
        let stop_on_drop = stop.clone().drop_guard();
        let record_store = open_record_store(&config, &targets, &self_telemetry, &stop);
        let receiver = open_receiver(&config, record_store.as_ref(), &targets, &self_telemetry).await?;

        let targets_changed = Arc::new(Notify::new());
        let handles = ReloadHandles {
            targets: targets.clone(),
            access: pull.as_ref().map(|endpoint| endpoint.access.clone()),
            interval: push.as_ref().map(Push::interval),
            targets_http: watch::Sender::new(None),
            targets_changed: targets_changed.clone(),
        };
        // This polls each target once, so that readiness does not depend on a scrape, which may wait for readiness.
        let targets_http = handles.targets_http.subscribe();
        let (running_config, requests) = RunningConfig::start(config.clone(), self_telemetry.clone(), handles)?;
        let export_queue = push.as_ref().map(Push::queue);
        let push_interval = push.as_ref().map(|push| push.interval().subscribe());
        let watch = SelfWatch::new(targets.clone(), self_telemetry.clone(), config.telemetry.idle_after, push_interval);
        let mut tasks = Vec::new();
        let address = pull.as_ref().and_then(Endpoint::address);
        let health_address = health.as_ref().and_then(Endpoint::address);
        let app_state = |access| AppState::new(targets.clone(), self_telemetry.clone(), access).with_self_watch(watch.clone());
        if let Some(Endpoint { listener, access }) = pull {
            let state = app_state(access)
                .with_config(running_config.subscribe())
                .with_export_queue(export_queue.clone())
                .with_reload(running_config.endpoint.clone());
            tasks.push(tokio::spawn(state.run(listener, stop.clone())));
        }
        if let Some(Endpoint { listener, access }) = health {
            tasks.push(tokio::spawn(app_state(access).run_health(listener, stop.clone())));
        }
        tasks.push(tokio::spawn(watch.run(stop.clone())));
        let receive_address = receiver.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        if let Some((listener, receiver)) = receiver {
            tasks.push(tokio::spawn(receiver.run(listener, stop.clone())));
        }
        let delivery_logs = DeliveryLogs::start(&config, &targets, record_store.clone(), self_telemetry.clone())?;
        if let Some(store) = &record_store {
            store.resume();
        }
        tasks.push(tokio::spawn(delivery_logs.run(targets.clone(), targets_changed, stop.clone())));
        let push = push.map(|push| {
            let stop = CancellationToken::new();
            let task = tokio::spawn(push.run(stop.clone()));
            PushTask { stop: stop.drop_guard(), task }
        });
        let (lists_sender, lists) = mpsc::channel(1);
        tasks.push(tokio::spawn(request_lists(targets_http, lists_sender, stop.clone())));
        let running_config = Some((running_config, Triggers { requests, lists }));
        Ok(Self {
            stop: stop_on_drop,
            tasks,
            push,
            self_telemetry,
            record_store,
            running_config,
            targets,
            address,
            health_address,
            receive_address,
            export_queue,
        })
    }

    /// Reloads the configuration on `hangup`, on requests of the reload endpoint, and when watched files change.
    pub fn reload_on_change(&mut self, file: ConfigFile, hangup: Signal) {
        if let Some((running, triggers)) = self.running_config.take() {
            self.tasks.push(tokio::spawn(reload_on_trigger(running, file, triggers, hangup, self.stop.token().clone())));
        }
    }

    /// For tests: the status of the push, if it is enabled.
    #[must_use]
    pub fn push_status(&self) -> Option<PushStatus> {
        self.export_queue.as_ref().map(|queue| queue.status())
    }

    /// Stops accepting requests, pushes once more, and stops all tasks. Each step has a deadline.
    pub async fn stop(self) {
        drop(self.stop);
        let finish = |task: JoinHandle<()>| async {
            if let Err(error) = task.await {
                error!("a task panicked, please report it: {error}");
            }
        };
        let finish_tasks = async {
            for task in self.tasks {
                finish(task).await;
            }
        };
        if timeout(TASKS_END_MAX, finish_tasks).await.is_err() {
            let seconds = TASKS_END_MAX.as_secs();
            error!("a task has not ended within {seconds} s at the end: a file does not respond; check for a lost network mount");
        }
        if let Some(store) = &self.record_store {
            store.finish().await;
        }
        // Only now all records are counted that have been acknowledged.
        if let Some(PushTask { stop, task }) = self.push {
            drop(stop);
            finish(task).await;
        }
        self.self_telemetry.shutdown().await;
    }
}

/// An endpoint whose address is bound, and its access rules.
struct Endpoint {
    listener: TcpListener,
    access: Access,
}

impl Endpoint {
    /// Checks the access rules and binds the address.
    async fn bind(
        kind: ListenerKind,
        config: Prometheus,
        setting: &'static str,
        telemetry: &Arc<SelfTelemetry>,
    ) -> Result<Self, StartError> {
        let address = config.listen.clone();
        let access = Access::of_listener(kind, config, telemetry.clone(), ServerLimits::default())?;
        Ok(Self { listener: listen(&address, setting).await?, access })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

/// Opens the store of received delivery records, if there is a `state_dir`.
fn open_record_store(
    config: &Config,
    targets: &TargetSet,
    telemetry: &Arc<SelfTelemetry>,
    stop: &CancellationToken,
) -> Option<Arc<RecordStore>> {
    let settings = StoreSettings {
        state_dir: config.state_dir.clone()?,
        bytes_max: config.receive.as_ref().map_or(RECEIVE_BYTES_DEFAULT, |receive| receive.max_bytes),
        otlp: config.export.otlp.clone(),
        targets: targets.clone(),
        telemetry: telemetry.clone(),
        limits: ReceiveLimits::default(),
    };
    Some(Arc::new(RecordStore::new(settings, stop.clone())))
}

/// Opens the receiver of delivery records and binds its address, if it is enabled.
async fn open_receiver(
    config: &Config,
    store: Option<&Arc<RecordStore>>,
    targets: &TargetSet,
    telemetry: &Arc<SelfTelemetry>,
) -> Result<Option<(TcpListener, Receiver)>, StartError> {
    let (Some(receive), Some(store)) = (&config.receive, store) else { return Ok(None) };
    let receiver = Receiver::open(receive, store, targets.clone(), telemetry.clone())?;
    Ok(Some((listen(&receive.listen, "receive.listen").await?, receiver)))
}

async fn listen(address: &str, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { listen: address.to_owned(), error, setting })
}
