//! The stack from the shipped files, with the real Collector and a real Prometheus: what comes in by both ways is the same.
//!
//! `POSTMETER_COLLECTOR`, `POSTMETER_PROMETHEUS` and `POSTMETER_PROMTOOL` name the programs, or else they are on PATH; `.ci/programs`
//! builds them. Where they are not, these tests say so and are skipped, unless `POSTMETER_REQUIRE_STACK=1`.
#![allow(clippy::unwrap_used)]

mod direct;
mod otlp_json;
mod programs;
mod world;

use crate::support::skipped;
use postmeter::simulate::System;
use programs::{COLLECTOR, PROMETHEUS, PROMTOOL, Program, said};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use world::{SOON, Series, World};

/// Where the programs are; without one of them the test is skipped.
#[track_caller]
fn needed<const N: usize>(test: &str, programs: [&Program; N]) -> Option<[PathBuf; N]> {
    let mut found = Vec::new();
    for program in programs {
        match program.find() {
            Ok(path) => found.push(path),
            Err(why) => {
                assert!(std::env::var_os("POSTMETER_REQUIRE_STACK").is_none_or(|v| v != "1"), "{why}");
                skipped(test, &why);
                return None;
            }
        }
    }
    found.try_into().ok()
}

#[test]
fn the_programs_accept_the_shipped_files() {
    let Some([collector, promtool]) = needed("the_programs_accept_the_shipped_files", [&COLLECTOR, &PROMTOOL]) else { return };
    let at = |path: &str| format!("{}/otel-config/{path}", env!("CARGO_MANIFEST_DIR"));
    // A queue's folder is looked at by the check, and made by the run.
    let queue = tempfile::tempdir().unwrap();
    let config = format!("--config={}", at("collector.yaml"));
    let checked = Command::new(collector).args(["validate", &config]).env("COLLECTOR_QUEUE_DIR", queue.path()).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    let checked = Command::new(promtool).args(["check", "config", "--lint=all", "--lint-fatal", &at("prometheus.yml")]).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
}

/// Without the way in. Prometheus writes a pulled bound as 1.0 and a pushed one as 1.
fn by(way: &str, series: &Series) -> Series {
    let mut of = Series::new();
    for (labels, value) in series.iter().filter(|(labels, _)| labels["via"] == way) {
        let mut labels = labels.clone();
        labels.remove("via");
        labels.entry("le".to_owned()).and_modify(|le| *le = le.parse::<f64>().unwrap().to_string());
        of.insert(labels, *value);
    }
    of
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_in_say_the_same() {
    let Some([collector, prometheus]) = needed("both_ways_in_say_the_same", [&COLLECTOR, &PROMETHEUS]) else { return };
    let mut world = World::start(&collector, &prometheus).await;
    for way in ["pull", "otlp"] {
        world.wait_for(&format!("count(mail_up{{via=\"{way}\"}} == 1)"), 5.0).await;
    }

    the_same_by_both_ways(&world).await;

    // Each target is who it is, both ways.
    for way in ["pull", "otlp"] {
        let infos = by(way, &world.query(&format!("target_info{{via=\"{way}\", job!=\"postmeter\"}}")).await);
        let who: BTreeMap<_, _> = infos.keys().map(|labels| (labels["job"].as_str(), labels["instance"].clone())).collect();
        assert_eq!(who, System::ALL.map(|system| (system.name(), format!("demo-{}", system.name()))).into(), "{way}");
        assert!(infos.keys().all(|labels| labels["server_address"] == "127.0.0.1"), "{way}: {infos:#?}");
    }

    // A server's own words are pulled as it says them.
    let page = world.pulled().await;
    let line = page.lines().find(|line| line.starts_with("scheduled_count{") && line.contains("demo-kumomta")).unwrap();
    let (series, value) = line.rsplit_once(' ').unwrap();
    let found = world.query(&series.replace('}', ",via=\"pull\"}")).await;
    assert!(found.values().copied().eq([value.parse::<f64>().unwrap()]), "{line}: {found:?}");

    // Of what is about a mail server, all came in one of the two ways, and nothing twice.
    let recorded = "mail:.*|ALERTS.*";
    let neither =
        world.query(&format!(r#"{{job=~"{}", via!~"pull|otlp", __name__!~"{recorded}"}}"#, System::ALL.map(System::name).join("|"))).await;
    assert!(neither.is_empty(), "{neither:#?}");
    for counter in [
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "prometheus_target_scrapes_sample_out_of_order_total",
        "prometheus_target_scrapes_sample_out_of_bounds_total",
        "prometheus_tsdb_out_of_order_samples_total",
        "prometheus_tsdb_out_of_order_samples_appended_total",
    ] {
        let count = world.query(&format!("sum({counter}) or vector(0)")).await;
        assert!(count.values().all(|count| *count == 0.0), "{counter}: {count:?}");
    }
    let rules = world.api("rules", &[]).await.unwrap();
    let broken: Vec<_> = rules["data"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    let broken: Vec<_> = broken.into_iter().filter(|rule| rule["health"] == "err").collect();
    assert!(broken.is_empty(), "{broken:#?}");

    what_was_sent_was_accepted(&world).await;
}

/// Canonical series are the same, but for what changes while the stand-ins are still: times, and what counts our own polls.
async fn the_same_by_both_ways(world: &World) {
    // What rules have made of both ways is of neither.
    let moving = "mail_poll_.*|mail_queue_oldest_age_seconds|mail_record_lag_seconds|mail:.*|ALERTS.*";
    let still = format!(r#"{{mail_system_name!="", __name__!~"{moving}", network_protocol_name!="http"}}"#);
    let deadline = Instant::now() + SOON;
    loop {
        let canonical = world.query(&still).await;
        let (pulled, pushed) = (by("pull", &canonical), by("otlp", &canonical));
        // Some series need two polls, and one way in may be a poll ahead of the other.
        if pulled == pushed {
            return assert!(pulled.len() > 200, "{}", pulled.len());
        }
        let only = |one: &Series, other: &Series| -> Series {
            one.iter().filter(|(labels, value)| other.get(*labels) != Some(value)).map(|(labels, value)| (labels.clone(), *value)).collect()
        };
        let (by_pull, by_push) = (only(&pulled, &pushed), only(&pushed, &pulled));
        assert!(Instant::now() < deadline, "pulled, and not pushed so: {by_pull:#?}\npushed, and not pulled so: {by_push:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Postmeter's count of points sent is the Collector's of points accepted, whenever nothing is on the way between them.
async fn what_was_sent_was_accepted(world: &World) {
    let sent = || world.own(false, "otel_sdk_exporter_metric_data_point_exported_total{", "error_type");
    let deadline = Instant::now() + SOON;
    let mut last = (0, 0);
    let mut equal = 0;
    while equal < 3 {
        assert!(Instant::now() < deadline, "Postmeter has sent {} points, and the Collector has accepted {}", last.0, last.1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = sent().await;
        let accepted = world.own(true, "otelcol_receiver_accepted_metric_points", "\u{0}").await;
        // A push in between says nothing.
        if sent().await == before && before != last.0 {
            equal += usize::from(before == accepted && accepted > 0);
            last = (before, accepted);
        }
    }
    let lost = world.own(true, "otelcol_receiver_refused_metric_points", "\u{0}").await
        + world.own(true, "otelcol_exporter_send_failed_metric_points", "\u{0}").await;
    assert_eq!(lost, 0);
}
