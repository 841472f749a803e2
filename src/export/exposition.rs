//! The Prometheus text format 0.0.4, out: families of all targets, merged by name so that each has its TYPE once.

use crate::telemetry::Identity;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The content type of what [`Exposition::text`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families of several targets, by name.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: MetricType,
    metrics: Vec<Metric>,
}

impl Exposition {
    /// Adds the families of one target. One that disagrees with an earlier family about its type is left out and said:
    /// two types under one name would make the whole page unreadable.
    pub fn add(&mut self, families: Vec<MetricFamily>) {
        for mut family in families {
            let (kind, name) = (family.get_field_type(), family.name().to_owned());
            let help = family.help().to_owned();
            let merged = self.families.entry(name).or_insert_with_key(|_| Family { help, kind, metrics: Vec::new() });
            if merged.kind == kind {
                let mut metrics = family.take_metric();
                for metric in &mut metrics {
                    // A registry appends job and instance in any order.
                    let mut labels = metric.take_label();
                    labels.sort_unstable_by(|a, b| a.name().cmp(b.name()));
                    metric.set_label(labels);
                }
                merged.metrics.append(&mut metrics);
            } else {
                tracing::error!(family = family.name(), "left out: another target says it is a {:?}", merged.kind);
            }
        }
    }

    /// Adds the `target_info` of one target.
    pub fn add_target(&mut self, identity: &Identity) {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in identity.info() {
            // Two keys that become one label: both values, as the compatibility specification has it.
            labels.entry(name).and_modify(|v| *v = format!("{v};{value}")).or_insert_with(|| value.to_owned());
        }
        labels.insert("job".into(), identity.job().to_owned());
        labels.insert("instance".into(), identity.instance().to_owned());
        let mut metric = Metric::default();
        metric.set_label(labels.into_iter().map(|(name, value)| label(name, value)).collect());
        let mut gauge = prometheus::proto::Gauge::default();
        gauge.set_value(1.0);
        metric.set_gauge(gauge);
        let family = Family { help: "Attributes of the target's resource.".into(), kind: MetricType::GAUGE, metrics: Vec::new() };
        self.families.entry("target_info".into()).or_insert(family).metrics.push(metric);
    }

    /// The page.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = Page(String::new());
        for (name, family) in &self.families {
            page.family(name, family);
        }
        page.0
    }
}

fn label(name: String, value: String) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name);
    label.set_value(value);
    label
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, family: &Family) {
        let kind = match family.kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY => "summary",
            MetricType::UNTYPED => "untyped",
        };
        self.0.push_str("# HELP ");
        self.0.push_str(name);
        self.0.push(' ');
        self.escape(&family.help, false);
        // Writing to a String cannot fail.
        let _ = write!(self.0, "\n# TYPE {name} {kind}\n");
        for metric in &family.metrics {
            self.metric(name, family.kind, metric);
        }
    }

    fn metric(&mut self, name: &str, kind: MetricType, metric: &Metric) {
        let labels = metric.get_label();
        match kind {
            MetricType::COUNTER => self.sample(name, "", labels, None, metric.get_counter().get_value()),
            MetricType::GAUGE => self.sample(name, "", labels, None, metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => {
                let histogram = metric.get_histogram();
                for bucket in histogram.get_bucket() {
                    self.sample(name, "_bucket", labels, Some(("le", bucket.upper_bound())), bucket.cumulative_count() as f64);
                }
                let count = histogram.get_sample_count() as f64;
                self.sample(name, "_bucket", labels, Some(("le", f64::INFINITY)), count);
                self.sample(name, "_sum", labels, None, histogram.get_sample_sum());
                self.sample(name, "_count", labels, None, count);
            }
            MetricType::SUMMARY | MetricType::UNTYPED => {}
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[LabelPair], extra: Option<(&str, f64)>, value: f64) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        let mut separator = '{';
        for label in labels {
            self.0.push(separator);
            self.0.push_str(label.name());
            self.0.push_str("=\"");
            self.escape(label.value(), true);
            self.0.push('"');
            separator = ',';
        }
        if let Some((name, bound)) = extra {
            let _ = write!(self.0, "{separator}{name}=\"");
            self.number(bound);
            self.0.push('"');
            separator = ',';
        }
        self.0.push_str(if separator == ',' { "} " } else { " " });
        self.number(value);
        self.0.push('\n');
    }

    fn number(&mut self, value: f64) {
        if value.is_infinite() {
            self.0.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else {
            let _ = write!(self.0, "{value}");
        }
    }

    fn escape(&mut self, text: &str, quotes: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' if quotes => self.0.push_str("\\\""),
                _ => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str, help: &str, labels: &[(&str, &str)], value: f64) -> MetricFamily {
        let mut metric = Metric::default();
        metric.set_label(labels.iter().map(|(n, v)| label((*n).into(), (*v).into())).collect());
        let mut gauge = prometheus::proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        let mut family = MetricFamily::default();
        family.set_name(name.into());
        family.set_help(help.into());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(vec![metric]);
        family
    }

    #[test]
    fn families_of_two_targets_are_one_family() {
        let mut exposition = Exposition::default();
        exposition.add(vec![gauge("a", "One.", &[("job", "x")], 1.0)]);
        exposition.add(vec![gauge("a", "One.", &[("job", "y")], 2.5), gauge("b", "A \"b\"\\\n.", &[], f64::INFINITY)]);
        let text = "# HELP a One.\n# TYPE a gauge\na{job=\"x\"} 1\na{job=\"y\"} 2.5\n# HELP b A \"b\"\\\\\\n.\n# TYPE b gauge\nb +Inf\n";
        assert_eq!(exposition.text(), text);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut exposition = Exposition::default();
        exposition.add(vec![gauge("a", "", &[("l", "q\" b\\ n\n é")], -1e-7)]);
        assert!(exposition.text().ends_with("a{l=\"q\\\" b\\\\ n\\n é\"} -0.0000001\n"), "{}", exposition.text());
    }
}
