//! The routes of the pull endpoint beside the readings: who finds what there, and what the rest is told.
#![allow(clippy::unwrap_used)]

use crate::reload::world::{ANY, SOON, World, start_server, target, value};
use crate::support::skipped;
use postmeter::simulate::System;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Instant;

async fn start() -> (World, Vec<postmeter::simulate::SimulatedServer>) {
    let [kumomta, ceymail] = [start_server(System::Kumomta).await, start_server(System::Ceymail).await];
    kumomta.traffic(|traffic| traffic.advance(600.0));
    ceymail.answer_with(Some((503, "busy".to_owned())));
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
async fn each_path_has_its_methods() {
    let (world, stand_ins) = start().await;
    let get = ["/", "/metrics", "/metrics.json", "/probe?target=mta1", "/sd", "/targets.json", "/-/healthy", "/-/ready"];
    for path in get {
        assert_eq!(world.request(Method::GET, path).await.status(), 200, "{path}");
        let head = world.request(Method::HEAD, path).await;
        assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::from_bytes(b"BREW").unwrap()] {
            let answer = world.request(method, path).await;
            let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((answer.status().as_u16(), allow.as_deref()), (405, Some("GET,HEAD")), "{path}");
            assert_eq!(answer.text().await.unwrap(), "not by this method; see the header Allow\n");
        }
    }
    for path in ["/metrics/", "/nowhere", "/-/", "/-/quit", "/targets", "/..%2fetc", "/%ff"] {
        assert_eq!(world.get(path).await, (404, "there is nothing here; / shows what there is\n".to_owned()), "{path}");
    }
    world.end(stand_ins).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_json_says_how_each_target_is() {
    let (world, stand_ins) = start().await;
    let answer = world.request(Method::GET, "/targets.json").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let text = answer.text().await.unwrap();
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
    assert!((wait.as_secs_f64() - 3240.0).abs() < 1.0, "a reading is due a tenth early: {wait}");

    assert_eq!((&cey["state"], &cey["error"]["type"]), (&json!("down"), &cey["parts"][0]["error"]["type"]));
    let (kind, message) = (cey["error"]["type"].as_str().unwrap(), cey["error"]["message"].as_str().unwrap());
    assert!(message.contains("503"), "{message}");
    assert_eq!(cey["errors_total"], json!([{"part": "metrics", "type": kind, "count": 1}]));
    assert_eq!((&cey["last_poll"]["canonical_points"], &cey["last_poll"]["native_series"]), (&Value::Null, &Value::Null));
    // A path or a query may be secret.
    assert_eq!(any["url"], stand_ins[0].url());
    world.end(stand_ins).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sd_has_a_group_for_each_target_at_the_address_that_was_asked() {
    let (world, stand_ins) = start().await;
    let own = world.service.address.unwrap().to_string();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |host: Option<&str>| {
        let request = client.get(world.url("/sd"));
        let answer = host.into_iter().fold(request, |request, host| request.header("host", host)).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let groups = ask(None).await;
    assert_eq!(groups.as_array().unwrap().len(), 3);
    let port = stand_ins[0].addr().port().to_string();
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
    assert_eq!(ask(Some("metrics.example.com:9464")).await[2]["targets"], json!(["metrics.example.com:9464"]));
    assert_eq!(ask(Some("[2001:db8::1]:9464")).await[2]["targets"], json!(["[2001:db8::1]:9464"]));
    assert_eq!(ask(Some("a/b?c")).await[2]["targets"], json!([own]), "what cannot be an address");
    world.end(stand_ins).await;
}

/// A real Prometheus discovers the targets and scrapes them; its series are called as those of `/metrics` are.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_discovers_and_scrapes() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        assert!(std::env::var("POSTMETER_REQUIRE_PROMTOOL").as_deref() != Ok("1"), "prometheus is not installed");
        skipped("a_real_prometheus_discovers_and_scrapes", "prometheus is not installed");
        return;
    }
    let (world, stand_ins) = start().await;
    let port = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap().port();
    let file = world.at("prometheus.yml");
    let relabel = "[{source_labels: [__meta_postmeter_deployment_environment_name], target_label: env}]";
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: postmeter, relabel_configs: {relabel}, http_sd_configs: [{{url: \"{}\", refresh_interval: 1s}}]}}\n",
        world.url("/sd")
    );
    std::fs::write(&file, config).unwrap();
    let mut prometheus = Command::new("prometheus")
        .args([
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", world.at("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let query = async |promql: &str| {
        let encoded: String = promql.bytes().map(|b| format!("%{b:02X}")).collect();
        let answer = client.get(format!("http://127.0.0.1:{port}/api/v1/query?query={encoded}")).send().await.ok()?;
        let answer: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        Some(answer["data"]["result"].as_array()?.clone())
    };
    let began = Instant::now();
    let up = loop {
        let up = query("mail_up").await.unwrap_or_default();
        if up.len() == 3 || began.elapsed() > SOON {
            break up;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let labels = query("mail_delivery_attempts_total{mail_delivery_outcome=\"delivered\"}").await.unwrap_or_default();
    let exported = query("{__name__=~\".+\", exported_job=~\".+\"} or {__name__=~\".+\", exported_instance=~\".+\"} or {__name__=~\".+\", exported_mail_system_name=~\".+\"}").await;
    let scraped = query("up").await.unwrap_or_default();
    let _ = prometheus.kill();
    let _ = prometheus.wait();

    let mut seen: Vec<String> =
        up.iter().map(|series| format!("{} {} {}", series["metric"]["job"], series["metric"]["instance"], series["value"][1])).collect();
    seen.sort();
    assert_eq!(seen, ["\"ceymail\" \"cey\" \"0\"", "\"kumomta\" \"mta1\" \"1\"", "\"prometheus\" \"any\" \"1\""]);
    assert!(scraped.iter().all(|series| series["value"][1] == "1"), "{scraped:?}");
    let truth = stand_ins[0].traffic(|traffic| traffic.delivered);
    assert_eq!(labels[0]["value"][1], truth.to_string());
    assert_eq!(
        labels[0]["metric"],
        json!({"__name__": "mail_delivery_attempts_total", "env": "test", "instance": "mta1", "job": "kumomta",
            "mail_delivery_outcome": "delivered", "mail_system_name": "kumomta"})
    );
    assert_eq!(exported, Some(Vec::new()));
    let page = world.get("/metrics").await.1;
    assert_eq!(
        value(&page, "mail_delivery_attempts_total{instance=\"mta1\",job=\"kumomta\",mail_delivery_outcome=\"delivered\""),
        Some(truth as f64)
    );
    world.end(stand_ins).await;
}
