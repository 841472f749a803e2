//! Bodies of exporters that are written in Go, and of servers that follow them: families as tables.

use super::text::Text;

/// A family: name, type, help, and series as formatted labels and value.
pub(super) type Family<'a> = (&'a str, &'static str, &'static str, Vec<(String, u64)>);

/// One series without labels.
pub(super) fn one(value: u64) -> Vec<(String, u64)> {
    vec![(String::new(), value)]
}

/// Series that differ by the value of one label.
pub(super) fn by(label: &str, values: &[(&str, u64)]) -> Vec<(String, u64)> {
    values.iter().map(|(value, count)| (format!("{label}=\"{value}\""), *count)).collect()
}

/// Writes families. One without series is omitted, as client libraries do before the first event.
pub(super) fn table(text: &mut Text, families: Vec<Family<'_>>) {
    for (name, kind, help, series) in families.into_iter().filter(|(.., series)| !series.is_empty()) {
        text.family(name, kind, help);
        series.iter().for_each(|(labels, value)| text.sample(name, labels, value));
    }
}

/// Writes what every exporter reports about its own process. `started` is the Unix time of its start.
pub(super) fn exporter_process(text: &mut Text, started: f64) {
    text.single("process_cpu_seconds_total", "counter", "Processor time of the exporter", 1.5);
    text.single("process_open_fds", "gauge", "Open files of the exporter", 12);
    text.single("process_resident_memory_bytes", "gauge", "Resident memory of the exporter", 21_000_000);
    text.single("process_start_time_seconds", "gauge", "Start of the exporter", started.floor());
}
