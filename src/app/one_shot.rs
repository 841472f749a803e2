//! The common parts of the commands that poll once: their targets, their mail systems, and saved responses instead of a poll.

use super::saved::SavedResponse;
use super::{AppError, print_notice};
use crate::config::{self, Environment, LogLevel, Shard, suggestion, unknown_system};
use crate::model::Families;
use crate::net::FileThread;
use crate::poll::request_target_list;
use crate::source::{Part, SOURCES, Source};
use crate::telemetry::SelfTelemetry;
use std::path::{Path, PathBuf};

/// The largest number of targets that an error lists.
const NAMES_MAX: usize = 50;

/// Saved responses that are read as one poll.
pub(super) struct SavedResponses {
    /// The families of the responses that could be read.
    pub(super) read: Vec<(&'static Part, Families)>,
    /// All files, in the order of the command line.
    pub(super) files: Vec<SavedFile>,
    /// The size of all bodies.
    pub(super) bytes: u64,
}

/// A file with a saved response.
pub(super) struct SavedFile {
    pub(super) part: &'static Part,
    /// The error, if the response of an optional part cannot be read.
    pub(super) error: Option<String>,
}

/// Turns off the log: the commands print errors themselves, once for each target.
pub(super) fn turn_off_log() -> Result<(), AppError> {
    let mut telemetry = config::Config::from_env(&Environment::default()).telemetry;
    telemetry.log_level = LogLevel::Off;
    SelfTelemetry::start(&telemetry).map_err(super::StartError::from)?;
    Ok(())
}

/// Returns the targets of a configuration file and its lists: one by its name, or those of a shard; and the settings of its pull endpoint.
pub(super) async fn targets(
    path: &Path,
    name: Option<&str>,
    shard: Option<Shard>,
    environment: &Environment,
) -> Result<(Vec<config::Target>, Option<config::Prometheus>), AppError> {
    let config = config::load(path, environment)?;
    // A target that is named explicitly is polled even if it belongs to another shard.
    let config = if name.is_some() { config::Config { shard: None, ..config } } else { config.sharded(shard) };
    let mut discovery = config::Discovery::read(&config);
    if let Some(list) = &config.targets_http {
        discovery.receive(&config, request_target_list(list, &FileThread::default()).await);
    }
    if let Some(problems) = discovery.problems() {
        return Err(problems.into());
    }
    let mut targets: Vec<_> = discovery.targets(&config.targets).filter(|target| config.polls(target)).cloned().collect();
    if let Some(name) = name {
        if !targets.iter().any(|target| target.name == *name) {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            let hint = if names.len() > NAMES_MAX { format!("it has {} targets", names.len()) } else { suggestion(name, &names) };
            return Err(AppError::Other(format!("{}: no target is named `{name}`; {hint}", path.display())));
        }
        targets.retain(|target| target.name == *name);
    }
    Ok((targets, config.export.prometheus))
}

/// Returns the mail systems: the built-in ones, those of a configuration file, and those of other files.
pub(super) fn systems(config: Option<&Path>, files: &[PathBuf], environment: &Environment) -> Result<Vec<&'static Source>, AppError> {
    let mut systems = SOURCES.to_vec();
    if let Some(path) = config {
        systems.extend(config::load(path, environment)?.systems_files.systems());
    }
    systems.extend(config::read_definitions(&systems, files)?);
    Ok(systems)
}

/// Returns the mail system of this name.
pub(super) fn system_by_name(systems: &[&'static Source], name: &str) -> Result<&'static Source, AppError> {
    let names = || systems.iter().map(|source| source.name).collect::<Vec<_>>();
    let found = systems.iter().copied().find(|source| source.name == name);
    found.ok_or_else(|| AppError::Other(unknown_system(name, &names(), "--systems-file")))
}

/// Reads saved responses, each written as `[PART=]PATH`. The required part must be among them.
pub(super) fn read_files(source: &'static Source, files: &[String]) -> Result<SavedResponses, AppError> {
    let app_error = |error: &dyn std::fmt::Display| AppError::Other(error.to_string());
    let mut responses = SavedResponses { read: Vec::new(), files: Vec::new(), bytes: 0 };
    for file in files {
        let saved = SavedResponse::new(source, file).map_err(|error| app_error(&error))?;
        let error = match saved.read() {
            Ok((families, len)) => {
                responses.bytes += len as u64;
                responses.read.push((saved.part, families));
                None
            }
            Err(error) if saved.part.name == source.required().name => return Err(app_error(&error)),
            Err(error) => {
                print_notice(&error.to_string());
                Some(error.to_string())
            }
        };
        responses.files.push(SavedFile { part: saved.part, error });
    }
    if !responses.read.iter().any(|(part, _)| part.name == source.required().name) {
        let (system, part) = (source.name, source.required().name);
        return Err(AppError::Other(format!("{system}: the required part `{part}` is missing; add --file PATH")));
    }
    Ok(responses)
}
