//! Rate limits, size limits and timeouts.

use crate::access::common::{ONE, TIMEOUT, TWO, TestEndpoint, read_to_end, request, sha256};
use postmeter::serve::ServerLimits;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_rate_limit_is_checked_before_the_credential() {
    let keys = format!("    rate_limit: {{per_minute: 12, burst: 3}}\n    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let endpoint = TestEndpoint::new(&keys).await;
    for expected in [401, 401, 401, 429] {
        assert_eq!(endpoint.status(ONE, "/metrics", &["Authorization: Bearer guess"]).await, expected);
    }
    // Neither a valid token nor an address in a header has an influence.
    let good = endpoint.get(ONE, "/metrics", &["Authorization: Bearer a", "X-Forwarded-For: 192.0.2.1"]).await;
    assert_eq!(good.status, 429);
    let wait: u64 = good.header("Retry-After")[0].parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(endpoint.status(TWO, "/metrics", &["Authorization: Bearer a"]).await, 200);
    let page = endpoint.get(TWO, "/metrics", &["Authorization: Bearer a"]).await;
    assert_eq!(page.refusals("rate_limited"), Some(2.0));
    endpoint.end().await;
}

#[tokio::test]
async fn retry_after_is_the_time_until_the_next_request_is_allowed() {
    let endpoint = TestEndpoint::new("    rate_limit: {per_minute: 1, burst: 1}\n").await;
    let began = Instant::now();
    assert_eq!(endpoint.status(ONE, "/-/healthy", &[]).await, 200);
    let refused = endpoint.get(ONE, "/-/healthy", &[]).await;
    // Rounded up. The whole minute, less the time that the test took.
    let wait: u64 = refused.header("Retry-After")[0].parse().unwrap();
    assert_eq!(refused.status, 429);
    assert!((60_u64.saturating_sub(began.elapsed().as_secs())..=60).contains(&wait), "{wait}");
    endpoint.end().await;
}

#[tokio::test]
async fn oversized_requests_are_refused() {
    let endpoint = TestEndpoint::new("").await;
    let long = |n: usize| "a".repeat(n);
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let header = format!("X-Long: {}", long(40_000));
    for (path, lines, expected) in [
        (format!("/metrics?{}", long(3_000)), vec![], 200),
        (format!("/metrics?{}", long(5_000)), vec![], 414),
        (format!("/{}", long(100_000)), vec![], 431),
        ("/metrics".to_owned(), vec![header.as_str()], 431),
        ("/metrics".to_owned(), many, 431),
        ("/metrics".to_owned(), vec!["X Y: a"], 400),
        ("/metrics".to_owned(), vec!["Content-Length: -1"], 400),
        ("metrics".to_owned(), vec![], 404),
    ] {
        assert_eq!(endpoint.status(ONE, &path, &lines).await, expected, "{:.40} {lines:.20?}", path);
    }
    // An endless header is refused before its end.
    let mut endless = endpoint.connect(ONE).await;
    endless.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
    while endless.write_all(&[b'a'; 4096]).await.is_ok() {}
    assert_eq!(endpoint.status(ONE, "/-/healthy", &[]).await, 200);
    endpoint.end().await;
}

/// Timeouts that are short, but longer than the pauses of a busy machine.
fn short() -> ServerLimits {
    ServerLimits { head_timeout: Duration::from_millis(400), idle_timeout: Duration::from_millis(1500), ..ServerLimits::default() }
}

async fn start(limits: ServerLimits) -> TestEndpoint {
    TestEndpoint::with_limits("", limits, tempfile::tempdir().unwrap()).await
}

#[tokio::test]
async fn a_client_that_sends_its_request_too_slowly_is_disconnected() {
    let endpoint = start(short()).await;
    let started = Instant::now();
    let dripping = async {
        let mut stream = endpoint.connect(ONE).await;
        for byte in request("/metrics", &["X: a"]).bytes().cycle() {
            if stream.write_all(&[byte]).await.is_err() || started.elapsed() > TIMEOUT {
                break;
            }
            let mut buffer = [0; 1];
            if let Ok(read) = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer)).await {
                assert!(matches!(read, Ok(0) | Err(_)), "there was a response");
                break;
            }
        }
        started.elapsed()
    };
    let (took, ()) = tokio::join!(dripping, async {
        loop {
            assert_eq!(endpoint.status(TWO, "/-/healthy", &[]).await, 200);
            if started.elapsed() > Duration::from_millis(400) {
                break;
            }
        }
    });
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    // A client that sends nothing is disconnected, too.
    let silent = Instant::now();
    assert!(read_to_end(endpoint.connect(ONE).await).await.is_empty());
    assert!(silent.elapsed() >= Duration::from_millis(400) && silent.elapsed() < Duration::from_secs(5));
    let page = endpoint.get(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_request"), Some(2.0));
    endpoint.end().await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_limited_time() {
    let endpoint = start(short()).await;
    let mut stream = endpoint.connect(ONE).await;
    let healthy = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut buffer = [0; 1000];
    for _ in 0..2 {
        stream.write_all(healthy).await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        // Longer than the timeout of a head.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let idle = Instant::now();
    assert!(read_to_end(stream).await.is_empty());
    assert!(idle.elapsed() < Duration::from_secs(5));
    let page = endpoint.get(TWO, "/metrics", &[]).await;
    assert!(!page.text.contains("postmeter_pull_refusals_total{"));
    endpoint.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let endpoint = start(ServerLimits { stall_timeout: Duration::from_millis(400), ..ServerLimits::default() }).await;
    let (mut reading, mut writing) = endpoint.connect(ONE).await.into_split();
    // The responses are larger than the socket buffers.
    let requests = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let sending = async { while writing.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(TIMEOUT, sending).await.expect("the client is not disconnected");
    let page = endpoint.get(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_reader"), Some(1.0));
    let mut chunk = [0; 4096];
    while reading.read(&mut chunk).await.is_ok_and(|n| n > 0) {}
    endpoint.end().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served_completely() {
    const RESPONSES: usize = 20;
    let limits = ServerLimits { stall_timeout: Duration::from_secs(1), progress_bytes: 4096, ..ServerLimits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target("", limits, tempfile::tempdir().unwrap()).await;
    let mut stream = endpoint.connect(ONE).await;
    stream.write_all("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(RESPONSES - 1).as_bytes()).await.unwrap();
    stream.write_all(request("/metrics", &[]).as_bytes()).await.unwrap();
    let (started, mut bytes, mut chunk) = (Instant::now(), Vec::new(), vec![0; 32 * 1024]);
    while let Ok(n) = stream.read(&mut chunk).await
        && n > 0
    {
        bytes.extend_from_slice(&chunk[..n]);
        // Three times the stall timeout in total.
        if started.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(memchr::memmem::find_iter(&bytes, b"HTTP/1.1 200 OK").count(), RESPONSES);
    assert!(bytes.ends_with(b"0\r\n\r\n") && bytes.len() > RESPONSES * 500_000);
    endpoint.end().await;
    mail_server.shutdown().await;
}

#[tokio::test]
async fn the_connections_of_a_client_are_limited() {
    let endpoint = start(ServerLimits { connections_max: 6, connections_client_max: 4, ..ServerLimits::default() }).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = endpoint.connect(ONE).await;
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut buffer = [0; 1000];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        open.push(stream);
    }
    assert_eq!(endpoint.status(ONE, "/-/healthy", &[]).await, 0);
    let page = endpoint.get(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("connections"), Some(1.0));
    drop(open.pop());
    crate::access::common::until("a connection is available again", || async { endpoint.status(ONE, "/-/healthy", &[]).await == 200 })
        .await;
    endpoint.end().await;
}

#[tokio::test]
async fn the_concurrent_requests_of_a_client_are_limited() {
    let limits = ServerLimits { requests_max: 2, requests_client_max: 1, ..ServerLimits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target("", limits, tempfile::tempdir().unwrap()).await;
    // This request stays in progress, because its responses are larger than the socket buffers.
    let mut blocked = endpoint.connect(ONE).await;
    blocked.write_all("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100).as_bytes()).await.unwrap();
    let mut chunk = [0; 1000];
    assert!(blocked.read(&mut chunk).await.unwrap() > 0);
    // Until the socket buffers are full, a permit is free between two of these requests.
    let is_refused = || async { endpoint.status(ONE, "/metrics", &[]).await == 503 };
    crate::access::common::until("a second request is refused", is_refused).await;
    let refused = endpoint.get(ONE, "/metrics", &[]).await;
    assert_eq!((refused.status, refused.header("Retry-After")), (503, vec!["1"]));
    assert_eq!(endpoint.status(TWO, "/metrics", &[]).await, 200);
    drop(blocked);
    endpoint.end().await;
    mail_server.shutdown().await;
}
