//! The Prometheus text format 0.0.4, and what of OpenMetrics 1.0 differs, as servers really write them.
//!
//! A line that cannot be read costs that line and is counted.
//!
//! # Text in a label is never a sample
//!
//! A label value may hold raw line breaks, and what follows them may look like a sample. So the line of a sample ends where its value is
//! known, not at the next line break (see `labels`). Where it cannot be known whether a quote was ever closed, the lines up to the
//! next closing quote are left out with it, or the response is refused if there is none.
//!
//! # A response that is cut off
//!
//! The format has a line feed behind each line. Where the last one has none, the response was cut off there: what is missing would read
//! as 0, and `12345` may have become `12`. Nothing of it is used. Of generic endpoints, a last line that is a sample is accepted all
//! the same, as Prometheus does; a comment is not, for samples were to follow it.

mod ending;
mod labels;
mod pending;

use super::buckets::BUCKETS_MAX;
use super::{Buckets, ReadError, number, quote};
use crate::model::{Families, FamiliesBuilder, FamilyType, READING_LIMITS, ReadingLimits, Repair, Text};
use ending::{Ending, TimestampUnit, ending, unix_nanos};
use labels::{Fault, Label, LabelSet, is_name, is_utf8_name, unescape};
use memchr::memchr;
use pending::Pending;
use std::borrow::Cow;
use std::collections::HashMap;

/// The last line of a response may lack its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLine {
    /// Then the response is cut off.
    Ends,
    /// Then it is accepted, if it is a sample.
    MayNotEnd,
}

/// Reads an exposition of a server that ends each line.
///
/// # Errors
/// When not one line of it is a sample, where it is cut off, and where it is too much.
pub fn read(body: String) -> Result<Families, ReadError> {
    read_within(READING_LIMITS, body, LastLine::Ends)
}

/// Reads an exposition of a server that may not end its last line.
///
/// # Errors
/// As those of [`read`].
pub fn read_unended(body: String) -> Result<Families, ReadError> {
    read_within(READING_LIMITS, body, LastLine::MayNotEnd)
}

/// Checks that a response in OpenMetrics, by its content type, is complete: its last line is `# EOF`.
///
/// # Errors
/// When it is not.
pub fn check_complete(content_type: &str, body: &[u8]) -> Result<(), ReadError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let last = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    if media_type.eq_ignore_ascii_case("application/openmetrics-text") && last != Some(b"# EOF") {
        return Err(ReadError::Malformed("it is incomplete: OpenMetrics that does not end with # EOF".to_owned()));
    }
    Ok(())
}

fn read_within(bounds: ReadingLimits, body: String, last_line: LastLine) -> Result<Families, ReadError> {
    Families::read_within(bounds, body, |builder| {
        let text = builder.body();
        let mut reader = Reader::new(builder, text);
        let (mut first_bad, mut last_bad) = (None, None);
        while let Some(line) = reader.next_line() {
            if reader.line(line).is_none() {
                reader.out.discard_labels();
                reader.out.repair(Repair::Unreadable);
                first_bad.get_or_insert(line);
                last_bad = Some(line);
            }
            if reader.is_too_much() {
                return Ok(());
            }
        }
        let (unclosed, patience) = (reader.unclosed, reader.patience);
        reader.pending.finish(reader.out);
        if let Some(line) = unclosed {
            return Err(ReadError::Malformed(format!("it is cut off inside a label value: `{}`", quote(line))));
        }
        if patience == 0 {
            return Err(ReadError::Malformed("too many label values in it do not end".to_owned()));
        }
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

/// Bytes that may be searched in vain for closing quotes, as a multiple of the body: a hostile body would be searched over and over.
const PATIENCE_BODIES_MAX: usize = 8;
/// The same for a small body.
const PATIENCE_BYTES_MIN: usize = 64 * 1024;

struct Reader<'b, 'a> {
    out: &'b mut FamiliesBuilder<'a>,
    text: &'a str,
    timestamps: TimestampUnit,
    /// The position of the next line.
    at: usize,
    family: Cow<'a, str>,
    help: Text,
    unit: Text,
    kind: FamilyType,
    /// Whether it has a type that OTLP does not have, so that its lines are left out.
    unsupported: bool,
    /// Whether its samples are those of OpenMetrics, whose names end in `_total` or `_info`: so does the family's then.
    suffixed: bool,
    /// Its number among the families of distributions, once it has one.
    pending_family: Option<usize>,
    pending: Pending,
    /// The types of families: one may be interrupted by another and go on.
    known: HashMap<Cow<'a, str>, Known>,
    /// The labels of the sample that is read, kept for their memory.
    labels: Vec<Label<'a>>,
    /// The next quote that can be a closing one, behind what has been searched; `None` inside when there is no other.
    next_closing: Option<Option<usize>>,
    /// Bytes that may still be searched in vain.
    patience: usize,
    /// The line of a label value that never ends.
    unclosed: Option<&'a str>,
}

/// What is known of a family by its TYPE line.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    kind: FamilyType,
    unsupported: bool,
    help: Text,
    unit: Text,
    pending_family: Option<usize>,
}

impl<'b, 'a> Reader<'b, 'a> {
    fn new(out: &'b mut FamiliesBuilder<'a>, text: &'a str) -> Self {
        Self {
            out,
            text,
            timestamps: TimestampUnit::of(text),
            at: 0,
            family: Cow::Borrowed(""),
            help: Text::default(),
            kind: FamilyType::Unknown,
            unit: Text::default(),
            unsupported: false,
            suffixed: false,
            pending_family: None,
            pending: Pending::default(),
            known: HashMap::default(),
            labels: Vec::new(),
            next_closing: None,
            patience: PATIENCE_BODIES_MAX * text.len() + PATIENCE_BYTES_MIN,
            unclosed: None,
        }
    }

    fn next_line(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        self.at += end + 1;
        Some(rest[..end].trim_ascii())
    }

    /// Whether it is beyond a bound: the builder's, or what of them is held here.
    fn is_too_much(&mut self) -> bool {
        let bounds = *self.out.limits();
        if self.out.distributions() + self.pending.len() > bounds.distributions_max {
            self.out.exceed(bounds.distributions());
        }
        if self.known.len() > bounds.types_max {
            self.out.exceed(bounds.types());
        }
        self.out.exceeded_limit().is_some() || self.patience == 0
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
        if !matches!(word, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        let Some((name, text)) = described(rest.trim_ascii_start()) else { return };
        match word {
            "HELP" => {
                self.begin(name);
                self.help = if text.contains('\\') { self.out.add_text(&unescape(text)) } else { self.out.text(text) };
                self.out.describe(Some(self.help), None);
                self.describe_pending();
            }
            "UNIT" => {
                self.begin(name);
                self.unit = self.out.text(text.trim_ascii());
                self.out.unit(self.unit);
                if let Some(known) = self.known.get_mut(&self.family) {
                    known.unit = self.unit;
                }
                self.describe_pending();
            }
            _ => {
                let word = text.trim_ascii();
                self.begin(name.clone());
                self.unsupported = word == "gaugehistogram";
                self.set_type(name, family_type(word));
            }
        }
    }

    fn describe_pending(&mut self) {
        if let Some(family) = self.pending_family {
            self.pending.describe(family, self.help, self.unit);
        }
    }

    /// Sets the type of the family that was begun last.
    fn set_type(&mut self, name: Cow<'a, str>, kind: FamilyType) {
        if kind != self.kind {
            // What came under another type goes with that one.
            self.pending_family = None;
            if kind.is_number() != self.kind.is_number() && self.out.series_of_family() > 0 {
                let name = self.out.text(&name);
                self.out.family(name, self.help, kind);
                self.out.unit(self.unit);
            }
        }
        self.kind = kind;
        let Self { unsupported, help, unit, pending_family, .. } = *self;
        self.known.insert(name, Known { kind, unsupported, help, unit, pending_family });
        self.out.describe(None, Some(kind));
    }

    /// Goes on with the family of this name, or begins it.
    fn begin(&mut self, name: Cow<'a, str>) {
        if self.family == name && !self.suffixed {
            return;
        }
        let known = self.known.get(&name).copied().unwrap_or_default();
        (self.kind, self.help, self.unit, self.pending_family) = (known.kind, known.help, known.unit, known.pending_family);
        (self.unsupported, self.suffixed) = (known.unsupported, false);
        let at = self.out.text(&name);
        self.family = name;
        self.out.family(at, self.help, self.kind);
        self.out.unit(self.unit);
    }

    /// Goes on with the distribution or the counter that a line of this name belongs to, where another family came between.
    #[expect(clippy::ptr_arg, reason = "a part of a borrowed name stays borrowed")]
    fn resume(&mut self, name: &Cow<'a, str>) {
        let rest = name.strip_prefix(&*self.family).filter(|_| !self.family.is_empty());
        if matches!(rest, Some("" | "_bucket" | "_sum" | "_count" | "_total" | "_created" | "_info" | "_gcount" | "_gsum")) {
            return;
        }
        let base = name.rfind('_').and_then(|end| Some((&name[..end], &name[end..], self.known.get(&name[..end])?)));
        let belongs = match base {
            Some((_, suffix, Known { unsupported: true, .. })) => UNSUPPORTED_LINES.contains(&suffix),
            Some((_, suffix, known)) => match known.kind {
                FamilyType::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count" | "_created"),
                FamilyType::Summary => matches!(suffix, "_sum" | "_count" | "_created"),
                kind => !suffix.is_empty() && suffix == samples_end(kind),
            },
            None => false,
        };
        if let Some((base, ..)) = base.filter(|_| belongs) {
            let end = base.len();
            self.begin(match name {
                Cow::Borrowed(name) => Cow::Borrowed(&name[..end]),
                Cow::Owned(name) => Cow::Owned(name[..end].to_owned()),
            });
        } else if self.known.contains_key(name) {
            self.begin(name.clone());
        }
    }

    fn sample(&mut self, line: &'a str) -> Option<()> {
        let end = line.bytes().position(|b| b == b'{' || b == b' ' || b == b'\t')?;
        let (name, rest) = line.split_at(end);
        (end == 0 || is_name(name, "_:")).then_some(())?;
        let mut labels = std::mem::take(&mut self.labels);
        let added = match rest.trim_ascii_start().strip_prefix('{') {
            Some(inside) => self.label_set(inside, end > 0, &mut labels).and_then(|(set, ending)| {
                let name = set.name.unwrap_or(Cow::Borrowed(name));
                self.out.count(Repair::Unescaped, set.unescaped);
                self.add(name, &mut labels, &ending)
            }),
            None => {
                labels.clear();
                ending(rest).filter(|_| end > 0).and_then(|ending| self.add(Cow::Borrowed(name), &mut labels, &ending))
            }
        };
        self.labels = labels;
        added
    }

    /// Reads the labels behind an opening brace, and what stands behind the closing one.
    fn label_set(&mut self, inside: &'a str, named: bool, labels: &mut Vec<Label<'a>>) -> Option<(LabelSet<'a>, Ending<'a>)> {
        let fault = match labels::strict(inside, named, labels) {
            Ok(set) => match whole(set, named) {
                Some(read) => return Some(read),
                None => Fault::Invalid,
            },
            Err(fault) => fault,
        };
        self.unusual_label_set(inside, named, fault, labels)
    }

    /// The same where the line alone is not as Prometheus reads it.
    #[cold]
    fn unusual_label_set(
        &mut self,
        inside: &'a str,
        named: bool,
        fault: Fault,
        labels: &mut Vec<Label<'a>>,
    ) -> Option<(LabelSet<'a>, Ending<'a>)> {
        let start = self.position(inside);
        if let Fault::Open { .. } = fault {
            let set = labels::strict(&self.text[start..], named, labels);
            let set = set.map(|set| LabelSet { behind: first_line(set.behind), ..set });
            match set.ok().and_then(|set| whole(set, named)) {
                Some((set, ending)) => {
                    self.go_on_behind(set.behind);
                    return Some((set, ending));
                }
                // At most the next label set ends what was searched.
                None => self.search_in_vain(self.at - start),
            }
        }
        if !named {
            return None;
        }
        let quotes = match labels::lenient(inside, labels) {
            Ok(set) => return whole(set, named),
            Err(Fault::Invalid) => return None,
            Err(Fault::Open { quotes }) => quotes,
        };
        // With an odd number of quotes in it the value is either closed, on a line that is no sample, or goes on.
        let may_be_closed = quotes % 2 == 1;
        let Some(closing) = self.next_closing() else {
            if !may_be_closed {
                self.unclosed.get_or_insert(inside);
            }
            return None;
        };
        let line = self.line_at(closing);
        let end = self.position(line) + line.len();
        self.search_in_vain(line.len());
        if may_be_closed && is_sample(line.trim_ascii()) {
            return None;
        }
        self.at = end + 1;
        self.search_in_vain(end - start);
        labels::lenient(&self.text[start..end], labels).ok().and_then(|set| whole(set, named))
    }

    /// Where a part of the text stands in it.
    fn position(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }

    /// Goes on with the line behind this part of one.
    fn go_on_behind(&mut self, part: &str) {
        self.at = self.position(part) + part.len() + 1;
    }

    /// The line that a position stands in.
    fn line_at(&self, position: usize) -> &'a str {
        let start = memchr::memrchr(b'\n', &self.text.as_bytes()[..position]).map_or(0, |before| before + 1);
        first_line(&self.text[start..])
    }

    fn search_in_vain(&mut self, bytes: usize) {
        self.patience = self.patience.saturating_sub(bytes);
    }

    /// The first quote from the next line on that can be a closing one.
    fn next_closing(&mut self) -> Option<usize> {
        match self.next_closing {
            Some(None) => return None,
            Some(Some(found)) if found >= self.at => return Some(found),
            _ => {}
        }
        let mut at = self.at.min(self.text.len());
        let found = loop {
            let Some(quote) = memchr(b'"', &self.text.as_bytes()[at..]) else { break None };
            // All of the line, as another label may follow the quote.
            let line = self.line_at(at + quote);
            let start = self.position(line);
            if let Some(closing) = labels::Quotes::of(line).first_closing() {
                break Some(start + closing);
            }
            at = (start + line.len() + 1).min(self.text.len());
        };
        self.next_closing = Some(found);
        found
    }

    /// Adds a sample to the family that it belongs to.
    fn add(&mut self, name: Cow<'a, str>, labels: &mut Vec<Label<'a>>, ending: &Ending<'_>) -> Option<()> {
        let timestamp = match ending.timestamp {
            Some(timestamp) => Some(self.timestamps.milliseconds(timestamp)?),
            None => None,
        };
        self.resume(&name);
        let suffix = name.strip_prefix(&*self.family).filter(|_| !self.family.is_empty());
        if self.unsupported && suffix.is_some_and(|suffix| UNSUPPORTED_LINES.contains(&suffix)) {
            self.out.repair(Repair::Unsupported);
            return Some(());
        }
        match (self.kind, suffix) {
            (FamilyType::Histogram, Some(suffix @ ("_bucket" | "_sum" | "_count"))) => {
                return self.distribution(suffix, "le", labels, (ending, timestamp));
            }
            (FamilyType::Summary, Some(suffix @ ("" | "_sum" | "_count"))) => {
                return self.distribution(suffix, "quantile", labels, (ending, timestamp));
            }
            _ => {}
        }
        // OpenMetrics: `x_total` belongs to the counter `x`, and `x_info` to the info `x`; `x_created` is no value of it.
        let end = samples_end(self.kind);
        if !end.is_empty() && suffix == Some(end) && !self.suffixed && self.out.series_of_family() == 0 {
            // From here on the family's name is this one, and the shorter one is free.
            let known = self.known.remove(&self.family).unwrap_or_default();
            self.known.insert(name.clone(), Known { kind: self.kind, ..known });
            let name = self.out.text(&name);
            self.out.rename(name);
            self.suffixed = true;
        }
        let belongs = suffix == Some(if self.suffixed { end } else { "" });
        if suffix == Some("_created") && matches!(self.kind, FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary) {
            return self.created(labels, ending.value);
        }
        if !belongs {
            self.begin(name);
        }
        for (name, value) in labels.iter() {
            let (name, value) = (self.out.text(name), self.out.text(value));
            self.out.label(name, value);
        }
        let before = self.out.series();
        self.out.timestamp(timestamp);
        self.out.number(ending.value);
        if let Some(exemplar) = ending.exemplar.filter(|_| self.out.series() > before) {
            pending::add_exemplar(self.out, exemplar);
        }
        Some(())
    }

    /// The time when a series began, on a line of its own.
    fn created(&mut self, labels: &[Label<'a>], seconds: f64) -> Option<()> {
        let nanos = unix_nanos(seconds)?;
        if self.kind == FamilyType::Counter {
            self.out.created(labels.iter().map(|(name, value)| (&**name, &**value)), nanos);
        } else {
            let family = self.pending_family.unwrap_or_else(|| self.begin_distributions());
            self.pending.at(self.out, family, labels).created.get_or_insert(nanos);
        }
        Some(())
    }

    /// A line of a histogram or a summary; `place` is the label that its buckets or quantiles have.
    fn distribution(
        &mut self,
        suffix: &str,
        place: &str,
        labels: &mut Vec<Label<'a>>,
        (ending, timestamp): (&Ending<'_>, Option<i64>),
    ) -> Option<()> {
        let value = ending.value;
        let bound = match suffix {
            "_sum" | "_count" => None,
            _ => {
                let at = labels.iter().position(|(name, _)| name == place)?;
                Some(number::parse(labels.remove(at).1.as_bytes())?)
            }
        };
        let family = match self.pending_family {
            Some(family) => family,
            None => self.begin_distributions(),
        };
        let exemplar = ending.exemplar.map(|text| self.out.text(text));
        if exemplar.is_some() && suffix != "_bucket" {
            self.out.repair(Repair::ExemplarDropped);
        }
        let distribution = self.pending.at(self.out, family, labels);
        // A line without a timestamp is of whichever sample stands there.
        match (distribution.timestamp, timestamp) {
            (Some(newest), Some(timestamp)) if timestamp < newest => {
                self.out.repair(Repair::DuplicateSeries);
                return Some(());
            }
            (Some(newest), Some(timestamp)) if timestamp > newest => {
                (distribution.buckets, distribution.timestamp) = (Buckets::default(), Some(timestamp));
                distribution.exemplars.clear();
                self.out.repair(Repair::DuplicateSeries);
            }
            (None, Some(_)) => distribution.timestamp = timestamp,
            _ => {}
        }
        if let Some(exemplar) = exemplar.filter(|_| suffix == "_bucket" && distribution.exemplars.len() < BUCKETS_MAX) {
            distribution.exemplars.push(exemplar);
        }
        let buckets = &mut distribution.buckets;
        match (suffix, bound) {
            // The first of several is kept; buckets that stand twice are counted when all are there.
            ("_sum", _) if buckets.sum.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_count", _) if buckets.count.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_sum", _) => buckets.sum = Some(value),
            ("_count", _) => buckets.count = Some(value),
            // One more than there may be, which is counted when all are there.
            (_, Some(_)) if buckets.counts.len() > BUCKETS_MAX => {}
            (_, Some(bound)) => buckets.counts.push((bound, value)),
            _ => return None,
        }
        Some(())
    }

    fn begin_distributions(&mut self) -> usize {
        let name = self.out.text(&self.family);
        let family = self.pending.begin(name, self.help, self.unit, self.kind);
        self.pending_family = Some(family);
        if let Some(known) = self.known.get_mut(&self.family) {
            known.pending_family = Some(family);
        }
        family
    }
}

/// A label set with the end of its sample, where both can be read and the metric has one name.
fn whole<'a>(set: LabelSet<'a>, named: bool) -> Option<(LabelSet<'a>, Ending<'a>)> {
    let ending = ending(set.behind)?;
    (named || set.name.is_some()).then_some((set, ending))
}

/// Whether a line is a sample as Prometheus reads it.
fn is_sample(line: &str) -> bool {
    let Some(end) = line.bytes().position(|b| b == b'{' || b == b' ' || b == b'\t') else { return false };
    let (name, rest) = line.split_at(end);
    let set = |inside| labels::strict(inside, end > 0, &mut Vec::new()).ok().and_then(|set| whole(set, end > 0)).is_some();
    let rest = rest.trim_ascii_start();
    (end == 0 || is_name(name, "_:")) && rest.strip_prefix('{').map_or_else(|| end > 0 && ending(rest).is_some(), set)
}

fn first_line(text: &str) -> &str {
    memchr(b'\n', text.as_bytes()).map_or(text, |end| &text[..end])
}

/// The name that a HELP or TYPE line is about, and the text behind it.
fn described(rest: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some(inside) = rest.strip_prefix('"') {
        let (name, end) = labels::quoted(inside, 0, &mut 0).ok()?;
        return is_utf8_name(&name).then_some((name, inside[end..].trim_ascii_start()));
    }
    let (name, text) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((Cow::Borrowed(name), text))
}

fn family_type(word: &str) -> FamilyType {
    match word {
        "counter" => FamilyType::Counter,
        "gauge" => FamilyType::Gauge,
        "histogram" => FamilyType::Histogram,
        "summary" => FamilyType::Summary,
        "info" => FamilyType::Info,
        "stateset" => FamilyType::StateSet,
        _ => FamilyType::Unknown,
    }
}

/// What OpenMetrics appends to the name of such a family in its samples.
fn samples_end(kind: FamilyType) -> &'static str {
    match kind {
        FamilyType::Counter => "_total",
        FamilyType::Info => "_info",
        _ => "",
    }
}

/// What OpenMetrics appends to the name of a gauge histogram, which OTLP does not have.
const UNSUPPORTED_LINES: [&str; 6] = ["_bucket", "_gcount", "_gsum", "_count", "_sum", "_created"];

#[cfg(test)]
mod tests;
