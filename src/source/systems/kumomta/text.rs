//! `/metrics` as KumoMTA really writes it: its lines are checked and escaped, then read as any other Prometheus text.
//!
//! # Lines that a name made
//!
//! Label values of the newer registry are written without escapes. Quotes in a name do no harm: the value reaches to the last quote on
//! its line that a number follows. Newlines do. A line whose value does not close begins a name with newlines; what follows is text up
//! to the next series of its family. Samples outside the block of their own `# TYPE` line, and families
//! with two blocks, are not the server's either ([`super::forged`]).

mod labels;

use super::forged;
use crate::format::prometheus;
use crate::model::{Families, Repair, Repairs};
use crate::source::ReadError;
use labels::{escape, is_number, labels_end};
use std::collections::{HashMap, HashSet};

/// How often the body may be searched for the end of names with newlines, or a hostile one would be searched over and over.
const SEARCHES_MAX: usize = 8;

/// Reads `/metrics`.
///
/// # Errors
/// When no line of it is a sample, when it is cut short, when it is too much, or when nothing of it can be trusted.
pub fn read(body: String) -> Result<Families, ReadError> {
    let mut checked = Checked::new(&body);
    let mut lines = Lines { text: &body, at: 0 };
    while let Some(line) = lines.next() {
        checked.line(line, &mut lines);
    }
    checked.doubt_strays();
    let Checked { out, mut forged, types, repairs, .. } = checked;
    forged.extend(types.into_iter().filter(|(_, blocks)| *blocks > 1).map(|(name, _)| name.to_owned()));
    let mut families = match prometheus::read(out) {
        Err(ReadError::Empty) if repairs.iter().next().is_some() => {
            return Err(ReadError::Malformed("not one series of it can be read".to_owned()));
        }
        other => other?,
    };
    families.add_repairs(&repairs);
    forged::leave_out(families, &forged)
}

/// The lines of a body with their line feeds.
#[derive(Clone)]
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
        self.at += end;
        Some(&rest[..end])
    }
}

/// The lines that are the server's own, and what was found on the way.
struct Checked<'a> {
    /// Those lines, escaped.
    out: String,
    /// The family of the last `# TYPE` line, and whether it is a histogram.
    block: (&'a str, bool),
    /// The `# HELP` line that waits for its `# TYPE`.
    help: Option<(&'a str, &'a str)>,
    /// How many blocks each family has, those inside names included.
    types: HashMap<&'a str, u32>,
    /// Families that are not believed for another reason.
    forged: HashSet<String>,
    /// Families in which a name with a newline begins, and the blocks that began since.
    broken: HashMap<&'a str, usize>,
    /// The blocks in their order.
    blocks: Vec<&'a str>,
    /// How many blocks there were when the last one of a family had begun.
    last_block: HashMap<&'a str, usize>,
    /// Samples outside of their block: their family, how many blocks there were when that had begun, and how many there were then.
    strays: Vec<(&'a str, usize, usize)>,
    repairs: Repairs,
    /// Bytes that may still be searched for the ends of names.
    patience: usize,
}

/// What a line is.
enum Line<'a> {
    Blank,
    Help(&'a str),
    Type(&'a str, bool),
    Comment,
    /// A sample of this name whose labels, if it has any, end properly.
    Sample(&'a str),
    /// A sample of this name whose labels do not end.
    Open(&'a str),
    Other,
}

impl<'a> Checked<'a> {
    fn new(body: &str) -> Self {
        Self {
            out: String::with_capacity(body.len()),
            block: ("", false),
            help: None,
            types: HashMap::new(),
            forged: HashSet::new(),
            broken: HashMap::new(),
            blocks: Vec::new(),
            last_block: HashMap::new(),
            strays: Vec::new(),
            repairs: Repairs::default(),
            patience: SEARCHES_MAX * body.len(),
        }
    }

    fn line(&mut self, line: &'a str, rest: &mut Lines<'a>) {
        let kind = kind(line);
        // The reader detects a body that is cut off by its last line.
        if !line.ends_with('\n') && !matches!(kind, Line::Sample(_)) {
            self.out.push_str(line);
            return;
        }
        // Help belongs to the type that follows it.
        let help = self.help.take();
        match kind {
            Line::Blank | Line::Comment => {}
            Line::Help(name) => self.help = Some((name, line)),
            Line::Type(name, is_histogram) => {
                self.block = (name, is_histogram);
                *self.types.entry(name).or_default() += 1;
                self.blocks.push(name);
                self.last_block.insert(name, self.blocks.len());
                if let Some((_, help)) = help.filter(|(of, _)| *of == name) {
                    self.out.push_str(help);
                }
                self.out.push_str(line);
            }
            Line::Sample(name) if self.belongs(name) => {
                let escaped = escape(line, &mut self.out);
                self.repairs.add(Repair::Unescaped, escaped);
            }
            Line::Open(name) if self.belongs(name) => {
                self.repairs.count(Repair::Unreadable);
                self.broken.entry(self.block.0).or_insert(self.blocks.len());
                self.skip_name(rest);
            }
            Line::Sample(name) | Line::Open(name) => {
                self.repairs.count(Repair::Forged);
                // A family that goes on behind a name with a newline: the blocks between belong to the name, and which of its series do
                // is not known.
                if let Some(since) = self.broken.get(name) {
                    self.forged.extend(self.blocks[*since..].iter().map(|name| (*name).to_owned()));
                    self.forged.insert(name.to_owned());
                }
                // It may be the same where the name begins like a series that ends.
                if let Some(last) = self.last_block.get(name) {
                    let stray = (name, *last, self.blocks.len());
                    if self.strays.last() != Some(&stray) {
                        self.strays.push(stray);
                    }
                }
            }
            Line::Other => self.repairs.count(Repair::Unreadable),
        }
    }

    /// A family that goes on where only blocks that stand more than once, or a single other one, came between may have been interrupted
    /// by a name: which of its series the name holds is not known.
    fn doubt_strays(&mut self) {
        let mut single = Vec::with_capacity(self.blocks.len() + 1);
        single.push(0_usize);
        for name in &self.blocks {
            let is_single = self.types.get(name) == Some(&1);
            single.push(single.last().copied().unwrap_or_default() + usize::from(is_single));
        }
        let doubted = self.strays.iter().filter(|(_, from, to)| single[*to] - single[*from] <= 1);
        self.forged.extend(doubted.map(|(name, ..)| (*name).to_owned()));
    }

    /// Goes past the rest of a name with newlines: to the next series of its family, or else to the next comment.
    fn skip_name(&mut self, rest: &mut Lines<'a>) {
        let mut ahead = rest.clone();
        let mut comment = None;
        let mut types = Vec::new();
        loop {
            let at = ahead.at;
            let Some(line) = ahead.next().filter(|_| self.patience > 0) else { break };
            self.patience = self.patience.saturating_sub(line.len());
            match kind(line) {
                Line::Sample(name) if self.belongs(name) => {
                    types.into_iter().for_each(|name| *self.types.entry(name).or_default() += 2);
                    rest.at = at;
                    return;
                }
                Line::Type(name, _) => {
                    comment.get_or_insert(at);
                    types.push(name);
                }
                Line::Help(_) => {
                    comment.get_or_insert(at);
                }
                _ => {}
            }
        }
        rest.at = comment.unwrap_or(ahead.at);
    }

    /// Whether a sample of this name belongs to the current block. Before the first one there are no names of strangers.
    fn belongs(&self, name: &str) -> bool {
        let (family, is_histogram) = self.block;
        if family.is_empty() {
            return true;
        }
        match name.strip_prefix(family) {
            Some("") => !is_histogram,
            Some("_bucket" | "_sum" | "_count") => is_histogram,
            _ => false,
        }
    }
}

fn kind(line: &str) -> Line<'_> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Blank;
    }
    if let Some(comment) = line.strip_prefix('#') {
        let mut words = comment.split_ascii_whitespace();
        return match (words.next(), words.next()) {
            (Some("TYPE"), Some(name)) => Line::Type(name, words.next() == Some("histogram")),
            (Some("HELP"), Some(name)) => Line::Help(name),
            _ => Line::Comment,
        };
    }
    let end = line.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return Line::Other;
    }
    let rest = rest.trim_ascii_start();
    match rest.strip_prefix('{') {
        Some(inside) if labels_end(inside).is_some() => Line::Sample(name),
        Some(_) => Line::Open(name),
        None if is_number(rest) => Line::Sample(name),
        None => Line::Other,
    }
}

#[cfg(test)]
mod tests;
