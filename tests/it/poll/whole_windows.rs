//! Sums of whole days and hours: dates in requests, late events, and days without a poll.

use crate::poll::common::{Server, configured, is_good, response, send, target_at, value};
use postmeter::config::Environment;
use postmeter::poll::{Reading, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// 2026-11-20T00:00:00Z.
const DAY: u64 = 1_795_132_800;
const NEXT: u64 = DAY + 86_400;
const HOUR: u64 = 3600;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The sums of a server, by the text that a request has of each window.
type Sums = Arc<Mutex<BTreeMap<&'static str, u64>>>;

/// A server with these sums. A window without a sum is an error.
async fn server(sums: &[(&'static str, u64)], body: fn(u64) -> Value) -> (Server, Sums) {
    let sums: Sums = Arc::new(Mutex::new(sums.iter().copied().collect()));
    let served = sums.clone();
    let server = Server::start(move |_, request| {
        let sums = served.lock().unwrap();
        let sum = sums.iter().find(|(window, _)| request.contains(**window)).map(|(_, sum)| *sum);
        send(sum.map_or_else(|| response("500 Oops", ""), |sum| response("200 OK", body(sum).to_string())))
    })
    .await;
    (server, sums)
}

/// A target with its own clock. A function pointer can only read a static.
macro_rules! target {
    ($clock:ident, $keys:expr) => {{
        static NOW: AtomicU64 = AtomicU64::new(0);
        $clock = &NOW;
        target_at(&$keys, || at(NOW.load(Ordering::SeqCst)))
    }};
}

fn delivered(reading: &Arc<Reading>) -> Option<f64> {
    value(reading, "mail.delivery.attempts", &["delivered"])
}

fn sendgrid(sum: u64) -> Value {
    json!([{"date": "any", "stats": [{"metrics": {"delivered": sum}}]}])
}

fn dates(server: &Server, from: usize) -> Vec<String> {
    let date = |request: &String| {
        request.split("start_date=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).unwrap_or_default().to_owned()
    };
    server.requests().iter().skip(from).map(date).collect()
}

async fn poll(target: &Arc<Target>, clock: &AtomicU64, now: u64) -> Arc<Reading> {
    clock.store(now, Ordering::SeqCst);
    let reading = target.reading().await;
    is_good(&reading);
    assert_eq!(reading.at, at(now));
    reading
}

#[tokio::test]
async fn days_in_the_zone_of_the_target_are_added_up_and_read_again() {
    // Midnight in Berlin is at 23:00 UTC.
    let (server, sums) =
        server(&[("start_date=2026-11-20&", 10), ("start_date=2026-11-21&", 1), ("start_date=2026-11-22&", 0)], sendgrid).await;
    let clock: &AtomicU64;
    let target = target!(clock, format!("system: sendgrid, url: '{}', token: t, window: {{today: Europe/Berlin}}", server.url()));
    let reading = poll(&target, clock, DAY + 22 * HOUR).await;
    assert_eq!((delivered(&reading), dates(&server, 0)), (Some(10.0), vec!["2026-11-20".to_owned()]));
    assert_eq!(reading.snapshot().and_then(|snapshot| snapshot.counters_since), Some(at(DAY - HOUR)));

    sums.lock().unwrap().insert("start_date=2026-11-20&", 12);
    let reading = poll(&target, clock, DAY + 23 * HOUR + 60).await;
    assert_eq!((delivered(&reading), dates(&server, 1)), (Some(13.0), vec!["2026-11-20".to_owned(), "2026-11-21".to_owned()]));

    // A day that has ended still grows.
    sums.lock().unwrap().insert("start_date=2026-11-20&", 17);
    let reading = poll(&target, clock, NEXT + 20 * HOUR).await;
    assert_eq!((delivered(&reading), dates(&server, 3)), (Some(18.0), vec!["2026-11-20".to_owned(), "2026-11-21".to_owned()]));

    // After 24 hours it is read for the last time.
    assert_eq!(delivered(&poll(&target, clock, NEXT + 23 * HOUR + 1).await), Some(18.0));
    let requests = server.count();
    assert_eq!(delivered(&poll(&target, clock, NEXT + 24 * HOUR).await), Some(18.0));
    assert_eq!(dates(&server, requests), ["2026-11-21", "2026-11-22"]);
}

#[tokio::test]
async fn each_day_without_a_poll_is_read_on_its_own() {
    let days = [("day=20&month=11&year=2026 ", 10), ("day=21&month=11&year=2026 ", 20), ("day=22&month=11&year=2026 ", 30), ("day=23&", 1)];
    let pmg = |sum: u64| json!({"data": {"count_out": sum, "ticket": "T"}});
    let (server, _) = server(&[&days[..], &[("POST ", 0)]].concat(), pmg).await;
    let clock: &AtomicU64;
    let target = target!(clock, format!("system: pmg, url: '{}', username: u@pmg, password: p", server.url()));
    let sent = |reading: &Arc<Reading>| value(reading, "mail.received.messages", &["authenticated"]);
    assert_eq!(sent(&poll(&target, clock, DAY + HOUR).await), Some(10.0));
    assert_eq!(sent(&poll(&target, clock, DAY + 3 * 86_400 + HOUR).await), Some(61.0));
}

#[tokio::test]
async fn hours_are_in_the_body_of_a_request() {
    let mailgun = |sum: u64| json!({"items": [{"metrics": {"delivered_count": sum}}]});
    let hours = [("\"start\":\"Fri, 20 Nov 2026 10:00:00 +0000\"", 5), ("\"start\":\"Fri, 20 Nov 2026 11:00:00 +0000\"", 2)];
    let (server, _) = server(&hours, mailgun).await;
    let clock: &AtomicU64;
    let target = target!(clock, format!("system: mailgun, url: '{}', username: api, password: p", server.url()));
    assert_eq!(delivered(&poll(&target, clock, DAY + 10 * HOUR + 1800).await), Some(5.0));
    assert_eq!(delivered(&poll(&target, clock, DAY + 11 * HOUR + 5).await), Some(7.0));
    let requests = server.requests();
    assert!(requests[1].contains("\"end\":\"Fri, 20 Nov 2026 10:59:59 +0000\""), "{}", requests[1]);
    assert!(requests[2].contains("\"end\":\"Fri, 20 Nov 2026 11:00:05 +0000\""), "{}", requests[2]);
    assert!(requests.iter().all(|request| request.starts_with("POST /v1/analytics/metrics ")));
    // Mailgun documents a maximum of 10 metrics and 3 dimensions in a request.
    let body: Value = serde_json::from_str(&requests[1][requests[1].find('{').unwrap()..]).unwrap();
    assert_eq!((body["metrics"].as_array().unwrap().len(), body["dimensions"].as_array().unwrap().len()), (10, 1));
}

#[test]
fn windows_that_a_system_does_not_have_are_refused() {
    let parse = |keys: &str| postmeter::config::parse(&format!("targets: [{{name: t, {keys}}}]"), "test.yaml", &Environment::default());
    for (keys, problem) in [
        (
            "system: sendgrid, url: 'http://x', token: t, window: {sliding: 1h}",
            "sendgrid reports sums of whole days; set today to a time zone",
        ),
        (
            "system: mailgun, url: 'http://x', username: api, password: p, window: {sliding: 1h}",
            "mailgun reports sums of whole hours; remove the key",
        ),
        (
            "system: mailgun, url: 'http://x', username: api, password: p, window: {today: UTC}",
            "mailgun reports sums of whole hours; remove the key",
        ),
        ("system: mailcow, url: 'http://x', token: t, window: {today: UTC}", "mailcow does not report totals of a time window"),
    ] {
        let problems = parse(keys).map(|_| ()).unwrap_err().to_string();
        assert!(problems.contains(problem), "{problems}");
    }
    let target = configured("system: postmark, url: 'http://x', token: t", &Environment::default());
    assert_eq!(target.window.zone().iana_name(), Some("EST"));
    let target = configured("system: postmark, url: 'http://x', token: t, window: {today: America/New_York}", &Environment::default());
    assert_eq!(target.window.zone().iana_name(), Some("America/New_York"));
}
