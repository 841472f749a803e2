//! The recipes of docs/platforms.md and docs/scaling.md, each with the real program where `.ci/programs` or `.ci/platform-programs` builds it.
//!
//! `POSTMETER_VICTORIAMETRICS` and `POSTMETER_KAFKA` name VictoriaMetrics and a Kafka-compatible broker. Hosts and ports of a recipe are
//! replaced with local ones, and every replacement must occur.

use super::needed;
use super::programs::{COLLECTOR, PROMETHEUS, Program, Running, free_ports, output_text};
use super::world::SOON;
use crate::support::flat::flatten;
use crate::support::program::Program as Postmeter;
use crate::support::{ANY, Described, http_client, install_crypto_provider, wait_until_async};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const VICTORIAMETRICS: Program =
    Program { variable: "POSTMETER_VICTORIAMETRICS", names: &["victoria-metrics"], version: "victoria-metrics-" };
/// The broker has no version: it prints its address.
const KAFKA: Program = Program { variable: "POSTMETER_KAFKA", names: &["kafka-broker"], version: "127.0.0.1:" };
/// Recipes of the Collector whose components the Collector of `.ci/programs` does not have.
const ONLY_PARSED: [&str; 2] = ["datadog", "gateway"];
const PAGES: [&str; 2] = ["docs/platforms.md", "docs/scaling.md"];

/// The recipes of a kind: their names and texts.
fn recipes(kind: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        for recipe in text.split(&format!("<!-- {kind}: ")).skip(1) {
            let (name, rest) = recipe.split_once(" -->\n```").unwrap();
            let (_, rest) = rest.split_once('\n').unwrap();
            found.push((name.to_owned(), rest.split("```").next().unwrap().to_owned()));
        }
    }
    found
}

/// The text of a recipe with replacements.
fn recipe(kind: &str, name: &str, replacements: &[(&str, String)]) -> String {
    let (_, mut text) = recipes(kind).into_iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no recipe {name}"));
    for (from, to) in replacements {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// A simulated server, and Postmeter that pushes it with a recipe.
struct Pushed {
    server: SimulatedServer,
    postmeter: Postmeter,
    _folder: TempDir,
}

impl Pushed {
    async fn start(export: &str) -> Self {
        let server = SimulatedServer::start(System::Kumomta, ANY, Options { frozen: true, ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let resource = "resource: {deployment.environment.name: production}";
        let target = format!("{{name: mx1, system: kumomta, url: \"{}\", min_interval: 1s, {resource}}}", server.url());
        let export = export.replace("  otlp:\n", "  prometheus: {listen: \"127.0.0.1:0\"}\n  otlp:\n    interval: 1s\n");
        let postmeter = Postmeter::spawn_with(folder.path(), &format!("targets: [{target}]\n{export}"), &[]);
        Self { server, postmeter, _folder: folder }
    }

    async fn end(self) {
        self.postmeter.terminate();
        self.postmeter.end();
        self.server.shutdown().await;
    }
}

/// Waits until a query of Prometheus' API at this URL has a result, and returns its labels.
async fn labels_of(url: &str, query: &str, log: impl Fn() -> String) -> Value {
    let found = Mutex::new(Value::Null);
    let client = http_client();
    let has_result = || async {
        let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), [("query", query)]).unwrap();
        let Ok(response) = client.get(url).send().await else { return false };
        let text = response.text().await.unwrap_or_default();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        *found.lock() = body["data"]["result"][0]["metric"].clone();
        found.lock().is_object()
    };
    wait_until_async(has_result, SOON, Described(|| format!("{query} has a result\n{}", log()))).await;
    found.into_inner()
}

/// A gateway that checks a header, forwards to Prometheus' OTLP receiver, and counts.
#[derive(Clone)]
struct Gateway {
    header: (&'static str, String),
    receiver: String,
    client: reqwest::Client,
}

async fn forward(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let (name, expected) = &gateway.header;
    if headers.get(*name).is_none_or(|value| value != expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, Bytes::from_static(b"no org id"));
    }
    let mut request = gateway.client.post(&gateway.receiver).body(body);
    for name in ["content-type", "content-encoding"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    match request.send().await {
        Ok(response) => (StatusCode::from_u16(response.status().as_u16()).unwrap(), response.bytes().await.unwrap_or_default()),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
    }
}

/// The paths and headers of Mimir and of Grafana Cloud, whose translation is that of Prometheus.
#[tokio::test(flavor = "multi_thread")]
async fn mimir_and_grafana_cloud_receive_what_prometheus_would() {
    let Some([prometheus]) = needed("mimir_and_grafana_cloud_receive_what_prometheus_would", [&PROMETHEUS]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let config = "otlp: {promote_resource_attributes: [deployment.environment.name]}\n";
    let prometheus = Running::prometheus(&prometheus, folder.path(), config, web, &[]);
    let auth = STANDARD.encode("123456:glc_token");
    for (name, host, header) in [
        ("mimir", "https://mimir.example.com/otlp", ("x-scope-orgid", "mail".to_owned())),
        ("grafana-cloud", "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp", ("authorization", format!("Basic {auth}"))),
    ] {
        let receiver = format!("http://127.0.0.1:{web}/api/v1/otlp/v1/metrics");
        let gateway = Gateway { header, receiver, client: http_client() };
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let url = format!("http://{}/otlp", listener.local_addr().unwrap());
        let routes = Router::new().route("/otlp/v1/metrics", post(forward)).with_state(gateway);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut replacements = vec![(host, url)];
        if name == "grafana-cloud" {
            replacements.push(("${env:GRAFANA_CLOUD_AUTH}", auth.clone()));
        }
        // Another instance for each recipe, so that its points are new.
        let pushed = Pushed::start(&recipe("recipe", name, &replacements)).await;
        let port = pushed.server.addr().port();
        let query = format!(
            "mail_up{{job=\"kumomta\",instance=\"mx1\"}} * on (job, instance) group_left (server_port) target_info{{server_port=\"{port}\"}} == 1"
        );
        let labels = labels_of(&format!("http://127.0.0.1:{web}"), &query, || prometheus.log()).await;
        assert_eq!(labels["server_port"], port.to_string(), "{name}");
        pushed.end().await;
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn victoriametrics_has_the_names_and_labels_of_the_dashboards() {
    let Some([victoriametrics]) = needed("victoriametrics_has_the_names_and_labels_of_the_dashboards", [&VICTORIAMETRICS]) else { return };
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let relabel = folder.path().join("relabel.yaml");
    std::fs::write(&relabel, recipe("recipe", "victoriametrics-relabel", &[])).unwrap();
    let options = recipe("recipe", "victoriametrics-options", &[("/etc/victoriametrics/relabel.yaml", relabel.display().to_string())]);
    let mut command = Command::new(victoriametrics);
    command
        .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{web}"))
        .args(["-search.latencyOffset=0s", "-inmemoryDataFlushInterval=1s"])
        .args(options.split_whitespace());
    let program = Running::start("victoriametrics", folder.path(), &mut command);
    let url = format!("http://127.0.0.1:{web}");
    let pushed = Pushed::start(&recipe("recipe", "victoriametrics", &[("http://victoriametrics:8428", url.clone())])).await;
    let query = r#"mail_delivery_attempts_total{job="kumomta",instance="mx1",mail_delivery_outcome="delivered"}"#;
    let labels = labels_of(&url, query, || program.log()).await;
    assert_eq!(labels["deployment_environment_name"], "production", "{labels}");
    for absent in ["service_name", "service_instance_id", "scope_name"] {
        assert!(labels[absent].is_null(), "{absent}: {labels}");
    }
    pushed.end().await;
}

#[test]
fn the_collector_accepts_the_recipes() {
    let Some([collector]) = needed("the_collector_accepts_the_recipes", [&COLLECTOR]) else { return };
    let recipes = recipes("collector");
    assert!(recipes.len() >= 6, "{recipes:?}");
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in recipes {
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, &text).unwrap();
        if ONLY_PARSED.contains(&name.as_str()) {
            let parsed: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            for section in ["receivers", "exporters", "service"] {
                assert!(parsed[section].is_object(), "{name}: {section}");
            }
            continue;
        }
        let mut command = Command::new(&collector);
        command.args(["validate", &format!("--config={}", path.display())]);
        command.envs([("NEW_RELIC_LICENSE_KEY", "key"), ("HONEYCOMB_API_KEY", "key")]);
        let checked = command.output().unwrap();
        assert!(checked.status.success(), "{name}: {}", output_text(&checked));
    }
    for (name, text) in self::recipes("recipe").iter().filter(|(_, text)| text.starts_with("export:")) {
        let config = format!("targets: [{{name: a, system: kumomta, url: \"http://a\"}}]\n{text}");
        let environment = [("GRAFANA_CLOUD_AUTH", "x")].into_iter().collect();
        postmeter::config::parse(&config, name, &environment).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    }
}

/// A broker that ends when its standard input is closed.
struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    fn start(program: &Path) -> Self {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Postmeter, a Collector that writes to Kafka, one that reads from it, and a receiver.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_pass_through_a_stream() {
    let Some([collector, kafka]) = needed("metrics_pass_through_a_stream", [&COLLECTOR, &KAFKA]) else { return };
    install_crypto_provider();
    let (broker, receiver) = (Broker::start(&kafka), Receiver::start(ANY).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let [grpc] = free_ports();
    let broker_address = ("kafka.example.com:9092", broker.address.clone());
    let gateway = recipe("collector", "stream-gateway", &[broker_address.clone(), ("0.0.0.0:4317", format!("127.0.0.1:{grpc}"))]);
    // The simulated receiver speaks gRPC.
    let store = (
        "otlp_http/store: {endpoint: \"https://mimir.example.com/otlp\"}",
        format!("otlp_grpc/store: {{endpoint: \"{}\", tls: {{insecure: true}}}}", receiver.url().trim_start_matches("http://")),
    );
    let reader = recipe("collector", "stream-reader", &[broker_address, store, ("[otlp_http/store]", "[otlp_grpc/store]".to_owned())]);
    let start = |name: &'static str, text: String| {
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, format!("{text}  telemetry: {{metrics: {{level: none}}}}\n")).unwrap();
        Running::start(name, folder.path(), Command::new(&collector).arg(format!("--config={}", path.display())))
    };
    let programs = [start("gateway", gateway), start("reader", reader)];
    let pushed = Pushed::start(&format!("export:\n  otlp:\n    endpoint: http://127.0.0.1:{grpc}\n")).await;
    let arrives = || async {
        programs.iter().for_each(Running::check);
        let points = flatten(&receiver.requests());
        ["mail.up", "mail.delivery.attempts"].iter().all(|name| points.iter().any(|point| point.metric == *name && point.target == "mx1"))
    };
    let logs = || programs.iter().map(Running::log).collect::<Vec<_>>().join("\n");
    wait_until_async(arrives, SOON, Described(|| format!("the points arrive\n{}", logs()))).await;
    pushed.end().await;
    receiver.shutdown().await;
}
