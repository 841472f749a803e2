//! The store of records: it makes them durable and exports them. The listener and the readers of log files share it.

use super::ReceiveLimits;
use super::commit::{Committer, Submission, WAITING_MAX};
use super::intake::{Intake, Intakes};
use super::journal_threads::JournalThreads;
use super::outbox::{DIR, Outbox};
use super::server::ReceiverError;
use crate::config;
use crate::delivery_log::{HashKey, RecordUid, hash_key};
use crate::export::otlp::{LogsSender, OtlpExporter, REQUEST_BYTES_MAX};
use crate::export::queue::store::SpoolSignal;
use crate::export::queue::stored_requests::StoredRequests;
use crate::model::Record;
use crate::source::HookRecord;
use crate::telemetry::{SelfTelemetry, TargetSet};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Bodies and pieces of files that are parsed at the same time. One core is left to polls and scrapes.
const PARSERS_MAX: usize = 2;
/// The longest time for the end of the tasks. It is longer than that of the last request, and than a step that fails; but the steps of many
/// targets may fail.
const FINISH_MAX: Duration = Duration::from_secs(6);

/// The settings of the store.
#[derive(Debug)]
pub struct StoreSettings {
    /// The directory for state.
    pub state_dir: PathBuf,
    /// The disk space for records that the OTLP receiver has not accepted yet.
    pub bytes_max: usize,
    /// The OTLP receiver. `None`: records are counted only.
    pub otlp: Option<config::Otlp>,
    /// All targets.
    pub targets: TargetSet,
    /// Postmeter's own telemetry.
    pub telemetry: Arc<SelfTelemetry>,
    /// The limits.
    pub limits: ReceiveLimits,
}

/// The store of records. It is opened when it is used for the first time.
#[derive(Debug)]
pub struct RecordStore {
    settings: StoreSettings,
    stop: CancellationToken,
    opened: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    inlet: RecordInlet,
    outbox: Option<Arc<Outbox>>,
    tasks: Vec<JoinHandle<()>>,
}

/// A handle that adds records to the store. Clones share the store.
#[derive(Clone, Debug)]
pub struct RecordInlet {
    targets: TargetSet,
    intakes: Arc<Intakes>,
    pub(super) key: HashKey,
    pub(super) limits: ReceiveLimits,
    pub(super) parsers: Arc<Semaphore>,
    pub(super) submissions: mpsc::Sender<Submission>,
}

impl RecordInlet {
    /// The intake of a configured target.
    pub(super) fn intake(&self, name: &str) -> Arc<Intake> {
        self.intakes.of(name, |name| self.targets.find(name).is_some())
    }

    /// Makes the identities of a target's records. Two servers may report records with the same identity.
    pub(super) fn identify(key: &HashKey, target: &str, records: Vec<HookRecord>) -> Vec<(RecordUid, Record)> {
        let uid = |record: &HookRecord| key.uid_of(&[target.as_bytes(), b"\0", &record.identity].concat());
        records.into_iter().map(|record| (uid(&record), record.record)).collect()
    }
}

impl RecordStore {
    /// A store that exports until `stop` is cancelled.
    #[must_use]
    pub fn new(settings: StoreSettings, stop: CancellationToken) -> Self {
        Self { settings, stop, opened: Mutex::default() }
    }

    /// Opens the directory of records that are not exported yet, if it is not open.
    ///
    /// # Errors
    /// The directory or the OTLP exporter cannot be used.
    pub fn inlet(&self) -> Result<RecordInlet, ReceiverError> {
        let mut opened = self.opened.lock();
        if let Some(opened) = &*opened {
            return Ok(opened.inlet.clone());
        }
        let StoreSettings { state_dir, bytes_max, otlp, targets, telemetry, limits } = &self.settings;
        let key = hash_key(state_dir)?;
        let (submissions, received) = mpsc::channel(WAITING_MAX);
        let request_bytes_max = otlp.as_ref().map_or(REQUEST_BYTES_MAX, |otlp| otlp.max_request_bytes);
        let mut tasks = Vec::new();
        let mut outbox = None;
        if let Some(otlp) = otlp {
            let sender = LogsSender::new(Arc::new(OtlpExporter::new(otlp.clone())?), telemetry.clone());
            let opened = Arc::new(Outbox::open(state_dir, *bytes_max, limits.stored_requests_max, telemetry.clone()));
            tasks.push(tokio::spawn(opened.clone().run(sender, targets.clone(), self.stop.clone())));
            outbox = Some(opened);
        }
        let unexported = if self.stored().is_ok_and(|stored| stored.requests == 0) { Some(0) } else { None };
        let (journals, stored_in) = (JournalThreads::default(), outbox.clone());
        let committer = Committer { key: key.clone(), outbox: stored_in, unexported, request_bytes_max, journals };
        tasks.push(tokio::spawn(committer.run(received)));
        let intakes = Arc::new(Intakes::new(state_dir.clone(), *limits));
        let parsers = Arc::new(Semaphore::new(PARSERS_MAX));
        let inlet = RecordInlet { targets: targets.clone(), intakes, key, limits: *limits, parsers, submissions };
        *opened = Some(Opened { inlet: inlet.clone(), outbox, tasks });
        Ok(inlet)
    }

    /// Exports the records of an earlier run, even if no target has further ones. Without an OTLP receiver, logs that they remain.
    pub fn resume(&self) {
        match (&self.settings.otlp, self.stored()) {
            (_, Ok(stored)) if stored.requests == 0 => {}
            // A directory that cannot be read now may have records, and is opened again later.
            (Some(_), _) => {
                if let Err(error) = self.inlet() {
                    warn!("delivery records of an earlier run are not exported: {error}");
                }
            }
            (None, Ok(stored)) => {
                let (records, directory) = (stored.points, stored.dir.display());
                warn!(
                    records,
                    %directory,
                    "delivery records of an earlier run are not exported, because export.otlp is not configured; configure it, or delete the files \
                     in the directory"
                );
            }
            // If the directory is used, opening it reports the error.
            (None, Err(_)) => {}
        }
    }

    /// The requests of an earlier run, or of another process.
    fn stored(&self) -> std::io::Result<StoredRequests> {
        StoredRequests::count(&self.settings.state_dir.join(DIR), SpoolSignal::Logs)
    }

    /// Waits for the end of the tasks, after `stop` was cancelled and all other inlets were dropped.
    pub async fn finish(&self) {
        let opened = match self.opened.try_lock() {
            Some(mut opened) => opened.take(),
            // A thread waits for a file with it, and has not stored anything.
            None => {
                let path = self.settings.state_dir.display();
                error!(
                    "the store of delivery records is still being opened at the end: files in {path} do not respond; check for a lost network mount"
                );
                return;
            }
        };
        let Some(Opened { inlet, outbox, tasks }) = opened else { return };
        drop(inlet);
        let deadline = Instant::now() + FINISH_MAX;
        for task in tasks {
            match timeout_at(deadline, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!("a task panicked, please report it: {error}"),
                Err(_) => {
                    let (path, seconds) = (self.settings.state_dir.display(), FINISH_MAX.as_secs());
                    error!(
                        "delivery records are not stored within {seconds} s at the end: files in {path} do not respond; check for a lost network mount"
                    );
                }
            }
        }
        // Another process may read the journals now, to which nothing is added any more.
        if let Some(outbox) = outbox {
            outbox.close().await;
        }
    }
}
