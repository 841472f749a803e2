//! The configuration file of a service, and the settings that the command line adds to it.

use crate::config::{self, Config, Environment, LogLevel, Problems, Shard};
use crate::net::{CHECK_INTERVAL, FileWatch};
use std::path::PathBuf;
use std::time::Duration;

/// The configuration file of a service.
#[derive(Debug)]
pub struct ConfigFile {
    pub(super) path: PathBuf,
    /// The shard on the command line, which overrides the file.
    shard: Option<Shard>,
    environment: Environment,
    /// The log level on the command line, which overrides the file.
    log_level: Option<LogLevel>,
    /// `true` if the command line enables the reload endpoint.
    endpoint: bool,
    pub(super) check_interval: Duration,
    watch: FileWatch,
    /// The text that was read last.
    text: Option<String>,
    /// The text that is in use.
    accepted: Option<String>,
}

impl ConfigFile {
    /// A file with the settings of the command line. The reload endpoint is enabled if `endpoint` is `true` or the file enables it.
    #[must_use]
    pub fn new(path: PathBuf, shard: Option<Shard>, environment: Environment, log_level: Option<LogLevel>, endpoint: bool) -> Self {
        Self {
            path,
            shard,
            environment,
            log_level,
            endpoint,
            check_interval: CHECK_INTERVAL,
            watch: FileWatch::default(),
            text: None,
            accepted: None,
        }
    }

    /// For tests: sets the time between two checks of the file and of `targets_files`.
    #[must_use]
    pub fn with_check_interval(self, check_interval: Duration) -> Self {
        Self { check_interval, ..self }
    }

    /// Reads and decodes the file.
    ///
    /// # Errors
    /// Returns every problem of the file.
    pub fn load(&mut self) -> Result<Config, Problems> {
        self.watch.mark([self.path.as_path()]);
        let text = config::read(&self.path)?;
        let config = self.decode(&text)?;
        self.text = Some(text);
        Ok(config)
    }

    /// Decodes the text that is in use again, because the files that it names have changed. A change of the file itself is not applied.
    pub(super) fn load_accepted(&self) -> Result<Config, Problems> {
        self.decode(self.accepted.as_deref().unwrap_or_default())
    }

    /// Records that the configuration that was read last is in use.
    pub(super) fn accept(&mut self) {
        self.accepted = self.text.take().or(self.accepted.take());
    }

    fn decode(&self, text: &str) -> Result<Config, Problems> {
        let mut config = config::parse(text, &self.path.display().to_string(), &self.environment)?.sharded(self.shard);
        config.telemetry.log_level = self.log_level.unwrap_or(config.telemetry.log_level);
        config.reload.endpoint |= self.endpoint;
        Ok(config)
    }

    /// Returns `true` if the file has changed since it was read.
    pub(super) fn has_changed(&mut self) -> bool {
        self.watch.has_changed([self.path.as_path()])
    }
}
