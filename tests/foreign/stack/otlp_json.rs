//! The output of `scrape --format otlp-json`, sent to the real Collector and a real Prometheus.

use super::needed;
use super::programs::{COLLECTOR, PROMETHEUS, Running, free_ports};
use super::world::SOON;
use crate::support::{Described, http_client, install_crypto_provider, postmeter, wait_until_async};
use parking_lot::Mutex;

/// Systems and saved responses; the last one has non-finite values.
const SAVED: [(&str, &str); 5] = [
    ("emailengine", "emailengine/active.prom"),
    ("kumomta", "kumomta/metrics.json"),
    ("stalwart", "stalwart/v0.16.prom"),
    ("prometheus", "prometheus/postfix.prom"),
    ("prometheus", ""),
];
const NOT_FINITE: &str =
    "# TYPE above gauge\nabove +Inf\n# TYPE below gauge\nbelow -Inf\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\n";

#[tokio::test(flavor = "multi_thread")]
async fn otlp_json_is_accepted_by_the_collector_and_by_prometheus() {
    let test = "otlp_json_is_accepted_by_the_collector_and_by_prometheus";
    let Some([collector, prometheus]) = needed(test, [&COLLECTOR, &PROMETHEUS]) else { return };
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let [grpc, http, health, metrics, web] = free_ports();
    let local = |port: u16| format!("127.0.0.1:{port}");
    let prometheus = Running::prometheus(&prometheus, here, "global: {scrape_interval: 1m}\n", web, &[]);
    let collector = Running::collector(&collector, here, [grpc, http, health, metrics], web);
    std::fs::write(here.join("not-finite.prom"), NOT_FINITE).unwrap();
    for (system, file) in SAVED {
        let path = match file {
            "" => here.join("not-finite.prom"),
            file => std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file),
        };
        for only in [&[][..], &["--only", "native"]] {
            let mut scrape = postmeter();
            scrape.args(["scrape", "--system", system, "--format", "otlp-json", "--file"]).arg(&path).args(only);
            let output = scrape.output().unwrap();
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
            let body = String::from_utf8(output.stdout).unwrap();
            assert!(!file.is_empty() || body.contains("\"Infinity\""), "{body}");
            for (program, url) in [
                (&collector, format!("http://{}/v1/metrics", local(http))),
                (&prometheus, format!("http://{}/api/v1/otlp/v1/metrics", local(web))),
            ] {
                let (status, response) = post(program, &url, &body).await;
                assert!(
                    status == 200 && !response.contains("rejected"),
                    "{url} responded {status} to {system} {only:?}: {response}\n{body}"
                );
            }
        }
    }
}

/// Sends a request until the program listens.
async fn post(program: &Running, url: &str, body: &str) -> (u16, String) {
    let client = http_client();
    let received = Mutex::new(None);
    let has_response = || async {
        program.check();
        let request = client.post(url).header("content-type", "application/json").body(body.to_owned());
        match request.send().await {
            // The program listens before it is ready.
            Ok(response) if response.status() != 503 => {
                let status = response.status().as_u16();
                *received.lock() = Some((status, response.text().await.unwrap()));
                true
            }
            _ => false,
        }
    };
    wait_until_async(has_response, SOON, Described(|| format!("{url} responds\n{}", program.log()))).await;
    received.into_inner().unwrap()
}
