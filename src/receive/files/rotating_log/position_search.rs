//! Finds the file that has the position, after a restart or after the log was truncated.

use super::super::Round;
use super::super::identity::{FileIdentity, Identified as _};
use super::super::log_files::{LogFile, first_unread, list};
use super::super::log_name::Compression;
use super::super::log_source::LogSource;
use super::RotatingLog;
use crate::model::unix_nanos;
use std::io;

impl RotatingLog {
    /// Opens the file at the saved position, or else the one that was written after it.
    pub(super) fn open_position(&mut self, round: &mut Round) -> io::Result<()> {
        if self.position.identity == FileIdentity::default() {
            return self.start_at_log(round);
        }
        if let Some(source) = self.find_position(|_| true)? {
            return self.continue_in(source);
        }
        let (is_empty, path, offset) = (self.is_at_empty_log(), self.path.display(), self.position.offset);
        let loss = match &self.moved_from {
            Some(before) => format!(
                "records may be missing: the path of the log was {} before, whose lines after byte {offset} are not read; {path} is read from its start",
                before.display()
            ),
            None => format!(
                "records may be missing: the file that was read up to byte {offset} is no longer next to {path}, and the rest of it, if there was any, cannot be read"
            ),
        };
        if self.moved_from.is_some() {
            self.start_at_log(round)?;
        } else {
            self.start_after_position(round)?;
        }
        if !is_empty {
            round.losses.push(loss);
        }
        Ok(())
    }

    /// Begins the log itself. The files that are next to it now were written before, also if a program has written to one of them since it
    /// was renamed.
    fn start_at_log(&mut self, round: &mut Round) -> io::Result<()> {
        // A directory that cannot be listed prevents reading after a rotation only.
        let changed = list(&self.path).unwrap_or_default().iter().map(|file| unix_nanos(file.changed)).max();
        self.start(LogSource::open(&self.path)?)?;
        self.position.changed_nanos = self.position.changed_nanos.max(changed.unwrap_or_default());
        round.has_moved = true;
        Ok(())
    }

    /// Finds the file that has the position: the same inode if possible, or else a copy.
    fn find_position(&self, is_wanted: impl Fn(&LogFile) -> bool) -> io::Result<Option<LogSource>> {
        let mut files = list(&self.path)?;
        files.sort_by_key(|file| file.compression != Compression::None);
        let mut copy = None;
        for file in files {
            let is_long_enough = file.compression == Compression::Gzip || file.len >= self.position.offset;
            let Ok(source) = file.open() else { continue };
            if !is_long_enough || !is_wanted(&file) || !self.position.identity.is_beginning_of(&source)? {
                continue;
            }
            if file.has_inode_of(&self.position.identity) {
                return Ok(Some(source));
            }
            // Every file begins like an empty one.
            copy = copy.or(Some(source).filter(|_| !self.is_at_empty_log()));
        }
        Ok(copy)
    }

    /// Begins the oldest file that was changed after the one at the position, which is not there any more.
    fn start_after_position(&mut self, round: &mut Round) -> io::Result<()> {
        let is_later =
            |file: &LogFile| file.is_log || self.position.changed_nanos > 0 && unix_nanos(file.changed) > self.position.changed_nanos;
        let mut next = first_unread(list(&self.path)?.into_iter().filter(is_later).collect(), |source| self.is_read(source))?;
        // The error names the reason why the log cannot be opened.
        let source = next.source.take().map_or_else(|| LogSource::open(&self.path), Ok)?;
        self.start(source)?;
        next.report_skipped(round);
        round.has_moved = true;
        Ok(())
    }

    /// If the file was truncated, reads the rest of its copy, or begins again.
    pub(super) fn follow_truncation(&mut self, round: &mut Round) -> io::Result<()> {
        let Some(source) = self.open.as_ref().filter(|source| !source.is_compressed()) else { return Ok(()) };
        let is_truncated = source.metadata()?.len() < self.position.offset || !self.position.identity.is_beginning_of(source)?;
        if !is_truncated {
            return Ok(());
        }
        if let Some(copy) = self.find_position(|file| !file.has_inode_of(&self.position.identity))? {
            round.has_moved = true;
            return self.continue_in(copy);
        }
        let loss = format!(
            "records may be missing: {} was truncated after it was read up to byte {}, and the rest of it, if there was any, is in no file next to it",
            self.path.display(),
            self.position.offset
        );
        self.start_after_position(round)?;
        round.losses.push(loss);
        Ok(())
    }

    /// If the log was empty, and was copied and truncated since, reads the copy first.
    pub(super) fn follow_copy_of_empty_log(&mut self, round: &mut Round) -> io::Result<()> {
        let Some(source) = self.open.as_ref().filter(|_| self.is_at_empty_log()) else { return Ok(()) };
        let metadata = source.metadata()?;
        let (from, to) = (self.position.changed_nanos, unix_nanos(metadata.modified()?));
        if metadata.len() == 0 {
            return Ok(());
        }
        let is_copy = |file: &LogFile| {
            let changed = unix_nanos(file.changed);
            !file.is_log && !file.has_inode_of(&self.position.identity) && from > 0 && changed > from && changed <= to
        };
        let mut next = first_unread(list(&self.path)?.into_iter().filter(is_copy).collect(), |source| self.is_read(source))?;
        match next.source.take() {
            Some(copy) => self.start(copy)?,
            None => self.position.identity.extend(source)?,
        }
        next.report_skipped(round);
        round.has_moved = true;
        Ok(())
    }
}
