//! The variables of a dashboard: its data sources, pull or push, mail systems and targets.

use super::render::{merge, reads_logs};
use super::source::Source;
use serde_json::{Value, json};

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
