//! The Prometheus text format 0.0.4, and what of OpenMetrics 1.0 differs, as servers really write them.
//!
//! A line that cannot be read costs that line and is counted. Quotes inside a label value that the server did not escape
//! are told by what follows: only `,` or `}` can stand behind a closing quote.
//!
//! # An answer that is cut off
//!
//! The format has a line feed behind each line. Where the last one has none, the answer was cut off there: what is missing would read as
//! 0, and `12345` may have become `12`. Nothing of it is taken. Of endpoints that nobody knows, a last line that is a sample is taken all
//! the same, as Prometheus takes it; a comment is not, for behind it samples were to come.

use super::buckets::BUCKETS_MAX;
use super::{Buckets, ReadError, number, quantiles, quote};
use crate::model::{BOUNDS, Bounds, Families, FamiliesBuilder, FamilyType, LABELS_PER_SERIES_MAX, Repair, Text};
use memchr::{memchr, memchr2};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// The last line of an answer may lack its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLine {
    /// Then the answer is cut off.
    Ends,
    /// Then it is taken, if it is a sample.
    MayNotEnd,
}

/// Reads an exposition of a server that ends each line.
///
/// # Errors
/// When not one line of it is a sample, where it is cut off, and where it is too much.
pub fn read(body: String) -> Result<Families, ReadError> {
    read_within(BOUNDS, body, LastLine::Ends)
}

/// Reads an exposition of a server that may not end its last line.
///
/// # Errors
/// As those of [`read`].
pub fn read_unended(body: String) -> Result<Families, ReadError> {
    read_within(BOUNDS, body, LastLine::MayNotEnd)
}

fn read_within(bounds: Bounds, body: String, last_line: LastLine) -> Result<Families, ReadError> {
    Families::read_within(bounds, body, |builder| {
        let text = builder.body();
        let mut reader = Reader {
            out: builder,
            family: "",
            kind: FamilyType::Unknown,
            total: false,
            pending: Pending::default(),
            known: HashMap::default(),
            timestamps: if text.trim_ascii_end().ends_with("# EOF") { TimestampUnit::Seconds } else { TimestampUnit::Milliseconds },
        };
        let (mut first_bad, mut last_bad) = (None, None);
        for line in Lines(text) {
            if reader.line(line).is_none() {
                reader.out.forget_labels();
                reader.out.repair(Repair::Unreadable);
                first_bad.get_or_insert(line);
                last_bad = Some(line);
            }
            if reader.is_too_much() {
                return Ok(());
            }
        }
        reader.flush();
        match (reader.out.series(), first_bad) {
            (0, Some(line)) => Err(ReadError::Malformed(format!("no line of it is a sample; the first is `{}`", quote(line)))),
            (0, None) if reader.out.has_repairs() => Err(ReadError::Malformed("not one series of it can be read".to_owned())),
            (0, None) => Err(ReadError::Empty),
            _ => match cut_off(text, last_bad, last_line) {
                Some(line) => Err(ReadError::Malformed(format!("it is cut off: its last line `{}` does not end", quote(line)))),
                None => Ok(()),
            },
        }
    })
}

/// The last line, where the text is cut off in it.
fn cut_off<'a>(text: &'a str, last_bad: Option<&str>, last_line: LastLine) -> Option<&'a str> {
    let unended = text.rsplit('\n').next().map(str::trim_ascii).filter(|line| !line.is_empty())?;
    let whole = match unended.strip_prefix('#') {
        Some(comment) => comment.trim_ascii() == "EOF",
        None => last_line == LastLine::MayNotEnd && last_bad != Some(unended),
    };
    (!whole).then_some(unended)
}

/// A longer name is no name: it would stand in every line and every point of its series.
const NAME_BYTES_MAX: usize = 1024;

struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.0.as_bytes()).unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(line.trim_ascii())
    }
}

/// A label and its value; owned where an escape was resolved.
type Label<'a> = (&'a str, Cow<'a, str>);

/// Distributions of the current family.
#[derive(Default)]
struct Pending {
    /// By the hash of their labels without `le` or `quantile`, in whatever order those stand.
    places: HashMap<u64, usize>,
    seed: RandomState,
    /// The labels of all of them, one after the other.
    labels: Vec<(Text, Text)>,
    all: Vec<Distribution>,
}

struct Distribution {
    labels: Range<usize>,
    buckets: Buckets,
    /// The newest explicit timestamp of its lines, in Unix milliseconds.
    timestamp: Option<i64>,
}

/// What an explicit timestamp counts since the beginning of 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimestampUnit {
    /// In OpenMetrics, which ends with `# EOF`.
    Seconds,
    /// In the text format.
    Milliseconds,
}

struct Reader<'b, 'a> {
    out: &'b mut FamiliesBuilder<'a>,
    family: &'a str,
    kind: FamilyType,
    /// Whether its samples are those of a counter of OpenMetrics, whose names end in `_total`: so does the family's then.
    total: bool,
    pending: Pending,
    /// What families said that they are: one may be interrupted by another and go on.
    known: HashMap<&'a str, FamilyType>,
    timestamps: TimestampUnit,
}

impl<'a> Reader<'_, 'a> {
    /// Whether it is beyond a bound: the builder's, or what of them is held here.
    fn is_too_much(&mut self) -> bool {
        let bounds = *self.out.bounds();
        if self.out.distributions() + self.pending.all.len() > bounds.distributions_max {
            self.out.refuse(bounds.distributions());
        }
        if self.known.len() > bounds.types_max {
            self.out.refuse(bounds.types());
        }
        self.out.too_much().is_some()
    }

    /// `None` when the line is neither a sample nor a comment.
    fn line(&mut self, line: &'a str) -> Option<()> {
        if line.is_empty() {
            return Some(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.comment(comment);
            return Some(());
        }
        self.sample(line)
    }

    fn comment(&mut self, comment: &'a str) {
        let comment = comment.trim_ascii_start();
        let Some((word, rest)) = comment.split_once([' ', '\t']) else { return };
        let rest = rest.trim_ascii_start();
        let (name, said) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        match word {
            "HELP" => {
                self.begin(name);
                let help = if said.contains('\\') { self.out.own(&unescape(said)) } else { self.out.text(said) };
                self.out.describe(Some(help), None);
            }
            "TYPE" => {
                self.begin(name);
                // Said twice: what was read so far is what was said first.
                self.flush();
                self.kind = family_type(said.trim_ascii());
                self.known.insert(name, self.kind);
                self.out.describe(None, Some(self.kind));
            }
            _ => {}
        }
    }

    /// Goes on with the family of this name, or begins it.
    fn begin(&mut self, name: &'a str) {
        if self.family == name && !self.total {
            return;
        }
        self.flush();
        self.family = name;
        (self.kind, self.total) = (self.known.get(name).copied().unwrap_or_default(), false);
        let name = self.out.text(name);
        self.out.family(name, Default::default(), self.kind);
    }

    /// Goes on with the distribution or the counter that a line of this name belongs to, where another family came between.
    fn resume(&mut self, name: &'a str) {
        let rest = name.strip_prefix(self.family).filter(|_| !self.family.is_empty());
        if matches!(rest, Some("" | "_bucket" | "_sum" | "_count" | "_total" | "_created")) {
            return;
        }
        let base = name.rfind('_').and_then(|end| Some((&name[..end], &name[end..], *self.known.get(&name[..end])?)));
        let belongs = match base {
            Some((_, suffix, FamilyType::Histogram)) => matches!(suffix, "_bucket" | "_sum" | "_count"),
            Some((_, suffix, FamilyType::Summary)) => matches!(suffix, "_sum" | "_count"),
            Some((_, suffix, FamilyType::Counter)) => suffix == "_total",
            _ => false,
        };
        if let Some((base, ..)) = base.filter(|_| belongs) {
            self.begin(base);
        } else if self.known.contains_key(name) {
            self.begin(name);
        }
    }

    fn sample(&mut self, line: &'a str) -> Option<()> {
        let end = line.bytes().position(|b| b == b'{' || b == b' ' || b == b'\t')?;
        let (name, rest) = line.split_at(end);
        is_name(name, "_:").then_some(())?;
        self.resume(name);
        let suffix = name.strip_prefix(self.family).filter(|_| !self.family.is_empty());
        match (self.kind, suffix) {
            (FamilyType::Histogram, Some(suffix @ ("_bucket" | "_sum" | "_count"))) => return self.distribution(suffix, "le", rest),
            (FamilyType::Summary, Some(suffix @ ("" | "_sum" | "_count"))) => return self.distribution(suffix, "quantile", rest),
            _ => {}
        }
        let rest = rest.trim_ascii_start();
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => self.labels(inside)?,
            None => (Vec::new(), rest),
        };
        let (value, timestamp) = value(rest, self.timestamps)?;
        // OpenMetrics: `x_total` belongs to the counter `x`; `x_created` is no value of it.
        if suffix == Some("_total") && self.kind == FamilyType::Counter && !self.total && self.out.series_of_family() == 0 {
            // From here on the counter's name is this one, and the shorter one is free.
            self.known.remove(self.family);
            self.known.insert(name, FamilyType::Counter);
            let name = self.out.text(name);
            self.out.rename(name);
            self.total = true;
        }
        let belongs = suffix == Some(if self.total { "_total" } else { "" });
        if suffix == Some("_created") && !matches!(self.kind, FamilyType::Unknown | FamilyType::Gauge) {
            return Some(());
        }
        if !belongs {
            self.begin(name);
        }
        for (name, value) in labels {
            self.push_label(name, value);
        }
        self.out.timestamp(timestamp);
        self.out.number(value);
        Some(())
    }

    /// A line of a histogram or a summary; `place` is the label that its buckets or quantiles have.
    fn distribution(&mut self, suffix: &str, place: &str, rest: &'a str) -> Option<()> {
        let (mut labels, rest) = match rest.trim_ascii_start().strip_prefix('{') {
            Some(inside) => self.labels(inside)?,
            None => (Vec::new(), rest),
        };
        let (value, timestamp) = value(rest, self.timestamps)?;
        let bound = match suffix {
            "_sum" | "_count" => None,
            _ => {
                let at = labels.iter().position(|(name, _)| *name == place)?;
                Some(number::parse(labels.remove(at).1.as_bytes())?)
            }
        };
        let distribution = self.pending.at(self.out, labels);
        match distribution.timestamp.cmp(&timestamp) {
            Ordering::Equal => {}
            // The lines of an older sample of the same series.
            Ordering::Greater => return Some(self.out.repair(Repair::DuplicateSeries)),
            Ordering::Less => {
                let older = std::mem::take(&mut distribution.buckets);
                distribution.timestamp = timestamp;
                if !older.is_empty() {
                    self.out.repair(Repair::DuplicateSeries);
                }
            }
        }
        let buckets = &mut distribution.buckets;
        match (suffix, bound) {
            // Of what stands twice the first is kept; a bucket that stands twice is told when all are there.
            ("_sum", _) if buckets.sum.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_count", _) if buckets.count.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_sum", _) => buckets.sum = Some(value),
            ("_count", _) => buckets.count = Some(value),
            // One more than there may be: whoever finishes them tells.
            (_, Some(_)) if buckets.counts.len() > BUCKETS_MAX => {}
            (_, Some(bound)) => buckets.counts.push((bound, value)),
            _ => return None,
        }
        Some(())
    }

    /// Ends a family: its distributions are complete now.
    fn flush(&mut self) {
        if self.pending.all.is_empty() {
            return;
        }
        let Pending { labels, all, .. } = std::mem::take(&mut self.pending);
        for Distribution { labels: range, buckets, timestamp } in all {
            let labels = labels.get(range).unwrap_or_default();
            self.out.timestamp(timestamp);
            if self.kind == FamilyType::Summary {
                let (summary, repairs) = quantiles::summary(buckets);
                labels.iter().for_each(|(name, value)| self.out.label(*name, *value));
                self.out.summary(summary);
                self.out.repairs(&repairs);
                continue;
            }
            match buckets.finish() {
                Ok((histogram, repairs)) => {
                    labels.iter().for_each(|(name, value)| self.out.label(*name, *value));
                    self.out.histogram(histogram);
                    self.out.repairs(&repairs);
                }
                Err(repair) => self.out.repair(repair),
            }
        }
        self.out.timestamp(None);
    }

    fn push_label(&mut self, name: &'a str, value: Cow<'a, str>) {
        let (name, value) = kept(self.out, name, value);
        self.out.label(name, value);
    }

    /// Labels up to the closing brace, and what stands behind it.
    fn labels(&mut self, mut rest: &'a str) -> Option<(Vec<Label<'a>>, &'a str)> {
        let mut labels = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if let Some(behind) = rest.strip_prefix('}') {
                return Some((labels, behind));
            }
            let (name, behind) = rest.split_at(memchr(b'=', rest.as_bytes())?);
            let inside = behind[1..].trim_ascii_start().strip_prefix('"')?;
            let name = name.trim_ascii_end();
            // Anything else as a name is the rest of a value that a quote and a comma seemed to end.
            is_name(name, "_").then_some(())?;
            let (value, behind) = self.label_value(inside)?;
            labels.push((name, value));
            // One of them may be `le`.
            (labels.len() <= LABELS_PER_SERIES_MAX + 1).then_some(())?;
            rest = behind;
        }
    }

    /// A label value up to its closing quote, and what stands behind it.
    fn label_value(&mut self, inside: &'a str) -> Option<(Cow<'a, str>, &'a str)> {
        let bytes = inside.as_bytes();
        let (mut at, mut bare_quotes, mut escapes, mut sound) = (0, false, false, None);
        loop {
            at += memchr2(b'"', b'\\', &bytes[at..])?;
            if bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n')) {
                // `\"` closes the value where the next bare quote could not: a server that escapes nothing wrote it.
                if bytes[at + 1] == b'"' && closes(&bytes[at + 2..]) && !*sound.get_or_insert_with(|| bare_quote_closes(&bytes[at + 2..])) {
                    self.out.repair(Repair::Unescaped);
                    at += 1;
                    break;
                }
                escapes = true;
                at += 2;
                continue;
            }
            if bytes[at] == b'\\' {
                self.out.repair(Repair::Unescaped);
                escapes = true;
                at += 1;
                continue;
            }
            if closes(&bytes[at + 1..]) {
                break;
            }
            (bare_quotes, sound) = (true, None);
            at += 1;
        }
        if bare_quotes {
            self.out.repair(Repair::Unescaped);
        }
        let value = &inside[..at];
        let value = if escapes { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) };
        Some((value, &inside[at + 1..]))
    }
}

impl Pending {
    /// What has been read of the distribution with these labels.
    fn at<'a>(&mut self, out: &mut FamiliesBuilder<'a>, labels: Vec<Label<'a>>) -> &mut Distribution {
        // Servers write one histogram after the other, so it is nearly always the last.
        let place = match self.all.last() {
            Some(last) if self.is_written_so(out, last, &labels) => self.all.len() - 1,
            _ => self.find(out, labels),
        };
        &mut self.all[place]
    }

    fn find<'a>(&mut self, out: &mut FamiliesBuilder<'a>, labels: Vec<Label<'a>>) -> usize {
        let mut hash = labels.iter().fold(0_u64, |sum, label| sum.wrapping_add(self.seed.hash_one(label)));
        while let Some(place) = self.places.get(&hash) {
            if self.has(out, &self.all[*place], &labels) {
                return *place;
            }
            hash = hash.wrapping_add(1);
        }
        self.places.insert(hash, self.all.len());
        let first = self.labels.len();
        self.labels.extend(labels.into_iter().map(|(name, value)| kept(out, name, value)));
        self.all.push(Distribution { labels: first..self.labels.len(), buckets: Buckets::default(), timestamp: None });
        self.all.len() - 1
    }

    /// Whether it has these labels in this order.
    fn is_written_so(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let its = &self.labels[distribution.labels.clone()];
        let mut pairs = its.iter().zip(labels);
        its.len() == labels.len() && pairs.all(|((name, value), label)| out.read(*value) == label.1 && out.read(*name) == label.0)
    }

    /// Whether it has these labels in any order.
    fn has(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let its = &self.labels[distribution.labels.clone()];
        let is_its = |label: &Label<'_>| its.iter().any(|(name, value)| out.read(*value) == label.1 && out.read(*name) == label.0);
        its.len() == labels.len() && labels.iter().all(is_its)
    }
}

/// A label's positions, or those of what had to be mended of it.
fn kept<'a>(out: &mut FamiliesBuilder<'a>, name: &'a str, value: Cow<'a, str>) -> (Text, Text) {
    let name = out.text(name);
    let value = match value {
        Cow::Borrowed(value) => out.text(value),
        Cow::Owned(value) => out.own(&value),
    };
    (name, value)
}

/// Whether it is a name of letters, digits and these others.
fn is_name(text: &str, others: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || others.as_bytes().contains(&b))
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && text.len() <= NAME_BYTES_MAX
}

/// Whether a quote before `behind` can be the closing one.
fn closes(behind: &[u8]) -> bool {
    matches!(behind.trim_ascii_start().first(), Some(b',' | b'}'))
}

/// Whether the next quote without a backslash can be a closing one.
fn bare_quote_closes(mut rest: &[u8]) -> bool {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return closes(&rest[at + 1..]);
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// `\\`, `\"` and `\n` resolved; any other backslash stands for itself.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let resolved = (c == '\\').then(|| match chars.peek() {
            Some('\\') => Some('\\'),
            Some('"') => Some('"'),
            Some('n') => Some('\n'),
            _ => None,
        });
        match resolved.flatten() {
            Some(resolved) => {
                chars.next();
                out.push(resolved);
            }
            None => out.push(c),
        }
    }
    out
}

/// The value of a sample and its explicit timestamp in Unix milliseconds; an exemplar behind them is not read.
fn value(rest: &str, unit: TimestampUnit) -> Option<(f64, Option<i64>)> {
    let rest = rest.trim_ascii_start();
    let (value, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let rest = rest.trim_ascii();
    let timestamp = match rest.split(['#', ' ']).next().unwrap_or_default() {
        "" => None,
        timestamp => Some(milliseconds(number::parse(timestamp.as_bytes())?, unit)?),
    };
    Some((number::parse(value.as_bytes())?, timestamp))
}

/// The largest timestamp in milliseconds whose nanoseconds fit into 64 bits.
const MILLISECONDS_MAX: f64 = (i64::MAX / 1_000_000) as f64;

fn milliseconds(timestamp: f64, unit: TimestampUnit) -> Option<i64> {
    let milliseconds = match unit {
        TimestampUnit::Seconds => timestamp * 1000.0,
        TimestampUnit::Milliseconds => timestamp,
    };
    (milliseconds.abs() <= MILLISECONDS_MAX).then(|| milliseconds.round() as i64)
}

fn family_type(word: &str) -> FamilyType {
    match word {
        "counter" => FamilyType::Counter,
        "gauge" => FamilyType::Gauge,
        "histogram" => FamilyType::Histogram,
        "summary" => FamilyType::Summary,
        _ => FamilyType::Unknown,
    }
}

#[cfg(test)]
mod tests;
