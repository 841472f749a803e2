//! Responses with names as long as those of a server with many customers: about 106 bytes per line of text, and 71 per series of JSON.

use std::fmt::Write;

/// Name, type and label of the families with one label. They have seven of eight series.
const BY_QUEUE: [(&str, &str); 3] = [
    ("scheduled_count", "gauge"),
    ("delayed_due_to_message_rate_throttle", "counter"),
    ("delayed_due_to_throttle_insert_ready", "counter"),
];
/// The family with three labels.
const BY_PROVIDER: &str = "delivered_by_provider_and_source";

/// Returns true if a metric is a family of [`named`], with or without the prefix or suffix that a program adds to its name.
pub fn is_named(metric: &str) -> bool {
    metric.contains(BY_PROVIDER) || BY_QUEUE.iter().any(|(name, _)| metric.contains(name))
}

/// A response with this number of series, as `json` or `text`. The value of each is `value` of its index.
pub fn named(format: &str, series: usize, value: impl Fn(usize) -> u64) -> String {
    let each = series * 7 / 8 / BY_QUEUE.len();
    let mut index = 0..;
    let mut values = || index.next().map(&value).unwrap_or_default();
    let queue = |i: usize| format!("campaign-{:04}:tenant-{:03}@mx{:02}.customer-{i:07}.example.com", i % 5000, i % 300, i % 20);
    let provider = |i: usize| (format!("mx{:02}.provider-{i:07}.example.net", i % 20), i % 16, i % 4);
    let mut body = String::new();
    if format == "json" {
        for (name, kind) in BY_QUEUE {
            let comma = if body.is_empty() { "{" } else { ",\n" };
            let _ = write!(body, "{comma}\"{name}\":{{\"help\":\"Messages.\",\"type\":\"{kind}\",\"value\":{{\"queue\":{{");
            for i in 0..each {
                let _ = write!(body, "{}\"{}\":{}", if i > 0 { ",\n" } else { "" }, queue(i), values());
            }
            body += "}}}";
        }
        let _ = write!(body, ",\n\"{BY_PROVIDER}\":{{\"help\":\"Deliveries.\",\"type\":\"counter\",\"value\":[");
        for i in 0..series - each * BY_QUEUE.len() {
            let ((provider, source, pool), comma) = (provider(i), if i > 0 { ",\n" } else { "" });
            let _ = write!(
                body,
                "{comma}{{\"provider\":\"{provider}\",\"source\":\"ip-{source}\",\"pool\":\"pool-{pool}\",\"@\":{}}}",
                values()
            );
        }
        return body + "]}}";
    }
    for (name, kind) in BY_QUEUE {
        let _ = writeln!(body, "# HELP {name} Messages.\n# TYPE {name} {kind}");
        for i in 0..each {
            let _ = writeln!(body, "{name}{{queue=\"{}\"}} {}", queue(i), values());
        }
    }
    let _ = writeln!(body, "# HELP {BY_PROVIDER} Deliveries.\n# TYPE {BY_PROVIDER} counter");
    for i in 0..series - each * BY_QUEUE.len() {
        let (provider, source, pool) = provider(i);
        let _ = writeln!(body, "{BY_PROVIDER}{{provider=\"{provider}\", source=\"ip-{source}\", pool=\"pool-{pool}\"}} {}", values());
    }
    body
}
