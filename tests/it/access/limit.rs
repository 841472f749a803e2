//! Rates, sizes and times.

use crate::access::common::{ONE, SOON, TWO, World, request, rest, sha256};
use postmeter::serve::Limits;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_client_that_asks_too_often_waits_before_anything_else_is_looked_at() {
    let keys = format!("    rate_limit: {{per_minute: 12, burst: 3}}\n    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let world = World::new(&keys).await;
    for expected in [401, 401, 401, 429] {
        assert_eq!(world.status(ONE, "/metrics", &["Authorization: Bearer guess"]).await, expected);
    }
    // A good token does not help, nor does another address in a header.
    let good = world.ask(ONE, "/metrics", &["Authorization: Bearer a", "X-Forwarded-For: 192.0.2.1"]).await;
    assert_eq!(good.status, 429);
    let wait: u64 = good.header("Retry-After")[0].parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(world.status(TWO, "/metrics", &["Authorization: Bearer a"]).await, 200);
    let page = world.ask(TWO, "/metrics", &["Authorization: Bearer a"]).await;
    assert_eq!(page.refusals("rate_limited"), Some(2.0));
    world.end().await;
}

#[tokio::test]
async fn after_the_time_that_it_was_told_a_client_is_served() {
    let world = World::new("    rate_limit: {per_minute: 60, burst: 1}\n").await;
    assert_eq!(world.status(ONE, "/-/healthy", &[]).await, 200);
    let refused = world.ask(ONE, "/-/healthy", &[]).await;
    assert_eq!((refused.status, refused.header("Retry-After")), (429, vec!["1"]));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.status(ONE, "/-/healthy", &[]).await, 200);
    world.end().await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let world = World::new("").await;
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
        assert_eq!(world.status(ONE, &path, &lines).await, expected, "{:.40} {lines:.20?}", path);
    }
    // A header without an end: refused while it comes.
    let mut endless = world.connect(ONE).await;
    endless.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
    while endless.write_all(&[b'a'; 4096]).await.is_ok() {}
    assert_eq!(world.status(ONE, "/-/healthy", &[]).await, 200);
    world.end().await;
}

/// Shorter than anybody waits, and longer than a busy machine stops.
fn short() -> Limits {
    Limits { head_timeout: Duration::from_millis(400), idle_timeout: Duration::from_millis(1500), ..Limits::default() }
}

async fn world(limits: Limits) -> World {
    World::with("", limits, tempfile::tempdir().unwrap()).await
}

#[tokio::test]
async fn a_client_that_drips_its_request_is_cut_off() {
    let world = world(short()).await;
    let began = Instant::now();
    let dripping = async {
        let mut stream = world.connect(ONE).await;
        for byte in request("/metrics", &["X: a"]).bytes().cycle() {
            if stream.write_all(&[byte]).await.is_err() || began.elapsed() > SOON {
                break;
            }
            let mut answer = [0; 1];
            if let Ok(read) = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await {
                assert!(matches!(read, Ok(0) | Err(_)), "it was answered");
                break;
            }
        }
        began.elapsed()
    };
    let (took, others) = tokio::join!(dripping, async {
        let mut served = 0;
        while began.elapsed() < Duration::from_millis(400) {
            assert_eq!(world.status(TWO, "/-/healthy", &[]).await, 200);
            served += 1;
        }
        served
    });
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    assert!(others > 0);
    // And one that says nothing at all.
    let silent = Instant::now();
    assert!(rest(world.connect(ONE).await).await.is_empty());
    assert!(silent.elapsed() >= Duration::from_millis(400) && silent.elapsed() < Duration::from_secs(5));
    let page = world.ask(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_request"), Some(2.0));
    world.end().await;
}

#[tokio::test]
async fn a_connection_is_kept_between_scrapes_and_not_for_ever() {
    let world = world(short()).await;
    let mut stream = world.connect(ONE).await;
    let healthy = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut answer = [0; 1000];
    for _ in 0..2 {
        stream.write_all(healthy).await.unwrap();
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        // Longer than a head may take.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let idle = Instant::now();
    assert!(rest(stream).await.is_empty());
    assert!(idle.elapsed() < Duration::from_secs(5));
    let page = world.ask(TWO, "/metrics", &[]).await;
    assert!(!page.text.contains("postmeter_pull_refusals_total{"));
    world.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let world = world(Limits { stall_timeout: Duration::from_millis(400), ..Limits::default() }).await;
    let (mut reading, mut writing) = world.connect(ONE).await.into_split();
    // More answers than the system keeps for somebody who does not take them.
    let requests = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let asking = async { while writing.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(SOON, asking).await.expect("it is not cut off");
    let page = world.ask(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_reader"), Some(1.0));
    let mut piece = [0; 4096];
    while reading.read(&mut piece).await.is_ok_and(|n| n > 0) {}
    world.end().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served_to_the_end() {
    const ANSWERS: usize = 20;
    let limits = Limits { stall_timeout: Duration::from_secs(1), progress_bytes: 4096, ..Limits::default() };
    let (world, stand_in) = World::large("", limits, tempfile::tempdir().unwrap()).await;
    let mut stream = world.connect(ONE).await;
    stream.write_all("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(ANSWERS - 1).as_bytes()).await.unwrap();
    stream.write_all(request("/metrics", &[]).as_bytes()).await.unwrap();
    let (began, mut bytes, mut piece) = (Instant::now(), Vec::new(), vec![0; 32 * 1024]);
    while let Ok(n) = stream.read(&mut piece).await
        && n > 0
    {
        bytes.extend_from_slice(&piece[..n]);
        // Three times as long as it may stall, in all.
        if began.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(memchr::memmem::find_iter(&bytes, b"HTTP/1.1 200 OK").count(), ANSWERS);
    assert!(bytes.ends_with(b"0\r\n\r\n") && bytes.len() > ANSWERS * 500_000);
    world.end().await;
    stand_in.shutdown().await;
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_leaves_some_to_others() {
    let world = world(Limits { connections_max: 6, connections_client_max: 4, ..Limits::default() }).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = world.connect(ONE).await;
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 1000];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        open.push(stream);
    }
    assert_eq!(world.status(ONE, "/-/healthy", &[]).await, 0);
    let page = world.ask(TWO, "/metrics", &[]).await;
    assert_eq!(page.refusals("connections"), Some(1.0));
    drop(open.pop());
    crate::access::common::until("a place is free again", || async { world.status(ONE, "/-/healthy", &[]).await == 200 }).await;
    world.end().await;
}

#[tokio::test]
async fn a_client_has_so_many_requests_in_flight() {
    let limits = Limits { requests_max: 2, requests_client_max: 1, ..Limits::default() };
    let (world, stand_in) = World::large("", limits, tempfile::tempdir().unwrap()).await;
    // Holds one: its answers are more than the system keeps for somebody who does not take them.
    let mut holding = world.connect(ONE).await;
    holding.write_all("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100).as_bytes()).await.unwrap();
    let mut piece = [0; 1000];
    assert!(holding.read(&mut piece).await.unwrap() > 0);
    let refused = world.ask(ONE, "/metrics", &[]).await;
    assert_eq!((refused.status, refused.header("Retry-After")), (503, vec!["1"]));
    assert_eq!(world.status(TWO, "/metrics", &[]).await, 200);
    drop(holding);
    world.end().await;
    stand_in.shutdown().await;
}
