//! A log file that is rotated by renaming, or by copying and truncating.
//!
//! The file at the position is found by its inode, or else by its beginning among the files next to the log: `mail.log.1` for `mail.log`. It is
//! read to its end before the file that was written after it.

use super::identity::FileIdentity;
use super::positions::{FilePosition, Positions};
use super::{FILE_TEXT_BYTES_MAX, Round};
use crate::config::read_problem;
use crate::model::system_time_zone;
use crate::net::open_regular_file;
use crate::source::hook::postfix::{LINE_BYTES_MAX, PostfixLog};
use crate::source::{Hook, HookPage};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime};
use tracing::warn;

/// The largest number of files next to the log that are considered.
const SIBLINGS_MAX: usize = 10_000;
/// The largest number of files that are remembered because they were read.
const FINISHED_MAX: usize = 32;
/// The extensions of files that were compressed after a rotation. They cannot be read.
const COMPRESSED: &[&[u8]] = &[b".gz", b".bz2", b".xz", b".zst", b".Z", b".zip", b".lz4"];
/// What is known of many messages is saved less often than the position, because it is large. After a crash, the lines since then are read
/// again, and their records are recognized.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of messages of which everything is saved at once.
const SAVED_AT_ONCE_MAX: usize = 500;
/// The number of lines after which everything is saved, so that their records are still recognized when they are read again.
const UNSAVED_LINES_MAX: u64 = 50_000;

/// A log that is followed. All operations block on the disk.
#[derive(Debug)]
pub(super) struct RotatingLog {
    path: PathBuf,
    log: PostfixLog,
    position: FilePosition,
    open: Option<File>,
    /// The last files that were read to their ends.
    finished: VecDeque<FileIdentity>,
    saved: Option<Instant>,
    unsaved_lines: u64,
}

impl RotatingLog {
    pub(super) fn new(path: PathBuf, positions: Positions) -> Self {
        static WARNED: Once = Once::new();
        let (zone, problem) = system_time_zone();
        if let Some(problem) = problem {
            WARNED.call_once(|| warn!("{problem}"));
        }
        let mut log = PostfixLog::new(zone).load(&positions.log_state);
        let position = positions.files.into_iter().next().unwrap_or_default();
        if position.offset == 0 {
            log.begin_file();
        }
        Self { path, log, position, open: None, finished: VecDeque::new(), saved: None, unsaved_lines: 0 }
    }

    /// The position behind everything that was read, unless it is to be saved later.
    pub(super) fn positions(&mut self, is_final: bool) -> Option<Positions> {
        let is_large = self.log.messages() > SAVED_AT_ONCE_MAX;
        let is_due = self.saved.is_none_or(|saved| saved.elapsed() >= SAVE_INTERVAL) || self.unsaved_lines > UNSAVED_LINES_MAX;
        if is_large && !is_due && !is_final {
            return None;
        }
        (self.saved, self.unsaved_lines) = (Some(Instant::now()), 0);
        Some(Positions { files: vec![self.position.clone()], log_state: self.log.save(), ..Positions::default() })
    }

    /// Reads the next records.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn read(&mut self, hook: &Hook, now: SystemTime) -> Result<Round, String> {
        let mut round = Round::default();
        self.read_files(hook, now, &mut round).map_err(|error| read_problem(&self.path, &error))?;
        Ok(round)
    }

    fn read_files(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<()> {
        if self.open.is_none() {
            self.open_position(round)?;
        }
        self.follow_truncation(round)?;
        // The next file is looked for before the rest of this one is read, so that nothing is written to this one in between.
        let next = self.next_file().unwrap_or_else(|error| {
            round.problem = Some(read_problem(&self.path, &error));
            None
        });
        if self.read_lines(hook, now, round)? {
            round.has_more = true;
            return Ok(());
        }
        if let Some(file) = next {
            if self.is_copy(&file)? {
                self.continue_in(file)?;
            } else {
                self.end_last_line(hook, now, round)?;
                self.finish_file(file)?;
            }
            (round.has_more, round.has_moved) = (true, true);
        }
        Ok(())
    }

    /// Returns `true` if the file begins like the one at the position and has everything that was read of it: a program has written the log
    /// again, as `sed -i` and `rsync` do.
    fn is_copy(&self, file: &File) -> io::Result<bool> {
        let has_begun = self.position.offset > 0;
        Ok(has_begun && file.metadata()?.len() >= self.position.offset && self.position.identity.is_beginning_of(file)?)
    }

    /// Continues at the same position of a copy.
    fn continue_in(&mut self, copy: File) -> io::Result<()> {
        self.position.identity = FileIdentity::of(&copy)?;
        self.open = Some(copy);
        Ok(())
    }

    /// Opens the file at the saved position, or else the log.
    fn open_position(&mut self, round: &mut Round) -> io::Result<()> {
        if self.position.identity == FileIdentity::default() {
            let file = open_regular_file(&self.path)?;
            self.start(file)?;
            round.has_moved = true;
            return Ok(());
        }
        if let Some(file) = self.find_position(|_| true)? {
            return self.continue_in(file);
        }
        let file = open_regular_file(&self.path)?;
        round.losses.push(format!(
            "records may be missing: the file that was read up to byte {} is no longer next to {}, and the rest of it, if there was any, cannot be read",
            self.position.offset,
            self.path.display()
        ));
        round.has_moved = true;
        self.start(file)
    }

    /// Finds the file that has the position: the same inode if possible, or else a copy.
    fn find_position(&self, is_wanted: impl Fn(&Metadata) -> bool) -> io::Result<Option<File>> {
        let mut copy = None;
        for path in self.files()? {
            let Ok(file) = open_regular_file(&path) else { continue };
            let metadata = file.metadata()?;
            if metadata.len() < self.position.offset || !is_wanted(&metadata) || !self.position.identity.is_beginning_of(&file)? {
                continue;
            }
            if self.position.identity.is_inode_of(&file)? {
                return Ok(Some(file));
            }
            copy = copy.or(Some(file));
        }
        Ok(copy)
    }

    /// The log, and the files next to it that begin with its name.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = vec![self.path.clone()];
        let name = self.path.file_name().unwrap_or_default();
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unlistable = |error: io::Error| io::Error::new(error.kind(), format!("its directory cannot be listed: {error}"));
        for entry in std::fs::read_dir(directory).map_err(unlistable)? {
            let entry = entry?;
            if is_rotated(name, &entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()) && files.len() < SIBLINGS_MAX {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    /// Begins a file.
    fn start(&mut self, file: File) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().as_bytes().to_vec();
        self.position = FilePosition { name, identity: FileIdentity::of(&file)?, ..FilePosition::default() };
        self.open = Some(file);
        self.log.begin_file();
        Ok(())
    }

    /// If the file was truncated, reads the rest of its copy, or begins again.
    fn follow_truncation(&mut self, round: &mut Round) -> io::Result<()> {
        let Some(file) = &self.open else { return Ok(()) };
        let is_truncated = file.metadata()?.len() < self.position.offset || !self.position.identity.is_beginning_of(file)?;
        if !is_truncated {
            return Ok(());
        }
        round.has_moved = true;
        let inode = self.position.identity.inode;
        if let Some(copy) = self.find_position(|metadata| metadata.ino() != inode)? {
            return self.continue_in(copy);
        }
        // The log itself, unless it has another file now.
        let file = open_regular_file(&self.path)?;
        self.start(file)
    }

    /// The file that was written after the open one, if it has something.
    fn next_file(&self) -> io::Result<Option<File>> {
        let Some(open) = &self.open else { return Ok(None) };
        let current = open.metadata()?;
        let inode_of = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        match std::fs::metadata(&self.path) {
            Ok(metadata) if inode_of(&metadata) == inode_of(&current) => return Ok(None),
            Ok(_) => {}
            // It is created by the next line.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut next: Vec<(SystemTime, bool, File)> = Vec::new();
        for path in self.files()? {
            let file = match open_regular_file(&path) {
                Ok(file) => file,
                Err(error) if path == self.path && error.kind() != ErrorKind::NotFound => return Err(error),
                Err(_) => continue,
            };
            let metadata = file.metadata()?;
            let (changed, is_log) = (metadata.modified()?, path == self.path);
            // Two files can have the same time. What is read twice is recognized.
            let is_later = changed >= current.modified()? || is_log;
            if inode_of(&metadata) == inode_of(&current) || !is_later || metadata.len() == 0 {
                continue;
            }
            let mut is_finished = false;
            for finished in &self.finished {
                is_finished |= finished.is_of(&file)?;
            }
            if is_log || !is_finished {
                next.push((changed, is_log, file));
            }
        }
        // The log itself is the last one, whatever the time.
        next.sort_by_key(|(changed, is_log, ..)| (*is_log, *changed));
        Ok(next.into_iter().next().map(|(.., file)| file))
    }

    /// Begins the next file.
    fn finish_file(&mut self, file: File) -> io::Result<()> {
        if self.finished.len() == FINISHED_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back(self.position.identity.clone());
        self.start(file)
    }

    /// Reads lines. Returns `true` if there may be more.
    fn read_lines(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<bool> {
        let Some(file) = &self.open else { return Ok(false) };
        let mut bytes = vec![0; FILE_TEXT_BYTES_MAX];
        let length = read_at(file, &mut bytes, self.position.offset)?;
        let bytes = &bytes[..length];
        let mut lines = match memchr::memrchr(b'\n', bytes) {
            Some(end) => &bytes[..=end],
            None if length > LINE_BYTES_MAX => {
                // The line does not end soon: its rest is skipped.
                round.page.unreadable += u64::from(!self.position.is_damaged);
                (self.position.is_damaged, self.position.offset) = (true, self.position.offset + length as u64);
                round.has_moved = true;
                return Ok(true);
            }
            None => return Ok(false),
        };
        self.position.offset += lines.len() as u64;
        if std::mem::take(&mut self.position.is_damaged) {
            lines = memchr::memchr(b'\n', lines).map_or(&[], |end| &lines[end + 1..]);
        }
        self.position.read_bytes = self.position.offset;
        self.position.identity.extend(file)?;
        round.has_moved = true;
        self.push(lines, hook, now, round);
        Ok(length == FILE_TEXT_BYTES_MAX)
    }

    /// Reads the last line of a file that has no end.
    fn end_last_line(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<()> {
        let Some(file) = &self.open else { return Ok(()) };
        let mut bytes = vec![0; LINE_BYTES_MAX];
        let length = read_at(file, &mut bytes, self.position.offset)?;
        bytes.truncate(length);
        if !std::mem::take(&mut self.position.is_damaged) {
            self.push(&bytes, hook, now, round);
        }
        Ok(())
    }

    fn push(&mut self, lines: &[u8], hook: &Hook, now: SystemTime, round: &mut Round) {
        self.unsaved_lines += memchr::memchr_iter(b'\n', lines).count() as u64;
        let (page, unjoined) = self.log.read(hook, lines, now);
        // Most lines of a log are those of other programs, so ignored ones are not counted.
        round.page.append(HookPage { ignored: 0, ..page });
        round.unjoined += unjoined;
    }
}

/// Returns `true` for the names of rotated files that can be read: `mail.log.1`, `mail.log-20261128`, `mail.log.old`.
fn is_rotated(log: &OsStr, name: &OsStr) -> bool {
    let Some([b'.' | b'-' | b'_', suffix @ ..]) = name.as_bytes().strip_prefix(log.as_bytes()) else { return false };
    let is_numbered = suffix.first().is_some_and(u8::is_ascii_digit) || suffix == b"old";
    is_numbered && !COMPRESSED.iter().any(|end| suffix.ends_with(end))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
