//! The segment files of KumoMTA in a directory.
//!
//! KumoMTA names a segment by the time at which it was opened, appends to it, and removes the permission to write when it is complete.
//! Several are open at once if the policy writes types of records to different segments. Segments are read in the order of their names, and
//! those that were written at the same time in turn, so that records come roughly in the order of time.

use super::identity::FileIdentity;
use super::positions::{FilePosition, Positions};
use super::segment::OpenSegment;
use super::{FILE_TEXT_BYTES_MAX, ROUND_TEXT_BYTES_MAX, Round};
use crate::config::read_problem;
use crate::net::open_regular_file;
use crate::source::Hook;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The largest number of files in the directory.
const FILES_MAX: usize = 100_000;
/// The largest number of positions. Of the files that were read, the oldest share one.
const POSITIONS_MAX: usize = 2000;
/// The segments that stay open between rounds, each with the window of its decoder: 2 MiB at the usual levels, at most 128 MiB.
const OPEN_MAX: usize = 16;
/// The time after its last change after which a file is believed to be complete although it can be written.
const SETTLED_AFTER: Duration = Duration::from_secs(600);
/// A complete file is checked once in this number of rounds.
const RECHECK_ROUNDS: u64 = 60;

/// The segments in a directory. All operations block on the disk.
#[derive(Debug)]
pub(super) struct SegmentDirectory {
    dir: PathBuf,
    segments: BTreeMap<OsString, Segment>,
    /// Files with a name up to this one were read, unless they are in `segments`.
    read_until: OsString,
    /// Those of these files that were in the directory at the last look. Another one is new: the clock of its writer was set back.
    shared: Option<HashSet<OsString>>,
    round: u64,
}

/// A segment that was found.
#[derive(Debug)]
struct Segment {
    position: FilePosition,
    open: Option<OpenSegment>,
    inode: u64,
    /// The time of the last change when everything was read.
    changed: Option<SystemTime>,
    /// Everything was read, and no more is expected.
    is_settled: bool,
    /// There was more to read.
    is_behind: bool,
    /// The file was removed. What is open is read to the end.
    is_removed: bool,
    last_read: u64,
}

impl Segment {
    fn new(position: FilePosition) -> Self {
        let inode = position.identity.inode;
        Self { position, open: None, inode, changed: None, is_settled: false, is_behind: false, is_removed: false, last_read: 0 }
    }
}

impl SegmentDirectory {
    pub(super) fn new(dir: PathBuf, positions: Positions) -> Self {
        let segments = positions.files.into_iter().map(|position| (OsString::from_vec(position.name.clone()), Segment::new(position)));
        Self { dir, segments: segments.collect(), read_until: OsString::from_vec(positions.read_until), shared: None, round: 0 }
    }

    /// The positions behind everything that was read.
    pub(super) fn positions(&self) -> Positions {
        let is_read = |segment: &&Segment| segment.is_settled || segment.position.read_bytes > 0;
        let files = self.segments.values().filter(is_read).map(|segment| segment.position.clone()).collect();
        Positions { read_until: self.read_until.as_bytes().to_vec(), files, ..Positions::default() }
    }

    /// Reads the next records.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn read(&mut self, hook: &Hook, now: SystemTime) -> Result<Round, String> {
        let mut round = Round::default();
        self.round += 1;
        self.list(&mut round).map_err(|error| read_problem(&self.dir, &error))?;
        let names: Vec<OsString> = self.segments.keys().cloned().collect();
        // The last change of a segment that has more to read: later ones wait.
        let mut wait_from: Option<SystemTime> = None;
        let mut bytes = 0;
        for name in names {
            if bytes >= ROUND_TEXT_BYTES_MAX || wait_from.is_some_and(|from| opened_at(&name).is_some_and(|opened| opened > from)) {
                round.has_more = true;
                break;
            }
            match self.read_segment(&name, hook, now, &mut round) {
                Ok(Some((text, changed))) => {
                    bytes += text;
                    wait_from = wait_from.into_iter().chain(changed).min();
                }
                Ok(None) => {}
                Err(error) => drop(round.problem.get_or_insert_with(|| read_problem(&self.dir.join(&name), &error))),
            }
        }
        self.close_unused();
        self.share_positions(&mut round);
        Ok(round)
    }

    /// Finds new files and removed ones.
    fn list(&mut self, round: &mut Round) -> io::Result<()> {
        let mut found = HashSet::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_bytes().starts_with(b".") || !is_file(&entry) {
                continue;
            }
            if found.len() == FILES_MAX {
                return Err(io::Error::other(format!("there are more than {FILES_MAX} files; remove old segments")));
            }
            let is_shared = name <= self.read_until && self.shared.as_ref().is_none_or(|shared| shared.contains(&name));
            let is_known = self.segments.contains_key(&name) || is_shared;
            if let Some(segment) = self.segments.get_mut(&name) {
                segment.is_settled &= segment.inode == entry.ino();
                segment.is_removed = false;
            }
            if !is_known {
                let position = FilePosition { name: name.as_bytes().to_vec(), ..FilePosition::default() };
                self.segments.insert(name.clone(), Segment { inode: entry.ino(), ..Segment::new(position) });
                round.has_moved = true;
            }
            found.insert(name);
        }
        let is_shared = |name: &&OsString| **name <= self.read_until && !self.segments.contains_key(*name);
        self.shared = Some(found.iter().filter(is_shared).cloned().collect());
        let mut removed = Vec::new();
        for (name, segment) in self.segments.iter_mut().filter(|(name, _)| !found.contains(*name)) {
            segment.is_removed = true;
            if segment.open.is_none() {
                removed.push(name.clone());
            }
        }
        for name in removed {
            self.remove(&name, round);
        }
        Ok(())
    }

    fn remove(&mut self, name: &OsStr, round: &mut Round) {
        let Some(segment) = self.segments.remove(name) else { return };
        round.has_moved = true;
        if segment.is_behind || !segment.is_settled && segment.position.read_bytes == 0 {
            round.losses.push(format!("records are missing: {} was removed before it was read to its end", self.dir.join(name).display()));
        }
    }

    /// Reads a segment. Returns the size of the text, and the last change of the file if there is more to read.
    fn read_segment(
        &mut self,
        name: &OsStr,
        hook: &Hook,
        now: SystemTime,
        round: &mut Round,
    ) -> io::Result<Option<(usize, Option<SystemTime>)>> {
        let path = self.dir.join(name);
        let is_recheck = self.round.is_multiple_of(RECHECK_ROUNDS);
        let Some(segment) = self.segments.get_mut(name).filter(|segment| !segment.is_settled || is_recheck) else { return Ok(None) };
        let Some(metadata) = segment.prepare(&path, now, round)? else { return Ok(None) };
        let Some(open) = &mut segment.open else { return Ok(None) };
        let before = segment.position.clone();
        let read = open.read(&mut segment.position, FILE_TEXT_BYTES_MAX)?;
        segment.last_read = self.round;
        segment.position.identity.extend(&open.file)?;
        // After it has grown, the file has another end.
        segment.position.is_end_reported &= read.text.is_empty() && segment.position.read_bytes == before.read_bytes;
        round.has_moved |= segment.position != before;
        for damage in read.damages {
            round.page.unreadable += 1;
            round.losses.push(format!("records are missing: {} is {damage}; its records up to the next frame are lost", path.display()));
        }
        round.page.unreadable += read.too_long;
        if !read.text.is_empty() {
            round.page.append(hook.read(&read.text, now));
        }
        let changed = metadata.modified()?;
        segment.is_behind = read.has_more;
        if read.has_more {
            round.has_more = true;
            return Ok(Some((read.text.len(), Some(changed))));
        }
        segment.changed = Some(changed);
        if segment.is_removed || !is_written(&metadata, changed, now) {
            if !open.is_complete(&segment.position) && !segment.position.is_damaged && !segment.position.is_end_reported {
                (segment.position.is_end_reported, round.has_moved) = (true, true);
                let lines = segment.position.lines;
                round
                    .losses
                    .push(format!("records are missing: {} ends in the middle, after {lines} lines: its writer crashed", path.display()));
                round.page.unreadable += 1;
            }
            (segment.open, segment.is_settled) = (None, true);
            if segment.is_removed {
                self.remove(name, round);
            }
        }
        Ok(Some((read.text.len(), None)))
    }

    /// Closes the segments that were not read for the longest time.
    fn close_unused(&mut self) {
        let mut open: Vec<_> = self.segments.values_mut().filter(|segment| segment.open.is_some()).collect();
        let surplus = open.len().saturating_sub(OPEN_MAX);
        open.sort_by_key(|segment| segment.last_read);
        open.into_iter().take(surplus).for_each(|segment| segment.open = None);
    }

    /// Lets the oldest files that were read share a position, if there are too many.
    fn share_positions(&mut self, round: &mut Round) {
        while self.segments.len() > POSITIONS_MAX {
            let Some(oldest) = self.segments.first_entry().filter(|entry| entry.get().is_settled) else { return };
            let name = oldest.remove_entry().0;
            self.shared.get_or_insert_default().insert(name.clone());
            self.read_until = name.max(std::mem::take(&mut self.read_until));
            round.has_moved = true;
        }
    }
}

impl Segment {
    /// Opens the file if it has something to read, and begins again if it is another file than before.
    fn prepare(&mut self, path: &Path, now: SystemTime, round: &mut Round) -> io::Result<Option<Metadata>> {
        if let Some(open) = self.open.as_ref().filter(|_| self.is_removed) {
            return open.file.metadata().map(Some);
        }
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        // A link to something else.
        if !metadata.is_file() {
            return Ok(None);
        }
        let changed = metadata.modified()?;
        let is_unread = metadata.len() != self.position.read_bytes || self.changed.is_none_or(|before| before != changed);
        if !is_unread && self.open.is_none() {
            self.is_settled |= !is_written(&metadata, changed, now);
            return Ok(None);
        }
        let file = open_regular_file(path)?;
        if let Some(open) = self.open.as_ref().filter(|_| self.is_behind)
            && !self.position.identity.is_inode_of(&file)?
        {
            // The rest of the file that was replaced.
            return open.file.metadata().map(Some);
        }
        if metadata.len() < self.position.read_bytes || !self.position.identity.is_of(&file)? {
            // Of a file that was only truncated, nothing else is left to read.
            let is_new = self.position.read_bytes == 0;
            let name = std::mem::take(&mut self.position.name);
            self.position = FilePosition { name, identity: FileIdentity::of(&file)?, ..FilePosition::default() };
            (self.open, self.changed, self.is_settled) = (None, None, false);
            self.inode = self.position.identity.inode;
            round.has_moved = true;
            if !is_new {
                tracing::info!(file = %path.display(), "the segment was replaced: it is read from the start");
            }
        }
        if self.open.is_none() {
            self.is_settled = false;
            self.open = Some(OpenSegment::open(file, &self.position)?);
        }
        Ok(Some(metadata))
    }
}

/// Returns `true` if the file may still grow.
fn is_written(metadata: &Metadata, changed: SystemTime, now: SystemTime) -> bool {
    !metadata.permissions().readonly() && changed + SETTLED_AFTER > now
}

/// Returns `true` for a file, and for a link to something.
fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink())
}

/// The time at which KumoMTA opened a segment, which is its name: `20261128-144320.123456789`, perhaps with a suffix.
fn opened_at(name: &OsStr) -> Option<SystemTime> {
    let text = name.to_str()?;
    let (date, time) = (text.get(..8)?, text.get(8..15)?.strip_prefix('-')?);
    let number = |text: &str, range: std::ops::Range<usize>| text.get(range)?.parse::<i8>().ok();
    let datetime = jiff::civil::DateTime::new(
        date.get(..4)?.parse().ok()?,
        number(date, 4..6)?,
        number(date, 6..8)?,
        number(time, 0..2)?,
        number(time, 2..4)?,
        number(time, 4..6)?,
        0,
    );
    let timestamp = datetime.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(SystemTime::from(timestamp))
}

#[cfg(test)]
mod tests;
