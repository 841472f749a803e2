//! The stack from the shipped files, with the real Collector and a real Prometheus: pulled and pushed series are equal.
//!
//! `POSTMETER_COLLECTOR`, `POSTMETER_PROMETHEUS` and `POSTMETER_PROMTOOL` name the programs; otherwise they are on PATH. `.ci/programs`
//! builds them. Without them the tests are skipped, unless `POSTMETER_REQUIRE_STACK=1`.
#![allow(clippy::unwrap_used)]

mod compression;
mod direct;
mod ends;
mod migration;
mod native;
mod otlp_json;
mod platforms;
pub mod programs;
mod translation;
mod untranslatable;
mod world;

use crate::support::{Described, http_client, skipped, wait_until_async};
use parking_lot::Mutex;
use programs::{COLLECTOR, PROMETHEUS, PROMTOOL, Program, Running, output_text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::{SOON, Series, World};

/// Names of the series of recording and alerting rules, which are derived from both exports: recorded names have colons.
const OF_RULES: &str = ".*:.*|ALERTS.*";
const SYSTEMS: [&str; 5] = ["ceymail", "cpanel", "emailengine", "kumomta", "stalwart"];

/// The paths of the programs. `None` if one is missing: the test is skipped.
#[track_caller]
pub fn needed<const N: usize>(test: &str, programs: [&Program; N]) -> Option<[PathBuf; N]> {
    let mut found = Vec::new();
    for program in programs {
        match program.find() {
            Ok(path) => found.push(path),
            Err(reason) => {
                assert!(std::env::var_os("POSTMETER_REQUIRE_STACK").is_none_or(|v| v != "1"), "{reason}");
                skipped(test, &reason);
                return None;
            }
        }
    }
    found.try_into().ok()
}

/// Waits until Prometheus responds at this URL.
pub async fn until_ready(prometheus: &Running, url: &str) {
    let client = http_client();
    let is_ready = || async {
        prometheus.check();
        client.get(format!("{url}/-/ready")).send().await.is_ok_and(|response| response.status().is_success())
    };
    wait_until_async(is_ready, SOON, Described(|| format!("Prometheus is ready:\n{}", prometheus.log()))).await;
}

#[test]
fn the_programs_accept_the_shipped_files() {
    let Some([collector, promtool]) = needed("the_programs_accept_the_shipped_files", [&COLLECTOR, &PROMTOOL]) else { return };
    let at = |path: &str| format!("{}/otel-config/{path}", env!("CARGO_MANIFEST_DIR"));
    // `validate` requires the directory of the queue, which a run creates.
    let queue = tempfile::tempdir().unwrap();
    let config = format!("--config={}", at("collector.yaml"));
    let checked = Command::new(collector).args(["validate", &config]).env("COLLECTOR_QUEUE_DIR", queue.path()).output().unwrap();
    assert!(checked.status.success(), "{}", output_text(&checked));
    let checked = Command::new(promtool).args(["check", "config", "--lint=all", "--lint-fatal", &at("prometheus.yml")]).output().unwrap();
    assert!(checked.status.success(), "{}", output_text(&checked));
}

/// The series of one export without the label `via`. Prometheus writes a pulled bound as 1.0 and a pushed one as 1.
fn by(via: &str, series: &Series) -> Series {
    let mut of = Series::new();
    for (labels, value) in series.iter().filter(|(labels, _)| labels["via"] == via) {
        let mut labels = labels.clone();
        labels.remove("via");
        labels.entry("le".to_owned()).and_modify(|le| *le = le.parse::<f64>().unwrap().to_string());
        of.insert(labels, *value);
    }
    of
}

#[tokio::test(flavor = "multi_thread")]
async fn pulled_and_pushed_series_are_equal() {
    let Some([collector, prometheus]) = needed("pulled_and_pushed_series_are_equal", [&COLLECTOR, &PROMETHEUS]) else { return };
    let world = World::start(&collector, &prometheus).await;
    for via in ["pull", "otlp"] {
        world.wait_for(&format!("count(mail_up{{via=\"{via}\"}} == 1)"), 5.0).await;
    }

    check_rules(&world).await;
    check_canonical_series(&world).await;

    // Both exports identify each target equally.
    for via in ["pull", "otlp"] {
        let infos = by(via, &world.query(&format!("target_info{{via=\"{via}\", job!=\"postmeter\"}}")).await);
        let identities: BTreeMap<_, _> = infos.keys().map(|labels| (labels["job"].as_str(), labels["instance"].clone())).collect();
        assert_eq!(identities, SYSTEMS.map(|system| (system, format!("demo-{system}"))).into(), "{via}");
        assert!(infos.keys().all(|labels| labels["server_address"] == "127.0.0.1"), "{via}: {infos:#?}");
    }

    // Native series are pulled unchanged.
    let page = world.pulled().await;
    let line = page.lines().find(|line| line.starts_with("scheduled_count{") && line.contains("demo-kumomta")).unwrap();
    let (series, value) = line.rsplit_once(' ').unwrap();
    let found = world.query(&series.replace('}', ",via=\"pull\"}")).await;
    assert!(found.values().copied().eq([value.parse::<f64>().unwrap()]), "{line}: {found:?}");

    // All series about mail servers are pulled or pushed, and none is duplicated.
    let neither = world.query(&format!(r#"{{job=~"{}", via!~"pull|otlp", __name__!~"{OF_RULES}"}}"#, SYSTEMS.join("|"))).await;
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
    check_accepted_points(&world).await;
}

/// Waits until every rule has been evaluated, and checks that none failed.
async fn check_rules(world: &World) {
    let waiting = Mutex::new(Vec::new());
    let are_evaluated = || async {
        let response = world.api("rules", &[]).await.unwrap();
        let groups = response["data"]["groups"].as_array().unwrap().iter();
        let rules: Vec<_> = groups.flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect();
        let failed: Vec<_> = rules.iter().filter(|rule| rule["health"] == "err").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        *waiting.lock() = rules.iter().filter(|rule| rule["health"] != "ok").map(|rule| rule["name"].to_string()).collect();
        !rules.is_empty() && waiting.lock().is_empty()
    };
    wait_until_async(are_evaluated, SOON, Described(|| format!("every rule has been evaluated: {:?}", waiting.lock()))).await;
}

/// Checks that canonical series are equal, except for those that change while the servers are frozen: times, and counts of polls.
async fn check_canonical_series(world: &World) {
    let changing = "postmeter_poll_.*|mail_queue_oldest_age_seconds|postmeter_record_lag_seconds";
    let still = format!(r#"{{mail_system_name!="", __name__!~"{changing}|{OF_RULES}", network_protocol_name!="http"}}"#);
    let last = Mutex::new((Series::new(), Series::new()));
    let are_equal = || async {
        let canonical = world.query(&still).await;
        let (pulled, pushed) = (by("pull", &canonical), by("otlp", &canonical));
        // Some series need two polls, and one export may be a poll ahead of the other.
        let are_equal = pulled == pushed;
        *last.lock() = (pulled, pushed);
        are_equal
    };
    let differences = || {
        let (pulled, pushed) = &*last.lock();
        let only = |one: &Series, other: &Series| -> Series {
            one.iter().filter(|(labels, value)| other.get(*labels) != Some(value)).map(|(labels, value)| (labels.clone(), *value)).collect()
        };
        format!("only pulled: {:#?}\nonly pushed: {:#?}", only(pulled, pushed), only(pushed, pulled))
    };
    wait_until_async(are_equal, SOON, Described(differences)).await;
    let pulled = last.lock().0.len();
    assert!(pulled > 200, "{pulled}");
}

/// Checks that Postmeter's number of sent points equals the Collector's number of accepted points while no request is in flight.
async fn check_accepted_points(world: &World) {
    let sent = || world.own(false, "otel_sdk_exporter_metric_data_point_exported_total{", "error_type");
    let (last, equal) = (Mutex::new((0, 0)), AtomicUsize::new(0));
    let are_equal = || async {
        let before = sent().await;
        let accepted = world.own(true, "otelcol_receiver_accepted_metric_points", "\u{0}").await;
        // A push in between makes the counts incomparable.
        if sent().await == before && before != last.lock().0 {
            equal.fetch_add(usize::from(before == accepted && accepted > 0), Ordering::Relaxed);
            *last.lock() = (before, accepted);
        }
        equal.load(Ordering::Relaxed) >= 3
    };
    wait_until_async(are_equal, SOON, Described(|| format!("sent and accepted points are equal: {:?}", *last.lock()))).await;
    let lost = world.own(true, "otelcol_receiver_refused_metric_points", "\u{0}").await
        + world.own(true, "otelcol_exporter_send_failed_metric_points", "\u{0}").await;
    assert_eq!(lost, 0);
}
