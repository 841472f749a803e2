//! The log files from which delivery records are read: `parts: {deliveries: {log_files: {...}}}`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::LOG_FILES;
use crate::net::open_regular_file;
use crate::source::{Hook, LogFileFormat, Source};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The pause between two checks of log files.
pub const LOG_FILES_INTERVAL: Duration = Duration::from_secs(1);

/// Log files on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// The format.
    pub format: LogFileFormat,
    /// Key `dir` or `path`: the directory or the file.
    pub path: PathBuf,
}

impl LogFiles {
    /// Decodes `parts.deliveries.log_files`.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source, hook: &Hook) -> Option<Self> {
        let mut map = decoder.map(item, LOG_FILES)?;
        let (dir, path) = (map.take("dir"), map.take("path"));
        decoder.finish(map);
        if !decoder.has_state_dir {
            decoder.report(&item.location, "needs state_dir at the top of the file: a directory for the read positions of the files");
        }
        let Some(format) = hook.log_files else {
            let names: Vec<&str> = decoder.systems.all().into_iter().filter(|other| has_log_files(other)).map(|other| other.name).collect();
            let message = format!("{} has no log files that can be read; systems that have: {}", source.name, names.join(", "));
            decoder.report(&item.location, message);
            return None;
        };
        let key = format.key();
        let (own, other) = if key == "dir" { (dir, path) } else { (path, dir) };
        if let Some(other) = other {
            let remedy = if own.is_some() { "remove this key".to_owned() } else { format!("rename this key to {key}") };
            decoder.report(&other.location, format!("{} has {}; {remedy}", source.name, described(format)));
            return None;
        }
        let Some(own) = own else {
            decoder.report(&item.location, format!("{key} is missing; set {}", described(format)));
            return None;
        };
        Some(Self { format, path: PathBuf::from(decoder.path_text(&own)?) })
    }

    /// Checks that the directory or the file can be read.
    ///
    /// # Errors
    /// What cannot be read, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let path = &self.path;
        let opened = match self.format {
            LogFileFormat::Segments => std::fs::read_dir(path).map(drop),
            LogFileFormat::Postfix => open_regular_file(path).and_then(|mut file| file.read(&mut [0; 1])).map(drop),
        };
        opened.map_err(|error| read_problem(path, &error))
    }
}

/// The key of a format, with what it names.
fn described(format: LogFileFormat) -> &'static str {
    match format {
        LogFileFormat::Segments => "dir, the directory of the segments",
        LogFileFormat::Postfix => "path, the log file",
    }
}

/// The problem of a directory or a file that cannot be read.
#[must_use]
pub fn read_problem(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}; check log_files, and that the user of Postmeter may read it", path.display())
}

fn has_log_files(source: &Source) -> bool {
    source.hook.is_some_and(|hook| hook.log_files.is_some())
}
