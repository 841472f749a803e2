//! `/metrics` as KumoMTA really writes it: lines are checked and escaped, and then read like any other Prometheus text.
//!
//! # Forged lines
//!
//! The newer registry of KumoMTA does not escape label values. Quotes in a name are harmless: the value extends to the last quote on its
//! line that is followed by a number. Line feeds are not: a line whose value does not end is the start of a name with line feeds, and
//! the following lines are text up to the next series of the same family. Samples outside the block of their own `# TYPE` line, and
//! families with two blocks, are not trusted either ([`super::forged`]).

mod kept_lines;
mod labels;

use super::forged;
use crate::format::prometheus::{self, LastLine, PlainLine, TextFormat};
use crate::model::short_bytes::are_equal;
use crate::model::{Families, Repair, Repairs};
use crate::source::ReadError;
use kept_lines::KeptLines;
use labels::{escape, is_number, labels_end};
use std::collections::{HashMap, HashSet};

/// The limit for searching the body for the ends of names with line feeds. Without a limit, a hostile body would be searched again and
/// again.
const SEARCHES_MAX: usize = 8;

/// Reads `/metrics`.
///
/// # Errors
/// If no line is a sample, or if the body is truncated, exceeds a limit, or has no series that can be trusted.
pub fn read(body: String) -> Result<Families, ReadError> {
    let mut checker = LineChecker::new(&body);
    let mut lines = Lines { text: &body, at: 0 };
    loop {
        if !checker.keep_plain_line(&mut lines) {
            let Some(line) = lines.next() else { break };
            checker.check(line, &mut lines);
        }
    }
    checker.distrust_interrupted_families();
    let LineChecker { out, mut forged, block_counts, repairs, unreadable, .. } = checker;
    let unreadable: Vec<String> = unreadable.into_iter().map(str::to_owned).collect();
    forged.extend(block_counts.into_iter().filter(|(_, blocks)| *blocks > 1).map(|(name, _)| name.to_owned()));
    let kept = out.finish();
    let mut families = match prometheus::read_as(Some(TextFormat::Prometheus), LastLine::MustEnd, kept.unwrap_or(body)) {
        Err(ReadError::Empty) if repairs.iter().next().is_some() => {
            return Err(ReadError::Malformed("no line is a valid sample".to_owned()));
        }
        other => other?,
    };
    families.add_repairs(&repairs);
    unreadable.iter().for_each(|family| families.note_unreadable_series(Some(family)));
    forged::drop_forged(families, &forged)
}

/// Iterates over the lines of a body, including their line feeds.
#[derive(Clone)]
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    /// The text from the next line on.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = Some(self.rest()).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
        self.at += end;
        Some(&rest[..end])
    }
}

/// Separates the lines of the server from forged ones.
struct LineChecker<'a> {
    /// The lines of the server, escaped.
    out: KeptLines<'a>,
    /// The family of the last `# TYPE` line, and `true` if it is a histogram.
    block: (&'a str, bool),
    /// The name and the text of the last `# HELP` line, until its `# TYPE` line follows.
    help: Option<(&'a str, &'a str)>,
    /// The number of blocks of each family, including those inside names.
    block_counts: HashMap<&'a str, u32>,
    /// Families that are not trusted for another reason.
    forged: HashSet<String>,
    /// Families with the start of a name that contains line feeds, each with the number of blocks at that point.
    open_names: HashMap<&'a str, usize>,
    /// The families of all blocks, in order.
    blocks: Vec<&'a str>,
    /// The number of blocks up to and including the last one of a family.
    last_block: HashMap<&'a str, usize>,
    /// Samples outside of their block: the family, the number of blocks up to its own block, and the number of blocks up to the sample.
    strays: Vec<(&'a str, usize, usize)>,
    repairs: Repairs,
    /// The families with unreadable lines in their blocks.
    unreadable: HashSet<&'a str>,
    /// The number of bytes that may still be searched for the ends of names.
    search_bytes_left: usize,
}

/// The kind of a line.
enum LineKind<'a> {
    Blank,
    Help(&'a str),
    Type(&'a str, bool),
    Comment,
    /// A sample with this name. Its labels are complete.
    Sample(&'a str),
    /// A sample with this name whose labels do not end on the line.
    Unclosed(&'a str),
    Other,
}

impl<'a> LineChecker<'a> {
    fn new(body: &'a str) -> Self {
        Self {
            out: KeptLines::new(body),
            block: ("", false),
            help: None,
            block_counts: HashMap::new(),
            forged: HashSet::new(),
            open_names: HashMap::new(),
            blocks: Vec::new(),
            last_block: HashMap::new(),
            strays: Vec::new(),
            repairs: Repairs::default(),
            unreadable: HashSet::new(),
            search_bytes_left: SEARCHES_MAX * body.len(),
        }
    }

    /// Keeps the next line if it is a sample of the current block whose labels need no repair. Returns `false` if it has to be checked.
    fn keep_plain_line(&mut self, lines: &mut Lines<'a>) -> bool {
        let rest = lines.rest();
        let Some(line) = PlainLine::begin(rest).filter(|line| self.belongs(line.name)) else { return false };
        let Some(read) = line.read(|_, _| {}) else { return false };
        lines.at += read.len;
        self.help = None;
        self.out.keep(&rest[..read.len]);
        true
    }

    /// Checks a line. `rest` are the lines after it; those that belong to a name are skipped.
    fn check(&mut self, line: &'a str, rest: &mut Lines<'a>) {
        let kind = line_kind(line);
        // The reader detects a truncated body by its last line.
        if !line.ends_with('\n') && !matches!(kind, LineKind::Sample(_)) {
            self.out.keep(line);
            return;
        }
        // A help text belongs to the TYPE line that follows it.
        let help = self.help.take();
        match kind {
            LineKind::Blank | LineKind::Comment => {}
            LineKind::Help(name) => self.help = Some((name, line)),
            LineKind::Type(name, is_histogram) => {
                self.block = (name, is_histogram);
                *self.block_counts.entry(name).or_default() += 1;
                self.blocks.push(name);
                self.last_block.insert(name, self.blocks.len());
                if let Some((_, help)) = help.filter(|(family, _)| *family == name) {
                    self.out.keep(help);
                }
                self.out.keep(line);
            }
            LineKind::Sample(name) if self.belongs(name) => match escape(line) {
                Some((escaped, values)) => {
                    self.out.replace(&escaped);
                    self.repairs.add(Repair::Unescaped, values);
                }
                None => self.out.keep(line),
            },
            LineKind::Unclosed(name) if self.belongs(name) => {
                self.count_unreadable();
                self.open_names.entry(self.block.0).or_insert(self.blocks.len());
                self.skip_name(rest);
            }
            LineKind::Sample(name) | LineKind::Unclosed(name) => {
                self.repairs.count(Repair::Forged);
                // The family continues after a name with line feeds. The blocks in between belong to the name, and which of the family's
                // series do is unknown.
                if let Some(since) = self.open_names.get(name) {
                    self.forged.extend(self.blocks[*since..].iter().map(|name| (*name).to_owned()));
                    self.forged.insert(name.to_owned());
                }
                // The same may be true if the name begins like a complete series, so that no unclosed sample was found.
                if let Some(last) = self.last_block.get(name) {
                    let stray = (name, *last, self.blocks.len());
                    if self.strays.last() != Some(&stray) {
                        self.strays.push(stray);
                    }
                }
            }
            LineKind::Other => self.count_unreadable(),
        }
    }

    /// Counts an unreadable line of the current block.
    fn count_unreadable(&mut self) {
        self.repairs.count(Repair::Unreadable);
        self.unreadable.insert(self.block.0);
    }

    /// Distrusts families that continue after their block, if at most one family that occurs once is in between: a name may have
    /// interrupted the family, and which of its series belong to the name is unknown.
    fn distrust_interrupted_families(&mut self) {
        // The number of families that occur once, among the first N blocks.
        let mut single = Vec::with_capacity(self.blocks.len() + 1);
        single.push(0_usize);
        for name in &self.blocks {
            let is_single = self.block_counts.get(name) == Some(&1);
            single.push(single.last().copied().unwrap_or_default() + usize::from(is_single));
        }
        let interrupted = self.strays.iter().filter(|(_, from, to)| single[*to] - single[*from] <= 1);
        self.forged.extend(interrupted.map(|(name, ..)| (*name).to_owned()));
    }

    /// Skips the rest of a name with line feeds: up to the next series of its family, or else to the next comment.
    fn skip_name(&mut self, rest: &mut Lines<'a>) {
        let mut ahead = rest.clone();
        let mut comment = None;
        let mut types = Vec::new();
        loop {
            let at = ahead.at;
            let Some(line) = ahead.next().filter(|_| self.search_bytes_left > 0) else { break };
            self.search_bytes_left = self.search_bytes_left.saturating_sub(line.len());
            match line_kind(line) {
                LineKind::Sample(name) if self.belongs(name) => {
                    types.into_iter().for_each(|name| *self.block_counts.entry(name).or_default() += 2);
                    rest.at = at;
                    return;
                }
                LineKind::Type(name, _) => {
                    comment.get_or_insert(at);
                    types.push(name);
                }
                LineKind::Help(_) => {
                    comment.get_or_insert(at);
                }
                _ => {}
            }
        }
        rest.at = comment.unwrap_or(ahead.at);
    }

    /// Returns `true` if a sample with this name belongs to the current block. Samples before the first block contain no hostile names.
    fn belongs(&self, name: &str) -> bool {
        let (family, is_histogram) = self.block;
        if family.is_empty() {
            return true;
        }
        if are_equal(name.as_bytes(), family.as_bytes()) {
            return !is_histogram;
        }
        match name.strip_prefix(family) {
            Some("_bucket" | "_sum" | "_count") => is_histogram,
            _ => false,
        }
    }
}

fn line_kind(line: &str) -> LineKind<'_> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return LineKind::Blank;
    }
    if let Some(comment) = line.strip_prefix('#') {
        let mut tokens = comment.split_ascii_whitespace();
        return match (tokens.next(), tokens.next()) {
            (Some("TYPE"), Some(name)) => LineKind::Type(name, tokens.next() == Some("histogram")),
            (Some("HELP"), Some(name)) => LineKind::Help(name),
            _ => LineKind::Comment,
        };
    }
    let end = line.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return LineKind::Other;
    }
    let rest = rest.trim_ascii_start();
    match rest.strip_prefix('{') {
        Some(inside) if labels_end(inside).is_some() => LineKind::Sample(name),
        Some(_) => LineKind::Unclosed(name),
        None if is_number(rest) => LineKind::Sample(name),
        None => LineKind::Other,
    }
}

#[cfg(test)]
mod tests;
