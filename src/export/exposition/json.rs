//! JSON in the format of KumoMTA's `/metrics.json`: a number for a family without labels, `{LABEL: {VALUE: N}}` for one label, and a
//! list of flat objects with the value in `@` for more. Unlike KumoMTA's, strings are escaped.

use super::format::type_name;
use super::text::number;
use super::{ExpositionWriter, Format, Section};
use crate::model::{FamilyType, SampleRef, SelectedFamily, Value};

impl ExpositionWriter<'_> {
    pub(super) fn json(&mut self, name: &str, kind: FamilyType, of_targets: &[(&Section, SelectedFamily<'_>)]) -> Option<()> {
        if !self.is_first {
            // Not a comma before a newline: readers, Postmeter's included, recognize the unescaped documents of KumoMTA by that sequence.
            self.buffer.extend_from_slice(b"\n,");
        }
        string(&mut self.buffer, name);
        self.buffer.push(b':');
        let help = of_targets.iter().map(|(_, family)| family.help()).find(|help| !help.is_empty());
        self.buffer.push(b'{');
        if let Some(help) = help {
            self.buffer.extend_from_slice(b"\"help\":");
            string(&mut self.buffer, help);
            self.buffer.push(b',');
        }
        self.buffer.extend_from_slice(b"\"type\":");
        string(&mut self.buffer, type_name(Format::Json, kind));
        self.buffer.extend_from_slice(b",\"value\":");
        match shape(of_targets) {
            Shape::Number => {
                if let Some(sample) = of_targets.first().and_then(|(_, family)| family.samples().next()) {
                    value(&mut self.buffer, &sample);
                }
            }
            Shape::OneLabel(label) => {
                self.buffer.push(b'{');
                string(&mut self.buffer, label);
                self.buffer.extend_from_slice(b":{");
                self.values(of_targets, |out, sample, _| {
                    string(out, sample.labels().next().map_or("", |(_, value)| value));
                    out.push(b':');
                    value(out, sample);
                })?;
                self.buffer.extend_from_slice(b"}}");
            }
            Shape::Objects => {
                self.buffer.push(b'[');
                self.values(of_targets, |out, sample, section| {
                    out.push(b'{');
                    if let Some((job, instance)) = &section.identity {
                        pair(out, "job", job);
                        pair(out, "instance", instance);
                    }
                    for (label, text) in sample.labels() {
                        pair(out, label, text);
                    }
                    out.extend_from_slice(b"\"@\":");
                    value(out, sample);
                    out.push(b'}');
                })?;
                self.buffer.push(b']');
            }
        }
        self.buffer.push(b'}');
        self.flush_if_full()
    }

    fn values(
        &mut self,
        of_targets: &[(&Section, SelectedFamily<'_>)],
        write: impl Fn(&mut Vec<u8>, &SampleRef<'_>, &Section),
    ) -> Option<()> {
        let mut first = true;
        for (section, family) in of_targets {
            for sample in family.samples() {
                if !first {
                    self.buffer.push(b',');
                }
                first = false;
                write(&mut self.buffer, &sample, section);
                self.flush_if_full()?;
            }
        }
        Some(())
    }
}

/// The JSON shape of a family's value.
enum Shape<'a> {
    Number,
    OneLabel(&'a str),
    Objects,
}

fn shape<'a>(of_targets: &[(&Section, SelectedFamily<'a>)]) -> Shape<'a> {
    let [(section, family)] = of_targets else { return Shape::Objects };
    let mut samples = family.samples();
    let Some(first) = samples.next().filter(|_| section.identity.is_none()) else { return Shape::Objects };
    let mut labels = first.labels();
    match (labels.next(), labels.next()) {
        (None, _) if family.series() == 1 => Shape::Number,
        (Some((label, _)), None) if samples.all(|s| s.labels().len() == 1 && s.labels().next().is_some_and(|(l, _)| l == label)) => {
            Shape::OneLabel(label)
        }
        _ => Shape::Objects,
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
