//! The system `prometheus` over HTTP: the URL is used unchanged, and the families are filtered as configured.
#![allow(clippy::unwrap_used)]

use crate::support::ANY;
use postmeter::config::{self, Environment};
use postmeter::poll::{Limits, Reading, Target};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::sync::Arc;

/// Polls the simulated KumoMTA, whose `/metrics` puts `prefix` of the query before each name.
async fn poll(path: &str, relay: &str) -> Arc<Reading> {
    let server = SimulatedServer::start(System::Kumomta, ANY, Options { frozen: true, ..Options::default() }).await.unwrap();
    let file = format!("targets: [{{name: any, system: prometheus, url: \"{}{path}\", relay: {relay}}}]\n", server.url());
    let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let target = Target::new(config.targets[0].clone(), Limits::default()).unwrap();
    let reading = target.reading().await;
    server.shutdown().await;
    reading
}

fn names(reading: &Reading) -> Vec<String> {
    reading.native.families().map(|family| family.name().into_owned()).collect()
}

#[tokio::test]
async fn the_url_is_used_unchanged() {
    for path in ["", "/", "/metrics"] {
        let reading = poll(path, "{}").await;
        assert!(reading.outcome.is_ok(), "{path}: {:?}", reading.outcome);
        assert!(names(reading.as_ref()).contains(&"scheduled_by_domain".to_owned()), "{path}");
        assert_eq!(reading.snapshot().map(|snapshot| snapshot.points.len()), Some(0), "{path}: no canonical points");
    }
    for path in ["/metrics?prefix=kumo_", "?prefix=kumo_"] {
        let names = names(poll(path, "{}").await.as_ref());
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("kumo_")), "{path}: {names:?}");
    }
    let error = poll("/nowhere", "{}").await.outcome.clone().unwrap_err().to_string();
    assert!(error.contains("404") && error.contains("the url is used unchanged"), "{error}");
}

#[tokio::test]
async fn the_passthrough_filters_of_the_configuration_are_applied() {
    let relay = "{include: [\"ready_count\", \"scheduled_.*\"], exclude: scheduled_by_tenant, min_value: {scheduled_by_domain: 1e9}, prefix: mail_}";
    let reading = poll("", relay).await;
    let names = names(reading.as_ref());
    assert!(names.contains(&"mail_ready_count".to_owned()), "{names:?}");
    for absent in ["mail_scheduled_by_tenant", "mail_scheduled_by_domain", "mail_memory_usage"] {
        assert!(!names.contains(&absent.to_owned()), "{absent}");
    }
    assert!(reading.native.dropped > 0);
    assert_eq!(poll("", "{series_max: 7}").await.native.kept, 7);
    let off = poll("", "false").await;
    assert!(off.outcome.is_ok() && off.native.is_empty());
}
