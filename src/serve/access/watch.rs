//! Applies changes to the files that the configuration names: renewed certificates and edited web configurations.
//!
//! # A file must settle
//!
//! A changed file is applied when two checks in a row find the same content. A file that is being written is not applied, and an endpoint
//! whose web configuration is truncated for a moment is not unprotected for that moment.

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

/// The stamps of previous checks.
#[derive(Default)]
struct CheckedFiles {
    last: FileStamps,
    rejected: Option<FileStamps>,
}

impl Access {
    /// Applies changed files until `stop` is cancelled.
    pub async fn watch(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.limits().watch_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut checked = CheckedFiles::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.check_files(&mut checked).await;
        }
    }

    /// Applies changed files that have the same content as at the last check, unless they were rejected before.
    async fn check_files(&self, checked: &mut CheckedFiles) {
        let rules = self.rules();
        let files = rules.config.files();
        if files.is_empty() {
            return;
        }
        let Ok(seen) = tokio::task::spawn_blocking(move || FileStamps::of(files.iter().map(PathBuf::as_path))).await else { return };
        let settled = std::mem::replace(&mut checked.last, seen.clone()) == seen;
        if !settled || seen == rules.file_stamps || checked.rejected.as_ref() == Some(&seen) {
            return;
        }
        let access = self.clone();
        let key = self.listener().key();
        match tokio::task::spawn_blocking(move || access.apply_files()).await {
            Ok(Ok(())) => {
                checked.rejected = None;
                info!("changed files of {key} were applied");
            }
            Ok(Err(error)) => {
                warn!("changed files of {key} were rejected, the previous ones stay in use: {error}");
                checked.rejected = Some(seen);
            }
            Err(error) => warn!("checking the files of {key} failed inside Postmeter, please report it: {error}"),
        }
    }

    /// Applies the same configuration with the current content of its files. Warns like a start does if the endpoint is unprotected.
    fn apply_files(&self) -> Result<(), String> {
        // Locked before the rules are read: otherwise a reload in between would be undone.
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
        let (known, exposures) = (before.config.exposures(), config.exposures());
        self.replace_locked(config, &lock).map_err(|error| error.to_string())?;
        for exposure in exposures.iter().filter(|exposure| !known.contains(exposure)) {
            warn!("{}: {exposure}", self.listener().key());
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

    fn prometheus(keys: &str) -> Prometheus {
        let text = format!(
            "targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport: {{prometheus: {{listen: 'localhost:0', {keys}}}}}"
        );
        config::parse(&text, "postmeter.yaml", &Environment::default()).unwrap().export.prometheus.unwrap()
    }

    /// The web configuration becomes a pipe, whose reader stands still in the middle of taking it up.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_while_files_are_applied_is_not_undone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        std::fs::write(&path, "").unwrap();
        let config = prometheus(&format!("web_config_file: {}, auth: {{trusted: [192.0.2.1]}}", path.display()));
        let access = Access::new(config, Arc::new(SelfTelemetry::quiet().unwrap())).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());

        let watching = access.clone();
        let applying = tokio::task::spawn_blocking(move || watching.apply_files());
        // Open once the other side has opened it.
        let at = path.clone();
        let writer = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(at)).await.unwrap().unwrap();
        // The reload waits, because the file is being read.
        assert!(access.is_being_replaced());
        let reload = prometheus("auth: {trusted: [192.0.2.2]}");
        let (reloading, wanted) = (access.clone(), reload.clone());
        let reloaded = tokio::task::spawn_blocking(move || reloading.replace(wanted));
        // The check of the file after it was read must not wait for a writer.
        std::fs::rename(&path, folder.path().join("pipe")).unwrap();
        drop(writer);
        applying.await.unwrap().unwrap();
        reloaded.await.unwrap().unwrap();
        assert_eq!(access.rules().config, reload);
    }

    /// The file is empty at every other check, as between truncation and the first write.
    #[tokio::test]
    async fn a_file_that_is_being_written_is_not_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let max_age = |n: u32| format!("http_server_config: {{headers: {{Strict-Transport-Security: max-age={n}}}}}\n");
        std::fs::write(&path, max_age(1)).unwrap();
        let config = prometheus(&format!("web_config_file: {}, allow_unprotected: true", path.display()));
        let access = Access::new(config, Arc::new(SelfTelemetry::quiet().unwrap())).unwrap();
        let (first, mut checked) = (access.rules(), CheckedFiles::default());
        for n in 2..12 {
            std::fs::write(&path, "").unwrap();
            access.check_files(&mut checked).await;
            std::fs::write(&path, max_age(n)).unwrap();
            access.check_files(&mut checked).await;
            assert!(Arc::ptr_eq(&first, &access.rules()), "write {n} was applied");
        }
        access.check_files(&mut checked).await;
        assert!(!Arc::ptr_eq(&first, &access.rules()), "the last write was not applied");
    }
}
