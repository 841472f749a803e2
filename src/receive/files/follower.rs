//! Follows the log files of one target: reads a round, stores its records, saves the positions.

use super::loss_log::LossLog;
use super::positions::Positions;
use super::rotating_log::RotatingLog;
use super::segment_directory::SegmentDirectory;
use super::{Round, STORE_RETRY};
use crate::config::{LOG_FILES_INTERVAL, LogFiles};
use crate::delivery_log::{LockedFile, RecordUid, StateError};
use crate::model::{Record, RecordState};
use crate::net::quarantine::BROKEN;
use crate::net::{Backoff, FileFault, ProblemLog};
use crate::poll::PollError;
use crate::receive::commit::Submission;
use crate::receive::intake::Intake;
use crate::receive::store::RecordInlet;
use crate::source::{Hook, LogFileFormat};
use crate::telemetry::CollectedTarget;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The part of the configuration that has the files.
const PART: &str = "deliveries";
/// The longest pause while the directory or the log cannot be read.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// The problem of records that were read.
const RECORDS_NOT_STORED: &str = "the records cannot be stored: the space of receive.max_bytes is used until the OTLP receiver accepts records, or state_dir cannot be written; check export.otlp and the disk";
/// The time after which a step that has not ended is reported: the files may be on a lost network mount.
const STEP_MAX: Duration = Duration::from_secs(10);
/// The shortest time between two entries of the history, besides those that end a failure.
const HISTORY_INTERVAL: Duration = Duration::from_secs(15);

/// A reader of files. It is used on one blocking thread at a time.
#[derive(Debug)]
struct Reader {
    files: Files,
    path: PathBuf,
    hook: &'static Hook,
    state: LockedFile,
}

#[derive(Debug)]
enum Files {
    Segments(SegmentDirectory),
    Log(Box<RotatingLog>),
}

/// Follows the log files of one target.
#[derive(Debug)]
pub struct LogFileFollower {
    collected: Arc<CollectedTarget>,
    intake: Arc<Intake>,
    inlet: RecordInlet,
    reader: Option<Reader>,
    problem: ProblemLog<String>,
    losses: LossLog,
    backoff: Backoff,
    state_problem: ProblemLog<()>,
    /// The positions have changed since they were saved.
    has_moved: bool,
    noted: Option<Instant>,
}

/// The result of a blocking step, with the reader.
type Step<T> = (Reader, T);

impl LogFileFollower {
    /// Opens the read positions of a target, if it has log files.
    ///
    /// # Errors
    /// The positions cannot be used.
    pub fn open(collected: &Arc<CollectedTarget>, state_dir: &Path, inlet: RecordInlet) -> Result<Option<Self>, StateError> {
        let config = &collected.target.config;
        let Some((hook, files)) = config.deliveries.as_ref().and_then(|deliveries| Some((deliveries.hook, deliveries.log_files.as_ref()?)))
        else {
            return Ok(None);
        };
        let state = LockedFile::lock(state_dir, &format!("files-{}.positions", config.name))?;
        let reader = Reader::new(files, hook, read_positions(&state, &config.name)?, state);
        let intake = inlet.intake(&config.name);
        let (problem, losses, state_problem) = Default::default();
        let backoff = Backoff::new(LOG_FILES_INTERVAL, BACKOFF_MAX, 0.0);
        Ok(Some(Self {
            collected: collected.clone(),
            intake,
            inlet,
            reader: Some(reader),
            problem,
            losses,
            backoff,
            state_problem,
            has_moved: false,
            noted: None,
        }))
    }

    /// Reads the files until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let began = Instant::now();
            let Some(round) = self.read(&stop).await else { return };
            let pause = match round {
                Ok((round, records)) => {
                    self.backoff.reset();
                    self.report_losses(&round);
                    if !self.store(records, &stop).await {
                        return;
                    }
                    self.has_moved |= round.has_moved;
                    if self.has_moved && !self.save(&stop).await {
                        return;
                    }
                    self.report(round.problem, (!round.has_more).then_some(began));
                    if round.has_more { Duration::ZERO } else { LOG_FILES_INTERVAL }
                }
                Err(problem) => {
                    self.report(Some(problem), None);
                    self.backoff.next(0.0)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if self.has_moved {
            self.save(&stop).await;
        }
    }

    /// Reads a round and makes its identities. `None`: the reader is lost.
    async fn read(&mut self, stop: &CancellationToken) -> Option<Result<(Round, Vec<(RecordUid, Record)>), String>> {
        // Files wait for the same threads as requests, so that they leave room for polls and scrapes.
        let own = self.intake.parser.clone().acquire_owned().await.ok()?;
        let shared = self.inlet.parsers.clone().acquire_owned().await.ok()?;
        let (key, name) = (self.inlet.key.clone(), self.intake.name.clone());
        let read = move |reader: &mut Reader| {
            let mut round = reader.files.read(reader.hook, SystemTime::now())?;
            let records = RecordInlet::identify(&key, &name, std::mem::take(&mut round.page.records));
            Ok((round, records))
        };
        self.blocking(read, vec![own, shared], stop).await
    }

    /// Stores records, and tries again until they are durable. `false`: the follower stops before.
    async fn store(&mut self, records: Vec<(RecordUid, Record)>, stop: &CancellationToken) -> bool {
        while !records.is_empty() {
            let (durable, result) = oneshot::channel();
            let (collected, intake) = (self.collected.clone(), self.intake.clone());
            let (records, received_at, resources) = (records.clone(), SystemTime::now(), None);
            let submission = Submission { collected, intake, records, received_at, resources, durable };
            let stored = async {
                // The store accepts records until it ends.
                self.inlet.submissions.send(submission).await.is_ok() && result.await.unwrap_or(false)
            };
            tokio::select! {
                biased;
                is_stored = stored => if is_stored { return true },
                () = stop.cancelled() => return false,
            }
            self.report(Some(RECORDS_NOT_STORED.to_owned()), None);
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(STORE_RETRY) => {}
            }
        }
        true
    }

    /// Saves the positions behind what was stored. If that fails, the next round saves them. `false`: the reader is lost.
    async fn save(&mut self, stop: &CancellationToken) -> bool {
        let is_final = stop.is_cancelled();
        let Some(saved) = self.blocking(move |reader| reader.save(is_final), Vec::new(), stop).await else { return false };
        match saved {
            Ok(is_saved) => (_, self.has_moved) = (self.state_problem.end(), !is_saved),
            Err(error) => {
                if let Some(note) = self.state_problem.start(()) {
                    let target = &self.intake.name;
                    warn!(%target, "the read positions of log files cannot be saved, so records would be read again after a restart: {error}{note}");
                }
            }
        }
        true
    }

    /// Runs a step of the reader on a blocking thread. A step that takes long is reported, and no longer occupies the permits. `None`: the
    /// reader is lost, because it panicked, or because it does not respond and `stop` is cancelled.
    async fn blocking<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Reader) -> T + Send + 'static,
        permits: Vec<OwnedSemaphorePermit>,
        stop: &CancellationToken,
    ) -> Option<T> {
        let mut reader = self.reader.take()?;
        let run = move || -> Step<T> {
            let result = step(&mut reader);
            (reader, result)
        };
        let mut running = tokio::task::spawn_blocking(run);
        let finished = match tokio::time::timeout(STEP_MAX, &mut running).await {
            Ok(finished) => finished,
            Err(_) => {
                drop(permits);
                let problem = format!("there is no response within {} s; check for a lost network mount", STEP_MAX.as_secs());
                self.report(Some(problem), None);
                tokio::select! {
                    finished = running => finished,
                    () = stop.cancelled() => return None,
                }
            }
        };
        match finished {
            Ok((reader, result)) => {
                self.reader = Some(reader);
                Some(result)
            }
            Err(error) => {
                tracing::error!("reading log files of {} panicked and is stopped, please report it: {error}", self.intake.name);
                None
            }
        }
    }

    /// Counts and logs what cannot be read.
    fn report_losses(&mut self, round: &Round) {
        let target = &self.intake.name;
        self.losses.add(&round.losses, Instant::now(), |loss| warn!(%target, "{loss}"));
        if let Some(problem) = &round.page.problem {
            let path = self.reader.as_ref().map(|reader| reader.path.display().to_string()).unwrap_or_default();
            self.intake.log(&format!("a line of {path} is not a valid delivery record and is skipped: {problem}"));
        }
        if round.unjoined > 0 {
            self.intake
                .log("some deliveries lack sender, size and client, because the log lines of the arrival of their messages were not read");
        }
        if let Some(deliveries) = &self.collected.deliveries {
            round.losses.iter().for_each(|loss| deliveries.failed(PART, PollError::File(loss.clone()).error_type()));
            deliveries.count(RecordState::Unjoined, round.unjoined);
            deliveries.count(RecordState::Unreadable, round.page.unreadable);
            deliveries.count(RecordState::Ignored, round.page.ignored);
        }
    }

    /// Notes a problem, or that the files were read. `complete_at` is a time before which everything was read.
    fn report(&mut self, problem: Option<String>, complete_at: Option<Instant>) {
        let (target, deliveries) = (&self.collected.target, self.collected.deliveries.as_ref());
        let name = target.name();
        if let Some(problem) = problem {
            let error = PollError::File(problem.clone());
            if let Some(note) = self.problem.start(problem) {
                warn!(target = name, part = PART, error.type = error.error_type(), "reading log files failed, trying again: {error}{note}");
            }
            deliveries.inspect(|deliveries| deliveries.failed(PART, error.error_type()));
            target.note_log_failure(PART, &error);
            return;
        }
        let has_ended = self.problem.end().is_some();
        if has_ended {
            info!(target = name, part = PART, "log files are read again");
        }
        if let Some((at, deliveries)) = complete_at.zip(deliveries) {
            deliveries.completed(at);
            if has_ended || self.noted.is_none_or(|noted| at.saturating_duration_since(noted) >= HISTORY_INTERVAL) {
                target.note_log_counts(at, &deliveries.points(at));
                self.noted = Some(at);
            }
        }
    }
}

impl Reader {
    fn new(log_files: &LogFiles, hook: &'static Hook, mut positions: Positions, state: LockedFile) -> Self {
        let path = log_files.path.clone();
        if positions.path != path.as_os_str().as_bytes() {
            // Files are recognized wherever they are, but names mean nothing in another directory.
            positions.read_until.clear();
        }
        let files = match log_files.format {
            LogFileFormat::Segments => Files::Segments(SegmentDirectory::new(path.clone(), positions)),
            LogFileFormat::Postfix => Files::Log(Box::new(RotatingLog::new(path.clone(), positions))),
        };
        Self { files, path, hook, state }
    }

    /// Saves the positions. `Ok(false)`: they are saved later.
    fn save(&mut self, is_final: bool) -> Result<bool, StateError> {
        match self.files.positions(is_final) {
            Some(positions) => {
                let path = self.path.as_os_str().as_bytes().to_vec();
                self.state.write(&Positions { path, ..positions }.encode()).map(|()| true)
            }
            None => Ok(false),
        }
    }
}

impl Files {
    fn read(&mut self, hook: &Hook, now: SystemTime) -> Result<Round, String> {
        match self {
            Self::Segments(directory) => directory.read(hook, now),
            Self::Log(log) => log.read(hook, now),
        }
    }

    fn positions(&mut self, is_final: bool) -> Option<Positions> {
        match self {
            Self::Segments(directory) => Some(directory.positions()),
            Self::Log(log) => log.positions(is_final),
        }
    }
}

/// Reads the saved positions. Damaged ones are renamed, and everything is read again.
fn read_positions(state: &LockedFile, target: &str) -> Result<Positions, StateError> {
    let Some(bytes) = state.read()? else {
        info!(target, "log files are read from the start: there are no read positions of a target with this name in state_dir");
        return Ok(Positions::default());
    };
    match Positions::decode(&bytes) {
        Ok(positions) => Ok(positions),
        Err(FileFault::Version(_)) => {
            let reason = "it has the format of another version".to_owned();
            Err(StateError::Version { path: state.path().to_owned(), reason })
        }
        Err(FileFault::Damaged) => {
            let renamed = state.quarantine(BROKEN)?;
            let (file, renamed_to) = (state.path().display(), renamed.display());
            warn!(target, %file, %renamed_to, "the read positions of log files are damaged: the files are read from the start, and their records are sent again");
            Ok(Positions::default())
        }
    }
}
