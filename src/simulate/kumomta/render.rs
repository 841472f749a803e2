//! KumoMTA's two formats. Neither escapes label values.

use super::super::{Distribution, Traffic};
use super::{Value, families};
use std::fmt::Write;

const BOUNDS_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Writes rows with a separator between them. Nothing is escaped, as in KumoMTA.
fn join<T>(out: &mut String, separator: &str, rows: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        write(out, row);
    }
}

/// The body of `/metrics.json`.
pub(in super::super) fn metrics_json(t: &Traffic) -> String {
    let mut out = String::from("{");
    let mut first = true;
    for family in families(t) {
        if !std::mem::take(&mut first) {
            out.push_str(if family.has_line_per_series { ",\n" } else { "," });
        }
        let _ = write!(out, r#""{}":{{"help":"{}","type":"{}","value":"#, family.name, family.help, family.kind);
        let separator = if family.has_line_per_series { ",\n" } else { "," };
        match family.value {
            Value::Number(n) => {
                let _ = write!(out, "{n}");
            }
            Value::ByLabel(label, rows) => {
                let _ = write!(out, "{{\"{label}\":{{");
                join(&mut out, separator, rows, |out, (value, n)| {
                    let _ = write!(out, "\"{value}\":{n}");
                });
                out.push_str("}}");
            }
            Value::ByLabels(labels, rows) => {
                out.push('[');
                join(&mut out, separator, rows, |out, (values, n)| {
                    out.push('{');
                    for (label, value) in labels.iter().zip(values) {
                        let _ = write!(out, "\"{label}\":\"{value}\",");
                    }
                    let _ = write!(out, "\"@\":{n}}}");
                });
                out.push(']');
            }
            Value::Histogram(None, distribution) => histogram_json(&mut out, &distribution),
            Value::Histogram(Some((label, value)), distribution) => {
                let _ = write!(out, "{{\"{label}\":{{\"{value}\":");
                histogram_json(&mut out, &distribution);
                out.push_str("}}");
            }
        }
        out.push('}');
    }
    out.push('}');
    out
}

/// Writes a histogram with cumulative buckets and without `+Inf`.
fn histogram_json(out: &mut String, distribution: &Distribution) {
    let average = if distribution.count == 0 { 0.0 } else { distribution.sum / distribution.count as f64 };
    let _ = write!(out, "{{\"avg\":{average:?},\"bucket\":[");
    join(out, ",", BOUNDS_SECONDS, |out, le| {
        let _ = write!(out, "[{le:?},{:?}]", distribution.at_most(*le) as f64);
    });
    let _ = write!(out, "],\"count\":{},\"sum\":{:?}}}", distribution.count, distribution.sum);
}

/// The body of `/metrics`.
pub(in super::super) fn metrics(t: &Traffic, prefix: &str) -> String {
    let mut out = String::new();
    for family in families(t) {
        let name = format!("{prefix}{}", family.name);
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
        match family.value {
            Value::Number(n) => {
                let _ = writeln!(out, "{name} {n}");
            }
            Value::ByLabel(label, rows) => {
                rows.iter().for_each(|(value, n)| {
                    let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {n}");
                });
            }
            Value::ByLabels(labels, rows) => {
                for (values, n) in rows {
                    let _ = write!(out, "{name}{{");
                    join(&mut out, ", ", labels.iter().zip(values), |out, (label, value)| {
                        let _ = write!(out, "{label}=\"{value}\"");
                    });
                    let _ = writeln!(out, "}} {n}");
                }
            }
            Value::Histogram(label, distribution) => {
                let label = label.map_or_else(String::new, |(label, value)| format!("{label}=\"{value}\""));
                let comma = if label.is_empty() { "" } else { "," };
                for le in BOUNDS_SECONDS {
                    let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"{le}\"}} {}", distribution.at_most(*le));
                }
                let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"+Inf\"}} {}", distribution.count);
                let braced = if label.is_empty() { label } else { format!("{{{label}}}") };
                let _ = writeln!(out, "{name}_sum{braced} {}\n{name}_count{braced} {}", distribution.sum, distribution.count);
            }
        }
    }
    out
}
