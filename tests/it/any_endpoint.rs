//! The system `prometheus` over HTTP: the url as it stands, and what the relay makes of what is there.
#![allow(clippy::unwrap_used)]

use postmeter::config::{self, Environment};
use postmeter::poll::{Limits, Reading, Target};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// KumoMTA's stand-in has text at /metrics, where `prefix=` in the query is put before each name.
async fn read(path: &str, relay: &str) -> Arc<Reading> {
    let stand_in = SimulatedServer::start(System::Kumomta, ANY, Options { frozen: true, ..Options::default() }).await.unwrap();
    let file = format!("targets: [{{name: any, system: prometheus, url: \"{}{path}\", relay: {relay}}}]\n", stand_in.url());
    let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let target = Target::new(config.targets[0].clone(), Limits::default()).unwrap();
    let reading = target.reading().await;
    stand_in.shutdown().await;
    reading
}

fn names(reading: &Reading) -> Vec<String> {
    reading.native.families().map(|family| family.name().into_owned()).collect()
}

#[tokio::test]
async fn the_url_is_used_as_it_stands() {
    for path in ["", "/", "/metrics"] {
        let reading = read(path, "{}").await;
        assert!(reading.outcome.is_ok(), "{path}: {:?}", reading.outcome);
        assert!(names(reading.as_ref()).contains(&"scheduled_by_domain".to_owned()), "{path}");
        assert_eq!(reading.snapshot().map(|snapshot| snapshot.points.len()), Some(0), "{path}: no rules");
    }
    for path in ["/metrics?prefix=kumo_", "?prefix=kumo_"] {
        let names = names(read(path, "{}").await.as_ref());
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("kumo_")), "{path}: {names:?}");
    }
    let error = read("/nowhere", "{}").await.outcome.clone().unwrap_err().to_string();
    assert!(error.contains("404") && error.contains("the url is used unchanged"), "{error}");
}

#[tokio::test]
async fn the_relay_of_the_file_is_the_relay_of_the_reading() {
    let relay = "{include: [\"ready_count\", \"scheduled_.*\"], exclude: scheduled_by_tenant, min_value: {scheduled_by_domain: 1e9}, prefix: mail_}";
    let reading = read("", relay).await;
    let names = names(reading.as_ref());
    assert!(names.contains(&"mail_ready_count".to_owned()), "{names:?}");
    for absent in ["mail_scheduled_by_tenant", "mail_scheduled_by_domain", "mail_memory_usage"] {
        assert!(!names.contains(&absent.to_owned()), "{absent}");
    }
    assert!(reading.native.dropped > 0);
    assert_eq!(read("", "{series_max: 7}").await.native.kept, 7);
    let off = read("", "false").await;
    assert!(off.outcome.is_ok() && off.native.is_empty());
}
