//! The search for secrets in one text, whose work is limited: a hostile text of a hundred bytes can have millions of nested decodings.

use super::{BASE64_CHARS_MIN, BASE64_DEPTH_MAX, CUT_MARKS, LENIENT, Needle, SECRET_CHARS_MIN, fold, may_replace_another, starts_with};
use crate::net::encodings::{DecodingBudget, Unit, cut_escape, decodings};
use base64::engine::Engine;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Comparisons of characters that take as long as to decode one.
const COMPARED_CHARS_PER_DECODED: usize = 64;

/// A byte range of the text that contains a secret.
pub(super) type Span = (usize, usize);
/// Base64 text, and the number of Base64 encodings around it.
type Run = (String, usize);

/// The search for secrets in one text.
pub(super) struct Search<'a> {
    needles: &'a [Needle],
    /// The needles by their first characters, in the same order.
    by_first: HashMap<char, Vec<&'a Needle>, RandomState>,
    /// Base64 text that was searched, and whether it contains a secret. Most decodings of a text have the same.
    runs: HashMap<Run, bool>,
    budget: DecodingBudget,
}

impl<'a> Search<'a> {
    /// Returns the ranges of the text that contain a secret in any encoding, or `None` if the text has too many decodings.
    pub(super) fn run(needles: &'a [Needle], text: &str) -> Option<Vec<Span>> {
        let mut by_first: HashMap<char, Vec<&Needle>, RandomState> = HashMap::default();
        for needle in needles {
            by_first.entry(needle.0.first().copied().unwrap_or_default()).or_default().push(needle);
        }
        Self { needles, by_first, runs: HashMap::new(), budget: DecodingBudget::of_text(text) }.spans(text, 0)
    }

    /// The ranges of a text within this number of Base64 encodings.
    fn spans(&mut self, text: &str, base64_depth: usize) -> Option<Vec<Span>> {
        let mut spans = Vec::new();
        for units in decodings(text, &mut self.budget)? {
            self.find(&units, &mut spans)?;
            if base64_depth < BASE64_DEPTH_MAX {
                self.find_in_base64(&units, base64_depth, &mut spans)?;
            }
        }
        Some(spans)
    }

    /// Adds the ranges of Base64 text that contains a secret.
    fn find_in_base64(&mut self, units: &[Unit], depth: usize, spans: &mut Vec<Span>) -> Option<()> {
        for run in units.split(|unit| sextet(unit.ch).is_none()).filter(|run| run.len() >= BASE64_CHARS_MIN) {
            let key = (run.iter().filter_map(|unit| sextet(unit.ch)).collect(), depth);
            let has_secret = match self.runs.get(&key) {
                Some(known) => *known,
                None => {
                    let has_secret = self.has_secret(&key)?;
                    self.runs.insert(key, has_secret);
                    has_secret
                }
            };
            if let (true, Some(first), Some(last)) = (has_secret, run.first(), run.last()) {
                spans.push((first.start, last.end));
            }
        }
        Some(())
    }

    /// Returns true if Base64 text contains a secret: it may begin anywhere in the run, and end anywhere in a group of four.
    fn has_secret(&mut self, (run, depth): &Run) -> Option<bool> {
        for begin in 0..4 {
            let encoded = &run[begin..run.len() - usize::from((run.len() - begin) % 4 == 1)];
            let decoded = LENIENT.decode(encoded).unwrap_or_default();
            if !self.spans(&String::from_utf8_lossy(&decoded), depth + 1)?.is_empty() {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Adds the original byte ranges of secrets in these units, and of the beginning of a secret before a cut.
    fn find(&mut self, units: &[Unit], spans: &mut Vec<Span>) -> Option<()> {
        let folded: Vec<char> = units.iter().map(|unit| fold(unit.ch)).collect();
        let mut add = |start: usize, end: usize| spans.push((units[start].start, units[end - 1].end));
        for start in 0..folded.len() {
            let is_here = |needle: &&Needle| starts_with(&folded[start..], &needle.0);
            let found = if may_replace_another(folded[start]) {
                self.budget.spend(self.needles.len() / COMPARED_CHARS_PER_DECODED)?;
                self.needles.iter().find(is_here)
            } else {
                self.by_first.get(&folded[start]).and_then(|needles| needles.iter().copied().find(is_here))
            };
            if let Some(needle) = found {
                add(start, start + needle.0.len());
            }
        }
        let cuts = units.iter().enumerate().filter(|(_, unit)| CUT_MARKS.contains(&unit.ch)).map(|(at, _)| at);
        for cut in cuts.chain([units.len()]) {
            let compared: usize = self.needles.iter().map(|needle| needle.0.len().min(cut)).sum();
            self.budget.spend(compared / COMPARED_CHARS_PER_DECODED)?;
            for end in [cut, cut - cut_escape(&units[..cut])] {
                let beginning = |needle: &Needle| {
                    let longest = needle.0.len().saturating_sub(1).min(end);
                    (SECRET_CHARS_MIN..=longest).rev().find(|len| starts_with(&folded[end - len..end], &needle.0[..*len]))
                };
                if let Some(len) = self.needles.iter().filter_map(beginning).max() {
                    add(end - len, cut);
                }
            }
        }
        Some(())
    }
}

/// The character of the standard alphabet of Base64, also for that of URLs.
fn sextet(c: char) -> Option<char> {
    match c {
        '-' => Some('+'),
        '_' => Some('/'),
        c => Some(c).filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')),
    }
}
