//! The state of each target in the receiver: its newest records, its share of the limits, and the problems that were logged.

use super::ReceiveLimits;
use super::body_memory::{BodyPool, PoolKind};
use super::one_time_tokens::OneTimeTokens;
use super::refusal_log::{RefusalCause, RefusalLog};
use super::uid_journal::{RecentUids, UidJournal, path as journal_path};
use crate::delivery_log::RecordUid;
use crate::model::Record;
use crate::net::{FileThread, LoggedSet, ProblemLog};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// The requests of one target at the same time. Further ones get 503, so that a flood affects only its sender.
const TARGET_REQUESTS_MAX: usize = 32;
/// The problems of records that are logged of one target.
const LOGGED_PROBLEMS_MAX: usize = 20;
/// The end of the last of these lines.
const LAST_LOGGED: &str = " (further kinds of problems in records of this target are counted, but not logged until a restart)";

/// One target.
#[derive(Debug)]
pub(super) struct Intake {
    pub name: Arc<str>,
    /// Slots for requests.
    pub slots: Arc<Semaphore>,
    /// A slot for a body that is being parsed: one at a time, so that a flood occupies at most one thread.
    pub parser: Arc<Semaphore>,
    /// The memory of its bodies.
    pub memory: BodyPool,
    /// Reads the files of credentials.
    pub files: FileThread,
    state_dir: PathBuf,
    recent_uids_max: usize,
    /// Held by the thread that uses the journal.
    pub journal_permit: Arc<Semaphore>,
    /// `None` until the first record.
    known: Mutex<Option<(UidJournal, RecentUids)>>,
    tokens: Mutex<OneTimeTokens>,
    journal_problem: Mutex<ProblemLog<()>>,
    logged: Mutex<LoggedSet<String>>,
    refusals: Mutex<RefusalLog>,
}

impl Intake {
    fn new(name: &str, state_dir: PathBuf, limits: &ReceiveLimits) -> Self {
        Self {
            name: name.into(),
            recent_uids_max: limits.recent_uids_max,
            slots: Arc::new(Semaphore::new(TARGET_REQUESTS_MAX)),
            parser: Arc::new(Semaphore::new(1)),
            memory: BodyPool::new(PoolKind::Target, limits.target_bodies_bytes_max),
            files: FileThread::default(),
            state_dir,
            journal_permit: Arc::new(Semaphore::new(1)),
            known: Mutex::default(),
            tokens: Mutex::default(),
            journal_problem: Mutex::default(),
            logged: Mutex::new(LoggedSet::new(LOGGED_PROBLEMS_MAX)),
            refusals: Mutex::default(),
        }
    }

    /// Returns the records that are not among the newest ones of the target, each once. Blocks on the disk the first time.
    ///
    /// # Errors
    /// The journal cannot be opened.
    pub(super) fn new_records(&self, records: Vec<(RecordUid, Record)>) -> io::Result<Vec<(RecordUid, Record)>> {
        let mut known = self.known.lock();
        let (_, recent) = match &mut *known {
            Some(known) => known,
            None => {
                let opened = UidJournal::open(&self.state_dir, &self.name, self.recent_uids_max);
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.journal_path().display()));
                known.insert(opened.map_err(named)?)
            }
        };
        let mut in_batch = HashSet::new();
        Ok(records.into_iter().filter(|(uid, _)| !recent.contains(&uid.short()) && in_batch.insert(uid.short())).collect())
    }

    /// Notes records that are durable, in memory. Does not wait for a thread that uses the journal, which may not respond.
    pub(super) fn add_recent(&self, uids: &[u64]) {
        if let Some(mut known) = self.known.try_lock()
            && let Some((_, recent)) = &mut *known
        {
            uids.iter().for_each(|uid| recent.add(*uid));
        }
    }

    /// Adds records that are durable to the journal. Blocks on the disk.
    pub(super) fn append_to_journal(&self, uids: &[u64]) {
        let mut known = self.known.lock();
        let Some((journal, _)) = &mut *known else { return };
        match journal.append(uids) {
            Ok(()) => drop(self.journal_problem.lock().end()),
            Err(error) => self.log_journal_problem(&error),
        }
    }

    /// Logs that the journal cannot be written, once until it can.
    pub(super) fn log_journal_problem(&self, error: &io::Error) {
        let note = self.journal_problem.lock().start(());
        if let Some(note) = note {
            let target = &self.name;
            warn!(%target, "repeated delivery records will not be recognized after a restart, because state_dir cannot be written: {error}{note}");
        }
    }

    /// The file of the journal.
    pub(super) fn journal_path(&self) -> PathBuf {
        journal_path(&self.state_dir, &self.name)
    }

    /// Returns `false` if one of the tokens was used with another body.
    pub(super) fn admit_tokens(&self, tokens: &[String], body: &[u8]) -> bool {
        let mut known = self.tokens.lock();
        tokens.iter().all(|token| known.admit(token, body))
    }

    /// Logs that requests are rejected, once until it ends.
    pub(super) fn log_refusal(&self, cause: RefusalCause, problem: impl FnOnce() -> String) {
        let note = self.refusals.lock().refuse(cause, Instant::now());
        if let Some(note) = note {
            let target = &self.name;
            warn!(%target, "delivery records are rejected with {}: {}{note}", cause.status(), problem());
        }
    }

    /// Logs that requests are no longer rejected for these causes, if the start was logged.
    pub(super) fn log_acceptance(&self, causes: &[RefusalCause]) {
        if self.refusals.lock().accept(causes, Instant::now()) {
            let target = &self.name;
            info!(%target, "delivery records are accepted again");
        }
    }

    /// Logs a problem of the target's records, each text once, up to a limit.
    pub(super) fn log(&self, problem: &str) {
        let mut logged = self.logged.lock();
        if logged.insert(&problem.to_owned()) {
            let (target, note) = (&self.name, if logged.is_full() { LAST_LOGGED } else { "" });
            drop(logged);
            warn!(%target, "{problem}{note}");
        }
    }
}

/// All targets, by name.
#[derive(Debug)]
pub(super) struct Intakes {
    state_dir: PathBuf,
    limits: ReceiveLimits,
    by_name: Mutex<HashMap<String, Arc<Intake>>>,
}

impl Intakes {
    pub(super) fn new(state_dir: PathBuf, limits: ReceiveLimits) -> Self {
        Self { state_dir, limits, by_name: Mutex::default() }
    }

    /// The intake of a configured target. The number of intakes is at most twice that of the targets: others are removed before the
    /// map grows.
    pub(super) fn of(&self, name: &str, is_configured: impl Fn(&str) -> bool) -> Arc<Intake> {
        let mut by_name = self.by_name.lock();
        if let Some(intake) = by_name.get(name) {
            return intake.clone();
        }
        if by_name.len() == by_name.capacity() {
            by_name.retain(|name, _| is_configured(name));
        }
        let intake = Arc::new(Intake::new(name, self.state_dir.clone(), &self.limits));
        by_name.insert(name.to_owned(), intake.clone());
        intake
    }
}
