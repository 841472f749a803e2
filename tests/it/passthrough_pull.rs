//! The relay's way to scrapers: every family of a mail server, in every format, at any size; and what Prometheus makes of it.
#![allow(clippy::unwrap_used)]

use crate::support::program::KilledOnDrop;
use crate::support::wait_until_async;
use flate2::read::GzDecoder;
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::format::prometheus;
use postmeter::model::{Families, Value};
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::SelfTelemetry;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(30);

struct World {
    kumomta: SimulatedServer,
    service: Service,
}

async fn start(size: usize, relay: &str) -> World {
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, Options { size, frozen: true, ..Options::default() }).await.unwrap();
    let file = format!(
        "targets:\n  - {{name: mta1, system: kumomta, url: \"{}\", min_interval: 1h{relay}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n",
        kumomta.url()
    );
    let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
    World { kumomta, service }
}

impl World {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (reqwest::header::HeaderMap, Vec<u8>) {
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        let request = headers.iter().fold(client.get(self.url(path)), |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path, &[]).await.1).unwrap()
    }

    /// What the mail server itself says as text: what must arrive.
    async fn theirs(&self) -> Families {
        let text = fetch(format!("{}/metrics", self.kumomta.url())).await.unwrap().text().await.unwrap();
        prometheus::read(text).unwrap()
    }

    async fn end(self) {
        self.service.stop().await;
        self.kumomta.shutdown().await;
    }
}

async fn fetch(url: String) -> reqwest::Result<reqwest::Response> {
    reqwest::Client::builder().no_proxy().build()?.get(url).send().await
}

/// Every series as a line: name, sorted labels without those that we add, value.
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

fn native(page: String) -> Vec<String> {
    let mut lines = lines(&prometheus::read(page).unwrap());
    let ours = |line: &String| {
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
    lines.retain(|line| !ours(line));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_the_server_is_on_the_page_in_its_own_words() {
    let world = start(2000, "").await;
    let theirs = lines(&world.theirs().await);
    assert!(theirs.len() > 5000, "{}", theirs.len());
    assert_eq!(native(world.text("/metrics").await), theirs);
    assert_eq!(native(world.text("/probe?target=mta1").await), theirs);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_pages_are_the_same_page() {
    let world = start(500, "").await;
    let plain = native(world.text("/metrics").await);
    let (headers, gzip) = world.get("/metrics", &[("accept-encoding", "gzip")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let mut page = String::new();
    GzDecoder::new(gzip.as_slice()).read_to_string(&mut page).unwrap();
    assert_eq!(native(page), plain);
    let (headers, compressed) = world.get("/metrics", &[("accept-encoding", "gzip;q=0.5, zstd")]).await;
    assert_eq!(headers["content-encoding"], "zstd");
    let page = String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap();
    assert_eq!(native(page), plain);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openmetrics_ends_as_it_must_and_has_the_same_values() {
    let world = start(100, "").await;
    let (headers, page) = world.get("/metrics", &[("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")]).await;
    assert_eq!(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let page = String::from_utf8(page).unwrap();
    assert!(page.ends_with("# EOF\n"));
    let without = |mut lines: Vec<String>| {
        // The suffix of a counter is part of its name in one format and not in the other.
        lines.retain(|line| !line.contains("_total "));
        lines
    };
    assert_eq!(without(native(page)), without(native(world.text("/metrics").await)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_read_by_our_own_reader_of_that_shape() {
    let world = start(300, "").await;
    let page = world.text("/metrics.json?target=mta1").await;
    assert!(serde_json::from_str::<serde_json::Value>(&page).is_ok());
    let reader = postmeter::source::by_name("kumomta").unwrap().required().requests[0].reader;
    let read = lines(&reader(page).unwrap());
    for line in lines(&world.theirs().await) {
        assert!(read.contains(&line), "{line}");
    }
    let all: serde_json::Value = serde_json::from_str(&world.text("/metrics.json").await).unwrap();
    assert_eq!(all["scheduled_count_total"]["value"][0]["instance"], "mta1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_large_to_keep_is_whole() {
    let world = start(60_000, "").await;
    let theirs = lines(&world.theirs().await);
    assert!(theirs.len() > 120_000, "{}", theirs.len());
    assert_eq!(native(world.text("/metrics").await), theirs);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_is_left_out_and_counted() {
    let world = start(50, ", relay: {include: [\"scheduled_.*\", lua_count], exclude: scheduled_by_domain, prefix: kumo_}").await;
    let page = native(world.text("/metrics").await);
    assert!(page.iter().any(|line| line.starts_with("kumo_scheduled_count ")));
    assert!(page.iter().all(|line| line.starts_with("kumo_scheduled_") || line.starts_with("kumo_lua_count")), "{page:?}");
    assert!(!page.iter().any(|line| line.contains("scheduled_by_domain")));
    let dropped = world.text("/metrics").await;
    let dropped = dropped.lines().find(|line| line.starts_with("mail_poll_series{") && line.contains("dropped")).unwrap();
    assert!(!dropped.ends_with(" 0"), "{dropped}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_configured_is_not_probed() {
    let world = start(5, "").await;
    for (path, status) in
        [("/probe?target=http://192.0.2.1/", 404), ("/probe?target=", 404), ("/probe", 400), ("/metrics.json?target=x", 404)]
    {
        assert_eq!(fetch(world.url(path)).await.unwrap().status(), status, "{path}");
    }
    world.end().await;
}

/// A real Prometheus, where there is one, reads both formats: all that is on the page is in its database.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_reads_all_of_it() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: a_real_prometheus_reads_all_of_it: prometheus is not installed");
        assert!(std::env::var("POSTMETER_REQUIRE_PROMTOOL").as_deref() != Ok("1"), "prometheus is not installed");
        return;
    }
    let world = start(200, "").await;
    let expected = world.text("/metrics").await.lines().filter(|line| !line.starts_with('#')).count();
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap().port();
    let file = folder.path().join("prometheus.yml");
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: postmeter, honor_labels: true, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        world.service.address.unwrap()
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
            let answer = fetch(format!("{url}?query={promql}")).await.ok()?.text().await.ok()?;
            let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
            answer["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok()
        }
    };
    let samples = parking_lot::Mutex::new(0.0);
    let is_scraped = || async {
        let found = query("scrape_samples_scraped{job=\"postmeter\"}").await;
        *samples.lock() = found.unwrap_or(0.0);
        found.is_some_and(|n| n > 0.0)
    };
    wait_until_async(is_scraped, SOON, "prometheus scrapes Postmeter").await;
    let samples = samples.into_inner();
    let delivered = query("mail_delivery_attempts_total{mail_delivery_outcome=\"delivered\"}").await;
    let theirs = query("total_messages_delivered{service=\"smtp_client\"}").await;
    drop(server);
    let truth = world.kumomta.traffic(|traffic| traffic.delivered) as f64;
    assert_eq!((delivered, theirs), (Some(truth), Some(truth)));
    // Postmeter's own series come and go a little with each request.
    assert!((samples - expected as f64).abs() < 40.0, "{samples} of {expected}");
    world.end().await;
}
