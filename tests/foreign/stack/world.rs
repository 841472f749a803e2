//! The stack as processes, from the shipped files: stand-ins, Postmeter, Collector, Prometheus.
//!
//! What is changed of the files: addresses of the compose network become this machine's, and intervals become short. The Collector's
//! file has variables for that; in the others the text is replaced, and each replacement must be found.

use super::programs::{Running, free_ports};
use crate::support::postmeter;
use postmeter::simulate::{Options, SimulatedServer, System};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// How long the stack may take to have what it waits for.
pub const SOON: Duration = Duration::from_secs(90);
/// Long enough to read both counts between two pushes, on a busy machine too.
const PUSH_INTERVAL: &str = "interval: 5s";
const AGAIN: Duration = Duration::from_millis(200);

/// Labels of a series without the way that it came in, and its value.
pub type Series = BTreeMap<BTreeMap<String, String>, f64>;

pub struct World {
    // Ended in this order.
    pub postmeter: Running,
    pub collector: Running,
    pub prometheus: Running,
    _stand_ins: Vec<SimulatedServer>,
    _folder: TempDir,
    postmeter_url: String,
    collector_metrics: String,
    prometheus_url: String,
}

/// A file of `otel-config`, with each of these replaced.
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
        // Whoever is second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let [pull, grpc, http, health, metrics, web] = free_ports();
        let local = |port: u16| format!("127.0.0.1:{port}");

        let mut stand_ins = Vec::new();
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
            // Frozen, so that what came one way can be compared with what came the other.
            let stand_in = SimulatedServer::start(system, any, Options { frozen: true, ..Options::default() }).await.unwrap();
            replacements.push((address, stand_in.url().trim_start_matches("http:").to_owned()));
            stand_ins.push(stand_in);
        }
        std::fs::write(here.join("demo.yaml"), shipped("demo.yaml", &replacements)).unwrap();
        let config = shipped(
            "prometheus.yml",
            &[
                ("postmeter:9464", local(pull)),
                ("collector:8888", local(metrics)),
                ("localhost:9090", local(web)),
                ("scrape_interval: 15s", "scrape_interval: 2s".to_owned()),
                ("scrape_timeout: 10s", "scrape_timeout: 2s".to_owned()),
            ],
        );
        std::fs::write(here.join("prometheus.yml"), config).unwrap();
        std::os::unix::fs::symlink(Path::new(REPOSITORY).join("otel-config/alerts"), here.join("alerts")).unwrap();

        let prometheus = Running::start(
            "prometheus",
            here,
            Command::new(prometheus)
                .arg(format!("--config.file={}", here.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", here.join("data").display()))
                .arg(format!("--web.listen-address={}", local(web)))
                .arg("--web.enable-otlp-receiver"),
        );
        let collector = Running::start(
            "collector",
            here,
            Command::new(collector)
                .arg(format!("--config={REPOSITORY}/otel-config/collector.yaml"))
                .env("COLLECTOR_GRPC", local(grpc))
                .env("COLLECTOR_HTTP", local(http))
                .env("COLLECTOR_HEALTH", local(health))
                .env("COLLECTOR_METRICS_HOST", "127.0.0.1")
                .env("COLLECTOR_METRICS_PORT", metrics.to_string())
                .env("COLLECTOR_QUEUE_DIR", here.join("queue"))
                .env("PROMETHEUS_OTLP", format!("http://{}/api/v1/otlp", local(web))),
        );
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
            _stand_ins: stand_ins,
            _folder: folder,
            postmeter_url: format!("http://{}/metrics", local(pull)),
            collector_metrics: format!("http://{}/metrics", local(metrics)),
            prometheus_url: format!("http://{}", local(web)),
        }
    }

    fn check(&mut self) {
        for program in [&mut self.postmeter, &mut self.collector, &mut self.prometheus] {
            program.check();
        }
    }

    /// Waits until a query has this value.
    pub async fn wait_for(&mut self, query: &str, value: f64) {
        let deadline = Instant::now() + SOON;
        let mut last;
        loop {
            self.check();
            last = self.try_query(query).await;
            if last.as_ref().is_ok_and(|found| found.values().copied().eq([value])) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{query} is not {value}: {last:?}\n{}\n{}\n{}",
                self.postmeter.log(),
                self.collector.log(),
                self.prometheus.log()
            );
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_query(&self, query: &str) -> Result<Series, String> {
        let answer = self.api("query", &[("query", query)]).await?;
        let results = answer["data"]["result"].as_array().ok_or_else(|| answer.to_string())?;
        let labels = |result: &Value| -> BTreeMap<String, String> { serde_json::from_value(result["metric"].clone()).unwrap() };
        let value = |result: &Value| result["value"][1].as_str().unwrap().parse().unwrap();
        let series: Series = results.iter().map(|result| (labels(result), value(result))).collect();
        assert_eq!(series.len(), results.len(), "{query}");
        Ok(series)
    }

    /// The value now of each series that a query finds.
    pub async fn query(&self, query: &str) -> Series {
        self.try_query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// What Prometheus' API answers.
    pub async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.prometheus_url), parameters).unwrap();
        let body = get(url.as_str()).await?;
        serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))
    }

    /// The sum of a counter of Postmeter's or of the Collector's own page, over the series that have none of these labels.
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
    let answer = async { reqwest::Client::builder().no_proxy().build()?.get(url).send().await?.error_for_status()?.text().await };
    answer.await.map_err(|error| error.to_string())
}
