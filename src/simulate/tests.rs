//! Tests of the simulated servers: their bodies agree with the traffic that they render.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod receiver;
mod systems;

use super::*;
use crate::format::prometheus;
use crate::model::{Families, FamilyType, Value};
use reqwest::{Client, Response};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

const ANY: &str = "127.0.0.1:0";

async fn start(system: System, options: Options) -> SimulatedServer {
    SimulatedServer::start(system, ANY.parse::<SocketAddr>().unwrap(), options).await.unwrap()
}

fn frozen() -> Options {
    Options { frozen: true, now: Some(EPOCH_UNIX_SECONDS), ..Options::default() }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn get(server: &SimulatedServer, path: &str, authorization: &str) -> Response {
    let mut request = client().get(server.url() + path);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

#[track_caller]
fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// The `Authorization` header of the default user name and password.
fn basic() -> &'static str {
    "Basic cG9zdG1ldGVyOnNpbXVsYXRlZC1wYXNzd29yZA=="
}

fn text_bodies(t: &Traffic) -> Vec<(&'static str, String)> {
    vec![
        ("ceymail", ceymail::metrics(t)),
        ("emailengine", emailengine::metrics(t)),
        ("kumomta", kumomta::metrics(t, "")),
        ("stalwart 0.15", stalwart::metrics(t, Generation::V015)),
        ("stalwart 0.16", stalwart::metrics(t, Generation::V016)),
        ("postfix", postfix::metrics(t)),
        ("exim", exim::metrics(t)),
        ("dovecot", dovecot::metrics(t)),
        ("rspamd", rspamd::metrics(t)),
        ("mox", mox::metrics(t)),
        ("maddy", maddy::metrics(t)),
        ("haraka", haraka::metrics(t)),
        ("postal", postal::metrics(t)),
    ]
}

/// The values of all series that are numbers, by name and labels.
fn series(families: &Families, only: Option<FamilyType>) -> HashMap<String, f64> {
    let mut out = HashMap::new();
    for family in families.iter().filter(|family| only.is_none_or(|kind| family.kind() == kind)) {
        for sample in family.samples() {
            let Value::Number(n) = sample.value() else { continue };
            let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            let before = out.insert(format!("{}{{{}}}", family.name(), labels.join(",")), n);
            assert_eq!(before, None, "{} is duplicated", family.name());
        }
    }
    out
}

#[test]
fn every_text_body_is_readable() {
    let mut traffic = Traffic::new(4, 20);
    traffic.advance(3600.0);
    for (name, body) in text_bodies(&traffic) {
        let families = prometheus::read(body).unwrap();
        let repairs = format!("{:?}", families.repairs());
        assert!(!repairs.contains("Unreadable"), "{name}: {repairs}");
        assert!(families.series() >= 8, "{name}");
    }
}

#[test]
fn equal_seeds_and_steps_produce_equal_bodies() {
    let bodies = |seed| {
        let mut traffic = Traffic::new(seed, 20);
        [1.5, 15.0, 60.0].into_iter().for_each(|seconds| traffic.advance(seconds));
        let mut bodies = text_bodies(&traffic);
        bodies.push(("kumomta json", kumomta::metrics_json(&traffic)));
        bodies
    };
    assert_eq!(bodies(5), bodies(5));
    assert_ne!(bodies(5), bodies(6));
}

#[test]
fn counters_never_decrease() {
    let mut traffic = Traffic::new(8, 20);
    let mut before: HashMap<&str, HashMap<String, f64>> = HashMap::new();
    for step in 0..80 {
        traffic.advance(if step % 2 == 0 { 3.3 } else { 47.0 });
        for (name, body) in text_bodies(&traffic) {
            let now = series(&prometheus::read(body).unwrap(), Some(FamilyType::Counter));
            for (series, value) in before.insert(name, now.clone()).unwrap_or_default() {
                assert!(
                    now.get(&series).is_some_and(|now| *now >= value),
                    "{name} {series} decreased from {value} to {:?}",
                    now.get(&series)
                );
            }
        }
    }
}

#[test]
fn kumomtas_json_and_text_agree_and_details_add_up_to_their_roll_up() {
    let mut traffic = Traffic::new(2, 60);
    traffic.advance(1000.0);
    let json: serde_json::Value = serde_json::from_str(&kumomta::metrics_json(&traffic)).unwrap();
    let text = series(&prometheus::read(kumomta::metrics(&traffic, "")).unwrap(), None);
    for (name, truth) in [
        ("total_messages_delivered", traffic.delivered),
        ("total_messages_transfail", traffic.deferred),
        ("total_messages_fail", traffic.failed),
        ("total_connection_count", traffic.outbound_opened),
        ("ready_count", traffic.ready()),
    ] {
        let services = json[name]["value"]["service"].as_object().unwrap();
        assert_eq!(services["smtp_client"], truth, "{name}");
        let details: u64 = services.iter().filter(|(service, _)| service.contains(':')).map(|(_, n)| n.as_u64().unwrap()).sum();
        assert_eq!(details, truth, "{name}");
        assert_eq!(text[&format!("{name}{{service=smtp_client}}")], truth as f64);
    }
    assert_eq!(json["scheduled_count_total"]["value"], traffic.scheduled());
    let queues = json["scheduled_count"]["value"]["queue"].as_object().unwrap();
    assert_eq!(queues.len(), 60);
    assert_eq!(queues.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), traffic.scheduled());
    assert!(queues.contains_key("receipts:northwind@example.org"), "{queues:?}");
    let latency = &json["deliver_message_latency_rollup"]["value"]["service"]["smtp_client"];
    assert_eq!(latency["count"], traffic.attempts());
    assert_eq!(latency["bucket"].as_array().unwrap().len(), 11);
}

#[test]
fn a_hundred_thousand_queues_are_rendered() {
    let traffic = Traffic::new(1, 100_000);
    let body = kumomta::metrics_json(&traffic);
    assert!(body.len() > 5_000_000, "{}", body.len());
    serde_json::from_str::<serde::de::IgnoredAny>(&body).unwrap();
}

#[test]
fn systems_are_found_by_name() {
    for system in System::ALL {
        assert_eq!(System::from_name(system.name()), Some(system));
    }
    assert_eq!(System::from_name("sendmail"), None);
}
