//! Each query of each panel, put to a Prometheus that scraped the demo. The demo is what a user sees first, so nothing may be empty
//! there but what is in a list here with its reason.

use super::world::{DEMO, TROUBLED, World};
use super::{dashboards, panels, targets, text};
use crate::support::skipped;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How long the demo may take to have something to show: rates need two polls, percentiles a delivery between them.
const SOON: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(500);
/// What is wrong with most queries that are.
const EMPTY: &str = "empty";

/// Panels that are empty as long as nothing is wrong. They are asked about a Postmeter in trouble besides, and must show it.
const ONLY_IN_TROUBLE: &[(&str, &str)] = &[
    ("Polls that failed", "a series begins with its first error"),
    ("Requests sent again", "a series begins with its first error"),
    ("Refused at the pull", "a series begins with its first refusal"),
    ("Tokens in use", "the demo asks for no token"),
    ("Passwords checked", "the demo asks for no password"),
];
/// Panels that the demo has nothing for. One that has an answer after all does not belong here.
const WITHOUT_DATA: &[(&str, &str, &str)] =
    &[("postmeter", "Changes on the way to the pull", "every family of the five stand-ins can be pulled as it is said")];

/// A query with its variables filled in, and where it stands.
struct Asked {
    dashboard: String,
    panel: String,
    legend: String,
    native: bool,
    /// Why it may be empty.
    excepted: Option<&'static str>,
    expr: String,
    answer: Result<usize, String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_has_an_answer_on_the_demo() {
    let Some(world) = World::start() else {
        assert!(std::env::var_os("POSTMETER_REQUIRE_PROMETHEUS").is_none_or(|v| v != "1"), "prometheus is not installed");
        skipped("every_query_has_an_answer_on_the_demo", "prometheus is not installed");
        return;
    };
    // reqwest asks for one, though nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = Api { client: reqwest::Client::new(), url: world.api.clone() };
    let mut asked = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).iter().filter(|panel| panel["type"] != "row") {
            let title = text(panel, "title");
            if panel["datasource"]["type"] == "loki" {
                targets(panel).iter().for_each(|target| log_query(text(target, "expr")));
                continue;
            }
            let here = |(dashboard, panel, _): &&(&str, &str, &str)| (*dashboard, *panel) == (name.as_str(), title);
            let excepted = WITHOUT_DATA.iter().find(here).map(|(_, _, why)| *why);
            let in_trouble = ONLY_IN_TROUBLE.iter().any(|(panel, _)| *panel == title);
            // A dashboard of one system never has a target of another.
            if in_trouble && !matches!(name.as_str(), "overview" | "postmeter" | "kumomta") {
                continue;
            }
            for target in targets(panel) {
                let template = text(target, "expr");
                asked.push(Asked {
                    dashboard: name.clone(),
                    panel: title.to_owned(),
                    legend: target["legendFormat"].as_str().unwrap_or_default().to_owned(),
                    native: template.contains(r#"via=~"pull|""#),
                    expr: filled_in(template, &name, in_trouble),
                    excepted,
                    answer: Err("not asked".to_owned()),
                });
            }
        }
    }
    assert!(asked.len() > 200, "{} queries", asked.len());

    let began = Instant::now();
    loop {
        for asked in asked.iter_mut().filter(|asked| asked.answer.is_err()) {
            asked.answer = api.ask(asked).await;
        }
        if asked.iter().all(|asked| asked.answer.is_ok() || asked.excepted.is_some()) || began.elapsed() > SOON {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let table = table(&asked);
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-queries.md");
    std::fs::write(&kept, &table).unwrap();
    println!("{table}\nkept in {}, after {:?}", kept.display(), began.elapsed());
    let failed: Vec<String> = asked
        .iter()
        .filter_map(|asked| {
            let why = match (&asked.answer, asked.excepted) {
                (Ok(_), None) => return None,
                (Ok(_), Some(_)) => "has an answer: take it out of WITHOUT_DATA",
                (Err(why), Some(_)) if why == EMPTY => return None,
                (Err(why), _) => why,
            };
            Some(format!("{}, {}: {why}\n    {}", asked.dashboard, asked.panel, asked.expr))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} queries:\n{}", failed.len(), asked.len(), failed.join("\n"));

    // What Postmeter says of itself and no panel shows. What it measures of time is shown by its buckets.
    let matches = r#"{job="postmeter",__name__=~"(postmeter|otel|http)_.+",__name__!~".+_(sum|count)"}"#;
    let answer = api.get("label/__name__/values", &[("match[]", matches)]).await.unwrap();
    let names: Vec<&str> = answer["data"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let unseen: Vec<_> = names.iter().filter(|name| !asked.iter().any(|asked| asked.expr.contains(&format!("{name}{{")))).collect();
    assert!(names.len() >= 15 && unseen.is_empty(), "no panel shows {unseen:?} of {names:?}");

    // The variables, as Grafana asks for their values.
    for (matches, label, expected) in [
        ("mail_up", "via", "pull"),
        ("mail_up", "job", "stalwart"),
        (r#"mail_up{mail_system_name="cpanel"}"#, "job", "cpanel"),
        (r#"mail_up{job=~"(cpanel|kumomta)"}"#, "instance", "demo-kumomta"),
        ("postmeter_build_info", "instance", TROUBLED),
        ("postmeter_build_info", "job", "postmeter"),
    ] {
        let answer = api.get(&format!("label/{label}/values"), &[("match[]", matches)]).await.unwrap();
        assert!(answer["data"].as_array().unwrap().contains(&expected.into()), "{label} of {matches}: {answer}");
    }
}

/// As Grafana would: with the variables as regular expressions of all their values.
fn filled_in(expr: &str, dashboard: &str, in_trouble: bool) -> String {
    let job = if matches!(dashboard, "overview" | "postmeter") { "(ceymail|cpanel|emailengine|kumomta|stalwart)" } else { dashboard };
    let instance = if in_trouble { TROUBLED.to_owned() } else { "(demo-.+)".to_owned() };
    let filled = expr
        .replace("$__rate_interval", "1m")
        .replace("$instance", &instance)
        .replace("$process", if in_trouble { TROUBLED } else { DEMO })
        .replace("$own", "(postmeter)")
        .replace("$job", job)
        .replace("$via", "pull");
    assert!(!filled.contains('$'), "a variable without a value: {filled}");
    filled
}

struct Api {
    client: reqwest::Client,
    url: String,
}

impl Api {
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect::<Vec<_>>().join("&");
        let answer = self.client.get(format!("{}/{path}?{pairs}", self.url)).send().await.map_err(|error| error.to_string())?;
        let answer: Value =
            serde_json::from_slice(&answer.bytes().await.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer) } else { Err(answer["error"].to_string()) }
    }

    /// How many series the answer has: none, or nothing but what is not a number, is an error; so is a legend without its label.
    async fn ask(&self, asked: &Asked) -> Result<usize, String> {
        let answer = self.get("query", &[("query", &asked.expr)]).await?;
        let series = answer["data"]["result"].as_array().ok_or("no result")?;
        if series.is_empty() {
            return Err(EMPTY.to_owned());
        }
        if series.iter().all(|series| series["value"][1] == "NaN") {
            return Err("nothing but NaN".to_owned());
        }
        for label in asked.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let has = |series: &Value| series["metric"][label].as_str().is_some_and(|value| !value.is_empty());
            if asked.native && !series.iter().any(has) {
                return Err(format!("no series has the label {label} of the legend"));
            }
        }
        Ok(series.len())
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
        out
    })
}

/// Without a Loki: the labels that it makes of a Resource, the name of the event, and everything closed that was opened.
#[track_caller]
fn log_query(expr: &str) {
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

fn table(asked: &[Asked]) -> String {
    let mut table = String::from("| dashboard | panel | series | query |\n|---|---|---|---|\n");
    for asked in asked {
        let series = match (&asked.answer, asked.excepted) {
            (Ok(series), _) => series.to_string(),
            (Err(_), Some(why)) => why.to_owned(),
            (Err(why), None) => format!("**{why}**"),
        };
        let _ = writeln!(table, "| {} | {} | {series} | `{}` |", asked.dashboard, asked.panel, asked.expr.replace('|', "\\|"));
    }
    table
}
