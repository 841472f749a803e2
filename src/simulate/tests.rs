//! Each stand-in over real HTTP, and what its bodies hold against the traffic behind them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::format::prometheus;
use crate::model::{Families, FamilyType, Value};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use reqwest::{Client, Response};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tonic::codec::CompressionEncoding;

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

async fn get(stand_in: &SimulatedServer, path: &str, authorization: &str) -> Response {
    let mut request = client().get(stand_in.url() + path);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

#[track_caller]
fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// `user:password` as the Basic scheme writes the default ones.
fn basic() -> &'static str {
    "Basic cG9zdG1ldGVyOnN0YW5kLWluLXBhc3N3b3Jk"
}

fn text_bodies(t: &Traffic) -> Vec<(&'static str, String)> {
    vec![
        ("ceymail", ceymail::metrics(t)),
        ("emailengine", emailengine::metrics(t)),
        ("kumomta", kumomta::metrics(t, "")),
        ("stalwart 0.15", stalwart::metrics(t, Generation::V015)),
        ("stalwart 0.16", stalwart::metrics(t, Generation::V016)),
    ]
}

/// Each series that is a number, by its name and labels.
fn series(families: &Families, only: Option<FamilyType>) -> HashMap<String, f64> {
    let mut out = HashMap::new();
    for family in families.iter().filter(|family| only.is_none_or(|kind| family.kind() == kind)) {
        for sample in family.samples() {
            let Value::Number(n) = sample.value() else { continue };
            let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            let before = out.insert(format!("{}{{{}}}", family.name(), labels.join(",")), n);
            assert_eq!(before, None, "{} twice", family.name());
        }
    }
    out
}

#[test]
fn every_text_is_read_whole() {
    let mut traffic = Traffic::new(4, 20);
    traffic.advance(3600.0);
    for (name, body) in text_bodies(&traffic) {
        let families = prometheus::read(body).unwrap();
        let repairs = format!("{:?}", families.repairs());
        assert!(!repairs.contains("Unreadable"), "{name}: {repairs}");
        assert!(families.series() > 20, "{name}");
    }
}

#[test]
fn the_same_seed_and_steps_give_the_same_bodies() {
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
fn counters_never_fall() {
    let mut traffic = Traffic::new(8, 20);
    let mut before: HashMap<&str, HashMap<String, f64>> = HashMap::new();
    for step in 0..80 {
        traffic.advance(if step % 2 == 0 { 3.3 } else { 47.0 });
        for (name, body) in text_bodies(&traffic) {
            let now = series(&prometheus::read(body).unwrap(), Some(FamilyType::Counter));
            for (series, value) in before.insert(name, now.clone()).unwrap_or_default() {
                assert!(now.get(&series).is_some_and(|now| *now >= value), "{name} {series} fell from {value} to {:?}", now.get(&series));
            }
        }
    }
}

#[test]
fn kumomtas_json_and_text_say_the_same_and_details_add_up_to_their_roll_up() {
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
fn a_hundred_thousand_queues_are_rendered_in_no_time() {
    let traffic = Traffic::new(1, 100_000);
    let begun = Instant::now();
    let body = kumomta::metrics_json(&traffic);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(body.len() > 5_000_000, "{}", body.len());
    serde_json::from_str::<serde::de::IgnoredAny>(&body).unwrap();
}

#[tokio::test]
async fn kumomta_answers_without_credentials_and_in_chunks() {
    let stand_in = start(System::Kumomta, frozen()).await;
    let json = get(&stand_in, "/metrics.json", "").await;
    assert_eq!((json.status().as_u16(), header(&json, "content-length")), (200, ""));
    assert_eq!(json.text().await.unwrap(), stand_in.traffic(|t| kumomta::metrics_json(t)));
    let text = get(&stand_in, "/metrics?prefix=kumo_", "").await;
    assert_eq!(header(&text, "content-type"), "text/plain; charset=utf-8");
    let body = text.text().await.unwrap();
    assert!(body.contains("\nkumo_scheduled_count_total "));
    assert!(body.contains("tenant=\"northwind\", campaign="), "{body}");
    assert!(body.contains("{service=\"smtp_client\",le=\"0.005\"}"));
    assert_eq!(client().head(stand_in.url() + "/metrics").send().await.unwrap().status(), 401);
    let info: serde_json::Value = serde_json::from_str(&get(&stand_in, "/api/machine-info", "").await.text().await.unwrap()).unwrap();
    assert_eq!(info["online_since"], "2026-09-21T13:59:00Z");
    assert_eq!(stand_in.requests(), 4);
}

#[tokio::test]
async fn stalwart_lets_in_by_basic_and_counts_who_failed() {
    let stand_in = start(System::Stalwart, frozen()).await;
    let before = stand_in.traffic(|t| t.auth_failed);
    for wrong in ["", "Basic Zm9vOmJhcg==", &format!("Bearer {TOKEN}")] {
        let refused = get(&stand_in, "/metrics/prometheus", wrong).await;
        assert_eq!((refused.status().as_u16(), header(&refused, "content-type")), (401, "application/problem+json"));
        assert_eq!(refused.headers().get_all("www-authenticate").iter().count(), 2);
    }
    let answer = get(&stand_in, "/metrics/prometheus", basic()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "text/plain; version=0.0.4"));
    let body = answer.text().await.unwrap();
    assert!(body.contains(&format!("\nauth_failed {}\n", before + 3)));
    assert!(!body.contains("queue_concurrency_limit_exceeded"), "a counter at zero is not there");
    let buckets = body.lines().filter(|line| line.starts_with("delivery_attempt_time_bucket"));
    let counts: Vec<u64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    let attempts = stand_in.traffic(|t| t.attempts());
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (12, attempts));
    assert!(body.contains("delivery_attempt_time_bucket{le=\"inf\"} "));
    assert!(body.contains("\nqueue_queue_message_authenticated "));
}

#[tokio::test]
async fn stalwarts_queue_has_an_api_for_each_generation() {
    let (old, new) = (start(System::Stalwart, frozen()).await, Options { generation: Generation::V016, ..frozen() });
    let new = start(System::Stalwart, new).await;
    let bearer = format!("Bearer {TOKEN}");
    let total = old.traffic(|t| t.scheduled());

    let ids = get(&old, "/api/queue/messages?limit=1", &bearer).await.text().await.unwrap();
    let ids: serde_json::Value = serde_json::from_str(&ids).unwrap();
    assert_eq!((&ids["data"]["total"], &ids["data"]["status"]), (&total.into(), &true.into()));
    assert!(ids["data"]["items"][0].as_u64().unwrap() > 1 << 53);
    let values = get(&old, "/api/queue/messages?limit=1&values=1", basic()).await.text().await.unwrap();
    let values: serde_json::Value = serde_json::from_str(&values).unwrap();
    assert!(values["data"]["items"][0]["created"].as_str().unwrap().starts_with("2026-09-21T1"), "{values}");
    assert_eq!(get(&new, "/api/queue/messages?limit=1", &bearer).await.status(), 404);

    let query = r#"{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],
        "methodCalls":[["x:QueuedMessage/query",{"calculateTotal":true,"limit":1},"q"],["x:Nothing/get",{},"n"]]}"#;
    let post = |to: &SimulatedServer| client().post(to.url() + "/jmap/").header("authorization", &bearer).body(query).send();
    let answer: serde_json::Value = serde_json::from_str(&post(&new).await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(answer["methodResponses"][0][1]["total"], total);
    assert_eq!(answer["methodResponses"][1][0], "error");
    assert_eq!(post(&old).await.unwrap().status(), 404);
    assert!(get(&new, "/metrics/prometheus", basic()).await.text().await.unwrap().contains("\nqueue_message_queued "));
    assert_eq!(get(&old, "/api/queue/messages", "Bearer wrong").await.status(), 401);
}

#[tokio::test]
async fn emailengine_tells_no_token_from_a_wrong_one_and_from_one_without_the_scope() {
    let stand_in = start(System::Emailengine, frozen()).await;
    for (token, status, content_type, body) in [
        ("", 401, "application/json; charset=utf-8", "Missing authentication"),
        ("Bearer wrong", 401, "application/json; charset=utf-8", "Bad token"),
        ("Bearer no-metrics-scope", 403, "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("Bearer stand-in-token", 200, "text/plain; charset=utf-8", "\n\n# HELP webhook_req "),
    ] {
        let answer = get(&stand_in, "/metrics", token).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (status, content_type));
        assert!(answer.text().await.unwrap().contains(body), "{token}");
    }
}

#[test]
fn emailengine_has_the_families_of_a_real_one() {
    let body = emailengine::metrics(&Traffic::new(1, 20));
    let types: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(types.len(), 70);
    let Ok(real) = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures/emailengine/families.tsv")) else {
        return;
    };
    let real: Vec<String> = real.lines().skip(1).map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(types, real);
}

#[tokio::test]
async fn ceymail_counts_requests_before_it_looks_at_tokens() {
    let stand_in = start(System::Ceymail, frozen()).await;
    let good = format!("Bearer {TOKEN}");
    for (authorization, status) in [("", 401), ("Bearer wrong", 401), (good.as_str(), 200)] {
        assert_eq!(get(&stand_in, "/api/stats/metrics", authorization).await.status(), status);
    }
    for _ in 3..12 {
        assert_eq!(get(&stand_in, "/api/stats/metrics", &good).await.status(), 200);
    }
    let refused = get(&stand_in, "/api/stats/metrics", &good).await;
    assert_eq!(refused.status(), 429);
    assert_eq!((header(&refused, "retry-after"), header(&refused, "x-ratelimit-limit")), ("60", "12"));
    assert_eq!(refused.text().await.unwrap(), r#"{"error":"Too many requests. Please try again later."}"#);
}

async fn whm(stand_in: &SimulatedServer, function: &str) -> serde_json::Value {
    let answer = get(stand_in, &format!("/json-api/{function}"), &format!("whm {USERNAME}:{TOKEN}")).await;
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// What a reader makes of an integer, a string or null.
fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn column(answer: &serde_json::Value, name: &str) -> u64 {
    answer["data"]["records"].as_array().unwrap().iter().map(|row| number(&row[name])).sum()
}

#[tokio::test]
async fn cpanels_windows_add_up_to_the_totals() {
    let stand_in = start(System::Cpanel, frozen()).await;
    stand_in.traffic(|t| t.advance(3600.0));
    let cut = EPOCH_UNIX_SECONDS + 700;
    let all = whm(&stand_in, "emailtrack_user_stats?api.version=1").await;
    let first = whm(&stand_in, &format!("emailtrack_user_stats?api.version=1&starttime=0&endtime={cut}")).await;
    let second = whm(&stand_in, &format!("emailtrack_user_stats?api.version=1&starttime={}", cut + 1)).await;
    let stats = whm(&stand_in, "emailtrack_stats?api.version=1").await;
    let t = stand_in.traffic(|t| t.clone());
    for (name, truth) in [
        ("SENDCOUNT", t.received),
        ("SUCCESSCOUNT", t.delivered),
        ("DEFERCOUNT", t.deferred),
        ("FAILCOUNT", t.failed),
        ("TOTALSIZE", t.received_bytes),
    ] {
        assert_eq!(column(&all, name), truth, "{name}");
        assert_eq!(column(&first, name) + column(&second, name), truth, "{name}");
        assert_eq!(column(&stats, name), truth, "{name}");
    }
    assert!(column(&second, "SENDCOUNT") > 0);
    let rows = all["data"]["records"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["USER"] == "-remote-" && row["DOMAIN"] == ""));
    assert!(rows.iter().any(|row| row["DOMAIN"] == "-system-"));
    assert!(rows.iter().any(|row| row["SENDCOUNT"].is_string()) && rows.iter().any(|row| row["SENDCOUNT"].is_u64()));
    assert_eq!(rows.iter().filter(|row| row["USER"] == "user2").count(), 2);
    let pseudo = |row: &&serde_json::Value| row["USER"] != "-remote-" && row["DOMAIN"] != "-system-";
    assert_eq!(rows.iter().filter(pseudo).map(|row| number(&row["SENDCOUNT"])).sum::<u64>(), t.received_authenticated);

    let mut seen = 0;
    for page in 0..3 {
        let start = page * 10 + 1;
        let path =
            format!("emailtrack_user_stats?api.version=1&api.chunk.enable=1&api.chunk.size=10&api.chunk.start={start}&api.chunk.verbose=1");
        let page = whm(&stand_in, &path).await;
        assert_eq!(page["metadata"]["chunk"]["chunks"], 3);
        seen += page["data"]["records"].as_array().unwrap().len();
    }
    assert_eq!(seen, rows.len());
}

#[tokio::test]
async fn cpanel_answers_its_other_functions_and_refuses_in_two_ways() {
    let stand_in = start(System::Cpanel, frozen()).await;
    let queue = whm(&stand_in, "fetch_mail_queue?api.version=1").await;
    assert_eq!(queue["data"]["records"].as_array().unwrap().len() as u64, stand_in.traffic(|t| t.scheduled()));
    let services = whm(&stand_in, "servicestatus?api.version=1").await;
    assert!(services["data"]["service"].as_array().unwrap().iter().any(|row| row.get("running").is_none()));
    let load = whm(&stand_in, "systemloadavg?api.version=1").await;
    assert!(load["data"]["one"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
    let disks = whm(&stand_in, "getdiskusage?api.version=1").await;
    assert!(disks["data"]["partition"][0]["used"].is_u64() && disks["data"]["partition"][1]["inodes_used"].is_null());
    assert_eq!(whm(&stand_in, "version?api.version=1").await["data"]["version"], "11.138.0.6");
    assert_eq!(whm(&stand_in, "version").await["version"], "11.138.0.6");
    let unknown = whm(&stand_in, "nothing?api.version=1").await;
    assert_eq!(unknown["metadata"]["result"], 0);
    assert_eq!(unknown["metadata"]["reason"], "Unknown app (“nothing”) requested for this version (1) of the API.");
    let refused = get(&stand_in, "/json-api/version?api.version=1", "whm root:wrong").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "content-type")), (403, "text/plain; charset=\"utf-8\""));
    assert!(refused.text().await.unwrap().starts_with(r#"{"cpanelresult":"#));
}

#[tokio::test]
async fn a_test_can_silence_it_overrule_it_look_at_its_requests_and_end_it() {
    let stand_in = start(System::Kumomta, frozen()).await;
    stand_in.silence(true);
    let hangs = client().get(stand_in.url() + "/metrics").header("x-site", "a").timeout(Duration::from_millis(300)).send().await;
    assert!(hangs.unwrap_err().is_timeout());
    let last = stand_in.last_request().unwrap();
    assert_eq!((last.path.as_str(), last.headers["x-site"].to_str().unwrap()), ("/metrics", "a"));
    stand_in.silence(false);
    stand_in.answer_with(Some((502, "<html>gone</html>".into())));
    let answer = get(&stand_in, "/metrics", "").await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (502, "<html>gone</html>"));
    stand_in.answer_with(None);
    stand_in.silence(true);
    let url = stand_in.url();
    let held = tokio::spawn(client().get(url.clone() + "/metrics").send());
    while stand_in.requests() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    stand_in.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "one that hangs does not hold it up");
    assert_eq!(held.await.unwrap().unwrap().status(), 503);
    assert!(client().get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn its_time_passes_by_the_clock_unless_frozen() {
    for (is_frozen, moves) in [(true, false), (false, true)] {
        let stand_in = start(System::Kumomta, Options { frozen: is_frozen, ..Options::default() }).await;
        let before = stand_in.traffic(|t| t.now());
        tokio::time::sleep(Duration::from_millis(50)).await;
        get(&stand_in, "/metrics", "").await;
        assert_eq!(stand_in.traffic(|t| t.now()) > before, moves);
    }
}

fn request(target: &str, points: usize) -> ExportMetricsServiceRequest {
    let name = AnyValue { value: Some(any_value::Value::StringValue(target.into())) };
    let attribute = KeyValue { key: "service.instance.id".into(), value: Some(name), ..KeyValue::default() };
    let gauge = Gauge { data_points: vec![NumberDataPoint { time_unix_nano: 1, ..NumberDataPoint::default() }; points] };
    let metric = Metric { name: "mail.up".into(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = Resource { attributes: vec![attribute], ..Resource::default() };
    let of_target = ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_target] }
}

#[tokio::test]
async fn the_receiver_counts_refuses_and_takes_more_than_four_mebibytes() {
    let receiver = Receiver::start(ANY.parse().unwrap()).await.unwrap();
    let client = MetricsServiceClient::connect(receiver.url()).await.unwrap();
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let mut first = tonic::Request::new(request("mta1", 3));
    first.metadata_mut().insert("x-tenant", "a".parse().unwrap());
    client.export(first).await.unwrap();
    assert_eq!(receiver.last_metadata().unwrap().get("x-tenant").unwrap(), "a");
    receiver.fail_with(Some(tonic::Status::unavailable("full")));
    assert_eq!(client.export(request("mta2", 1)).await.unwrap_err().code(), tonic::Code::Unavailable);
    receiver.fail_with(None);
    assert!(!receiver.wait_for(|requests| requests.len() == 2, Duration::from_millis(30)).await);
    let send = async { client.export(request("mta3", 600_000)).await.unwrap() };
    let (arrived, _) = tokio::join!(receiver.wait_for(|requests| requests.len() == 2, Duration::from_secs(20)), send);
    assert!(arrived);
    assert_eq!((receiver.count(), receiver.refused(), receiver.points()), (2, 1, 600_003));
    assert_eq!(receiver.targets().into_iter().collect::<Vec<_>>(), ["mta1", "mta3"]);
    assert!(receiver.largest() > 4 * 1024 * 1024, "{}", receiver.largest());
    receiver.shutdown().await;
    assert!(client.export(request("mta1", 1)).await.is_err());
}

#[test]
fn systems_are_found_by_name() {
    for system in System::ALL {
        assert_eq!(System::from_name(system.name()), Some(system));
    }
    assert_eq!(System::from_name("exim"), None);
}
