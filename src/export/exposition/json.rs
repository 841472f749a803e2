//! JSON in the format of KumoMTA's `/metrics.json`: a number for a family without labels, `{LABEL: {VALUE: N}}` for one label, and a
//! list of flat objects with the value in `@` for more. Unlike KumoMTA's, strings are escaped.

use super::format::type_name;
use super::page_family::{OfSection, PageFamily};
use super::text::number;
use super::{ExpositionWriter, Format};
use crate::model::{SampleRef, Value};

impl ExpositionWriter<'_> {
    /// Writes a family up to its first series.
    pub(super) fn json_begin(&mut self, family: &PageFamily<'_>, shape: &Shape<'_>) {
        if !self.is_first {
            // Not a comma before a newline: readers, Postmeter's included, recognize the unescaped documents of KumoMTA by that sequence.
            self.buffer.extend_from_slice(b"\n,");
        }
        string(&mut self.buffer, &family.name);
        self.buffer.extend_from_slice(b":{");
        if !family.help.is_empty() {
            self.buffer.extend_from_slice(b"\"help\":");
            string(&mut self.buffer, family.help);
            self.buffer.push(b',');
        }
        self.buffer.extend_from_slice(b"\"type\":");
        string(&mut self.buffer, type_name(Format::Json, family.kind));
        self.buffer.extend_from_slice(b",\"value\":");
        match shape {
            Shape::Number => {}
            Shape::OneLabel(label) => {
                self.buffer.push(b'{');
                string(&mut self.buffer, label);
                self.buffer.extend_from_slice(b":{");
            }
            Shape::Objects => self.buffer.push(b'['),
        }
    }

    /// Writes the series of a section's family, which is the first on the page or not.
    pub(super) fn json_series(&mut self, shape: &Shape<'_>, (section, family): &OfSection<'_>, mut is_first: bool) -> Option<()> {
        for sample in family.samples() {
            let out = &mut self.buffer;
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            match shape {
                Shape::Number => value(out, &sample),
                Shape::OneLabel(_) => {
                    string(out, sample.labels().next().map_or("", |(_, value)| value));
                    out.push(b':');
                    value(out, &sample);
                }
                Shape::Objects => {
                    out.push(b'{');
                    if let Some((job, instance)) = &section.identity {
                        pair(out, "job", job);
                        pair(out, "instance", instance);
                    }
                    for (label, text) in sample.labels() {
                        pair(out, label, text);
                    }
                    out.extend_from_slice(b"\"@\":");
                    value(out, &sample);
                    out.push(b'}');
                }
            }
            self.flush_if_full()?;
        }
        Some(())
    }

    /// Writes the end of a family.
    pub(super) fn json_end(&mut self, shape: &Shape<'_>) {
        let end: &[u8] = match shape {
            Shape::Number => b"}",
            Shape::OneLabel(_) => b"}}}",
            Shape::Objects => b"]}",
        };
        self.buffer.extend_from_slice(end);
    }
}

/// The JSON shape of a family's value.
pub(super) enum Shape<'a> {
    Number,
    OneLabel(&'a str),
    Objects,
}

impl<'a> Shape<'a> {
    pub(super) fn of(family: &PageFamily<'a>) -> Self {
        let [(section, family)] = family.of_sections.as_slice() else { return Self::Objects };
        let mut samples = family.samples();
        let Some(first) = samples.next().filter(|_| section.identity.is_none()) else { return Self::Objects };
        let mut labels = first.labels();
        match (labels.next(), labels.next()) {
            (None, _) if family.series() == 1 => Self::Number,
            (Some((label, _)), None) if samples.all(|s| s.labels().len() == 1 && s.labels().next().is_some_and(|(l, _)| l == label)) => {
                Self::OneLabel(label)
            }
            _ => Self::Objects,
        }
    }
}

/// Writes `"NAME":"TEXT",`.
fn pair(out: &mut Vec<u8>, name: &str, text: &str) {
    string(out, name);
    out.push(b':');
    string(out, text);
    out.push(b',');
}

fn value(out: &mut Vec<u8>, sample: &SampleRef<'_>) {
    match sample.value() {
        Value::Number(n) => json_number(out, n),
        Value::Histogram(histogram) => {
            out.extend_from_slice(b"{\"count\":");
            json_number(out, histogram.count as f64);
            if let Some(sum) = histogram.sum {
                out.extend_from_slice(b",\"sum\":");
                json_number(out, sum);
            }
            out.extend_from_slice(b",\"bucket\":");
            pairs(out, histogram.bounds.iter().zip(&histogram.cumulative).map(|(bound, count)| (*bound, *count as f64)));
            out.push(b'}');
        }
        Value::Summary(summary) => {
            out.extend_from_slice(b"{\"count\":");
            json_number(out, summary.count.map_or(f64::NAN, |count| count as f64));
            if let Some(sum) = summary.sum {
                out.extend_from_slice(b",\"sum\":");
                json_number(out, sum);
            }
            out.extend_from_slice(b",\"quantile\":");
            pairs(out, summary.quantiles.iter().copied());
            out.push(b'}');
        }
    }
}

/// Writes `[[A,B],...]`.
fn pairs(out: &mut Vec<u8>, pairs: impl Iterator<Item = (f64, f64)>) {
    let mut separator = b'[';
    out.extend_from_slice(b"[");
    for (a, b) in pairs {
        if separator == b',' {
            out.push(b',');
        }
        separator = b',';
        out.push(b'[');
        json_number(out, a);
        out.push(b',');
        json_number(out, b);
        out.push(b']');
    }
    out.push(b']');
}

/// Writes a number. JSON does not support NaN and infinite numbers, which are written as `null`.
fn json_number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() { number(out, value) } else { out.extend_from_slice(b"null") }
}

/// Writes an escaped string.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
