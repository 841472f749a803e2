//! Prometheus text 0.0.4 and 1.0.0, and OpenMetrics 1.0.0.
//!
//! In OpenMetrics the samples of a counter must end in `_total`. A native counter without this suffix has the type `unknown` there,
//! because native names are not changed. What else OpenMetrics forbids is in [`open_metrics`].

use super::format::{CREATED, open_metrics_suffix, type_name};
use super::names::{Escaping, is_label_name, is_metric_name, label_name};
use super::page_family::{OfSection, PageFamily};
use super::unit::unit_in_name;
use super::{ExpositionWriter, PageSettings, exemplars, open_metrics};
use crate::model::short_bytes::append;
use crate::model::{Exemplar, FamilyType, Histogram, NANOS_PER_SECOND, SampleRef, Summary, Value, is_plain_label_name};

/// The name and the type that a family has in a text format.
pub(super) struct TextFamily {
    /// The length of the name of the family, which OpenMetrics has without the suffix of its samples.
    name_len: usize,
    kind: FamilyType,
    /// True if the name is quoted and written among the labels.
    is_quoted: bool,
    /// The page has lines with the start times of its series.
    has_created_lines: bool,
}

impl TextFamily {
    /// `is_used` returns true if another family has this name.
    pub(super) fn new(family: &PageFamily<'_>, settings: &PageSettings, is_used: impl Fn(&str) -> bool) -> Self {
        let name = &*family.name;
        let is_open_metrics = settings.format.is_open_metrics();
        let kind = if is_open_metrics { open_metrics::kind_of(family, settings.format.escaping()) } else { family.kind };
        let (name_len, kind) = match open_metrics_suffix(kind).filter(|_| is_open_metrics) {
            Some(suffix) => match name.strip_suffix(suffix) {
                // In OpenMetrics a gauge `x` and a counter `x_total` would be two families with the same name.
                Some(base) if !base.is_empty() && !is_used(base) => (base.len(), kind),
                _ => (name.len(), FamilyType::Unknown),
            },
            None => (name.len(), kind),
        };
        let is_started = matches!(kind, FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary);
        let has_created_lines = settings.has_created_lines() && is_started;
        Self { name_len, kind, is_quoted: !is_metric_name(name), has_created_lines }
    }

    /// The name of the family, if it is the name of its samples without their suffix.
    pub(super) fn base_name<'a>(&self, family: &'a PageFamily<'_>) -> Option<&'a str> {
        (self.name_len < family.name.len()).then(|| self.name(family))
    }

    /// The name of the family without the suffix of its samples.
    fn name<'a>(&self, family: &'a PageFamily<'_>) -> &'a str {
        family.name.get(..self.name_len).unwrap_or_default()
    }
}

impl ExpositionWriter<'_> {
    /// Writes the comments of a family.
    pub(super) fn text_comments(&mut self, family: &PageFamily<'_>, text: &TextFamily) {
        let (format, name) = (self.settings.format, text.name(family));
        if !family.help.is_empty() {
            self.comment_start("# HELP ", name);
            escape(&mut self.buffer, family.help, format.is_open_metrics());
            self.buffer.push(b'\n');
        }
        self.comment_start("# TYPE ", name);
        self.push_all(&[type_name(format, text.kind), "\n"]);
        if format.is_open_metrics()
            && let Some(unit) = unit_in_name(family, name, text.kind)
        {
            self.comment_start("# UNIT ", name);
            self.push_all(&[unit, "\n"]);
        }
    }

    /// Writes the series of a section's family.
    pub(super) fn text_series(&mut self, family: &PageFamily<'_>, text: &TextFamily, of_section: &OfSection<'_>) -> Option<()> {
        let (name, kind, is_quoted) = (&*family.name, text.kind, text.is_quoted);
        self.each_series(of_section, add_label, |writer, sample, names, suffix| {
            let has_created_line = text.has_created_lines;
            writer.sample(&Series { family: text.name(family), name, kind, is_quoted, has_created_line, sample, names, suffix });
            writer.flush_if_full()
        })
    }

    fn sample(&mut self, series: &Series<'_>) {
        match series.sample.value() {
            Value::Number(value) => {
                let has_exemplars = series.kind == FamilyType::Counter && self.settings.format.is_open_metrics();
                let exemplar = if has_exemplars { exemplars::of_counter(series.sample, self.settings.format.escaping()) } else { None };
                self.line((series, series.name, ""), None, value, exemplar);
            }
            Value::Histogram(histogram) => self.histogram(series, histogram),
            Value::Summary(summary) => self.summary(series, summary),
        }
        if series.has_created_line
            && let Some(nanos) = series.sample.created()
        {
            self.created_line(series, nanos);
        }
    }

    fn histogram(&mut self, series: &Series<'_>, histogram: &Histogram) {
        let (has_exemplars, escaping) = (self.settings.format.is_open_metrics(), self.settings.format.escaping());
        let mut above = f64::NEG_INFINITY;
        let infinity = (f64::INFINITY, histogram.count);
        for (bound, count) in histogram.bounds.iter().copied().zip(histogram.cumulative.iter().copied()).chain([infinity]) {
            let exemplar = if has_exemplars { exemplars::of_bucket(series.sample, escaping, above, bound) } else { None };
            self.line((series, series.name, "_bucket"), Some(("le", bound)), count as f64, exemplar);
            above = bound;
        }
        let sum = histogram.sum.filter(|sum| !self.omits(!open_metrics::may_have_sum(histogram, *sum)));
        if let Some(sum) = sum {
            self.line((series, series.name, "_sum"), None, sum, None);
        }
        // OpenMetrics has a count only beside a sum. Without it, the count is that of the last bucket.
        if sum.is_some() || !self.settings.format.is_open_metrics() {
            self.line((series, series.name, "_count"), None, histogram.count as f64, None);
        }
    }

    /// Returns true if a value is not written, because it is forbidden and the format is OpenMetrics. It is counted.
    fn omits(&mut self, is_forbidden: bool) -> bool {
        let is_omitted = is_forbidden && self.settings.format.is_open_metrics();
        self.omitted.values_dropped += u64::from(is_omitted);
        is_omitted
    }

    fn summary(&mut self, series: &Series<'_>, summary: &Summary) {
        for (quantile, value) in &summary.quantiles {
            if !self.omits(*value < 0.0) {
                self.line((series, series.name, ""), Some(("quantile", *quantile)), *value, None);
            }
        }
        if let Some(sum) = summary.sum.filter(|sum| !self.omits(!open_metrics::is_sum(*sum))) {
            self.line((series, series.name, "_sum"), None, sum, None);
        }
        if let Some(count) = summary.count {
            self.line((series, series.name, "_count"), None, count as f64, None);
        }
    }

    /// Writes the line with the start time of a series.
    fn created_line(&mut self, series: &Series<'_>, unix_nanos: u64) {
        self.series(series, (series.family, CREATED), None);
        seconds(&mut self.buffer, unix_nanos);
        // All lines of a series have a timestamp, or none.
        if let Some(milliseconds) = series.sample.timestamp() {
            self.timestamp(milliseconds);
        }
        self.buffer.push(b'\n');
    }

    /// Writes a line of a series, whose name has two parts.
    fn line(
        &mut self,
        (series, name, name_suffix): (&Series<'_>, &str, &str),
        bound: Option<Bound>,
        value: f64,
        exemplar: Option<Exemplar<'_>>,
    ) {
        self.series(series, (name, name_suffix), bound);
        number(&mut self.buffer, value);
        if let Some(milliseconds) = series.sample.timestamp() {
            self.timestamp(milliseconds);
        }
        if let Some(exemplar) = exemplar {
            self.exemplar(&exemplar);
        }
        self.buffer.push(b'\n');
    }

    /// Writes the exemplar at the end of a line.
    fn exemplar(&mut self, exemplar: &Exemplar<'_>) {
        let escaping = self.settings.format.escaping();
        let out = &mut self.buffer;
        out.extend_from_slice(b" # {");
        for (at, (label, value)) in exemplar.labels().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let name = label_name(label, escaping);
            let quote: &[u8] = if is_label_name(&name) { b"" } else { b"\"" };
            out.extend_from_slice(quote);
            escape(out, &*name, true);
            out.extend_from_slice(quote);
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        }
        out.extend_from_slice(b"} ");
        number(out, exemplar.value());
        if exemplar.time() > 0 {
            out.push(b' ');
            seconds(out, exemplar.time());
        }
    }

    /// Writes the explicit timestamp of a sample.
    fn timestamp(&mut self, milliseconds: i64) {
        self.buffer.push(b' ');
        if self.settings.format.is_open_metrics() {
            number(&mut self.buffer, milliseconds as f64 / 1000.0);
        } else {
            self.buffer.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
        }
    }

    /// Writes the name and the labels, up to the space before the value.
    fn series(&mut self, series: &Series<'_>, (name, name_suffix): (&str, &str), bound: Option<Bound>) {
        let (out, suffix) = (&mut self.buffer, series.suffix);
        let may_quote = self.settings.format.escaping() == Escaping::AllowUtf8 && !series.sample.has_plain_label_names();
        let mut separator = b'{';
        if series.is_quoted {
            out.extend_from_slice(b"{\"");
            escape(out, name, true);
            append(out, name_suffix.as_bytes());
            out.push(b'"');
            separator = b',';
        } else {
            append(out, name.as_bytes());
            append(out, name_suffix.as_bytes());
        }
        for (at, (label, value)) in series.sample.label_bytes().enumerate() {
            out.push(separator);
            separator = b',';
            let escaped = series.names.as_ref().and_then(|names| names.get(at));
            if may_quote && !is_plain_label_name(label) {
                out.push(b'"');
                escape(out, label, true);
                out.push(b'"');
            } else {
                append(out, escaped.map_or(label, String::as_bytes));
            }
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        }
        if let Some((label, bound)) = bound {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"=\"");
            number(out, bound);
            // OpenMetrics requires bounds in the form of floats, as 1.0.
            if self.settings.format.is_open_metrics() && bound.fract() == 0.0 && bound.abs() < 1e15 {
                out.extend_from_slice(b".0");
            }
            out.push(b'"');
        }
        if !suffix.is_empty() {
            out.push(separator);
            separator = b',';
            append(out, suffix);
        }
        if separator == b',' {
            out.push(b'}');
        }
        out.push(b' ');
    }

    /// Writes the beginning of a comment about a family, up to the space after its name.
    fn comment_start(&mut self, begin: &str, family: &str) {
        self.push_all(&[begin]);
        if is_metric_name(family) {
            self.push_all(&[family, " "]);
        } else {
            self.buffer.push(b'"');
            escape(&mut self.buffer, family, true);
            self.buffer.extend_from_slice(b"\" ");
        }
    }

    fn push_all(&mut self, texts: &[&str]) {
        for text in texts {
            self.buffer.extend_from_slice(text.as_bytes());
        }
    }
}

/// The label and the value of a bucket bound or a quantile.
type Bound = (&'static str, f64);

/// The common parts of all lines of a series.
struct Series<'a> {
    /// The name of the family, which OpenMetrics has without the suffix of its samples.
    family: &'a str,
    name: &'a str,
    kind: FamilyType,
    /// True if the name is quoted and written among the labels.
    is_quoted: bool,
    has_created_line: bool,
    sample: &'a SampleRef<'a>,
    /// The escaped names of the labels, if some need escaping.
    names: Option<Vec<String>>,
    /// The labels of the section.
    suffix: &'a [u8],
}

/// Adds a label of a section.
fn add_label(to: &mut Vec<u8>, name: &str, value: &str) {
    if !to.is_empty() {
        to.push(b',');
    }
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"=\"");
    escape(to, value, true);
    to.push(b'"');
}

/// Writes text with backslashes, line feeds and, if `quotes`, double quotes escaped.
fn escape(out: &mut Vec<u8>, text: impl AsRef<[u8]>, quotes: bool) {
    let mut rest = text.as_ref();
    while let Some(at) = memchr::memchr3(b'\\', b'\n', b'"', rest) {
        append(out, &rest[..at]);
        match rest[at] {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ if quotes => out.extend_from_slice(b"\\\""),
            quote => out.push(quote),
        }
        rest = &rest[at + 1..];
    }
    append(out, rest);
}

/// Writes a time in seconds.
fn seconds(out: &mut Vec<u8>, unix_nanos: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(unix_nanos / NANOS_PER_SECOND).as_bytes());
    let nanos = unix_nanos % NANOS_PER_SECOND;
    if nanos > 0 {
        out.push(b'.');
        out.extend_from_slice(format!("{nanos:09}").trim_end_matches('0').as_bytes());
    }
}

/// Writes the shortest text that parses to the same number.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    // Without `fract`, which musl computes by a call.
    if whole as f64 == value && value.abs() < 1e15 {
        append(out, itoa::Buffer::new().format(whole).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        append(out, zmij::Buffer::new().format_finite(value).as_bytes());
    }
}
