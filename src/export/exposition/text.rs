//! Prometheus text 0.0.4 and OpenMetrics 1.0.0.
//!
//! In OpenMetrics a counter's samples must end in `_total`. A native counter that does not is typed `unknown` there: its
//! name is the server's.

use super::{Format, Page, Section, type_word};
use crate::model::{FamilyType, Histogram, NativeFamily, SampleRef, Summary, Value};

/// The suffix of counters.
const TOTAL: &str = "_total";

impl Page<'_> {
    pub(super) fn text(&mut self, name: &str, kind: FamilyType, of_targets: &[(&Section, NativeFamily<'_>)]) -> Option<()> {
        let (family, kind) = match (self.format, kind) {
            (Format::OpenMetrics, FamilyType::Counter) => match name.strip_suffix(TOTAL) {
                Some(family) => (family, kind),
                None => (name, FamilyType::Unknown),
            },
            _ => (name, kind),
        };
        let help = of_targets.iter().map(|(_, family)| family.help()).find(|help| !help.is_empty()).unwrap_or_default();
        if !help.is_empty() {
            self.words(&["# HELP ", family, " "]);
            let quotes = self.format == Format::OpenMetrics;
            escape(&mut self.buffer, help, quotes);
            self.buffer.push(b'\n');
        }
        self.words(&["# TYPE ", family, " ", type_word(self.format, kind), "\n"]);
        for (section, family) in of_targets {
            let suffix = identity_labels(section);
            for sample in family.samples() {
                self.sample(name, &sample, &suffix);
                self.piece()?;
            }
        }
        Some(())
    }

    fn sample(&mut self, name: &str, sample: &SampleRef<'_>, suffix: &[u8]) {
        match sample.value() {
            Value::Number(value) => {
                self.series(name, "", sample, suffix, None);
                number(&mut self.buffer, value);
                self.buffer.push(b'\n');
            }
            Value::Histogram(histogram) => self.histogram(name, sample, suffix, histogram),
            Value::Summary(summary) => self.summary(name, sample, suffix, summary),
        }
    }

    fn histogram(&mut self, name: &str, sample: &SampleRef<'_>, suffix: &[u8], histogram: &Histogram) {
        for (bound, count) in histogram.bounds.iter().zip(&histogram.cumulative) {
            self.line(name, "_bucket", sample, suffix, Some(("le", *bound)), *count as f64);
        }
        self.line(name, "_bucket", sample, suffix, Some(("le", f64::INFINITY)), histogram.count as f64);
        if let Some(sum) = histogram.sum {
            self.line(name, "_sum", sample, suffix, None, sum);
        }
        self.line(name, "_count", sample, suffix, None, histogram.count as f64);
    }

    fn summary(&mut self, name: &str, sample: &SampleRef<'_>, suffix: &[u8], summary: &Summary) {
        for (quantile, value) in &summary.quantiles {
            self.line(name, "", sample, suffix, Some(("quantile", *quantile)), *value);
        }
        if let Some(sum) = summary.sum {
            self.line(name, "_sum", sample, suffix, None, sum);
        }
        if let Some(count) = summary.count {
            self.line(name, "_count", sample, suffix, None, count as f64);
        }
    }

    fn line(&mut self, name: &str, end: &str, sample: &SampleRef<'_>, suffix: &[u8], extra: Option<(&str, f64)>, value: f64) {
        self.series(name, end, sample, suffix, extra);
        number(&mut self.buffer, value);
        self.buffer.push(b'\n');
    }

    /// Name and labels, up to the space before the value.
    fn series(&mut self, name: &str, end: &str, sample: &SampleRef<'_>, suffix: &[u8], extra: Option<(&str, f64)>) {
        let out = &mut self.buffer;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(end.as_bytes());
        let mut separator = b'{';
        for (label, value) in sample.labels() {
            out.push(separator);
            separator = b',';
            if !suffix.is_empty() && matches!(label, "job" | "instance") {
                out.extend_from_slice(b"exported_");
                self.told.labels_renamed += 1;
            }
            label_name(out, label);
            out.extend_from_slice(b"=\"");
            escape(out, value, true);
            out.push(b'"');
        }
        if let Some((label, bound)) = extra {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"=\"");
            number(out, bound);
            // OpenMetrics has bounds as floats: 1.0.
            if self.format == Format::OpenMetrics && bound.fract() == 0.0 && bound.abs() < 1e15 {
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

    fn words(&mut self, words: &[&str]) {
        for word in words {
            self.buffer.extend_from_slice(word.as_bytes());
        }
    }
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

/// A name that every Prometheus reads; what it cannot read becomes `_`.
fn label_name(out: &mut Vec<u8>, name: &str) {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.bytes().all(good) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        return out.extend_from_slice(name.as_bytes());
    }
    out.push(b'_');
    out.extend(name.bytes().map(|b| if good(b) { b } else { b'_' }));
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
