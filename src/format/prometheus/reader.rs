//! Reads comments and samples line by line, and assigns samples to their families.

use super::labels::{Label, is_name};
use super::pending::{self, PendingDistributions};
use super::plain_line::PlainLine;
use super::sample_value::{SampleValue, parse_sample_value, start_nanos};
use super::text_format::TextFormat;
use crate::model::short_bytes::are_equal;
use crate::model::{FamiliesBuilder, FamilyType, Repair, Text};
use memchr::memchr;
use std::borrow::Cow;
use std::collections::HashMap;

/// The number of bytes that may be searched for closing quotes without success, as a multiple of the body's size. Without a limit, a
/// hostile body would be searched again and again.
const SEARCHES_OF_BODY_MAX: usize = 8;
/// The number of bytes that may be searched in addition, so that a small body has enough.
const SEARCH_BYTES_MIN: usize = 64 * 1024;
/// The bytes of a body for which room for one TYPE line is reserved, with the lines of its family.
const BYTES_PER_TYPE: usize = 128;
/// The TYPE lines for which room is reserved at most.
const RESERVED_TYPES_MAX: usize = 128;

pub(super) struct Reader<'b, 'a> {
    pub(super) out: &'b mut FamiliesBuilder<'a>,
    pub(super) text: &'a str,
    pub(super) format: TextFormat,
    /// The position of the next line.
    pub(super) at: usize,
    /// The name of the current family.
    pub(super) family: Cow<'a, str>,
    pub(super) help: Text,
    pub(super) unit: Text,
    pub(super) kind: FamilyType,
    /// `true` if the family has a type that OTLP does not have, so that its samples are omitted.
    pub(super) is_unsupported: bool,
    /// `true` if the family's name ends in `_total` or `_info`, because its samples have this suffix of OpenMetrics.
    has_suffix: bool,
    /// The index of the family among the families of distributions, once it has a distribution.
    pub(super) pending_family: Option<usize>,
    pub(super) pending: PendingDistributions,
    /// The families that have a TYPE line. One may be continued after another family.
    pub(super) known: HashMap<Cow<'a, str>, KnownFamily>,
    /// The labels of the current sample. The list is reused to avoid allocations.
    labels: Vec<Label<'a>>,
    /// The next quote, after the text that has been searched, that can be a closing one. `Some(None)` if there is none.
    pub(super) next_closing: Option<Option<usize>>,
    /// The number of bytes that may still be searched without success.
    pub(super) search_bytes_left: usize,
    /// `true` if the last line that is not a sample has too many labels.
    pub(super) has_too_many_labels: bool,
    /// The line of a label value that never ends.
    pub(super) unclosed_line: Option<&'a str>,
}

/// The metadata of a family with a TYPE line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownFamily {
    pub(super) kind: FamilyType,
    pub(super) is_unsupported: bool,
    pub(super) help: Text,
    pub(super) unit: Text,
    pub(super) pending_family: Option<usize>,
}

impl<'b, 'a> Reader<'b, 'a> {
    pub(super) fn new(out: &'b mut FamiliesBuilder<'a>, text: &'a str, format: TextFormat) -> Self {
        Self {
            out,
            text,
            format,
            at: 0,
            family: Cow::Borrowed(""),
            help: Text::default(),
            kind: FamilyType::Unknown,
            unit: Text::default(),
            is_unsupported: false,
            has_suffix: false,
            pending_family: None,
            pending: PendingDistributions::default(),
            known: HashMap::with_capacity(RESERVED_TYPES_MAX.min(text.len() / BYTES_PER_TYPE)),
            labels: Vec::new(),
            next_closing: None,
            search_bytes_left: SEARCHES_OF_BODY_MAX * text.len() + SEARCH_BYTES_MIN,
            has_too_many_labels: false,
            unclosed_line: None,
        }
    }

    pub(super) fn next_line(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        self.at += end + 1;
        Some(rest[..end].trim_ascii())
    }

    /// Returns `true` if the response exceeds a limit of the builder.
    pub(super) fn exceeds_limits(&mut self) -> bool {
        let limits = *self.out.limits();
        if self.out.distributions() + self.pending.len() > limits.distributions_max {
            self.out.exceed(limits.distributions());
        }
        if self.known.len() > limits.types_max {
            self.out.exceed(limits.types());
        }
        self.out.exceeded_limit().is_some()
    }

    /// Reads the next line if it is a plain one and its sample belongs to the current family. Returns `false` if the line was not read.
    pub(super) fn read_plain_line(&mut self) -> bool {
        let Some(line) = self.text.get(self.at..).and_then(PlainLine::begin) else { return false };
        if !self.is_of_family(line.name) {
            return false;
        }
        let out = &mut *self.out;
        let read = line.read(|name, value| {
            let (name, value) = (out.text(name), out.text(value));
            out.label(name, value);
        });
        let Some(read) = read else {
            out.discard_labels();
            return false;
        };
        self.at += read.len;
        out.number(read.value);
        true
    }

    /// Returns `true` if samples with this name are numbers of the current family, so that a sample does not change the family.
    fn is_of_family(&self, name: &str) -> bool {
        let suffix = if self.has_suffix { sample_suffix(self.kind) } else { "" };
        let family = self.family.as_bytes();
        let has_name = || {
            name.as_bytes().split_at_checked(family.len()).is_some_and(|(begin, end)| are_equal(begin, family) && end == suffix.as_bytes())
        };
        self.kind.is_number() && !family.is_empty() && has_name()
    }

    /// Reads a comment or a sample. Returns `None` if the line is neither.
    pub(super) fn read_line(&mut self, line: &'a str) -> Option<()> {
        if line.is_empty() {
            return Some(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.read_comment(comment);
            return Some(());
        }
        self.read_sample(line)
    }

    /// Makes the family with this name the current one.
    pub(super) fn begin(&mut self, name: Cow<'a, str>) {
        if self.family == name && !self.has_suffix {
            return;
        }
        let known = self.known.get(&name).copied().unwrap_or_default();
        (self.kind, self.help, self.unit, self.pending_family) = (known.kind, known.help, known.unit, known.pending_family);
        (self.is_unsupported, self.has_suffix) = (known.is_unsupported, false);
        let text = self.out.text(&name);
        self.family = name;
        self.out.family(text, self.help, self.kind);
        self.out.unit(self.unit);
    }

    /// Returns to an earlier family if a sample with this name belongs to it.
    #[expect(clippy::ptr_arg, reason = "a part of a borrowed name stays borrowed")]
    fn resume(&mut self, name: &Cow<'a, str>) {
        let suffix = name.strip_prefix(&*self.family).filter(|_| !self.family.is_empty());
        match suffix {
            Some("" | "_bucket" | "_sum" | "_count" | "_total" | "_info" | "_gcount" | "_gsum") => return,
            Some("_created") if self.is_start_time(name) => return,
            _ => {}
        }
        let base = name.rfind('_').and_then(|end| Some((&name[..end], &name[end..], self.known.get(&name[..end])?)));
        let belongs = match base {
            Some((_, suffix, KnownFamily { is_unsupported: true, .. })) => GAUGE_HISTOGRAM_SUFFIXES.contains(&suffix),
            Some((_, suffix, known)) => match known.kind {
                FamilyType::Histogram | FamilyType::Summary if suffix == "_created" => self.is_start_time(name),
                FamilyType::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
                FamilyType::Summary => matches!(suffix, "_sum" | "_count"),
                kind => !suffix.is_empty() && suffix == sample_suffix(kind),
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

    fn read_sample(&mut self, line: &'a str) -> Option<()> {
        let end = line.bytes().position(|b| b == b'{' || b == b' ' || b == b'\t')?;
        let (name, rest) = line.split_at(end);
        let is_named = end > 0;
        (!is_named || is_name(name, "_:")).then_some(())?;
        let mut labels = std::mem::take(&mut self.labels);
        let added = match rest.trim_ascii_start().strip_prefix('{') {
            Some(inside) => self.read_label_set(inside, is_named, &mut labels).and_then(|(set, value)| {
                let name = set.name.unwrap_or(Cow::Borrowed(name));
                self.out.count(Repair::Unescaped, set.unescaped);
                self.add_sample(name, &mut labels, &value)
            }),
            None => {
                labels.clear();
                parse_sample_value(rest).filter(|_| is_named).and_then(|value| self.add_sample(Cow::Borrowed(name), &mut labels, &value))
            }
        };
        self.labels = labels;
        added
    }

    /// Adds a sample to the family that it belongs to.
    fn add_sample(&mut self, name: Cow<'a, str>, labels: &mut Vec<Label<'a>>, sample: &SampleValue<'_>) -> Option<()> {
        let timestamp = match sample.timestamp {
            Some(timestamp) => Some(self.format.milliseconds(timestamp)?),
            None => None,
        };
        self.resume(&name);
        let suffix = name.strip_prefix(&*self.family).filter(|_| !self.family.is_empty());
        if self.is_unsupported && suffix.is_some_and(|suffix| GAUGE_HISTOGRAM_SUFFIXES.contains(&suffix)) {
            self.out.repair(Repair::Unsupported);
            return Some(());
        }
        match (self.kind, suffix) {
            (FamilyType::Histogram, Some(suffix @ ("_bucket" | "_sum" | "_count"))) => {
                return self.add_to_distribution(suffix, "le", labels, (sample, timestamp));
            }
            (FamilyType::Summary, Some(suffix @ ("" | "_sum" | "_count"))) => {
                return self.add_to_distribution(suffix, "quantile", labels, (sample, timestamp));
            }
            _ => {}
        }
        // In OpenMetrics, `x_total` belongs to the counter `x` and `x_info` to the info `x`, while `x_created` is not a value of `x`.
        // Servers use the suffixes of values in the text format, too.
        let kind_suffix = sample_suffix(self.kind);
        if !kind_suffix.is_empty() && suffix == Some(kind_suffix) && !self.has_suffix && self.out.series_of_family() == 0 {
            // From here on the family has the name with the suffix, and another one can have the name without.
            let known = self.known.remove(&self.family).unwrap_or_default();
            self.known.insert(name.clone(), KnownFamily { kind: self.kind, ..known });
            let name = self.out.text(&name);
            self.out.rename(name);
            self.has_suffix = true;
        }
        let belongs = suffix == Some(if self.has_suffix { kind_suffix } else { "" });
        let can_have_start = matches!(self.kind, FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary);
        if suffix == Some("_created") && can_have_start && self.is_start_time(&name) {
            return self.set_created(labels, sample.value);
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
        self.out.number(sample.value);
        if let Some(exemplar) = sample.exemplar.filter(|_| self.out.series() > before) {
            pending::add_exemplar(self.out, exemplar);
        }
        Some(())
    }

    /// Returns `true` if a sample with this name, which ends in `_created`, is a start time and not a series of its own.
    fn is_start_time(&self, name: &str) -> bool {
        self.format == TextFormat::OpenMetrics && !self.known.contains_key(name)
    }

    /// Sets the start time of a series, which is on a line of its own.
    fn set_created(&mut self, labels: &[Label<'a>], seconds: f64) -> Option<()> {
        let nanos = start_nanos(seconds)?;
        if self.kind == FamilyType::Counter {
            self.out.created(labels.iter().map(|(name, value)| (&**name, &**value)), nanos);
        } else {
            let family = self.pending_family.unwrap_or_else(|| self.begin_distributions());
            let created = &mut self.pending.get_or_insert(self.out, family, labels).created;
            match created {
                Some(_) => self.out.repair(Repair::DuplicateSeries),
                None => *created = Some(nanos),
            }
        }
        Some(())
    }
}

/// Returns what OpenMetrics appends to the names of samples of this type.
fn sample_suffix(kind: FamilyType) -> &'static str {
    match kind {
        FamilyType::Counter => "_total",
        FamilyType::Info => "_info",
        _ => "",
    }
}

/// The suffixes of the samples of a gauge histogram in OpenMetrics. OTLP does not have this type.
const GAUGE_HISTOGRAM_SUFFIXES: [&str; 6] = ["_bucket", "_gcount", "_gsum", "_count", "_sum", "_created"];
