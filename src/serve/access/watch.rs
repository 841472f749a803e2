//! Files that the configuration names, looked at now and then: certificates are renewed, and web configurations edited.
//!
//! # Twice the same
//!
//! A changed file is taken when two looks in a row saw the same: one that is just being written is not, and an endpoint whose
//! web configuration is truncated for a moment is not open for that moment.

use super::control::Access;
use crate::config::{Prometheus, WebConfig};
use crate::net::FileStamps;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The stamps of the configuration's files. The web configuration has the stamp of when it was parsed, however long ago: a file that was
/// edited since differs, and will be applied.
pub(super) fn stamps(config: &Prometheus) -> FileStamps {
    let files = config.files();
    let mut stamps = FileStamps::of(files.iter().map(PathBuf::as_path));
    if let Some(web) = &config.web_config {
        stamps.set(&web.path, web.stamp);
    }
    stamps
}

impl Access {
    /// Takes up changed files, until `stop` says so.
    pub async fn watch(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.limits().watch_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = FileStamps::default();
        let mut refused: Option<FileStamps> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let rules = self.rules();
            let files = rules.config.files();
            if files.is_empty() {
                continue;
            }
            let Ok(seen) = tokio::task::spawn_blocking(move || FileStamps::of(files.iter().map(PathBuf::as_path))).await else { continue };
            let settled = std::mem::replace(&mut last, seen.clone()) == seen;
            if !settled || seen.is(&rules.file_stamps) || refused.as_ref().is_some_and(|refused| seen.is(refused)) {
                continue;
            }
            let access = self.clone();
            let taken = tokio::task::spawn_blocking(move || access.take_up()).await;
            match taken {
                Ok(Ok(())) => {
                    refused = None;
                    info!("files of export.prometheus have changed, and are in use");
                }
                Ok(Err(why)) => {
                    warn!("files of export.prometheus have changed, and what was before them stays in use: {why}");
                    refused = Some(seen);
                }
                Err(error) => warn!("files of export.prometheus could not be read, please report it: {error}"),
            }
        }
    }

    /// The same configuration with its files as they are now. What it opens is said as it is at a start.
    fn take_up(&self) -> Result<(), String> {
        // From before the rules are read: a reload in between would be undone.
        let lock = self.lock_replacing();
        let before = self.rules();
        let mut config = before.config.clone();
        if let Some(web) = &mut config.web_config {
            let (read, warnings) = WebConfig::load(&web.path).map_err(|problems| problems.to_string().replace('\n', "; "))?;
            for warning in warnings {
                warn!("{warning}");
            }
            *web = read;
        }
        let (said, exposures) = (before.config.exposures(), config.exposures());
        self.replace_locked(config, &lock).map_err(|error| error.to_string())?;
        for exposure in exposures.iter().filter(|exposure| !said.contains(exposure)) {
            warn!("export.prometheus: {exposure}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{self, Environment};
    use crate::telemetry::SelfTelemetry;
    use std::fs::OpenOptions;
    use std::process::Command;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn prometheus(keys: &str) -> Prometheus {
        let text = format!(
            "targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport: {{prometheus: {{listen: 'localhost:0', {keys}}}}}"
        );
        config::parse(&text, "postmeter.yaml", &Environment::default()).unwrap().export.prometheus.unwrap()
    }

    /// The web configuration becomes a pipe, whose reader stands still in the middle of taking it up.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_while_files_are_taken_up_is_not_undone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        std::fs::write(&path, "").unwrap();
        let config = prometheus(&format!("web_config_file: {}, auth: {{trusted: [192.0.2.1]}}", path.display()));
        let access = Access::new(config, Arc::new(SelfTelemetry::quiet().unwrap())).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());

        let watching = access.clone();
        let taking_up = tokio::task::spawn_blocking(move || watching.take_up());
        // Open once the other side has opened it.
        let at = path.clone();
        let writer = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(at)).await.unwrap().unwrap();
        let reload = prometheus("auth: {trusted: [192.0.2.2]}");
        let (reloading, wanted) = (access.clone(), reload.clone());
        let reloaded = tokio::task::spawn_blocking(move || reloading.replace(wanted));
        // One that does not wait for the other is done by then.
        let began = Instant::now();
        while !reloaded.is_finished() && began.elapsed() < Duration::from_millis(300) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The look at the file after it was read must not wait for a writer.
        std::fs::rename(&path, folder.path().join("pipe")).unwrap();
        drop(writer);
        taking_up.await.unwrap().unwrap();
        reloaded.await.unwrap().unwrap();
        assert_eq!(access.rules().config, reload);
    }
}
