//! A log file that is rotated by renaming, or by copying and truncating.
//!
//! The file at the position is found by its inode, or else by its beginning among the files next to the log: `mail.log.1` for `mail.log`.
//! It is read to its end before the file that was written after it. Files that were compressed by gzip are read, too.

use super::finished_files::FinishedFiles;
use super::identity::{FileIdentity, Identified as _};
use super::log_files::{LogFile, NextFile, first_unread, list};
use super::log_name::Compression;
use super::log_source::LogSource;
use super::positions::{FilePosition, Positions};
use super::{FILE_TEXT_BYTES_MAX, Round};
use crate::config::read_problem;
use crate::model::{system_time_zone, unix_nanos};
use crate::source::hook::postfix::{LINE_BYTES_MAX, PostfixLog};
use crate::source::{Hook, HookPage};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::warn;

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
    /// The path of the log of which the position was saved, if it was another one.
    moved_from: Option<PathBuf>,
    log: PostfixLog,
    position: FilePosition,
    open: Option<LogSource>,
    /// The last files that were read to their ends.
    finished: FinishedFiles,
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
        let is_moved = !positions.path.is_empty() && positions.path != path.as_os_str().as_bytes();
        let moved_from = is_moved.then(|| PathBuf::from(OsString::from_vec(positions.path)));
        Self { path, moved_from, log, position, open: None, finished: FinishedFiles::default(), saved: None, unsaved_lines: 0 }
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
        match self.read_files(hook, now, &mut round).map_err(|error| read_problem(&self.path, &error)) {
            // The records read before the error are kept, because the position is behind them.
            Err(problem) if round.has_moved => round.problem = Some(problem),
            read => read?,
        }
        Ok(round)
    }

    fn read_files(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<()> {
        if self.open.is_none() {
            self.open_position(round)?;
        }
        let late = self.finished.close_last(now);
        self.report_late(late, round);
        self.follow_truncation(round)?;
        self.follow_copy_of_empty_log(round)?;
        // The next file is looked for before the rest of this one is read, so that nothing is written to this one in between.
        let mut next = self.next_file().unwrap_or_else(|error| {
            round.problem = Some(read_problem(&self.path, &error));
            NextFile::default()
        });
        if self.read_lines(hook, now, round)? {
            round.has_more = true;
            return Ok(());
        }
        if let Some(source) = next.source.take() {
            if self.is_copy(&source)? {
                self.continue_in(source)?;
            } else {
                self.end_last_line(hook, now, round)?;
                next.report_skipped(round);
                self.finish_file(source, now, round)?;
            }
            (round.has_more, round.has_moved) = (true, true);
        }
        Ok(())
    }

    /// Returns `true` if the file begins like the one at the position and has everything that was read of it: a program has written the log
    /// again, as `sed -i` and `rsync` do.
    fn is_copy(&self, source: &LogSource) -> io::Result<bool> {
        let has_begun = self.position.offset > 0;
        Ok(has_begun && source.metadata()?.len() >= self.position.offset && self.position.identity.is_beginning_of(source)?)
    }

    /// Continues at the same position of a copy.
    fn continue_in(&mut self, copy: LogSource) -> io::Result<()> {
        // The time since which a log is empty finds its copies.
        if !self.is_at_empty_log() {
            // The time before the rotation is kept: lines may have been written to a renamed file since.
            if self.position.changed_nanos == 0 {
                self.position.changed_nanos = unix_nanos(copy.metadata()?.modified()?);
            }
            self.position.identity = FileIdentity::of(&copy)?;
        }
        self.open = Some(copy);
        Ok(())
    }

    /// Returns `true` if the log at the position was empty so far.
    const fn is_at_empty_log(&self) -> bool {
        self.position.offset == 0 && self.position.identity.head_bytes == 0
    }

    /// Begins a file.
    fn start(&mut self, source: LogSource) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().as_bytes().to_vec();
        let (identity, changed_nanos) = (FileIdentity::of(&source)?, unix_nanos(source.metadata()?.modified()?));
        self.position = FilePosition { name, identity, changed_nanos, ..FilePosition::default() };
        self.open = Some(source);
        self.log.begin_file();
        Ok(())
    }

    /// The file that was written after the open one, if it has something.
    fn next_file(&self) -> io::Result<NextFile> {
        let Some(open) = &self.open else { return Ok(NextFile::default()) };
        let current = open.metadata()?;
        if std::fs::metadata(&self.path).is_ok_and(|metadata| is_same(&metadata, &current)) {
            return Ok(NextFile::default());
        }
        let files = list(&self.path)?;
        let own = files.iter().find(|file| file.has_inode_of(&self.position.identity));
        let written = current.modified()?;
        // Lines may have been written to it after later files were begun.
        let saved = Some(self.position.changed_nanos).filter(|nanos| *nanos > 0).map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos));
        let changed = saved.map_or(written, |saved| saved.min(written));
        let is_next = |file: &LogFile| {
            // If it cannot be read, it may be the open one, which was compressed.
            let is_known = file.compression == Compression::Unreadable && file.changed <= written;
            file.is_after(own, changed) && file.len > 0 && !is_known && !file.has_inode_of(&self.position.identity)
        };
        let next: Vec<bool> = files.iter().map(is_next).collect();
        let files = files.into_iter().zip(next).filter_map(|(file, is_next)| is_next.then_some(file)).collect();
        first_unread(files, |source| self.is_read(source))
    }

    /// Returns `true` if a rotated file was read to its end, perhaps before it was compressed.
    fn is_read(&self, source: &LogSource) -> io::Result<bool> {
        if source.is_compressed() && !self.is_at_empty_log() && self.position.identity.is_beginning_of(source)? {
            return Ok(true);
        }
        self.finished.contains(source)
    }

    /// Begins the next file.
    fn finish_file(&mut self, source: LogSource, now: SystemTime, round: &mut Round) -> io::Result<()> {
        if let Some(finished) = self.open.take() {
            let late = self.finished.add(finished, &self.position, now);
            self.report_late(late, round);
        }
        self.start(source)
    }

    /// Reports what was written to a file after its end: of several programs that write, each opens the new file at a time of its own.
    fn report_late(&self, bytes: Option<u64>, round: &mut Round) {
        let loss = |bytes: u64| {
            format!(
                "records may be missing: {bytes} bytes were written to the log before {} after the next one had begun, and are not read; let every program that writes it open the new file when it is rotated",
                self.path.display()
            )
        };
        round.has_moved |= bytes.is_some();
        round.losses.extend(bytes.map(loss));
    }

    /// Reads lines. Returns `true` if there may be more.
    fn read_lines(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<bool> {
        let Some(source) = &mut self.open else { return Ok(false) };
        let mut bytes = vec![0; FILE_TEXT_BYTES_MAX];
        let Some(length) = source.read_at(&mut bytes, self.position.offset)? else { return Ok(true) };
        if let Some(damage) = source.take_damage() {
            (round.page.unreadable, round.has_moved) = (round.page.unreadable + 1, true);
            round.losses.push(format!("records are missing: a compressed file next to {} is damaged: {damage}", self.path.display()));
        }
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
        self.position.identity.extend(source)?;
        // The time of a renamed file is that before the rotation, which orders it among the others.
        let metadata = source.metadata()?;
        if std::fs::metadata(&self.path).is_ok_and(|log| is_same(&log, &metadata)) {
            self.position.changed_nanos = unix_nanos(metadata.modified()?);
        }
        round.has_moved = true;
        self.push(lines, hook, now, round);
        Ok(length == FILE_TEXT_BYTES_MAX)
    }

    /// Reads the last line of a file that has no end.
    fn end_last_line(&mut self, hook: &Hook, now: SystemTime, round: &mut Round) -> io::Result<()> {
        let Some(source) = &mut self.open else { return Ok(()) };
        let mut bytes = vec![0; LINE_BYTES_MAX];
        let length = source.read_at(&mut bytes, self.position.offset)?.unwrap_or_default();
        bytes.truncate(length);
        self.position.offset += length as u64;
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

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

mod position_search;
#[cfg(test)]
mod tests;
