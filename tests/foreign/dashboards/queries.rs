//! Runs every query of every panel against a Prometheus that scrapes the demo. Users see the demo first, so only the panels that are
//! listed here, with a reason, may be empty.

use super::world::{DEMO, FAILING, World};
use super::{dashboards, panels, targets, text};
use crate::support::names::{selected, vocabulary};
use crate::support::{http_client, skipped};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The time until every query must return data: rates need two polls, percentiles need a delivery between them.
const DATA_MAX: Duration = Duration::from_secs(90);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The error of a query that returns no series.
const EMPTY: &str = "empty";

/// Panels that are empty while nothing is wrong, with the reason. Their queries select the failing Postmeter instead of the demo.
pub const DATA_ON_FAILURE: &[(&str, &str)] = &[
    ("Failed polls", "a series begins with its first error"),
    ("Retried push requests", "a series begins with its first error"),
    ("Rejected requests and connections", "a series begins with its first rejection"),
    ("Time since last use of each token", "the demo requires no token"),
    ("Password checks", "the demo requires no password"),
    ("Time until the certificate expires", "the demo has no certificate"),
    ("Shards", "the demo has no shards"),
];
/// Panels that have no data in the demo: dashboard, panel, reason. A panel that does have data must not be listed.
const WITHOUT_DATA: &[(&str, &str, &str)] =
    &[("postmeter", "Native metrics changed on /metrics", "every family of the five simulated servers is exposed unchanged")];

/// A query of a panel with its variables filled in, and its result.
pub struct PanelQuery {
    pub dashboard: String,
    pub panel: String,
    pub legend: String,
    pub native: bool,
    /// The reason why the result may be empty.
    pub exception: Option<&'static str>,
    pub expr: String,
    /// The number of series, or an error.
    pub result: Result<usize, String>,
}

/// The query of a panel, which has not been run.
pub fn panel_query(
    dashboard: &str,
    panel: &str,
    target: &Value,
    vocabulary: &BTreeSet<String>,
    fill_in: impl FnOnce(&str) -> String,
) -> PanelQuery {
    let template = text(target, "expr");
    PanelQuery {
        dashboard: dashboard.to_owned(),
        panel: panel.to_owned(),
        legend: target["legendFormat"].as_str().unwrap_or_default().to_owned(),
        native: is_native(template, vocabulary),
        exception: None,
        expr: fill_in(template),
        result: Err("not run".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_returns_data_from_the_demo() {
    let Some(world) = World::start() else {
        assert!(std::env::var_os("POSTMETER_REQUIRE_PROMETHEUS").is_none_or(|v| v != "1"), "prometheus is not installed");
        skipped("every_query_returns_data_from_the_demo", "prometheus is not installed");
        return;
    };
    let api = Api { client: http_client(), url: world.api.clone() };
    let mut queries = Vec::new();
    let vocabulary: BTreeSet<String> = vocabulary().into_keys().collect();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["type"] != "row") {
            let title = text(panel, "title");
            if panel["datasource"]["type"] == "loki" {
                targets(panel).iter().for_each(|target| check_log_query(text(target, "expr")));
                continue;
            }
            let is_listed = |(dashboard, panel, _): &&(&str, &str, &str)| (*dashboard, *panel) == (name.as_str(), title);
            let exception = WITHOUT_DATA.iter().find(is_listed).map(|(_, _, reason)| *reason);
            let on_failure = DATA_ON_FAILURE.iter().any(|(panel, _)| *panel == title);
            // The failing target is a KumoMTA server, so dashboards of other systems have no data for it.
            if on_failure && !matches!(name.as_str(), "overview" | "postmeter" | "kumomta") {
                continue;
            }
            for target in targets(panel) {
                let (instance, process) = if on_failure { (FAILING, FAILING) } else { ("(demo-.+)", DEMO) };
                let fill_in = |template: &str| fill_in(template, &name, "pull", instance, process);
                queries.push(PanelQuery { exception, ..panel_query(&name, title, target, &vocabulary, fill_in) });
            }
        }
    }
    assert!(queries.len() > 200, "{} queries", queries.len());

    let began = Instant::now();
    api.run_until_data(&mut queries, || ()).await;
    let table = table(&queries);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-queries.md");
    std::fs::write(&path, &table).unwrap();
    println!("{table}\nwritten to {} after {:?}", path.display(), began.elapsed());
    let failed: Vec<String> = queries
        .iter()
        .filter_map(|query| {
            let error = match (&query.result, query.exception) {
                (Ok(_), None) => return None,
                (Ok(_), Some(_)) => "has data: remove it from WITHOUT_DATA",
                (Err(error), Some(_)) if error == EMPTY => return None,
                (Err(error), _) => error,
            };
            Some(format!("{}, {}: {error}\n    {}", query.dashboard, query.panel, query.expr))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} queries:\n{}", failed.len(), queries.len(), failed.join("\n"));

    // Every self-metric of Postmeter is on a panel; a histogram is shown by its buckets.
    let matches = r#"{job="postmeter",__name__=~"(postmeter|otel|http)_.+",__name__!~".+_(sum|count)"}"#;
    let response = api.get("label/__name__/values", &[("match[]", matches)]).await.unwrap();
    let names: Vec<&str> = response["data"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let missing: Vec<_> = names.iter().filter(|name| !queries.iter().any(|query| query.expr.contains(&format!("{name}{{")))).collect();
    assert!(names.len() >= 15 && missing.is_empty(), "no panel shows {missing:?} of {names:?}");

    // The values of the dashboard variables, requested as Grafana does.
    for (matches, label, expected) in [
        ("mail_up", "via", "pull"),
        ("mail_up", "job", "stalwart"),
        (r#"mail_up{mail_system_name="cpanel"}"#, "job", "cpanel"),
        (r#"mail_up{job=~"(cpanel|kumomta)"}"#, "instance", "demo-kumomta"),
        ("postmeter_build_info", "instance", FAILING),
        ("postmeter_build_info", "job", "postmeter"),
    ] {
        let response = api.get(&format!("label/{label}/values"), &[("match[]", matches)]).await.unwrap();
        assert!(response["data"].as_array().unwrap().contains(&expected.into()), "{label} of {matches}: {response}");
    }
}

/// Replaces the variables of a query as Grafana does: each becomes a regular expression that matches all its values.
pub fn fill_in(expr: &str, dashboard: &str, via: &str, instance: &str, process: &str) -> String {
    let job = if matches!(dashboard, "overview" | "postmeter" | "deliverability") {
        "(ceymail|cpanel|emailengine|kumomta|stalwart)"
    } else {
        dashboard
    };
    let filled_in = expr
        .replace("$window", "1m")
        .replace("$instance", instance)
        .replace("$process", process)
        .replace("$own", "(postmeter)")
        .replace("$job", job)
        .replace("$via", via);
    assert!(!filled_in.replace("\"$1\"", "").contains('$'), "a variable without a value: {filled_in}");
    filled_in
}

/// Returns true if a query reads native metrics of a mail server.
fn is_native(template: &str, vocabulary: &BTreeSet<String>) -> bool {
    let is_native = |name: &str| !vocabulary.contains(name) && !["target_info", "ALERTS"].contains(&name);
    !template.contains("$own") && selected(template).iter().any(|selection| is_native(selection.name))
}

/// A client of Prometheus' HTTP API.
pub struct Api {
    pub client: reqwest::Client,
    pub url: String,
}

impl Api {
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", percent_encode(value))).collect::<Vec<_>>().join("&");
        let response = self.client.get(format!("{}/{path}?{pairs}", self.url)).send().await.map_err(|error| error.to_string())?;
        let body = response.bytes().await.map_err(|error| error.to_string())?;
        let response: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if response["status"] == "success" { Ok(response) } else { Err(response["error"].to_string()) }
    }

    /// Runs queries again until each has data or an exception, or [`DATA_MAX`] is over.
    pub async fn run_until_data(&self, queries: &mut [PanelQuery], check: impl Fn()) {
        let began = Instant::now();
        loop {
            check();
            for query in queries.iter_mut().filter(|query| query.result.is_err()) {
                query.result = self.run(query).await;
            }
            if queries.iter().all(|query| query.result.is_ok() || query.exception.is_some()) || began.elapsed() > DATA_MAX {
                break;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Runs a query and returns its number of series. An empty result, a result of NaN values only, and a label of the legend that no
    /// series has are errors.
    async fn run(&self, query: &PanelQuery) -> Result<usize, String> {
        let response = self.get("query", &[("query", &query.expr)]).await?;
        let series = response["data"]["result"].as_array().ok_or("no result")?;
        if series.is_empty() {
            return Err(EMPTY.to_owned());
        }
        if series.iter().all(|series| series["value"][1] == "NaN") {
            return Err("only NaN".to_owned());
        }
        for label in query.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let has = |series: &Value| series["metric"][label].as_str().is_some_and(|value| !value.is_empty());
            if query.native && !series.iter().any(has) {
                return Err(format!("no series has the label {label} of the legend"));
            }
        }
        Ok(series.len())
    }
}

/// Percent-encodes a query parameter.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
        out
    })
}

/// Checks a Loki query without running it: its stream selector, the event it selects, and balanced brackets.
#[track_caller]
fn check_log_query(expr: &str) {
    let stream = r#"{service_name=~"$job",service_instance_id=~"$instance"} | event_name = `mail.delivery` or mail_delivery_outcome != ``"#;
    assert!(expr.contains(stream), "{expr}");
    let mut open = Vec::new();
    for c in expr.chars() {
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' => assert_eq!(open.pop(), Some('('), "{expr}"),
            ']' => assert_eq!(open.pop(), Some('['), "{expr}"),
            '}' => assert_eq!(open.pop(), Some('{'), "{expr}"),
            _ => {}
        }
    }
    assert!(open.is_empty() && expr.matches('`').count().is_multiple_of(2), "{expr}");
}

/// All queries with their numbers of series, as a Markdown table.
fn table(queries: &[PanelQuery]) -> String {
    let mut table = String::from("| dashboard | panel | series | query |\n|---|---|---|---|\n");
    for query in queries {
        let series = match (&query.result, query.exception) {
            (Ok(series), _) => series.to_string(),
            (Err(_), Some(reason)) => reason.to_owned(),
            (Err(error), None) => format!("**{error}**"),
        };
        let _ = writeln!(table, "| {} | {} | {series} | `{}` |", query.dashboard, query.panel, query.expr.replace('|', "\\|"));
    }
    table
}
