//! Passthrough to scrapers: every native family, in every format and size, also with Prometheus.
#![allow(clippy::unwrap_used)]

use crate::support::program::KilledOnDrop;
use crate::support::{ANY, http_client, start_service, wait_until_async};
use flate2::read::GzDecoder;
use postmeter::app::Service;
use postmeter::format::prometheus;
use postmeter::model::{Families, Value};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

struct TestService {
    kumomta: SimulatedServer,
    service: Service,
}

async fn start(size: usize, relay: &str) -> TestService {
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, Options { size, frozen: true, ..Options::default() }).await.unwrap();
    let file = format!(
        "targets:\n  - {{name: mta1, system: kumomta, url: \"{}\", min_interval: 1h{relay}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n",
        kumomta.url()
    );
    let service = start_service(&file).await;
    TestService { kumomta, service }
}

impl TestService {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (reqwest::header::HeaderMap, Vec<u8>) {
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        let request = headers.iter().fold(client.get(self.url(path)), |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        (response.headers().clone(), response.bytes().await.unwrap().to_vec())
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path, &[]).await.1).unwrap()
    }

    /// Returns the families that the mail server exposes.
    async fn exposed_families(&self) -> Families {
        let text = fetch(format!("{}/metrics", self.kumomta.url())).await.unwrap().text().await.unwrap();
        prometheus::read(text).unwrap()
    }

    async fn end(self) {
        self.service.stop().await;
        self.kumomta.shutdown().await;
    }
}

async fn fetch(url: String) -> reqwest::Result<reqwest::Response> {
    http_client().get(url).send().await
}

/// Formats every series as a line: the name, the sorted labels without `job` and `instance`, and the value.
fn lines(families: &Families) -> Vec<String> {
    let mut lines = Vec::new();
    for family in families.iter() {
        for sample in family.samples() {
            let mut labels: Vec<_> = sample.labels().filter(|(name, _)| !matches!(*name, "job" | "instance")).collect();
            labels.sort_unstable();
            let value = match sample.value() {
                Value::Number(n) => n.to_string(),
                Value::Histogram(h) => format!("{:?} {:?} {} {:?}", h.bounds, h.cumulative, h.count, h.sum),
                Value::Summary(s) => format!("{s:?}"),
            };
            lines.push(format!("{} {labels:?} {value}", family.name()));
        }
    }
    lines.sort_unstable();
    lines
}

/// Returns the lines of a page without canonical metrics and self-metrics.
fn native(page: String) -> Vec<String> {
    let mut lines = lines(&prometheus::read(page).unwrap());
    let is_postmeters = |line: &String| {
        [
            "mail_",
            "target_info",
            "postmeter_",
            "http_server_",
            "otel_",
            "system_cpu_utilization",
            "process_cpu_utilization",
            "process_memory_usage",
            "kumomta_",
        ]
        .iter()
        .any(|start| line.starts_with(start))
    };
    lines.retain(|line| !is_postmeters(line));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_native_series_is_exposed_unchanged() {
    let service = start(2000, "").await;
    let expected = lines(&service.exposed_families().await);
    assert!(expected.len() > 5000, "{}", expected.len());
    assert_eq!(native(service.text("/metrics").await), expected);
    assert_eq!(native(service.text("/probe?target=mta1").await), expected);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_pages_have_the_same_content() {
    let service = start(500, "").await;
    let plain = native(service.text("/metrics").await);
    let (headers, gzip) = service.get("/metrics", &[("accept-encoding", "gzip")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let mut page = String::new();
    GzDecoder::new(gzip.as_slice()).read_to_string(&mut page).unwrap();
    assert_eq!(native(page), plain);
    let (headers, compressed) = service.get("/metrics", &[("accept-encoding", "gzip;q=0.5, zstd")]).await;
    assert_eq!(headers["content-encoding"], "zstd");
    let page = String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap();
    assert_eq!(native(page), plain);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openmetrics_has_its_end_marker_and_the_same_values() {
    let service = start(100, "").await;
    let (headers, page) = service.get("/metrics", &[("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")]).await;
    assert_eq!(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let page = String::from_utf8(page).unwrap();
    assert!(page.ends_with("# EOF\n"));
    let without = |mut lines: Vec<String>| {
        // In OpenMetrics the family name of a counter has no suffix.
        lines.retain(|line| !line.contains("_total "));
        lines
    };
    assert_eq!(without(native(page)), without(native(service.text("/metrics").await)));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_can_be_read_by_the_parser_for_kumomta() {
    let service = start(300, "").await;
    let page = service.text("/metrics.json?target=mta1").await;
    assert!(serde_json::from_str::<serde_json::Value>(&page).is_ok());
    let reader = postmeter::source::by_name("kumomta").unwrap().required().requests[0].reader;
    let read = lines(&reader.read(page, None).unwrap());
    for line in lines(&service.exposed_families().await) {
        assert!(read.contains(&line), "{line}");
    }
    let all: serde_json::Value = serde_json::from_str(&service.text("/metrics.json").await).unwrap();
    assert_eq!(all["scheduled_count_total"]["value"][0]["instance"], "mta1");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_large_for_the_cache_is_complete() {
    let service = start(60_000, "").await;
    let expected = lines(&service.exposed_families().await);
    assert!(expected.len() > 120_000, "{}", expected.len());
    assert_eq!(native(service.text("/metrics").await), expected);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_families_are_omitted_and_counted() {
    let service = start(50, ", relay: {include: [\"scheduled_.*\", lua_count], exclude: scheduled_by_domain, prefix: kumo_}").await;
    let page = native(service.text("/metrics").await);
    assert!(page.iter().any(|line| line.starts_with("kumo_scheduled_count ")));
    assert!(page.iter().all(|line| line.starts_with("kumo_scheduled_") || line.starts_with("kumo_lua_count")), "{page:?}");
    assert!(!page.iter().any(|line| line.contains("scheduled_by_domain")));
    let dropped = service.text("/metrics").await;
    let dropped = dropped.lines().find(|line| line.starts_with("postmeter_poll_series{") && line.contains("dropped")).unwrap();
    assert!(!dropped.ends_with(" 0"), "{dropped}");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_targets_can_be_probed() {
    let service = start(5, "").await;
    for (path, status) in
        [("/probe?target=http://192.0.2.1/", 404), ("/probe?target=", 404), ("/probe", 400), ("/metrics.json?target=x", 404)]
    {
        assert_eq!(fetch(service.url(path)).await.unwrap().status(), status, "{path}");
    }
    service.end().await;
}

/// Prometheus, if it is installed, scrapes all series of the page.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_all_series() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: prometheus_scrapes_all_series: prometheus is not installed");
        assert!(std::env::var("POSTMETER_REQUIRE_PROMTOOL").as_deref() != Ok("1"), "prometheus is not installed");
        return;
    }
    let service = start(200, "").await;
    let expected = service.text("/metrics").await.lines().filter(|line| !line.starts_with('#')).count();
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap().port();
    let file = folder.path().join("prometheus.yml");
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: postmeter, honor_labels: true, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        service.service.address.unwrap()
    );
    std::fs::write(&file, scrape).unwrap();
    let server = Command::new("prometheus")
        .args([
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = KilledOnDrop(server);
    let query = |promql: &str| {
        let url = format!("http://127.0.0.1:{port}/api/v1/query");
        let promql =
            promql.replace('{', "%7B").replace('}', "%7D").replace('"', "%22").replace('~', "%7E").replace('+', "%2B").replace(' ', "%20");
        async move {
            let response = fetch(format!("{url}?query={promql}")).await.ok()?.text().await.ok()?;
            let response: serde_json::Value = serde_json::from_str(&response).ok()?;
            response["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok()
        }
    };
    let samples = parking_lot::Mutex::new(0.0);
    let is_scraped = || async {
        let found = query("scrape_samples_scraped{job=\"postmeter\"}").await;
        *samples.lock() = found.unwrap_or(0.0);
        found.is_some_and(|n| n > 0.0)
    };
    wait_until_async(is_scraped, TIMEOUT, "prometheus scrapes Postmeter").await;
    let samples = samples.into_inner();
    let delivered = query("mail_delivery_attempts_total{mail_delivery_outcome=\"delivered\"}").await;
    let native_delivered = query("total_messages_delivered{service=\"smtp_client\"}").await;
    drop(server);
    let expected_delivered = service.kumomta.traffic(|traffic| traffic.delivered) as f64;
    assert_eq!((delivered, native_delivered), (Some(expected_delivered), Some(expected_delivered)));
    // The number of self-metrics series varies slightly between requests.
    assert!((samples - expected as f64).abs() < 40.0, "{samples} of {expected}");
    service.end().await;
}
