//! One client sends requests as fast as it can, while another one scrapes.

use crate::access::common::{ONE, TWO, TestEndpoint, basic, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 20;
/// The maximum time of a scrape during the flood: half of Prometheus' default timeout, as the machine also runs other tests.
const SCRAPE_MAX: Duration = Duration::from_secs(5);

const SCRAPE_INTERVAL: Duration = Duration::from_millis(20);

/// Sends requests of one client over persistent connections, and scrapes of another, which must neither fail nor be late. Returns the
/// number of refused requests and of scrapes.
async fn flood(endpoint: &TestEndpoint, path: &str, requests: usize) -> (usize, usize) {
    let (refused, mut clients) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let (stream, path, refused) = (endpoint.connect(ONE).await, path.to_owned(), refused.clone());
        clients.spawn(async move { send_requests(stream, &path, requests / CONNECTIONS, &refused).await });
    }
    let (mut scrapes, mut is_done) = (0, false);
    while !is_done {
        while let Some(joined) = clients.try_join_next() {
            joined.unwrap();
        }
        is_done = clients.is_empty();
        let started = Instant::now();
        assert_eq!(endpoint.status(TWO, "/metrics", &[]).await, 200);
        assert!(started.elapsed() < SCRAPE_MAX, "{:?}", started.elapsed());
        scrapes += 1;
        // The scraping client stays below its rate limit.
        tokio::time::sleep(SCRAPE_INTERVAL).await;
    }
    (refused.load(Ordering::Relaxed), scrapes)
}

async fn send_requests(mut stream: TcpStream, path: &str, requests: usize, refused: &AtomicUsize) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut response, mut chunk) = (Vec::new(), [0; 16 * 1024]);
        while !is_complete(&response) {
            let n = stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "the connection was closed");
            response.extend_from_slice(&chunk[..n]);
        }
        match &response[..12] {
            b"HTTP/1.1 429" => drop(refused.fetch_add(1, Ordering::Relaxed)),
            status => assert_eq!(status, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&response)),
        }
    }
}

/// Returns true if the response is complete, by its length or its last chunk.
fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_rate_limit_does_not_affect_another() {
    let endpoint = TestEndpoint::new("    rate_limit: {per_minute: 6000, burst: 200}\n").await;
    let (refused, scrapes) = flood(&endpoint, "/metrics", 10_000).await;
    assert!(refused > 1000 && refused < 10_000, "{refused}");
    assert!(scrapes > 1, "{scrapes}");
    endpoint.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_rate_limit_leaves_capacity_to_another() {
    let endpoint = TestEndpoint::new("").await;
    let (refused, scrapes) = flood(&endpoint, "/-/healthy", 10_000).await;
    assert_eq!(refused, 0);
    assert!(scrapes > 1, "{scrapes}");
    endpoint.end().await;
}

/// The hash takes about a second in a test build, so a hundred wrong passwords would keep all cores busy for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_do_not_delay_authenticated_clients() {
    let hash = bcrypt::hash("right", 8).unwrap();
    let endpoint = Arc::new(TestEndpoint::new(&format!("    auth: {{basic: {{alice: {hash}}}}}\n")).await);
    let right = basic("alice", "right");
    assert_eq!(endpoint.status(TWO, "/metrics", &[&right]).await, 200);
    let mut guesses = JoinSet::new();
    for n in 0..100 {
        let endpoint = endpoint.clone();
        guesses.spawn(async move { endpoint.status(ONE, "/metrics", &[&basic("alice", &format!("wrong {n}"))]).await });
    }
    let (mut refused, mut busy, mut scrapes) = (0, 0, 0);
    while !guesses.is_empty() {
        let started = Instant::now();
        assert_eq!(endpoint.status(TWO, "/metrics", &[&right]).await, 200);
        assert!(started.elapsed() < SCRAPE_MAX, "{:?}", started.elapsed());
        scrapes += 1;
        while let Some(guess) = guesses.try_join_next() {
            match guess.unwrap() {
                401 => refused += 1,
                // 503: too many at a time, not checked. 0: too many connections, no response.
                503 | 0 => busy += 1,
                other => panic!("{other}"),
            }
        }
    }
    // How many guesses are checked before their connection is displaced depends on the machine.
    assert!(refused + busy == 100 && busy > 0 && scrapes > 1, "{refused} {busy} {scrapes}");
    // The guessing address is neither admitted nor locked out, once the check of its last guess has ended.
    let wrong = basic("alice", "wrong again");
    until("a wrong password is checked", || async { endpoint.status(ONE, "/metrics", &[&wrong]).await == 401 }).await;
    until("the right password is accepted", || async { endpoint.status(ONE, "/metrics", &[&right]).await == 200 }).await;
    // Passwords of another address are still checked.
    assert_eq!(endpoint.status(TWO, "/metrics", &[&basic("alice", "also wrong")]).await, 401);
    Arc::into_inner(endpoint).unwrap().end().await;
}
