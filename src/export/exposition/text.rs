//! Prometheus text 0.0.4 and 1.0.0, and OpenMetrics 1.0.0.
//!
//! In OpenMetrics the samples of a counter must end in `_total`. A native counter without this suffix has the type `unknown` there,
//! because native names are not changed.

use super::format::{open_metrics_suffix, type_name};
use super::names::{Escaping, escaped_label_names, is_label_name, is_metric_name};
use super::{ExpositionWriter, Section};
use crate::model::{FamilyType, Histogram, SampleRef, SelectedFamily, Summary, Value};
use std::collections::HashSet;
use std::hash::BuildHasher;

impl ExpositionWriter<'_> {
    /// Writes a family. `is_used` returns true if another family has this name.
    pub(super) fn text(
        &mut self,
        name: &str,
        kind: FamilyType,
        of_targets: &[(&Section, SelectedFamily<'_>)],
        is_used: impl Fn(&str) -> bool,
    ) -> Option<()> {
        let (family, kind) = match open_metrics_suffix(kind).filter(|_| self.format.is_open_metrics()) {
            Some(suffix) => match name.strip_suffix(suffix) {
                // In OpenMetrics a gauge `x` and a counter `x_total` would be two families with the same name.
                Some(family) if !family.is_empty() && !is_used(family) => (family, kind),
                _ => (name, FamilyType::Unknown),
            },
            None => (name, kind),
        };
        let help = of_targets.iter().map(|(_, family)| family.help()).find(|help| !help.is_empty()).unwrap_or_default();
        if !help.is_empty() {
            self.comment_start("# HELP ", family);
            escape(&mut self.buffer, help, self.format.is_open_metrics());
            self.buffer.push(b'\n');
        }
        self.comment_start("# TYPE ", family);
        self.push_all(&[type_name(self.format, kind), "\n"]);
        let is_quoted = !is_metric_name(name);
        for (section, family) in of_targets {
            let suffix = identity_labels(section);
            let mut written = None;
            for sample in family.samples() {
                let escaping = self.format.escaping();
                self.sample((name, is_quoted), &sample, &suffix, || {
                    written.get_or_insert_with(|| WrittenSeries::unescaped_of(family, escaping))
                });
                self.flush_if_full()?;
            }
        }
        Some(())
    }

    fn sample<'m>(&mut self, name: (&str, bool), sample: &SampleRef<'_>, suffix: &[u8], written: impl FnOnce() -> &'m mut WrittenSeries) {
        let names = escaped_label_names(sample, self.format.escaping());
        if let Some(names) = &names
            && !written().insert_escaped(sample, names)
        {
            self.omitted.series_dropped += 1;
            return;
        }
        let series = Series { name: name.0, is_quoted: name.1, sample, names, suffix, bound_label: bound_label(sample) };
        match sample.value() {
            Value::Number(value) => self.line(&series, "", None, value),
            Value::Histogram(histogram) => self.histogram(&series, histogram),
            Value::Summary(summary) => self.summary(&series, summary),
        }
    }

    fn histogram(&mut self, series: &Series<'_>, histogram: &Histogram) {
        for (bound, count) in histogram.bounds.iter().zip(&histogram.cumulative) {
            self.line(series, "_bucket", Some(*bound), *count as f64);
        }
        self.line(series, "_bucket", Some(f64::INFINITY), histogram.count as f64);
        if let Some(sum) = histogram.sum {
            self.line(series, "_sum", None, sum);
        }
        self.line(series, "_count", None, histogram.count as f64);
    }

    fn summary(&mut self, series: &Series<'_>, summary: &Summary) {
        for (quantile, value) in &summary.quantiles {
            self.line(series, "", Some(*quantile), *value);
        }
        if let Some(sum) = summary.sum {
            self.line(series, "_sum", None, sum);
        }
        if let Some(count) = summary.count {
            self.line(series, "_count", None, count as f64);
        }
    }

    fn line(&mut self, series: &Series<'_>, name_suffix: &str, bound: Option<f64>, value: f64) {
        self.series(series, name_suffix, bound);
        number(&mut self.buffer, value);
        if let Some(milliseconds) = series.sample.timestamp() {
            self.timestamp(milliseconds);
        }
        self.buffer.push(b'\n');
    }

    /// Writes the explicit timestamp of a sample.
    fn timestamp(&mut self, milliseconds: i64) {
        self.buffer.push(b' ');
        if self.format.is_open_metrics() {
            number(&mut self.buffer, milliseconds as f64 / 1000.0);
        } else {
            self.buffer.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
        }
    }

    /// Writes the name and the labels, up to the space before the value.
    fn series(&mut self, series: &Series<'_>, name_suffix: &str, bound: Option<f64>) {
        let (out, suffix, uses_quotes) = (&mut self.buffer, series.suffix, self.format.escaping() == Escaping::AllowUtf8);
        let mut separator = b'{';
        if series.is_quoted {
            out.extend_from_slice(b"{\"");
            escape(out, series.name, true);
            out.extend_from_slice(name_suffix.as_bytes());
            out.push(b'"');
            separator = b',';
        } else {
            out.extend_from_slice(series.name.as_bytes());
            out.extend_from_slice(name_suffix.as_bytes());
        }
        for (at, (label, value)) in series.sample.labels().enumerate() {
            out.push(separator);
            separator = b',';
            let escaped = series.names.as_ref().and_then(|names| names.get(at));
            if uses_quotes && !is_label_name(label) {
                out.push(b'"');
                escape(out, label, true);
                out.push(b'"');
            } else {
                out.extend_from_slice(escaped.map_or(label, String::as_str).as_bytes());
            }
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        }
        if let Some(bound) = bound {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(series.bound_label.as_bytes());
            out.extend_from_slice(b"=\"");
            number(out, bound);
            // OpenMetrics requires bounds in the form of floats, as 1.0.
            if self.format.is_open_metrics() && bound.fract() == 0.0 && bound.abs() < 1e15 {
                out.extend_from_slice(b".0");
            }
            out.push(b'"');
        }
        if !suffix.is_empty() {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(suffix);
        }
        out.extend_from_slice(if separator == b',' { b"} " } else { b" " });
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

/// Returns the label of the bucket bound or the quantile.
fn bound_label(sample: &SampleRef<'_>) -> &'static str {
    match sample.value() {
        Value::Number(_) => "",
        Value::Histogram(_) => "le",
        Value::Summary(_) => "quantile",
    }
}

/// The label sets of a family's series on the page, to omit series that are duplicates after escaping. Used only for families with
/// escaped labels.
#[derive(Default)]
struct WrittenSeries {
    hash: foldhash::fast::RandomState,
    seen: HashSet<u64>,
}

impl WrittenSeries {
    /// Returns the series of a family whose labels need no escaping.
    fn unescaped_of(family: &SelectedFamily<'_>, escaping: Escaping) -> Self {
        let mut written = Self::default();
        for sample in family.samples().filter(|sample| escaped_label_names(sample, escaping).is_none()) {
            written.insert(sample.labels().collect());
        }
        written
    }

    /// Adds a series with escaped labels. Returns false if there is a series with the same labels.
    fn insert_escaped(&mut self, sample: &SampleRef<'_>, names: &[String]) -> bool {
        self.insert(names.iter().map(String::as_str).zip(sample.labels().map(|(_, value)| value)).collect())
    }

    fn insert(&mut self, mut labels: Vec<(&str, &str)>) -> bool {
        // For Prometheus an empty label is the same as a missing one.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        self.seen.insert(self.hash.hash_one(&labels))
    }
}

/// The common parts of all lines of a series.
struct Series<'a> {
    name: &'a str,
    /// True if the name is quoted and written among the labels.
    is_quoted: bool,
    sample: &'a SampleRef<'a>,
    /// The escaped names of the labels, if some need escaping.
    names: Option<Vec<String>>,
    suffix: &'a [u8],
    /// The label of the bucket bound or the quantile.
    bound_label: &'static str,
}

/// Returns the labels `instance` and `job` of a section, as text.
fn identity_labels(section: &Section) -> Vec<u8> {
    let mut labels = Vec::new();
    if let Some((job, instance)) = &section.identity {
        labels.extend_from_slice(b"instance=\"");
        escape(&mut labels, instance, true);
        labels.extend_from_slice(b"\",job=\"");
        escape(&mut labels, job, true);
        labels.push(b'"');
    }
    labels
}

/// Writes text with backslashes, line feeds and, if `quotes`, double quotes escaped.
fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr3(b'\\', b'\n', b'"', rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ if quotes => out.extend_from_slice(b"\\\""),
            quote => out.push(quote),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes the shortest text that parses to the same number.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}
