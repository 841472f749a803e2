//! Reloads the configuration of a running service. A reload is all-or-nothing.
//!
//! # Settings that a reload replaces
//!
//! Targets with `defaults`, `targets_files` and `targets_http`, the mail systems of `systems_files`, access to the pull endpoint and its
//! TLS, the push interval, and the section `reload`. Everything is built in [`PreparedReload`] before anything is replaced through
//! [`ReloadHandles`]. An unchanged target keeps its connections, its reading and its counters, and a reload does not poll it. A scrape in
//! progress finishes with the previous targets.
//!
//! # Settings that need a restart
//!
//! The listen address, the rest of `export.otlp`, `health`, `receive`, `telemetry` and `state_dir`. Changing them needs another listener or
//! connection while work is in progress on the old one. A reload that changes them is rejected as a whole, because applying half of a file
//! would leave the operator with a configuration that no file describes.

mod config_file;
mod restart;
mod target_list;
mod triggers;

pub use config_file::ConfigFile;
pub(super) use target_list::{TargetList, request_lists};
pub(super) use triggers::{Triggers, reload_on_trigger};

use super::start_error::StartError;
use crate::app::plural::pluralize;
use crate::config::{Config, Discovery, Origin, TargetsHttp};
use crate::delivery_log;
use crate::net::ProblemLog;
use crate::poll::{Limits, Target};
use crate::receive;
use crate::serve::{self, Access};
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use restart::settings_that_need_restart;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tracing::{error, info, warn};

/// The configuration in use, and the handles through which a reload replaces it.
#[derive(Debug)]
pub(super) struct RunningConfig {
    config: Config,
    /// A copy of the configuration, for readers outside of the reload.
    published: watch::Sender<Arc<Config>>,
    discovery: Discovery,
    limits: Limits,
    self_telemetry: Arc<SelfTelemetry>,
    pub(super) endpoint: serve::Reload,
    handles: ReloadHandles,
    /// Targets of a list could not be built, and are built again at the next check.
    build_problem: ProblemLog<()>,
}

/// Handles through which a reload replaces parts of the running service.
#[derive(Debug)]
pub(super) struct ReloadHandles {
    /// The targets that are polled.
    pub targets: TargetSet,
    /// The access rules of the pull endpoint, if it is enabled.
    pub access: Option<Access>,
    /// The interval of the push, if it is enabled.
    pub interval: Option<watch::Sender<Duration>>,
    /// The list of targets to request over HTTP.
    pub targets_http: watch::Sender<Option<TargetsHttp>>,
    /// Notifies the readers of delivery logs that the targets have changed.
    pub targets_changed: Arc<Notify>,
}

/// A configuration that is built but not in use yet.
struct PreparedReload {
    config: Config,
    discovery: Discovery,
    targets: Vec<Arc<CollectedTarget>>,
    /// The targets that are new or changed.
    built: Vec<Arc<CollectedTarget>>,
    /// The unchanged targets, with their current lines in the file.
    kept: Vec<(Arc<CollectedTarget>, Origin)>,
    changes: TargetChanges,
}

/// The number of targets by what a reload changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TargetChanges {
    added: usize,
    changed: usize,
    removed: usize,
    unchanged: usize,
}

impl fmt::Display for TargetChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, unchanged } = self;
        let all = pluralize(added + changed + unchanged, "target");
        write!(f, "{all}: {added} added, {changed} changed, {removed} removed, {unchanged} unchanged")
    }
}

impl RunningConfig {
    /// Builds the targets of a configuration and adds them to the empty target set of `handles`. The receiver gets the requests of the
    /// reload endpoint.
    ///
    /// # Errors
    /// A target cannot be built.
    pub(super) fn start(
        config: Config,
        self_telemetry: Arc<SelfTelemetry>,
        handles: ReloadHandles,
    ) -> Result<(Self, mpsc::Receiver<serve::ReloadRequest>), StartError> {
        let discovery = Discovery::read(&config);
        let (endpoint, requests) = serve::Reload::new();
        let mut running = Self {
            config: config.clone(),
            published: watch::Sender::new(Arc::new(config.clone())),
            discovery: Discovery::default(),
            limits: Limits::default().with_state_dir(config.state_dir.as_deref()),
            self_telemetry,
            endpoint,
            handles,
            build_problem: ProblemLog::default(),
        };
        let prepared = running.prepare(config, discovery)?;
        running.commit(prepared);
        running.report_lists();
        running.self_telemetry.reload.shard(running.config.shard);
        running.self_telemetry.reload.reloaded(true);
        Ok((running, requests))
    }

    /// Follows the configuration in use.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.published.subscribe()
    }

    /// Reloads the file and logs the result. Returns a description of the changes, or the errors.
    fn reload(&mut self, file: &mut ConfigFile, trigger: &'static str) -> Result<String, String> {
        let result = file.load().map_err(|problems| problems.to_string()).and_then(|config| self.apply(config, &file.path));
        if result.is_ok() {
            file.accept();
        }
        self.report(trigger, result)
    }

    /// Reads the files of `systems_files` again if one of them has changed, and logs the result.
    fn check_systems_files(&mut self, file: &ConfigFile) {
        if !self.config.systems_files.have_changed() {
            return;
        }
        let config = file.load_accepted().map_err(|problems| problems.to_string());
        let result = config.and_then(|config| self.apply(config, &file.path));
        let _ = self.report("systems_files", result);
    }

    /// Logs and counts the result of a reload. Returns a description of the changes, or the errors.
    fn report(&mut self, trigger: &'static str, result: Result<TargetChanges, String>) -> Result<String, String> {
        self.self_telemetry.reload.shard(self.config.shard);
        self.self_telemetry.reload.reloaded(result.is_ok());
        match &result {
            Ok(changes) => {
                for warning in &self.config.warnings {
                    warn!("configuration warning: {warning}");
                }
                let TargetChanges { added, changed, removed, unchanged } = changes;
                info!(trigger, added, changed, removed, unchanged, "configuration reloaded");
            }
            Err(problems) => {
                for problem in problems.lines() {
                    error!(trigger, "reload rejected, nothing was changed: {problem}");
                }
            }
        }
        self.report_lists();
        result.map(|changes| changes.to_string())
    }

    /// Applies the configuration in a file.
    fn apply(&mut self, config: Config, path: &Path) -> Result<TargetChanges, String> {
        if let Some(problems) = settings_that_need_restart(&self.config, &config, path) {
            return Err(problems.to_string());
        }
        let discovery = self.discovery.reread(&config).map_err(|problems| problems.to_string())?;
        let prepared = self.prepare(config, discovery).map_err(|error| error.to_string())?;
        // Access rules are replaced first, because this is the last step that can fail. If it fails, nothing has changed.
        if let (Some(access), Some(prometheus)) = (&self.handles.access, &prepared.config.export.prometheus) {
            access.replace(prometheus.clone()).map_err(|error| error.to_string())?;
        }
        Ok(self.commit(prepared))
    }

    /// Checks the files of `targets_files` and applies changed targets.
    fn check_targets_files(&mut self) {
        let has_changed = self.discovery.check(&self.config);
        self.apply_lists("targets_files", has_changed);
    }

    /// Applies the targets of a response of `targets_http`, unless a reload has replaced the request since.
    fn receive_target_list(&mut self, list: TargetList) {
        if self.config.targets_http.as_ref().is_some_and(|current| current.is_same_request(&list.request)) {
            let has_changed = self.discovery.receive(&self.config, list.response);
            self.apply_lists("targets_http", has_changed);
        }
    }

    /// Reports the problems of lists, and applies their targets if they have changed or could not be built the last time.
    fn apply_lists(&mut self, trigger: &'static str, has_changed: bool) {
        self.report_lists();
        if !has_changed && !self.build_problem.is_ongoing() {
            return;
        }
        match self.prepare(self.config.clone(), self.discovery.clone()) {
            Ok(prepared) => {
                let TargetChanges { added, changed, removed, unchanged } = self.commit(prepared);
                if added + changed + removed > 0 {
                    info!(trigger, added, changed, removed, unchanged, "targets updated");
                }
            }
            // The error is logged once, although each check tries again.
            Err(error) => {
                if let Some(note) = self.build_problem.start(()) {
                    error!(trigger, "targets not updated: {error}{note}");
                }
            }
        }
    }

    /// Builds a configuration. Nothing changes until [`Self::commit`].
    fn prepare(&self, config: Config, discovery: Discovery) -> Result<PreparedReload, StartError> {
        let running = self.handles.targets.now();
        let by_name: HashMap<&str, &Arc<CollectedTarget>> = running.iter().map(|target| (target.target.name(), target)).collect();
        let (mut targets, mut built, mut kept, mut changes) = (Vec::new(), Vec::new(), Vec::new(), TargetChanges::default());
        for wanted in discovery.targets(&config.targets).filter(|target| config.polls(target)) {
            let previous = by_name.get(wanted.name.as_str());
            if let Some(same) = previous.filter(|previous| previous.target.config.fingerprint == wanted.fingerprint) {
                targets.push(Arc::clone(same));
                kept.push((Arc::clone(same), wanted.origin.clone()));
                changes.unchanged += 1;
                continue;
            }
            let start_error = |error| StartError::Target { name: wanted.name.clone(), error };
            let target = Arc::new(match previous {
                Some(previous) => {
                    let target = Target::succeeding(wanted.clone(), &previous.target).map_err(start_error)?;
                    CollectedTarget::succeeding(target, previous)
                }
                None => CollectedTarget::new(Target::new(wanted.clone(), self.limits.clone()).map_err(start_error)?),
            });
            targets.push(target.clone());
            built.push(target);
            if previous.is_some() { changes.changed += 1 } else { changes.added += 1 }
        }
        changes.removed = running.len() - changes.unchanged - changes.changed;
        Ok(PreparedReload { config, discovery, targets, built, kept, changes })
    }

    /// Puts a configuration in use. This cannot fail.
    fn commit(&mut self, prepared: PreparedReload) -> TargetChanges {
        let PreparedReload { config, discovery, targets, built, kept, changes } = prepared;
        self.endpoint.set_enabled(config.reload.endpoint);
        if let (Some(interval), Some(otlp)) = (&self.handles.interval, &config.export.otlp) {
            interval.send_if_modified(|interval| std::mem::replace(interval, otlp.interval) != otlp.interval);
        }
        self.handles.targets_http.send_if_modified(|current| {
            let is_same = match (&*current, &config.targets_http) {
                (Some(current), Some(next)) => current.is_same_request(next),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                current.clone_from(&config.targets_http);
            }
            !is_same
        });
        for (target, origin) in kept {
            target.set_origin(origin);
        }
        if let Some(state_dir) = &config.state_dir {
            for collected in &built {
                delivery_log::resume(collected, state_dir);
                receive::resume(collected, state_dir);
            }
        }
        self.handles.targets.replace(targets);
        self.handles.targets_changed.notify_one();
        self.published.send_replace(Arc::new(config.clone()));
        self.config = config;
        self.discovery = discovery;
        self.build_problem.end();
        // Each new target is polled once, so that readiness does not depend on a scrape, which may wait for readiness.
        for collected in built {
            let target = collected.target.clone();
            tokio::spawn(async move { target.reading().await });
        }
        changes
    }

    /// Logs and counts problems of `targets_files` and `targets_http` that are new or resolved.
    fn report_lists(&mut self) {
        let report = self.discovery.report();
        for failure in &report.failed {
            error!("targets file rejected: {failure}");
        }
        if let Some(failure) = &report.http_failed {
            error!("targets_http failed, the last list stays in use: {failure}");
        }
        for warning in &report.warnings {
            warn!("list of targets: warning: {warning}");
        }
        for path in &report.recovered {
            info!(file = %path.display(), "targets file is valid again");
        }
        if let Some(failures) = report.http_recovered {
            info!(failures, "targets_http is valid again");
        }
        self.self_telemetry.reload.targets_files(report.failing, report.newly_failing);
        self.self_telemetry.reload.targets_http(report.http_is_failing, report.http_errors);
    }
}
