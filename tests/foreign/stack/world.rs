//! The stack as processes, from the shipped files: simulated servers, Postmeter, Collector, Prometheus.
//!
//! Addresses of the compose network are replaced with local ones, and intervals with short ones. The Collector's file has variables
//! for that; in the other files the text is replaced, and every replacement must occur.

use super::programs::{Running, free_ports};
use crate::support::{Described, http_client, install_crypto_provider, postmeter, wait_until_async};
use parking_lot::Mutex;
use postmeter::simulate::{Options, SimulatedServer, System};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// Limit of a wait for the stack.
pub const SOON: Duration = Duration::from_secs(90);
/// Long enough to read both counts between two pushes, even on a busy machine.
const PUSH_INTERVAL: &str = "interval: 5s";

/// Series by their labels, and their values.
pub type Series = BTreeMap<BTreeMap<String, String>, f64>;

/// The running stack. Fields are dropped in this order.
pub struct World {
    pub postmeter: Running,
    pub collector: Running,
    pub prometheus: Running,
    _servers: Vec<SimulatedServer>,
    _folder: TempDir,
    postmeter_url: String,
    collector_metrics: String,
    prometheus_url: String,
}

/// A file of `otel-config` with replacements.
fn shipped(name: &str, replacements: &[(&str, String)]) -> String {
    let mut text = std::fs::read_to_string(Path::new(REPOSITORY).join("otel-config").join(name)).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

impl World {
    pub async fn start(collector: &Path, prometheus: &Path) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let [pull, grpc, http, health, metrics, web] = free_ports();
        let local = |port: u16| format!("127.0.0.1:{port}");

        let mut servers = Vec::new();
        let mut replacements = vec![
            ("min_interval: 5s", "min_interval: 1s".to_owned()),
            ("interval: 15s", PUSH_INTERVAL.to_owned()),
            ("/var/lib/postmeter", here.join("state").display().to_string()),
        ];
        for (system, address) in [
            (System::Cpanel, "//cpanel:2087"),
            (System::Ceymail, "//ceymail:8080"),
            (System::Kumomta, "//kumomta:8000"),
            (System::Stalwart, "//stalwart:8080"),
            (System::Emailengine, "//emailengine:3000"),
        ] {
            let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
            // Frozen, so that pulled and pushed values are equal.
            let server = SimulatedServer::start(system, any, Options { frozen: true, ..Options::default() }).await.unwrap();
            replacements.push((address, server.url().trim_start_matches("http:").to_owned()));
            servers.push(server);
        }
        std::fs::write(here.join("demo.yaml"), shipped("demo.yaml", &replacements)).unwrap();
        let config = shipped(
            "prometheus.yml",
            &[
                ("postmeter:9464", local(pull)),
                ("collector:8888", local(metrics)),
                ("localhost:9090", local(web)),
                ("scrape_interval: 15s", "scrape_interval: 2s\n  evaluation_interval: 2s".to_owned()),
                ("scrape_timeout: 10s", "scrape_timeout: 2s".to_owned()),
            ],
        );
        std::os::unix::fs::symlink(Path::new(REPOSITORY).join("otel-config/alerts"), here.join("alerts")).unwrap();

        let prometheus = Running::prometheus(prometheus, here, &config, web, &[]);
        let collector = Running::collector(collector, here, [grpc, http, health, metrics], web);
        let postmeter = Running::start(
            "postmeter",
            here,
            postmeter()
                .args(["run", "--config"])
                .arg(here.join("demo.yaml"))
                .env("OTEL_METRICS_EXPORTER", "otlp,prometheus")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", local(grpc)))
                .env("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1")
                .env("OTEL_EXPORTER_PROMETHEUS_PORT", pull.to_string()),
        );
        Self {
            postmeter,
            collector,
            prometheus,
            _servers: servers,
            _folder: folder,
            postmeter_url: format!("http://{}/metrics", local(pull)),
            collector_metrics: format!("http://{}/metrics", local(metrics)),
            prometheus_url: format!("http://{}", local(web)),
        }
    }

    fn check(&self) {
        for program in [&self.postmeter, &self.collector, &self.prometheus] {
            program.check();
        }
    }

    /// Waits until a query has this value.
    pub async fn wait_for(&self, query: &str, value: f64) {
        let last = Mutex::new(String::new());
        let has_value = || async {
            self.check();
            let found = self.try_query(query).await;
            *last.lock() = format!("{found:?}");
            found.is_ok_and(|found| found.values().copied().eq([value]))
        };
        let logs = || [&self.postmeter, &self.collector, &self.prometheus].map(Running::log).join("\n");
        wait_until_async(has_value, SOON, Described(|| format!("{query} is {value}, not {}\n{}", last.lock(), logs()))).await;
    }

    async fn try_query(&self, query: &str) -> Result<Series, String> {
        let response = self.api("query", &[("query", query)]).await?;
        let results = response["data"]["result"].as_array().ok_or_else(|| response.to_string())?;
        let labels = |result: &Value| -> BTreeMap<String, String> { serde_json::from_value(result["metric"].clone()).unwrap() };
        let value = |result: &Value| result["value"][1].as_str().unwrap().parse().unwrap();
        let series: Series = results.iter().map(|result| (labels(result), value(result))).collect();
        assert_eq!(series.len(), results.len(), "{query}");
        Ok(series)
    }

    /// The series that a query returns.
    pub async fn query(&self, query: &str) -> Series {
        self.try_query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// A response of Prometheus' API.
    pub async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.prometheus_url), parameters).unwrap();
        let body = get(url.as_str()).await?;
        serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))
    }

    /// The sum of a self-metric of Postmeter or of the Collector, over the series whose lines do not contain `without`.
    pub async fn own(&self, of_collector: bool, name: &str, without: &str) -> u64 {
        let url = if of_collector { &self.collector_metrics } else { &self.postmeter_url };
        let page = get(url).await.unwrap();
        let series = page.lines().filter(|line| line.starts_with(name) && !line.contains(without));
        series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64).sum()
    }

    pub async fn pulled(&self) -> String {
        get(&self.postmeter_url).await.unwrap()
    }
}

async fn get(url: &str) -> Result<String, String> {
    let body = async { http_client().get(url).send().await?.error_for_status()?.text().await };
    body.await.map_err(|error| error.to_string())
}
