//! Metrics from records: by provider and source, limited, with exemplars, and never together with those of the server.

use super::world::{PATIENCE, World, client, page, record, send};
use crate::support::wait_until_async;
use postmeter::simulate::{Options, SimulatedServer, System};
use reqwest::StatusCode;
use std::net::{Ipv4Addr, SocketAddr};

const OK: StatusCode = StatusCode::OK;
const ATTEMPTS: &str = "mail_delivery_attempts_total{instance=\"mta1\",job=\"kumomta\"";

fn of_provider(id: u64, outcome: &str, provider: &str, source: &str) -> String {
    let record = record(id, outcome).replace("\"provider_name\":\"example\"", &format!("\"provider_name\":\"{provider}\""));
    // Without a classifier, KumoMTA writes Uncategorized, which is no class.
    let record = if outcome == "Bounce" { record.replace("Uncategorized", "InvalidRecipient") } else { record };
    record.replace("\"egress_source\":\"s1\"", &format!("\"egress_source\":\"{source}\""))
}

fn world(by: &str) -> World {
    let targets = format!("  - {{name: mta1, system: kumomta, parts: {{deliveries: {{token: let-me-in{by}}}}}}}\n");
    World { targets, ..World::new() }
}

fn sum(page: &str, begins: &str, label: &str) -> f64 {
    let samples = page.lines().filter(|line| line.starts_with(begins) && line.contains(label));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_and_sources_have_series_of_their_own_up_to_a_limit() {
    let world = world(", by: [source, provider], groups_max: 3");
    let service = world.service(None).await;
    let mut body = String::new();
    for (id, (outcome, provider, source)) in [
        ("Delivery", "big", "ip-1"),
        ("Delivery", "big", "ip-1"),
        ("TransientFailure", "big", "ip-2"),
        ("Bounce", "small", "ip-1"),
        ("Delivery", "late", "ip-1"),
        ("Bounce", "later", "ip-2"),
        ("Delivery", "big", "ip-1"),
    ]
    .into_iter()
    .enumerate()
    {
        body += &(of_provider(id as u64, outcome, provider, source) + "\n");
    }
    assert_eq!(send(&service, "mta1", body).await, OK);
    let page = page(&service).await;
    for (label, expected) in [
        ("mail_delivery_outcome=\"delivered\",mail_provider_name=\"big\",mail_sending_source=\"ip-1\"", 3.0),
        ("mail_delivery_outcome=\"deferred\",mail_provider_name=\"big\",mail_sending_source=\"ip-2\"", 1.0),
        ("mail_delivery_outcome=\"failed\",mail_provider_name=\"small\"", 1.0),
        ("mail_provider_name=\"_OTHER\",mail_sending_source=\"_OTHER\"", 2.0),
        ("mail_provider_name=\"late", 0.0),
    ] {
        let labels: Vec<&str> = label.split(',').collect();
        let samples =
            page.lines().filter(|line| line.starts_with("mail_delivery_attempts_total{") && labels.iter().all(|l| line.contains(l)));
        assert_eq!(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>(), expected, "{label}\n{page}");
    }
    assert_eq!(sum(&page, "mail_delivery_failures_total{", "mail_failure_class=\"InvalidRecipient\""), 2.0, "{page}");
    assert_eq!(sum(&page, "mail_delivery_duration_seconds_count{", "mail_provider_name=\"big\""), 3.0, "{page}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_leads_to_its_record() {
    let world = world("");
    let service = world.service(None).await;
    assert_eq!(send(&service, "mta1", record(1, "Delivery")).await, OK);
    let url = format!("http://{}/metrics", service.address.unwrap());
    let request = client().get(url).header("accept", "application/openmetrics-text; version=1.0.0");
    let page = request.send().await.unwrap().text().await.unwrap();
    let bucket = page.lines().find(|line| line.starts_with("mail_delivery_duration_seconds_bucket{") && line.contains(" # {"));
    let exemplar = bucket.unwrap_or_else(|| panic!("{page}")).split(" # ").nth(1).unwrap();
    let uid = exemplar.strip_prefix("{log_record_uid=\"").and_then(|rest| rest.split('"').next()).unwrap();
    assert!(uid.len() == 32 && uid.bytes().all(|b| b.is_ascii_hexdigit()), "{exemplar}");
    assert!(exemplar.contains("} 10.5 "), "{exemplar}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_counts_are_used_until_the_first_record() {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let server = SimulatedServer::start(System::Kumomta, any, Options { frozen: true, ..Options::default() }).await.unwrap();
    let targets = format!(
        "  - {{name: mta1, system: kumomta, url: \"{}\", min_interval: 1s, parts: {{deliveries: {{token: let-me-in}}}}}}\n",
        server.url()
    );
    let world = World { targets, ..World::new() };
    let service = world.service(None).await;
    let polled = page(&service).await;
    let received = sum(&polled, "mail_received_messages_total{", "");
    assert!(sum(&polled, ATTEMPTS, "delivered") > 1.0, "{polled}");
    assert_eq!(send(&service, "mta1", record(1, "Delivery")).await, OK);
    let is_counted = || async { sum(&page(&service).await, ATTEMPTS, "") == 1.0 };
    wait_until_async(is_counted, PATIENCE, "the record is counted").await;
    // Received messages are still those of the server.
    let counted = page(&service).await;
    assert_eq!(sum(&counted, "mail_received_messages_total{", ""), received);
    service.stop().await;
    // After a restart, the deliveries are those of records at once.
    let service = world.service(None).await;
    assert_eq!(sum(&page(&service).await, ATTEMPTS, ""), 0.0);
    service.stop().await;
    server.shutdown().await;
}
