//! Files that the configuration names, looked at now and then: certificates are renewed, and web configurations edited.
//!
//! # Twice the same
//!
//! A changed file is taken when two looks in a row saw the same: one that is just being written is not, and an endpoint whose
//! web configuration is truncated for a moment is not open for that moment.

use super::control::Access;
use crate::config::{Prometheus, WebConfig};
use ring::digest::{SHA256, digest};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Bytes of a file that are looked at; longer ones are refused by whoever reads them.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What was in files; nothing where there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileStamps(Vec<(PathBuf, Option<FileStamp>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    sha256: [u8; 32],
    /// Tells a file that was written between two looks from one that was left alone.
    modified: Option<SystemTime>,
}

impl FileStamps {
    /// Whether both saw the same content in these files.
    pub(crate) fn agrees<'p>(&self, other: &Self, mut files: impl Iterator<Item = &'p Path>) -> bool {
        files.all(|file| self.content(file) == other.content(file))
    }

    /// Whether both saw the same content in the same files.
    fn is(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.agrees(other, self.0.iter().map(|(path, _)| path.as_path()))
    }

    /// Nothing where the file was not looked at; nothing in that where it was not there.
    fn content(&self, file: &Path) -> Option<Option<[u8; 32]>> {
        self.0.iter().find(|(path, _)| path == file).map(|(_, seen)| seen.map(|seen| seen.sha256))
    }
}

impl FileStamps {
    /// At the files of a configuration. Its web configuration is as it was when it was parsed, however long ago: one that was
    /// edited since is another, and will be taken up.
    pub(crate) fn at(config: &Prometheus) -> Self {
        let mut look = look(&config.files());
        if let Some(web) = &config.web_config {
            let parsed = Some(FileStamp { sha256: web.sha256, modified: None });
            look.0.iter_mut().filter(|(path, _)| *path == web.path).for_each(|(_, seen)| *seen = parsed);
        }
        look
    }
}

/// Looks at files.
fn look(files: &[PathBuf]) -> FileStamps {
    let seen = |path: &PathBuf| {
        let file = File::open(path).ok()?;
        let modified = file.metadata().and_then(|about| about.modified()).ok();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(FileStamp { sha256: digest(&SHA256, &bytes).as_ref().try_into().ok()?, modified })
    };
    FileStamps(files.iter().map(|path| (path.clone(), seen(path))).collect())
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
            let Ok(seen) = tokio::task::spawn_blocking(move || look(&files)).await else { continue };
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
