//! Pull and push into one Prometheus with each translation strategy: the names are those of the table, and the values are equal.

use super::programs::{PROMETHEUS, Running, free_ports};
use crate::support::{Described, all_systems, http_client, install_crypto_provider, start_service, wait_until_async};
use parking_lot::Mutex;
use postmeter::model::{TranslationStrategy, vocabulary};
use postmeter::simulate::{Options, System};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);

/// Series by their labels, and their values.
type Series = BTreeMap<BTreeMap<String, String>, f64>;

/// The latest samples of all series in Prometheus, pulled (`true`) or pushed.
async fn series(url: &str, pulled: bool) -> Result<Series, String> {
    let query = if pulled { "{via=\"pull\"}" } else { "{via=\"\",job=~\".+\"}" };
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), [("query", query)]).unwrap();
    let client = http_client();
    let response = client.get(url).send().await.map_err(|error| error.to_string())?;
    let response: Value =
        serde_json::from_str(&response.text().await.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    let results = response["data"]["result"].as_array().ok_or_else(|| response.to_string())?;
    let mut all = Series::new();
    for result in results {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(result["metric"].clone()).unwrap();
        labels.remove("via");
        labels.entry("le".to_owned()).and_modify(|le| *le = le.parse::<f64>().unwrap().to_string());
        all.insert(labels, result["value"][1].as_str().unwrap().parse().unwrap());
    }
    Ok(all)
}

/// The series of these metrics, without those whose values change with each poll.
fn canonical(all: &Series, names: &BTreeMap<String, &str>) -> Series {
    let of_metric = |labels: &BTreeMap<String, String>| {
        let name = &labels["__name__"];
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix).filter(|base| names.contains_key(*base)));
        names.get(base.unwrap_or(name)).copied()
    };
    let is_stable = |metric: &str| !["postmeter.poll.latency", "postmeter.poll.age"].contains(&metric);
    all.iter().filter(|(labels, _)| of_metric(labels).is_some_and(is_stable)).map(|(labels, value)| (labels.clone(), *value)).collect()
}

/// Starts Prometheus, which scrapes this address and receives OTLP.
fn start_prometheus(program: &Path, folder: &Path, strategy: &str, web: u16, postmeter: SocketAddr) -> Running {
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\notlp: {{translation_strategy: {strategy}}}\n\
         scrape_configs: [{{job_name: pull, honor_labels: true, static_configs: [{{targets: [\"{postmeter}\"], labels: {{via: pull}}}}]}}]\n"
    );
    Running::prometheus(program, folder, &config, web, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn pulled_and_pushed_names_are_those_of_the_table_in_each_strategy() {
    let Some([prometheus]) = super::needed("pulled_and_pushed_names_are_those_of_the_table_in_each_strategy", [&PROMETHEUS]) else {
        return;
    };
    install_crypto_provider();
    // Frozen, so that pulled and pushed values are equal. The window of cPanel grows with time.
    let options = Options { frozen: true, ..Options::default() };
    let (servers, targets) = all_systems(options, |system| format!("min_interval: 1h, relay: false, {}", system.parts_key(""))).await;
    servers.iter().for_each(|server| server.traffic(|traffic| traffic.advance(600.0)));
    let checks = TranslationStrategy::ALL.map(|(name, strategy)| check(&prometheus, &targets, name, strategy));
    let [first, second, third, fourth] = checks;
    tokio::join!(first, second, third, fourth);
    for server in servers {
        server.shutdown().await;
    }
}

async fn check(prometheus: &Path, targets: &str, name: &str, strategy: TranslationStrategy) {
    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let url = format!("http://127.0.0.1:{web}");
    let file = format!(
        "targets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\", translation_strategy: {name}}}\n  otlp: {{endpoint: \"{url}/api/v1/otlp/v1/metrics\", protocol: http/protobuf, interval: 1s, compression: none, retry: {{initial: 100ms}}}}\n",
    );
    let service = start_service(&file).await;
    let running = start_prometheus(prometheus, folder.path(), name, web, service.address.unwrap());

    let names: BTreeMap<String, &str> = vocabulary::ALL.iter().map(|metric| (strategy.name_of(metric), metric.name)).collect();
    let last = Mutex::new((Series::new(), Series::new()));
    let are_equal = || async {
        running.check();
        let (Ok(pulled), Ok(pushed)) = (series(&url, true).await, series(&url, false).await) else { return false };
        *last.lock() = (canonical(&pulled, &names), canonical(&pushed, &names));
        let last = last.lock();
        let up = last.0.keys().filter(|labels| names.get(&labels["__name__"]) == Some(&"mail.up")).count();
        up == System::ALL.len() && last.0 == last.1
    };
    let difference = || {
        let last = last.lock();
        let only = |a: &Series, b: &Series| {
            a.iter().filter(|(labels, value)| b.get(*labels) != Some(value)).map(|found| format!("{found:?}")).collect::<Vec<_>>()
        };
        format!(
            "{name}: pulled and pushed series are equal\nonly pulled: {:#?}\nonly pushed: {:#?}\n{}",
            only(&last.0, &last.1),
            only(&last.1, &last.0),
            running.log()
        )
    };
    wait_until_async(are_equal, SOON, Described(difference)).await;

    // Every metric of these servers has the name of the table.
    let found = last.into_inner().0;
    let metrics: BTreeSet<&str> = found
        .keys()
        .filter_map(|labels| {
            let name = &labels["__name__"];
            names.get(name.as_str()).or_else(|| names.get(name.strip_suffix("_count")?)).copied()
        })
        .collect();
    assert!(metrics.len() > 20, "{name}: {metrics:?}");
    for metric in [
        "mail.delivery.attempts",
        "mail.queue.depth",
        "mail.queue.oldest_age",
        "postmeter.poll.body.size",
        "mail.delivery.attempt.duration",
    ] {
        assert!(metrics.contains(metric), "{name}: {metric} of {metrics:?}");
    }
    // target_info has the same labels, too.
    let info = |all: &Series| {
        all.keys().filter(|labels| labels["__name__"] == "target_info" && labels["job"] == "stalwart").cloned().collect::<Vec<_>>()
    };
    let (pulled, pushed) = (series(&url, true).await.unwrap(), series(&url, false).await.unwrap());
    assert_eq!(info(&pulled), info(&pushed), "{name}");
    assert_eq!(info(&pulled).len(), 1, "{name}");
    service.stop().await;
}
