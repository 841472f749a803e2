//! Files that the configuration names, looked at now and then: certificates are renewed, and web configurations edited.
//!
//! # Twice the same
//!
//! A changed file is taken when two looks in a row saw the same: one that is just being written is not, and an endpoint whose
//! web configuration is truncated for a moment is not open for that moment.

use super::access::Access;
use crate::config::WebConfig;
use ring::digest::{SHA256, digest};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::sync::watch;
use tracing::{info, warn};

/// Bytes of a file that are looked at; longer ones are refused by whoever reads them.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What was in files; nothing where there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look(Vec<(PathBuf, Option<Seen>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    sha256: [u8; 32],
    /// Tells a file that was written between two looks from one that was left alone.
    modified: Option<SystemTime>,
}

impl Look {
    /// Whether both saw the same content in these files.
    pub(super) fn agrees<'p>(&self, other: &Self, mut files: impl Iterator<Item = &'p Path>) -> bool {
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

/// Looks at files.
pub(super) fn look(files: &[PathBuf]) -> Look {
    let seen = |path: &PathBuf| {
        let file = File::open(path).ok()?;
        let modified = file.metadata().and_then(|about| about.modified()).ok();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(Seen { sha256: digest(&SHA256, &bytes).as_ref().try_into().ok()?, modified })
    };
    Look(files.iter().map(|path| (path.clone(), seen(path))).collect())
}

impl Access {
    /// Takes up changed files, until `stop` says so.
    pub async fn watch(self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.limits().watch_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Look::default();
        let mut refused: Option<Look> = None;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => {}
            }
            let rules = self.rules();
            let files = rules.config.files();
            if files.is_empty() {
                continue;
            }
            let Ok(seen) = tokio::task::spawn_blocking(move || look(&files)).await else { continue };
            let settled = std::mem::replace(&mut last, seen.clone()) == seen;
            if !settled || seen.is(&rules.look) || refused.as_ref().is_some_and(|refused| seen.is(refused)) {
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

    /// The same configuration with its files as they are now.
    fn take_up(&self) -> Result<(), String> {
        let mut config = self.rules().config.clone();
        if let Some(web) = &mut config.web_config {
            let (read, warnings) = WebConfig::load(&web.path).map_err(|problems| problems.to_string().replace('\n', "; "))?;
            for warning in warnings {
                warn!("{warning}");
            }
            *web = read;
        }
        self.replace(config).map_err(|error| error.to_string())
    }
}
