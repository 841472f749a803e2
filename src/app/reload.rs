//! Reading the configuration again while everything runs: all of it is taken up, or nothing is.
//!
//! # What a reload replaces
//!
//! Targets, with `defaults` and `targets_files`, who may read the pull endpoint and by which TLS, the interval of the push, and
//! the section `reload` itself: everything in [`PreparedReload`] and [`ReplacedParts`], which is built whole before the first thing of it counts.
//! A target that is configured as it was keeps its connections, its reading and its sums, and is not polled because of a reload;
//! a scrape in flight ends with the targets that it began with.
//!
//! # What it refuses
//!
//! A change of the address, of the rest of `export.otlp`, of `telemetry` and of `state_dir`. Another address or another receiver
//! means another listener or another connection with something under way on the old one, and that is what a restart is for. To
//! take up half a file and to say so in the log would leave an operator with a file that is not what runs.

use super::service::StartError;
use crate::config::{self, Config, Discovery, Environment, FileWatch, LogLevel, Origin, Otlp, Problem, Problems, Shard};
use crate::poll::{Limits, Target};
use crate::serve::{self, Access};
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Reading the configuration again is said to take long when it takes longer.
const SLOW_SECONDS: u64 = 10;

/// The file that a service runs by, and how it is read.
#[derive(Debug)]
pub struct ConfigFile {
    file: PathBuf,
    /// From the command line.
    shard: Option<Shard>,
    environment: Environment,
    /// From the command line.
    log_level: Option<LogLevel>,
    endpoint: bool,
    look_interval: Duration,
    watch: FileWatch,
}

impl ConfigFile {
    /// This file; the endpoint is open whatever the file says if `endpoint` is true.
    #[must_use]
    pub fn new(file: PathBuf, shard: Option<Shard>, environment: Environment, log_level: Option<LogLevel>, endpoint: bool) -> Self {
        Self { file, shard, environment, log_level, endpoint, look_interval: config::LOOK_INTERVAL, watch: FileWatch::default() }
    }

    /// The same, looking at files this often.
    #[must_use]
    pub fn every(self, look_interval: Duration) -> Self {
        Self { look_interval, ..self }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&mut self) -> Result<Config, Problems> {
        self.watch.mark(&self.file);
        let mut config = config::load(&self.file, &self.environment)?.sharded(self.shard);
        config.telemetry.log_level = self.log_level.unwrap_or(config.telemetry.log_level);
        config.reload.endpoint |= self.endpoint;
        Ok(config)
    }
}

/// What a reload replaces, and what it is compared with.
#[derive(Debug)]
pub(super) struct RunningConfig {
    config: Config,
    discovery: Discovery,
    limits: Limits,
    own: Arc<SelfTelemetry>,
    pub(super) door: serve::Reload,
    replaced: ReplacedParts,
    /// A file of `targets_files` said something that could not be taken up.
    behind: bool,
}

/// Handles on what runs, through which a reload replaces it.
#[derive(Debug)]
pub(super) struct ReplacedParts {
    /// What is polled.
    pub targets: TargetSet,
    /// Who may read the pull endpoint, if there is one.
    pub access: Option<Access>,
    /// How often the push collects, if there is one.
    pub interval: Option<watch::Sender<Duration>>,
    /// Who follows delivery logs is told that targets were replaced.
    pub logs: Arc<Notify>,
}

/// All that will count, built and not yet counting.
struct PreparedReload {
    config: Config,
    discovery: Discovery,
    targets: Vec<Arc<CollectedTarget>>,
    fresh: Vec<Arc<CollectedTarget>>,
    /// Where targets that are kept stand now.
    kept: Vec<(Arc<CollectedTarget>, Origin)>,
    changes: Changes,
}

/// What became of the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    new: usize,
    changed: usize,
    gone: usize,
    kept: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, changed, gone, kept } = self;
        let all = new + changed + kept;
        write!(f, "{all} {}, {new} new, {changed} changed, {gone} gone, {kept} kept", if all == 1 { "target" } else { "targets" })
    }
}

impl RunningConfig {
    /// Everything as configured; the targets are put where there are none yet.
    ///
    /// # Errors
    /// Which target cannot be built.
    pub(super) fn start(
        config: Config,
        own: Arc<SelfTelemetry>,
        replaced: ReplacedParts,
    ) -> Result<(Self, mpsc::Receiver<serve::ReloadRequest>), StartError> {
        let discovery = Discovery::read(&config.targets_files, &config.targets);
        let (door, asked) = serve::Reload::new();
        let limits = Limits::default();
        let mut live = Self { config: config.clone(), discovery: Discovery::default(), limits, own, door, replaced, behind: false };
        let next = live.prepare(config, discovery)?;
        live.commit(next);
        live.report();
        live.own.reload.reloaded(true);
        Ok((live, asked))
    }

    /// Reads the file again and takes up what it says. `by` is who asked.
    fn reload(&mut self, followed: &mut ConfigFile, by: &'static str) -> Result<String, String> {
        let result = self.read_again(followed);
        self.own.reload.reloaded(result.is_ok());
        match &result {
            Ok(changes) => {
                for warning in &self.config.warnings {
                    warn!("{warning}");
                }
                info!(by, "configuration reloaded: {changes}");
            }
            Err(problems) => {
                for problem in problems.lines() {
                    error!(by, "configuration not reloaded, nothing has changed: {problem}");
                }
            }
        }
        self.report();
        result.map(|changes| changes.to_string())
    }

    fn read_again(&mut self, followed: &mut ConfigFile) -> Result<Changes, String> {
        let config = followed.load().map_err(|problems| problems.to_string())?;
        if let Some(fixed) = fixed(&self.config, &config, &followed.file) {
            return Err(fixed.to_string());
        }
        let discovery = self.discovery.reread(&config.targets_files, &config.targets).map_err(|problems| problems.to_string())?;
        let next = self.prepare(config, discovery).map_err(|error| error.to_string())?;
        // The last thing that can fail, and it does so before it changes anything.
        if let (Some(access), Some(prometheus)) = (&self.replaced.access, &next.config.export.prometheus) {
            access.replace(prometheus.clone()).map_err(|error| error.to_string())?;
        }
        Ok(self.commit(next))
    }

    /// Looks at the files of `targets_files`, and takes up what they say.
    fn look(&mut self) {
        let changed = self.discovery.look(&self.config.targets_files, &self.config.targets);
        self.report();
        if !changed && !self.behind {
            return;
        }
        match self.prepare(self.config.clone(), self.discovery.clone()) {
            Ok(next) => {
                let changes = self.commit(next);
                if changes.new + changes.changed + changes.gone > 0 {
                    info!(by = "targets_files", "targets taken up: {changes}");
                }
            }
            // Tried again at each look, and said once.
            Err(error) if !std::mem::replace(&mut self.behind, true) => error!(by = "targets_files", "no target was changed: {error}"),
            Err(_) => {}
        }
    }

    /// Builds what is to count; until [`Self::commit`] nothing has changed.
    fn prepare(&self, config: Config, discovery: Discovery) -> Result<PreparedReload, StartError> {
        let now = self.replaced.targets.now();
        let before: HashMap<&str, &Arc<CollectedTarget>> = now.iter().map(|monitored| (monitored.target.name(), monitored)).collect();
        let (mut targets, mut fresh, mut kept, mut changes) = (Vec::new(), Vec::new(), Vec::new(), Changes::default());
        for wanted in discovery.targets(&config.targets).filter(|target| config.holds(target)) {
            let before = before.get(wanted.name.as_str());
            if let Some(same) = before.filter(|before| before.target.config.fingerprint == wanted.fingerprint) {
                targets.push(Arc::clone(same));
                kept.push((Arc::clone(same), wanted.origin.clone()));
                changes.kept += 1;
                continue;
            }
            let unbuilt = |error| StartError::Target { name: wanted.name.clone(), error };
            let monitored = Arc::new(match before {
                Some(before) => CollectedTarget::succeeding(Target::succeeding(wanted.clone(), &before.target).map_err(unbuilt)?, before)?,
                None => CollectedTarget::new(Target::new(wanted.clone(), self.limits.clone()).map_err(unbuilt)?)?,
            });
            targets.push(monitored.clone());
            fresh.push(monitored);
            if before.is_some() { changes.changed += 1 } else { changes.new += 1 }
        }
        changes.gone = now.len() - changes.kept - changes.changed;
        Ok(PreparedReload { config, discovery, targets, fresh, kept, changes })
    }

    /// From here on it counts. Everything that a reload replaces is replaced here, and nothing can fail.
    fn commit(&mut self, next: PreparedReload) -> Changes {
        let PreparedReload { config, discovery, targets, fresh, kept, changes } = next;
        self.door.set_open(config.reload.endpoint);
        if let (Some(interval), Some(otlp)) = (&self.replaced.interval, &config.export.otlp) {
            interval.send_if_modified(|interval| std::mem::replace(interval, otlp.interval) != otlp.interval);
        }
        for (monitored, origin) in kept {
            monitored.set_origin(origin);
        }
        self.replaced.targets.replace(targets);
        self.replaced.logs.notify_one();
        self.config = config;
        self.discovery = discovery;
        self.behind = false;
        // Each once, so that nobody waits for a scrape that waits for them.
        for monitored in fresh {
            let target = monitored.target.clone();
            tokio::spawn(async move { target.reading().await });
        }
        changes
    }

    fn report(&mut self) {
        let report = self.discovery.report();
        for problem in report.failed.iter().flat_map(Problems::iter) {
            error!("targets_files: {problem}");
        }
        for warning in &report.warnings {
            warn!("targets_files: {warning}");
        }
        for path in &report.recovered {
            info!("targets_files: {} is good again", path.display());
        }
        self.own.reload.targets_files(report.failing, report.failed.len());
    }
}

/// Settings that differ and stay as they are until a restart.
fn fixed(now: &Config, wanted: &Config, file: &std::path::Path) -> Option<Problems> {
    let mut differing = Vec::new();
    let mut differs = |path: &str, same: bool| {
        if !same {
            differing.push(Problem {
                file: file.display().to_string(),
                line: None,
                path: path.to_owned(),
                message: "cannot change while Postmeter runs: restart it, or undo the change".to_owned(),
            });
        }
    };
    let listen = |config: &Config| config.export.prometheus.as_ref().map(|prometheus| prometheus.listen.clone());
    differs("export.prometheus.listen", listen(now) == listen(wanted));
    let otlp = |config: &Config| config.export.otlp.clone().map(|otlp| Otlp { interval: Duration::ZERO, ..otlp });
    differs("export.otlp", otlp(now) == otlp(wanted));
    differs("telemetry", now.telemetry == wanted.telemetry);
    differs("state_dir", now.state_dir == wanted.state_dir);
    (!differing.is_empty()).then(|| Problems::new(differing))
}

/// Waits for whoever wants a reload, until `stop` says so.
pub(super) async fn follow(
    mut live: RunningConfig,
    mut followed: ConfigFile,
    mut asked: mpsc::Receiver<serve::ReloadRequest>,
    mut hangup: Signal,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(followed.look_interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (by, ask) = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = hangup.recv() => (Some("SIGHUP"), None),
            Some(ask) = asked.recv() => (Some("/-/reload"), Some(ask)),
            _ = look.tick() => (None, None),
        };
        let (own, asked_for) = (live.own.clone(), by.is_some());
        // Files are read and clients are built beside the event loop.
        let working = tokio::task::spawn_blocking(move || {
            let by = by.or_else(|| (live.config.reload.watch && followed.watch.look(&followed.file)).then_some("watch"));
            let result = match by {
                Some(by) => Some(live.reload(&mut followed, by)),
                None => {
                    live.look();
                    None
                }
            };
            (live, followed, result)
        });
        let Some(worked) = finished(working, &stop, asked_for.then_some(&own)).await else { return };
        let Ok((still, again, result)) = worked else {
            own.reload.reloaded(false);
            error!("reloading failed inside Postmeter, please report it; there is no reload until a restart");
            return;
        };
        (live, followed) = (still, again);
        if let (Some(ask), Some(result)) = (ask, result) {
            // Whoever asked may have gone.
            let _ = ask.send(result);
        }
    }
}

/// Waits for work that may stand still on a file for ever; nothing when it is time to stop. Of a reload that is slow, `own` says
/// that it has not been done until it is.
async fn finished<T>(
    mut working: JoinHandle<T>,
    stop: &CancellationToken,
    own: Option<&Arc<SelfTelemetry>>,
) -> Option<Result<T, JoinError>> {
    let finish = async {
        if let Ok(worked) = tokio::time::timeout(Duration::from_secs(SLOW_SECONDS), &mut working).await {
            return worked;
        }
        if let Some(own) = own {
            own.reload.reloaded(false);
        }
        warn!(
            "reading the configuration again takes longer than {SLOW_SECONDS} s, and nothing is reloaded meanwhile: look for a file that it \
             names and that stands still, as a pipe or a lost network mount does"
        );
        working.await
    };
    tokio::select! {
        () = stop.cancelled() => None,
        worked = finish => Some(worked),
    }
}
