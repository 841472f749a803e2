//! The variables of a dashboard: its data sources, pull or push, mail systems and targets.

use super::render::{merge, reads_logs};
use super::source::Source;
use postmeter::source::SOURCES;
use serde_json::{Value, json};
use std::time::Duration;

/// The interval of pushes by default. Metrics change no more often than they are collected.
const PUSH_INTERVAL: Duration = Duration::from_secs(60);
/// A rate covers this number of changes of the metrics that it reads, so that it varies little with the moments at which they change.
const CHANGES: u32 = 4;
/// The points of a graph: for a long time range the window of rates is this part of it, so that no change is between two windows.
const POINTS: u32 = 200;

/// The types of data sources, and the variables that select them: the reader chooses one of those of Grafana, so that a dashboard works
/// when it is imported and when it is provisioned.
pub const PROMETHEUS: (&str, &str) = ("prometheus", "prometheus_datasource");
pub const LOKI: (&str, &str) = ("loki", "loki_datasource");

/// The data source that a variable selects.
pub fn data_source((kind, variable): (&str, &str)) -> Value {
    json!({"type": kind, "uid": format!("${{{variable}}}")})
}

/// The variable of a data source.
fn data_source_variable((kind, variable): (&str, &str), label: &str, description: &str) -> Value {
    json!({
        "name": variable, "label": label, "description": description, "type": "datasource", "query": kind, "regex": "", "current": {},
        "includeAll": false, "multi": false, "refresh": 1, "hide": 0, "options": [], "skipUrlSync": false,
    })
}

/// The shortest window of rates, for the mail systems of a dashboard: metrics change with the `min_interval` of the slowest one.
/// `$__rate_interval` cannot be used: it follows the scrape interval, which is shorter.
pub fn window_min(source: &Source) -> Duration {
    let shown = SOURCES.iter().filter(|known| source.system.as_ref().is_none_or(|system| *system == known.name));
    shown.map(|known| known.min_interval).max().unwrap().max(PUSH_INTERVAL) * CHANGES
}

/// The windows in minutes that can be chosen: long ones for targets whose `min_interval` is configured longer, and short ones if none of the slow
/// mail systems is polled.
const WINDOWS: [u64; 4] = [4, 20, 60, 240];

/// The variable of the window of rates.
fn window_variable(source: &Source) -> Value {
    let minutes = window_min(source).as_secs() / 60;
    let text = |minutes: u64| if minutes.is_multiple_of(60) { format!("{}h", minutes / 60) } else { format!("{minutes}m") };
    let auto = json!({"selected": true, "text": "auto", "value": "$__auto_interval_window"});
    let fixed = WINDOWS.iter().map(|window| json!({"selected": false, "text": text(*window), "value": text(*window)}));
    let options: Vec<Value> = [auto.clone()].into_iter().chain(fixed).collect();
    json!({
        "name": "window", "label": "Window of rates", "type": "interval",
        "description": format!(
            "Rates are averages of this time. auto: {minutes} minutes, longer for a long time range. Four times the min_interval of your targets is right."
        ),
        "auto": true, "auto_count": POINTS, "auto_min": text(minutes),
        "query": WINDOWS.iter().map(|window| text(*window)).collect::<Vec<_>>().join(","),
        "current": auto, "options": options,
        "refresh": 2, "hide": 0, "skipUrlSync": false,
    })
}

/// Renders the variables of a dashboard.
pub fn variables(source: &Source) -> Vec<Value> {
    let query = |name: &str, label: &str, description: &str, query: String, more: Value| {
        let mut variable = json!({
            "name": name, "label": label, "description": description, "type": "query", "datasource": data_source(PROMETHEUS),
            "query": {"qryType": 1, "query": query, "refId": name}, "definition": query,
            "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [], "skipUrlSync": false,
        });
        merge(&mut variable, more);
        variable
    };
    let all = || json!({"includeAll": true, "multi": true, "current": {"selected": true, "text": ["All"], "value": ["$__all"]}});
    let system = source.system.as_ref().map(|system| format!(r#"{{mail_system_name="{system}"}}"#)).unwrap_or_default();
    let mut variables = vec![data_source_variable(
        PROMETHEUS,
        "Prometheus data source",
        "The data source of metrics: Prometheus, Mimir or another one with its API.",
    )];
    let has_logs = source.rows.iter().flat_map(|row| &row.panels).any(reads_logs);
    variables.extend(has_logs.then(|| data_source_variable(LOKI, "Loki data source", "The data source of delivery records.")));
    variables.extend([
        query(
            "via",
            "Pull or push",
            "pull: scraped by Prometheus. otlp: pushed over OTLP. One at a time, because both carry the same metrics and sums would double.",
            "label_values(mail_up, via)".to_owned(),
            json!({"includeAll": false, "multi": false, "current": {"selected": true, "text": "pull", "value": "pull"}}),
        ),
        query("job", "Mail system", "The mail systems.", format!("label_values(mail_up{system}, job)"), all()),
        query(
            "instance",
            "Target",
            "The mail servers, by target name.",
            r#"label_values(mail_up{job=~"$job"}, instance)"#.to_owned(),
            all(),
        ),
    ]);
    variables.push(window_variable(source));
    if source.self_metrics {
        let mut hidden = all();
        merge(&mut hidden, json!({"hide": 2}));
        variables.push(query(
            "own",
            "",
            "The job label of Postmeter's self-metrics.",
            "label_values(postmeter_build_info, job)".to_owned(),
            hidden,
        ));
        let processes = "label_values(postmeter_build_info, instance)".to_owned();
        variables.push(query("process", "Postmeter", "The Postmeter processes.", processes, all()));
    }
    variables
}
