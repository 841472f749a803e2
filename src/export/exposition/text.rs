//! Prometheus text 0.0.4 and OpenMetrics 1.0.0.
//!
//! In OpenMetrics a counter's samples must end in `_total`. A native counter that does not is typed `unknown` there: its
//! name is the server's.

use super::names::{Escaping, is_label_name, is_metric_name, label_names};
use super::{ExpositionWriter, Section, open_metrics_end, type_word};
use crate::model::{FamilyType, Histogram, SampleRef, SelectedFamily, Summary, Value};
use std::collections::HashSet;
use std::hash::BuildHasher;

impl ExpositionWriter<'_> {
    /// Writes a family; `is_taken` says whether another has this name.
    pub(super) fn text(
        &mut self,
        name: &str,
        kind: FamilyType,
        of_targets: &[(&Section, SelectedFamily<'_>)],
        is_taken: impl Fn(&str) -> bool,
    ) -> Option<()> {
        let (family, kind) = match open_metrics_end(kind).filter(|_| self.format.is_open_metrics()) {
            Some(end) => match name.strip_suffix(end) {
                // In OpenMetrics the gauge `x` and the counter of `x_total` would be two families of one name.
                Some(family) if !family.is_empty() && !is_taken(family) => (family, kind),
                _ => (name, FamilyType::Unknown),
            },
            None => (name, kind),
        };
        let help = of_targets.iter().map(|(_, family)| family.help()).find(|help| !help.is_empty()).unwrap_or_default();
        if !help.is_empty() {
            self.comment("# HELP ", family);
            escape(&mut self.buffer, help, self.format.is_open_metrics());
            self.buffer.push(b'\n');
        }
        self.comment("# TYPE ", family);
        self.words(&[type_word(self.format, kind), "\n"]);
        let quoted = !is_metric_name(name);
        for (section, family) in of_targets {
            let suffix = identity_labels(section);
            let mut met = None;
            for sample in family.samples() {
                let escaping = self.format.escaping();
                self.sample((name, quoted), &sample, &suffix, || {
                    met.get_or_insert_with(|| MetNames::with_their_own_names(family, escaping))
                });
                self.piece()?;
            }
        }
        Some(())
    }

    fn sample<'m>(&mut self, name: (&str, bool), sample: &SampleRef<'_>, suffix: &[u8], met: impl FnOnce() -> &'m mut MetNames) {
        let place = place(sample);
        let names = label_names(sample, self.format.escaping());
        if let Some(names) = &names
            && !met().is_first(sample, names)
        {
            self.told.series_dropped += 1;
            return;
        }
        let series = Series { name: name.0, quoted: name.1, sample, names, suffix, place };
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

    fn line(&mut self, series: &Series<'_>, end: &str, bound: Option<f64>, value: f64) {
        self.series(series, end, bound);
        number(&mut self.buffer, value);
        if let Some(milliseconds) = series.sample.timestamp() {
            self.timestamp(milliseconds);
        }
        self.buffer.push(b'\n');
    }

    /// The explicit timestamp of a sample, as the server sent it.
    fn timestamp(&mut self, milliseconds: i64) {
        self.buffer.push(b' ');
        if self.format.is_open_metrics() {
            number(&mut self.buffer, milliseconds as f64 / 1000.0);
        } else {
            self.buffer.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
        }
    }

    /// Name and labels, up to the space before the value.
    fn series(&mut self, series: &Series<'_>, end: &str, bound: Option<f64>) {
        let (out, suffix, quotes) = (&mut self.buffer, series.suffix, self.format.escaping() == Escaping::AllowUtf8);
        let mut separator = b'{';
        if series.quoted {
            out.extend_from_slice(b"{\"");
            escape(out, series.name, true);
            out.extend_from_slice(end.as_bytes());
            out.push(b'"');
            separator = b',';
        } else {
            out.extend_from_slice(series.name.as_bytes());
            out.extend_from_slice(end.as_bytes());
        }
        for (at, (label, value)) in series.sample.labels().enumerate() {
            out.push(separator);
            separator = b',';
            let given = series.names.as_ref().and_then(|names| names.get(at));
            if quotes && !is_label_name(label) {
                out.push(b'"');
                escape(out, label, true);
                out.push(b'"');
            } else {
                out.extend_from_slice(given.map_or(label, String::as_str).as_bytes());
            }
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        }
        if let Some(bound) = bound {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(series.place.as_bytes());
            out.extend_from_slice(b"=\"");
            number(out, bound);
            // OpenMetrics has bounds as floats: 1.0.
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

    /// The beginning of a comment about a family, up to the space behind its name.
    fn comment(&mut self, begin: &str, family: &str) {
        self.words(&[begin]);
        if is_metric_name(family) {
            self.words(&[family, " "]);
        } else {
            self.buffer.push(b'"');
            escape(&mut self.buffer, family, true);
            self.buffer.extend_from_slice(b"\" ");
        }
    }

    fn words(&mut self, words: &[&str]) {
        for word in words {
            self.buffer.extend_from_slice(word.as_bytes());
        }
    }
}

/// The label that says which bucket or which quantile a line is.
fn place(sample: &SampleRef<'_>) -> &'static str {
    match sample.value() {
        Value::Number(_) => "",
        Value::Histogram(_) => "le",
        Value::Summary(_) => "quantile",
    }
}

/// The series of a family by what their labels are on the page: one with escaped names may meet another. Looked at only where one is.
#[derive(Default)]
struct MetNames {
    hash: foldhash::fast::RandomState,
    seen: HashSet<u64>,
}

impl MetNames {
    fn with_their_own_names(family: &SelectedFamily<'_>, escaping: Escaping) -> Self {
        let mut met = Self::default();
        for sample in family.samples().filter(|sample| label_names(sample, escaping).is_none()) {
            met.add(sample.labels().collect());
        }
        met
    }

    /// Whether no other has these labels.
    fn is_first(&mut self, sample: &SampleRef<'_>, names: &[String]) -> bool {
        self.add(names.iter().map(String::as_str).zip(sample.labels().map(|(_, value)| value)).collect())
    }

    fn add(&mut self, mut labels: Vec<(&str, &str)>) -> bool {
        // To Prometheus a label of nothing is none.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        self.seen.insert(self.hash.hash_one(&labels))
    }
}

/// What all lines of a series have in common.
struct Series<'a> {
    name: &'a str,
    /// Whether the name stands in quotes, between the labels.
    quoted: bool,
    sample: &'a SampleRef<'a>,
    /// The names of its labels, where they are not its own.
    names: Option<Vec<String>>,
    suffix: &'a [u8],
    /// The label that says which bucket or which quantile a line is.
    place: &'static str,
}

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

/// The shortest text that reads back as the same number.
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
