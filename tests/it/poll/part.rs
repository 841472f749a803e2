//! Parts of a target, their request variants, and their pages.

use crate::poll::common::{self, GOOD, SECRET, Server, fails, is_good, response, send, target, value};
use postmeter::config;
use postmeter::model::Families;
use postmeter::poll::{Limits, Reading, Target};
use postmeter::simulate::{Generation, Options, PASSWORD, SimulatedServer, System, TOKEN, USERNAME};
use postmeter::source::{self, Part, ReadError, Request, Source};
use serde_json::json;
use std::time::Duration;

async fn simulated(system: System, generation: Generation) -> SimulatedServer {
    let options = Options { generation, frozen: true, ..Options::default() };
    SimulatedServer::start(system, "127.0.0.1:0".parse().unwrap(), options).await.unwrap()
}

fn failed(reading: &Reading) -> Vec<(&'static str, &'static str)> {
    reading.parts.iter().filter_map(|part| Some((part.part, part.error.as_ref()?.error_type()))).collect()
}

#[tokio::test]
async fn kumomta_is_requested_in_the_configured_format() {
    let simulated = simulated(System::Kumomta, Generation::V015).await;
    let mut depths = Vec::new();
    for (format, path) in [("", "/metrics.json"), (", format: json", "/metrics.json"), (", format: text", "/metrics")] {
        let reading = target(&format!("system: kumomta, url: '{}'{format}", simulated.url())).reading().await;
        is_good(&reading);
        assert_eq!(simulated.last_request().unwrap().path, path);
        depths.push(value(&reading, "mail.queue.depth", &["scheduled"]));
    }
    assert!(depths[0].is_some_and(|depth| depth > 0.0) && depths.iter().all(|depth| *depth == depths[0]), "{depths:?}");
}

#[tokio::test]
async fn the_queue_of_stalwart_is_found_in_both_generations_and_remembered() {
    for (generation, first) in [(Generation::V015, 2), (Generation::V016, 3)] {
        let simulated = simulated(System::Stalwart, generation).await;
        let target = target(&format!(
            "system: stalwart, url: '{}', username: {USERNAME}, password: {PASSWORD}, parts: {{queue: {{token: {TOKEN}}}}}",
            simulated.url()
        ));
        let mut requests = 0;
        for sent in [first, 2, 2] {
            let reading = target.reading().await;
            is_good(&reading);
            assert!(reading.is_complete(), "{:?}", failed(&reading));
            assert_eq!(value(&reading, "mail.queue.depth", &["queued"]), Some(simulated.traffic(|t| t.queue.len() as f64)));
            requests += sent;
            assert_eq!(simulated.requests(), requests, "{generation:?}");
        }
    }
}

#[tokio::test]
async fn a_failing_optional_part_affects_only_itself() {
    for (answer_of_queue, error_type) in [
        (response("404 Not Found", "{}"), "status"),
        (response("401 Unauthorized", "{}"), "auth"),
        (response("200 OK", r#"{"error":"forbidden","details":"no"}"#), "auth"),
        (response("200 OK", r#"{"error":"other","details":"no"}"#), "api"),
        (response("200 OK", "<html>"), "malformed"),
    ] {
        let server = Server::start(move |_, request| {
            send(if request.contains("/metrics/prometheus") { response("200 OK", GOOD) } else { answer_of_queue.clone() })
        })
        .await;
        let target = target(&format!(
            "system: stalwart, url: '{}', username: user, password: '${{env:SECRET}}', parts: {{queue: {{token: '${{env:SECRET}}'}}}}",
            server.url()
        ));
        for polls in 1..3 {
            let reading = target.reading().await;
            is_good(&reading);
            assert_eq!(failed(&reading), [("queue", error_type)]);
            assert_eq!(value(&reading, "postmeter.poll.errors", &["queue", error_type]), Some(f64::from(polls)));
            assert_eq!(value(&reading, "mail.queue.depth", &["queued"]), None);
        }
    }
}

#[tokio::test]
async fn a_failing_required_part_fails_the_poll() {
    let server = Server::start(|_, request| {
        send(if request.contains("/metrics/prometheus") {
            response("500 Oops", "")
        } else {
            response("200 OK", r#"{"data":{"items":[],"total":2}}"#)
        })
    })
    .await;
    let target = target(&format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{}}}}", server.url()));
    let reading = target.reading().await;
    fails(&target, &reading, "status", "500");
    assert_eq!(failed(&reading), [("metrics", "status")]);
}

/// Page `start` of users who sent one message each, with the page numbers that the test sets.
fn page(user: u64, start: u64, current: u64, chunks: u64, filler: &str) -> Vec<u8> {
    let chunk = json!({"size": 5000, "start": start, "records": 3, "chunks": chunks, "current": current});
    let row = json!({"USER": format!("u{user}"), "DOMAIN": "d", "SENDCOUNT": 1, "SUCCESSCOUNT": 1, "OWNER": filler});
    response("200 OK", json!({"data": {"records": [row]}, "metadata": {"result": 1, "chunk": chunk}}).to_string())
}

fn offset(request: &str) -> u64 {
    request.split("api.chunk.start=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()?.parse().ok()).unwrap()
}

fn cpanel(server: &Server, more: &str) -> std::sync::Arc<postmeter::poll::Target> {
    target(&format!("system: cpanel, url: '{}', username: root, token: '${{env:SECRET}}'{more}", server.url()))
}

#[tokio::test]
async fn pages_are_requested_one_by_one() {
    let server = Server::start(|_, request| send(page(offset(request), offset(request), offset(request) / 5000 + 1, 3, ""))).await;
    let reading = cpanel(&server, "").reading().await;
    is_good(&reading);
    assert_eq!(value(&reading, "mail.delivery.attempts", &["delivered"]), Some(3.0));
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| offset(request)).collect::<Vec<_>>(), [1, 5001, 10001]);
    for request in &requests {
        assert!(request.contains("?api.version=1&") && request.contains(&format!("\r\nauthorization: whm root:{SECRET}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn pages_that_do_not_advance_or_do_not_end() {
    let server = Server::start(|_, _| send(page(1, 1, 1, 3, ""))).await;
    let target = cpanel(&server, "");
    fails(&target, &target.reading().await, "malformed", "the pages of the response do not advance");
    assert_eq!(server.count(), 2);
    let server = Server::start(|_, request| send(page(offset(request), offset(request), 1, 1_000_000, ""))).await;
    let target = cpanel(&server, "");
    fails(&target, &target.reading().await, "malformed", "the response has more than 200 pages");
    assert_eq!(server.count(), 200);
}

#[tokio::test]
async fn the_size_limit_applies_to_all_pages_together() {
    let filler = "x".repeat(600);
    let server = Server::start(move |_, request| send(page(offset(request), offset(request), 1, 3, &filler))).await;
    let target = cpanel(&server, ", body_bytes_max: 1KiB");
    fails(&target, &target.reading().await, "too_large", "larger than 1KiB; raise body_bytes_max");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn every_request_to_whm_has_the_api_version() {
    let server = Server::always(response("200 OK", r#"{"data":{"records":[]},"metadata":{"result":1}}"#)).await;
    let parts = "emailtrack_stats: {}, fetch_mail_queue: {}, servicestatus: {}, systemloadavg: {}, getdiskusage: {}, version: {}";
    let target = cpanel(&server, &format!(", parts: {{{parts}}}"));
    is_good(&target.reading().await);
    assert_eq!(server.count(), 7);
    for request in server.requests() {
        assert!(request.contains("api.version=1") && request.contains(&format!("authorization: whm root:{SECRET}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_large_response() {
    let lines: String = (0..20_000).map(|n| format!("events{{event=\"messageSent\",n=\"{n}\"}} 1\n")).collect();
    let server = Server::always(response("200 OK", lines)).await;
    let reading = common::emailengine(&server.url()).reading().await;
    is_good(&reading);
    assert_eq!(value(&reading, "mail.delivery.attempts", &["delivered"]), Some(20_000.0));
}

/// A source whose reader panics.
static FAULTY: Source = Source::new("faulty", "Faulty", &[Part::new("metrics", "", &[Request::get("text", "/", read_or_panic)])]);

fn read_or_panic(body: String) -> Result<Families, ReadError> {
    assert!(!body.starts_with("panic"), "the reader's fault");
    source::by_name("ceymail").unwrap().required().requests[0].read(body.as_bytes())
}

#[tokio::test]
async fn a_reader_that_panics_fails_only_its_poll() {
    for size in [1, 200 * 1024] {
        let server =
            Server::start(move |nth, _| send(response("200 OK", if nth == 0 { "panic".repeat(size) } else { GOOD.to_owned() }))).await;
        let text = format!("targets: [{{name: t, system: faulty, url: '{}'}}]", server.url());
        let mut config = config::parse_with(&[&FAULTY], &text, "test.yaml", &common::environment(&[])).unwrap();
        config.targets[0].min_interval = Duration::ZERO;
        let target = Target::new(config.targets.remove(0), Limits::default()).unwrap();
        fails(&target, &target.reading().await, "malformed", "please report it");
        is_good(&target.reading().await);
    }
}

/// The start time of the process changes only at a restart, which a decreasing counter reveals.
#[tokio::test]
async fn machine_info_is_requested_once_a_minute_and_after_a_counter_decreased() {
    let info = r#"{"version":"2026.08.01","online_since":"2026-08-01T10:00:00Z"}"#;
    let delivered = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(10));
    let now = delivered.clone();
    let server = Server::start(move |_, request| {
        let value = now.load(std::sync::atomic::Ordering::SeqCst);
        let metrics =
            format!("{{\"total_messages_delivered\":{{\"type\":\"counter\",\"value\":{{\"service\":{{\"smtp_client\":{value}}}}}}}}}");
        send(response("200 OK", if request.starts_with("GET /api/machine-info ") { info.to_owned() } else { metrics }))
    })
    .await;
    let target = target(&format!("system: kumomta, url: '{}', parts: {{machine-info: {{}}}}", server.url()));
    let requests = || server.requests().iter().filter(|request| request.starts_with("GET /api/machine-info ")).count();
    for (value, expected) in [(10, 1), (10, 1), (12, 1), (3, 2), (4, 2), (4, 2), (0, 3)] {
        delivered.store(value, std::sync::atomic::Ordering::SeqCst);
        let reading = target.reading().await;
        is_good(&reading);
        assert!(reading.is_complete(), "{:?}", failed(&reading));
        assert_eq!(requests(), expected, "at {value}");
        assert!(reading.native.families().any(|family| family.name() == "kumomta_machine_info"), "at {value}");
        assert_eq!(reading.snapshot().and_then(|snapshot| snapshot.version.as_deref()), Some("2026.08.01"));
    }
}

/// Returns the value of a native family's only series.
fn native(reading: &Reading, name: &str) -> Option<f64> {
    reading.native.families().find(|family| family.name() == name).and_then(|family| family.samples().next()?.number())
}

#[tokio::test]
async fn the_administration_of_kumomta_is_read_by_parts() {
    let simulated = simulated(System::Kumomta, Generation::V015).await;
    let target = target(&format!("system: kumomta, url: '{}', {}", simulated.url(), System::Kumomta.parts_key("")));
    let reading = target.reading().await;
    is_good(&reading);
    assert!(reading.is_complete(), "{:?}", failed(&reading));
    assert_eq!(value(&reading, "mail.service.status", &["kumod", "up"]), Some(1.0));
    assert_eq!(native(&reading, "kumomta_admin_bounced_messages"), Some(3.0));
    assert!(native(&reading, "kumomta_admin_suspended_ready_queues").is_some_and(|queues| queues > 0.0));
    assert_eq!(native(&reading, "kumomta_admin_suspended_domains"), Some(0.0));
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_down_and_another_503_is_a_failure() {
    let metrics = r#"{"total_messages_delivered":{"type":"counter","value":{"service":{"smtp_client":1}}}}"#;
    for (liveness, expected, failures) in [
        (response("200 OK", "OK"), Some([1.0, 0.0]), &[][..]),
        (response("503 Service Unavailable", "load shedding"), Some([0.0, 1.0]), &[]),
        (response("503 Service Unavailable", "shutting down"), Some([0.0, 1.0]), &[]),
        (response("503 Service Unavailable", "no server is available"), None, &[("liveness", "malformed")]),
        (response("503 Service Unavailable", "<html>"), None, &[("liveness", "malformed")]),
        (response("502 Bad Gateway", "OK"), None, &[("liveness", "status")]),
        (response("401 Unauthorized", "OK"), None, &[("liveness", "auth")]),
    ] {
        let shown = String::from_utf8_lossy(&liveness).into_owned();
        let server = Server::start(move |_, request| {
            send(if request.starts_with("GET /api/check-liveness/v1 ") { liveness.clone() } else { response("200 OK", metrics) })
        })
        .await;
        let reading = target(&format!("system: kumomta, url: '{}', parts: {{liveness: {{}}}}", server.url())).reading().await;
        is_good(&reading);
        assert_eq!(failed(&reading), failures, "{shown}");
        let states = ["up", "down"].map(|state| value(&reading, "mail.service.status", &["kumod", state]));
        assert_eq!(states, expected.map_or([None; 2], |values| values.map(Some)), "{shown}");
    }
}

#[tokio::test]
async fn a_status_of_one_part_is_not_a_response_of_another() {
    let server = Server::start(|_, _| send(response("503 Service Unavailable", "load shedding"))).await;
    let target = target(&format!("system: kumomta, url: '{}', parts: {{liveness: {{}}}}", server.url()));
    fails(&target, &target.reading().await, "status", "503");
}

#[tokio::test]
async fn overdue_messages_are_those_that_were_due_before_the_poll() {
    let simulated = simulated(System::Stalwart, Generation::V016).await;
    let mut retries = simulated.traffic(|t| t.queue.iter().map(|message| message.retry as i64).collect::<Vec<_>>());
    retries.sort_unstable();
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let target = common::target_at(
        &format!(
            "system: stalwart, url: '{}', username: {USERNAME}, password: {PASSWORD}, parts: {{overdue: {{token: {TOKEN}}}}}",
            simulated.url()
        ),
        || std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(std::sync::atomic::Ordering::SeqCst)),
    );
    for now in [retries[0], retries[retries.len() / 2], retries[retries.len() - 1] + 1] {
        NOW.store(now.unsigned_abs(), std::sync::atomic::Ordering::SeqCst);
        let reading = target.reading().await;
        is_good(&reading);
        assert!(reading.is_complete(), "{:?}", failed(&reading));
        let expected = retries.iter().filter(|retry| **retry < now).count();
        assert_eq!(native(&reading, "stalwart_queue_overdue_messages"), Some(expected as f64), "at {now}");
    }
}

#[tokio::test]
async fn certificates_have_the_end_of_their_validity() {
    let simulated = simulated(System::Stalwart, Generation::V016).await;
    let keys = format!(
        "system: stalwart, url: '{}', username: {USERNAME}, password: {PASSWORD}, parts: {{certificates: {{token: {TOKEN}}}}}",
        simulated.url()
    );
    let reading = target(&keys).reading().await;
    is_good(&reading);
    assert!(reading.is_complete(), "{:?}", failed(&reading));
    let end = simulated.traffic(|t| (t.started() + 60.0 * 86_400.0).floor());
    assert_eq!(native(&reading, "stalwart_certificate_expiry_time_seconds"), Some(end));
    let request = simulated.last_request().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["methodCalls"][0][1]["properties"], json!(["notValidAfter", "subjectAlternativeNames"]));
}
