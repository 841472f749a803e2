//! The formats of the pull endpoint over HTTP: negotiation, translation of names, scope labels and start times.
#![allow(clippy::unwrap_used)]

use crate::support::metric_family::{MetricFamily, families};
use crate::support::{ANY, http_client, start_service};
use postmeter::app::Service;
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

struct World {
    server: SimulatedServer,
    service: Service,
}

impl World {
    async fn start(keys: &str) -> Self {
        let server = SimulatedServer::start(System::Emailengine, ANY, Options { frozen: true, ..Options::default() }).await.unwrap();
        server.traffic(|traffic| traffic.advance(600.0));
        let file = format!(
            "targets:\n  - {{name: ee, system: emailengine, url: \"{}\", token: {TOKEN}, min_interval: 1h}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"{keys}}}\n",
            server.url()
        );
        let service = start_service(&file).await;
        Self { server, service }
    }

    /// The content type and the body of a page.
    async fn get(&self, path: &str, accept: &str) -> (String, Vec<u8>) {
        let url = format!("http://{}{path}", self.service.address.unwrap());
        let client = http_client();
        let response = client.get(url).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path} {accept}");
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (content_type, response.bytes().await.unwrap().to_vec())
    }

    async fn text(&self, accept: &str) -> String {
        String::from_utf8(self.get("/metrics", accept).await.1).unwrap()
    }

    async fn protobuf(&self, path: &str, escaping: &str) -> Vec<MetricFamily> {
        let (content_type, page) = self.get(path, &format!("{PROTOBUF}; escaping={escaping}")).await;
        assert_eq!(content_type, format!("{PROTOBUF}; escaping={escaping}"));
        families(&page)
    }

    async fn end(self) {
        self.service.stop().await;
        self.server.shutdown().await;
    }
}

/// A series with sorted labels.
fn sorted(series: &str) -> String {
    let Some((name, labels)) = series.strip_suffix('}').and_then(|series| series.split_once('{')) else { return series.to_owned() };
    let mut labels: Vec<&str> = labels.split("\",").map(|label| label.trim_end_matches('"')).collect();
    labels.sort_unstable();
    format!("{name} {labels:?}")
}

fn names(page: &[MetricFamily]) -> Vec<&str> {
    page.iter().map(|family| family.name.as_deref().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_format_that_it_prefers() {
    let world = World::start("").await;
    for (accept, content_type) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8".to_owned()),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8".to_owned()),
        (
            "text/plain;version=1.0.0;q=0.4, application/openmetrics-text;version=1.0.0;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8".to_owned(),
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=dots;q=0.6,text/plain;q=0.5",
            format!("{PROTOBUF}; escaping=dots"),
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.4,text/plain;q=0.5",
            "text/plain; version=0.0.4; charset=utf-8".to_owned(),
        ),
        // OpenMetrics 2.0 is not final.
        (
            "application/openmetrics-text;version=2.0.0;q=0.9,text/plain;version=1.0.0;q=0.5",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores".to_owned(),
        ),
    ] {
        assert_eq!(world.get("/metrics", accept).await.0, content_type, "{accept}");
        assert_eq!(world.get("/probe?target=ee", accept).await.0, content_type, "{accept}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_has_the_series_of_text_and_start_times() {
    let world = World::start("").await;
    // The names, types and series of families, without the self-metrics that each request changes.
    let in_text = {
        let mut page: Vec<String> = Vec::new();
        for line in world.text("*/*").await.lines().filter(|line| !line.starts_with("# HELP")) {
            let series = if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 };
            page.push(sorted(&series.replace("# TYPE ", "# ")));
        }
        page
    };
    let page = world.protobuf("/metrics", "underscores").await;
    let mut in_protobuf = Vec::new();
    for line in page.iter().flat_map(|family| family.text().lines().map(str::to_owned).collect::<Vec<_>>()) {
        let series = match line.split_once(" unit=") {
            Some((name, _)) => name.to_owned(),
            None => line.split(" since ").next().unwrap().rsplit_once(' ').unwrap().0.replace("{}", ""),
        };
        in_protobuf.push(sorted(&series));
    }
    let is_stable = |line: &&String| !line.contains("http_server_request_duration");
    let (in_text, in_protobuf): (Vec<_>, Vec<_>) =
        (in_text.iter().filter(is_stable).collect(), in_protobuf.iter().filter(is_stable).collect());
    assert_eq!(in_protobuf, in_text);
    assert!(in_text.len() > 50, "{in_text:?}");

    // EmailEngine reports the start of its process. The counters of polls begin with Postmeter.
    let start = |name: &str| {
        let family = page.iter().find(|family| family.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
        family.metric[0].counter.as_ref().unwrap().created_timestamp
    };
    assert!(start("mail_delivery_attempts_total").is_some());
    assert!(start("postmeter_poll_repairs_total").is_none_or(|time| time.seconds > 0));
    let measured = page.iter().find(|family| family.name.as_deref() == Some("http_server_request_duration_seconds")).unwrap();
    assert_eq!(measured.unit.as_deref(), Some("seconds"));
    assert!(measured.metric[0].histogram.as_ref().unwrap().created_timestamp.unwrap().seconds > 0);
    assert!(!world.text("application/openmetrics-text").await.contains("_created"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canonical_names_follow_the_configuration_and_not_the_header() {
    for (strategy, utf8, underscores) in [
        ("UnderscoreEscapingWithSuffixes", "mail_delivery_attempts_total", "mail_delivery_attempts_total"),
        ("UnderscoreEscapingWithoutSuffixes", "mail_delivery_attempts", "mail_delivery_attempts"),
        ("NoUTF8EscapingWithSuffixes", "mail.delivery.attempts_total", "mail_delivery_attempts_total"),
        ("NoTranslation", "mail.delivery.attempts", "mail_delivery_attempts"),
    ] {
        let world = World::start(&format!(", translation_strategy: {strategy}")).await;
        for path in ["/metrics", "/probe?target=ee"] {
            assert!(names(&world.protobuf(path, "allow-utf-8").await).contains(&utf8), "{strategy} {path}");
            assert!(names(&world.protobuf(path, "underscores").await).contains(&underscores), "{strategy} {path}");
        }
        let quoted = if utf8.contains('.') { format!("\n{{\"{utf8}\",") } else { format!("\n{utf8}{{") };
        for accept in ["text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"] {
            let page = world.text(accept).await;
            assert!(page.contains(&quoted), "{strategy} {accept}: {page}");
            let label = if utf8.contains('.') { "\"mail.system.name\"=\"emailengine\"" } else { "mail_system_name=\"emailengine\"" };
            assert!(page.contains(label), "{strategy} {accept}: {page}");
        }
        // A client that does not support UTF-8 names gets none.
        for accept in ["*/*", "text/plain;version=0.0.4;escaping=allow-utf-8", "application/openmetrics-text;version=1.0.0"] {
            let page = world.text(accept).await;
            assert!(page.contains(&format!("\n{underscores}{{")), "{strategy} {accept}: {page}");
            assert!(!page.contains("{\""), "{strategy} {accept}: {page}");
        }
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_labels_and_created_lines_are_opt_in() {
    let world = World::start(", scope_labels: true, created_lines: true").await;
    let page = world.text("application/openmetrics-text").await;
    let series: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    for line in series.iter().filter(|line| !line.starts_with("target_info")) {
        assert!(line.contains("otel_scope_name=\"postmeter"), "{line}");
    }
    assert!(series.iter().any(|line| line.starts_with("mail_delivery_attempts_created{")), "{page}");
    assert!(!world.text("*/*").await.contains("_created"));
    let (_, probe) = world.get("/probe?target=ee", "*/*").await;
    assert!(String::from_utf8(probe).unwrap().contains("otel_scope_name=\"postmeter\""));
    world.end().await;
}
