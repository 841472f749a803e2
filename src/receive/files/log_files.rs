//! The log and the rotated files next to it.

use super::Round;
use super::identity::FileIdentity;
use super::log_name::{Compression, GZIP_EXTENSION, RotatedName};
use super::log_source::LogSource;
use crate::config::read_problem;
use crate::net::open_regular_file;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The largest number of files next to the log that are considered.
const SIBLINGS_MAX: usize = 10_000;

/// The log, or a rotated file next to it.
#[derive(Debug)]
pub(super) struct LogFile {
    pub path: PathBuf,
    pub is_log: bool,
    pub compression: Compression,
    pub len: u64,
    pub changed: SystemTime,
    /// The date in its name, as it is compared.
    date: Option<(u8, usize, Vec<u8>)>,
    device: u64,
    inode: u64,
}

impl LogFile {
    fn new(path: PathBuf, metadata: &Metadata, name: Option<RotatedName<'_>>) -> io::Result<Self> {
        let (device, inode) = (metadata.dev(), metadata.ino());
        let date = name.and_then(|name| name.date()).map(|(separator, length, date)| (separator, length, date.to_vec()));
        let compression = name.map_or(Compression::None, |name| name.compression);
        let (is_log, changed) = (name.is_none(), metadata.modified()?);
        Ok(Self { path, is_log, compression, len: metadata.len(), changed, date, device, inode })
    }

    /// Returns `true` if it has the inode of the identity.
    pub(super) const fn has_inode_of(&self, identity: &FileIdentity) -> bool {
        self.device == identity.device && self.inode == identity.inode
    }

    /// Opens the file, or the one that it has been compressed to.
    pub(super) fn open(&self) -> io::Result<LogSource> {
        if self.compression == Compression::Unreadable {
            return Err(io::Error::new(ErrorKind::Unsupported, "it is compressed, but not by gzip"));
        }
        match LogSource::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_log && self.compression == Compression::None => {
                LogSource::open(&with_extension(&self.path, GZIP_EXTENSION))
            }
            opened => opened,
        }
    }

    /// Returns `true` if it was written after the other file, by the dates in their names if both have one: the clock may have been set
    /// back between two rotations. Of files with the same time, the names decide, so that none follows itself.
    pub(super) fn is_after(&self, other: Option<&Self>, other_changed: SystemTime) -> bool {
        match (&self.date, other.and_then(|other| other.date.as_ref())) {
            (Some(own), Some(other)) if own.0 == other.0 => own > other,
            _ if self.is_log || self.changed > other_changed => true,
            _ => self.changed == other_changed && other.is_none_or(|other| self.name_order() > other.name_order()),
        }
    }

    /// The order of files with the same time: most rotations count up from the newest file.
    fn name_order(&self) -> Reverse<(usize, &Path)> {
        Reverse((self.path.as_os_str().len(), &self.path))
    }
}

/// Lists the log, if it exists, and the files next to it that begin with its name.
pub(super) fn list(log: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    match std::fs::metadata(log) {
        Ok(metadata) if !metadata.is_file() => drop(open_regular_file(log)?),
        Ok(metadata) => files.push(LogFile::new(log.to_owned(), &metadata, None)?),
        // It is created by the next line.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let name = log.file_name().unwrap_or_default();
    let directory = log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unlistable = |error: io::Error| io::Error::new(error.kind(), format!("its directory cannot be listed: {error}"));
    for entry in std::fs::read_dir(directory).map_err(unlistable)? {
        let (entry, file_name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let Some(rotated) = RotatedName::parse(name, &file_name) else { continue };
        // A link is not followed, and a file may have been renamed or removed.
        let Ok(metadata) = std::fs::symlink_metadata(&entry) else { continue };
        if metadata.is_file() && files.len() < SIBLINGS_MAX {
            files.push(LogFile::new(entry, &metadata, Some(rotated))?);
        }
    }
    // A compressed file is incomplete while the file that it is made of exists.
    let plain: HashSet<PathBuf> = files.iter().filter(|file| file.compression == Compression::None).map(|file| file.path.clone()).collect();
    files.retain(|file| file.compression == Compression::None || !plain.contains(&file.path.with_extension("")));
    Ok(files)
}

/// The file that is read next.
#[derive(Debug, Default)]
pub(super) struct NextFile {
    /// `None`: there is nothing more.
    pub source: Option<LogSource>,
    /// Files before it that cannot be read, and the reasons.
    skipped: Vec<String>,
}

impl NextFile {
    /// Reports the files that were written before it and cannot be read.
    pub(super) fn report_skipped(&self, round: &mut Round) {
        round.losses.extend(self.skipped.iter().map(|problem| format!("records are missing: {problem}")));
    }
}

/// Opens the first of these files that was not read: the oldest one, and the log itself at the end, whatever the time.
pub(super) fn first_unread(mut files: Vec<LogFile>, is_read: impl Fn(&LogSource) -> io::Result<bool>) -> io::Result<NextFile> {
    let has_dates = files.iter().all(|file| file.is_log || file.date.is_some());
    files.sort_by(|one, other| {
        let by_time = || (one.changed, one.name_order()).cmp(&(other.changed, other.name_order()));
        one.is_log.cmp(&other.is_log).then_with(|| if has_dates { one.date.cmp(&other.date) } else { by_time() })
    });
    let mut next = NextFile::default();
    for file in files {
        match file.open() {
            Ok(source) if file.is_log || !is_read(&source)? => {
                next.source = Some(source);
                break;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if file.is_log => return Err(error),
            Err(error) => next.skipped.push(read_problem(&file.path, &error)),
        }
    }
    Ok(next)
}

fn with_extension(path: &Path, extension: &[u8]) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(std::ffi::OsStr::from_bytes(extension));
    name.into()
}
