//! Support for these tests: a service with a receiver for records, an OTLP receiver, a state directory, and requests of KumoMTA.

pub use crate::support::ANY;

use crate::support::{http_client, start_service, wait_until};
use postmeter::app::Service;
use postmeter::simulate::Receiver;
use reqwest::{Client, RequestBuilder, StatusCode};
use std::time::Duration;
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(240);
pub const TOKEN: &str = "let-me-in";
/// Two targets whose servers do not exist: records do not depend on polls.
pub const TARGETS: &str = "  - {name: mta1, system: kumomta, url: \"http://127.0.0.1:9\", parts: {deliveries: {token: let-me-in}}}\n  - {name: mta2, system: kumomta, url: \"http://127.0.0.1:9\", parts: {deliveries: {token: let-me-in}}}\n";

/// A state directory, and the configuration of a service that receives records.
pub struct World {
    pub state: TempDir,
    pub targets: String,
    pub receive: String,
}

impl World {
    pub fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), targets: TARGETS.to_owned(), receive: String::new() }
    }

    /// The configuration file. `otlp` is the endpoint of the OTLP receiver.
    pub fn file(&self, otlp: Option<&str>) -> String {
        let (state, targets, receive) = (self.state.path().display(), &self.targets, &self.receive);
        let otlp =
            otlp.map(|url| format!("  otlp: {{endpoint: \"{url}\", interval: 1s, timeout: 2s, retry: {{initial: 100ms, max: 500ms}}}}\n"));
        format!(
            "state_dir: {state}\nreceive: {{listen: \"127.0.0.1:0\"{receive}}}\ntargets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n{}",
            otlp.unwrap_or_default()
        )
    }

    pub async fn service(&self, otlp: Option<&str>) -> Service {
        let file = self.file(otlp);
        start_service(&file).await
    }
}

pub fn client() -> Client {
    http_client()
}

/// A request to a target, without a credential.
pub fn post_to(service: &Service, target: &str) -> RequestBuilder {
    client().post(format!("http://{}/v1/deliveries/{target}", service.receive_address.unwrap()))
}

/// Sends a body to a target with the right token.
pub async fn send(service: &Service, target: &str, body: impl Into<reqwest::Body>) -> StatusCode {
    post_to(service, target).bearer_auth(TOKEN).body(body).send().await.unwrap().status()
}

/// A record of KumoMTA's log hook. `outcome` is its type.
pub fn record(id: u64, outcome: &str) -> String {
    let (code, class) = match outcome {
        "Delivery" => (250, 2),
        "TransientFailure" => (451, 4),
        _ => (550, 5),
    };
    format!(
        "{{\"type\":\"{outcome}\",\"id\":\"{id:032x}\",\"sender\":\"s@example.com\",\"recipient\":\"r{id}@example.net\",\"queue\":\"example.net\",\"size\":2048,\"response\":{{\"code\":{code},\"enhanced_code\":{{\"class\":{class},\"subject\":1,\"detail\":1}},\"content\":\"text\",\"command\":null}},\"peer_address\":{{\"name\":\"mx.example.net\",\"addr\":\"192.0.2.7\"}},\"timestamp\":1795877000,\"event_time\":\"2026-11-28T14:43:20.5Z\",\"created\":1795876990,\"created_time\":\"2026-11-28T14:43:10Z\",\"num_attempts\":0,\"bounce_classification\":\"Uncategorized\",\"egress_pool\":\"p\",\"egress_source\":\"s1\",\"meta\":{{}},\"headers\":{{}},\"nodeid\":\"557f3ad4-2c8c-11ee-976e-782d7e12e173\",\"provider_name\":\"example\"}}"
    )
}

/// Records with these numbers, one on each line.
pub fn lines(ids: std::ops::Range<u64>) -> String {
    ids.map(|id| record(id, "Delivery") + "\n").collect()
}

#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    wait_until(is_so, PATIENCE, what)
}

/// Waits until this many different records have arrived.
pub async fn arrived(receiver: &Receiver, records: usize) {
    until(&format!("{records} records have arrived"), || receiver.distinct_log_records() >= records).await;
}

/// The metrics page of a running service.
pub async fn page(service: &Service) -> String {
    page_of(&format!("http://{}", service.address.unwrap())).await
}

/// The metrics page of the pull endpoint with this URL.
pub async fn page_of(base: &str) -> String {
    client().get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap()
}

/// The value of the only sample of a family that has these labels, written as `name="value"`.
#[track_caller]
pub fn value(page: &str, family: &str, labels: &[&str]) -> f64 {
    let is_wanted =
        |line: &&str| line.split_once('{').is_some_and(|(name, rest)| name == family && labels.iter().all(|label| rest.contains(label)));
    let mut values = page.lines().filter(is_wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let value = values.next().unwrap_or_else(|| panic!("no {family} with {labels:?} in {page}"));
    assert_eq!(values.next(), None, "{family} with {labels:?} is ambiguous");
    value
}

/// The number of attempts of a target with this outcome.
#[track_caller]
pub fn attempts(page: &str, target: &str, outcome: &str) -> f64 {
    let labels = [format!("instance=\"{target}\""), format!("mail_delivery_outcome=\"{outcome}\"")];
    value(page, "mail_delivery_attempts_total", &labels.each_ref().map(String::as_str))
}

/// The number of records of a target in this state.
#[track_caller]
pub fn records(page: &str, target: &str, state: &str) -> f64 {
    let labels = [format!("instance=\"{target}\""), format!("postmeter_record_state=\"{state}\"")];
    value(page, "postmeter_poll_records_total", &labels.each_ref().map(String::as_str))
}
