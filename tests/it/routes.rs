//! The routes of the pull endpoint: methods, `/targets.json`, and `/sd`.
#![allow(clippy::unwrap_used)]

use crate::reload::world::{ANY, SOON, World, start_server, target, value};
use crate::support::program::KilledOnDrop;
use crate::support::{http_client, skipped, wait_until_async};
use postmeter::simulate::System;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

async fn start() -> (World, Vec<postmeter::simulate::SimulatedServer>) {
    let [kumomta, ceymail] = [start_server(System::Kumomta).await, start_server(System::Ceymail).await];
    kumomta.traffic(|traffic| traffic.advance(600.0));
    ceymail.respond_with(Some((503, "busy".to_owned())));
    let text = format!(
        "targets:\n{}{}  - {{name: any, system: prometheus, url: \"{}/metrics?token=hunter2&hunter2\", min_interval: 1h}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n",
        target("mta1", &kumomta, "min_interval: 1h, resource: {deployment.environment.name: test}, parts: {machine-info: {}}"),
        target("cey", &ceymail, "min_interval: 30s"),
        kumomta.url()
    );
    let world = World::start(&text, false).await;
    world.ready().await;
    (world, vec![kumomta, ceymail])
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_accept_get_and_head_only() {
    let (world, servers) = start().await;
    let get = ["/", "/metrics", "/metrics.json", "/probe?target=mta1", "/sd", "/targets.json", "/config", "/-/healthy", "/-/ready"];
    for path in get {
        assert_eq!(world.request(Method::GET, path).await.status(), 200, "{path}");
        let head = world.request(Method::HEAD, path).await;
        assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::from_bytes(b"BREW").unwrap()] {
            let response = world.request(method, path).await;
            let allow = response.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((response.status().as_u16(), allow.as_deref()), (405, Some("GET,HEAD")), "{path}");
            assert_eq!(response.text().await.unwrap(), "method not allowed; the header Allow lists the allowed methods\n");
        }
    }
    for path in ["/metrics/", "/nowhere", "/-/", "/-/quit", "/targets", "/..%2fetc", "/%ff"] {
        assert_eq!(world.get(path).await, (404, "not found; the page at / lists all endpoints\n".to_owned()), "{path}");
    }
    world.end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_json_has_the_state_of_each_target() {
    let (world, servers) = start().await;
    let response = world.request(Method::GET, "/targets.json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let page: Value = serde_json::from_str(&text).unwrap();
    let [mta1, cey, any] = &page["targets"].as_array().unwrap()[..] else { panic!("{page}") };

    assert_eq!(
        (&mta1["name"], &mta1["system"], &mta1["state"], &mta1["error"]),
        (&json!("mta1"), &json!("kumomta"), &json!("up"), &Value::Null)
    );
    assert!(mta1["configured_in"].as_str().unwrap().ends_with("postmeter.yaml:2"), "{mta1}");
    assert_eq!(mta1["resource"]["deployment.environment.name"], "test");
    assert_eq!(mta1["min_interval_seconds"], 3600.0);
    let parts: Vec<_> = mta1["parts"].as_array().unwrap().iter().map(|part| (&part["name"], &part["required"], &part["state"])).collect();
    assert_eq!(parts, [(&json!("metrics"), &json!(true), &json!("up")), (&json!("machine-info"), &json!(false), &json!("up"))]);
    let poll = &mta1["last_poll"];
    for number in ["age_seconds", "duration_seconds", "body_bytes", "canonical_points"] {
        assert!(poll[number].as_f64().unwrap() > 0.0, "{number}: {mta1}");
    }
    assert!(poll["native_series"]["kept"].as_u64().unwrap() > 0);
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let wait = time(&mta1["next_poll_allowed"]).duration_since(time(&poll["time"]));
    assert!((wait.as_secs_f64() - 3240.0).abs() < 1.0, "a poll is due a tenth of the interval early: {wait}");

    assert_eq!((&cey["state"], &cey["error"]["type"]), (&json!("down"), &cey["parts"][0]["error"]["type"]));
    let (kind, message) = (cey["error"]["type"].as_str().unwrap(), cey["error"]["message"].as_str().unwrap());
    assert!(message.contains("503"), "{message}");
    assert_eq!(cey["errors_total"], json!([{"part": "metrics", "type": kind, "count": 1}]));
    assert_eq!((&cey["last_poll"]["canonical_points"], &cey["last_poll"]["native_series"]), (&Value::Null, &Value::Null));
    assert!(!text.contains("stale"), "no target is stale, and no other key has that name: {text}");
    // The path and the query are omitted, because they may contain secrets.
    assert_eq!(any["url"], servers[0].url());
    world.end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sd_has_a_group_for_each_target_with_the_requested_address() {
    let (world, servers) = start().await;
    let own = world.service.address.unwrap().to_string();
    let client = http_client();
    let discover = async |host: Option<&str>| {
        let request = client.get(world.url("/sd"));
        let response = host.into_iter().fold(request, |request, host| request.header("host", host)).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap()
    };
    let groups = discover(None).await;
    assert_eq!(groups.as_array().unwrap().len(), 3);
    let port = servers[0].addr().port().to_string();
    let version = groups[0]["labels"]["__meta_postmeter_service_version"].clone();
    assert!(version.is_string());
    assert_eq!(
        groups[0],
        json!({
            "targets": [own],
            "labels": {
                "__scheme__": "http",
                "__metrics_path__": "/probe",
                "__param_target": "mta1",
                "job": "kumomta",
                "instance": "mta1",
                "__meta_postmeter_target": "mta1",
                "__meta_postmeter_mail_system_name": "kumomta",
                "__meta_postmeter_min_interval": "3600000ms",
                "__meta_postmeter_server_address": "127.0.0.1",
                "__meta_postmeter_server_port": port,
                "__meta_postmeter_url_scheme": "http",
                "__meta_postmeter_service_version": version,
                "__meta_postmeter_deployment_environment_name": "test",
            }
        })
    );
    assert_eq!(discover(Some("metrics.example.com:9464")).await[2]["targets"], json!(["metrics.example.com:9464"]));
    assert_eq!(discover(Some("[2001:db8::1]:9464")).await[2]["targets"], json!(["[2001:db8::1]:9464"]));
    // An invalid address is no `Host` (RFC 9112, section 3.2).
    let response = client.get(world.url("/sd")).header("host", "a/b?c").send().await.unwrap();
    assert_eq!(response.status(), 400);
    world.end(servers).await;
}

/// Prometheus discovers the targets and scrapes them. The series have the same names and labels as on `/metrics`.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_discovers_and_scrapes_the_targets() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        assert!(std::env::var("POSTMETER_REQUIRE_PROMTOOL").as_deref() != Ok("1"), "prometheus is not installed");
        skipped("prometheus_discovers_and_scrapes_the_targets", "prometheus is not installed");
        return;
    }
    let (world, servers) = start().await;
    let port = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap().port();
    let file = world.at("prometheus.yml");
    let relabel = "[{source_labels: [__meta_postmeter_deployment_environment_name], target_label: env}]";
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: postmeter, relabel_configs: {relabel}, http_sd_configs: [{{url: \"{}\", refresh_interval: 1s}}]}}\n",
        world.url("/sd")
    );
    std::fs::write(&file, config).unwrap();
    let prometheus = Command::new("prometheus")
        .args([
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", world.at("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let prometheus = KilledOnDrop(prometheus);
    let client = http_client();
    let query = async |promql: &str| {
        let encoded: String = promql.bytes().map(|b| format!("%{b:02X}")).collect();
        let response = client.get(format!("http://127.0.0.1:{port}/api/v1/query?query={encoded}")).send().await.ok()?;
        let response: Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
        Some(response["data"]["result"].as_array()?.clone())
    };
    let up = parking_lot::Mutex::new(Vec::new());
    let is_scraped = || async {
        let found = query("mail_up").await.unwrap_or_default();
        let is_complete = found.len() == 3;
        *up.lock() = found;
        is_complete
    };
    wait_until_async(is_scraped, SOON, "prometheus scrapes three targets").await;
    let up = up.into_inner();
    let labels = query("mail_delivery_attempts_total{mail_delivery_outcome=\"delivered\"}").await.unwrap_or_default();
    let exported = query("{__name__=~\".+\", exported_job=~\".+\"} or {__name__=~\".+\", exported_instance=~\".+\"} or {__name__=~\".+\", exported_mail_system_name=~\".+\"}").await;
    let scraped = query("up").await.unwrap_or_default();
    drop(prometheus);

    let mut seen: Vec<String> =
        up.iter().map(|series| format!("{} {} {}", series["metric"]["job"], series["metric"]["instance"], series["value"][1])).collect();
    seen.sort();
    assert_eq!(seen, ["\"ceymail\" \"cey\" \"0\"", "\"kumomta\" \"mta1\" \"1\"", "\"prometheus\" \"any\" \"1\""]);
    assert!(scraped.iter().all(|series| series["value"][1] == "1"), "{scraped:?}");
    let expected = servers[0].traffic(|traffic| traffic.delivered);
    assert_eq!(labels[0]["value"][1], expected.to_string());
    assert_eq!(
        labels[0]["metric"],
        json!({"__name__": "mail_delivery_attempts_total", "env": "test", "instance": "mta1", "job": "kumomta",
            "mail_delivery_outcome": "delivered", "mail_system_name": "kumomta"})
    );
    assert_eq!(exported, Some(Vec::new()));
    let page = world.get("/metrics").await.1;
    assert_eq!(
        value(&page, "mail_delivery_attempts_total{instance=\"mta1\",job=\"kumomta\",mail_delivery_outcome=\"delivered\""),
        Some(expected as f64)
    );
    world.end(servers).await;
}
