//! One client sends requests as fast as it can, while another one scrapes. The flood ends after the last scrape, so that none of them
//! depends on the speed of the machine.

use crate::access::common::{ONE, TWO, TestEndpoint, basic, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 20;
const GUESSING_CLIENTS: usize = 100;
const SCRAPES: usize = 20;
/// The maximum time of a scrape during the flood: half of Prometheus' default timeout, as the machine also runs other tests.
const SCRAPE_MAX: Duration = Duration::from_secs(5);

const SCRAPE_INTERVAL: Duration = Duration::from_millis(20);

/// The responses to the requests of a flood.
#[derive(Default)]
struct Flood {
    accepted: AtomicUsize,
    /// Responses with status 429 or 503, and requests without a response.
    refused: AtomicUsize,
    is_over: AtomicBool,
}

impl Flood {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn count(&self, is_accepted: bool) {
        let counter = if is_accepted { &self.accepted } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Scrapes from the other client's address until the flood has reached its size. No scrape may fail or be late. Ends the flood.
    async fn scrape(&self, endpoint: &TestEndpoint, lines: &[&str], has_size: impl Fn(&Self) -> bool, mut clients: JoinSet<()>) {
        let mut scrapes = 0;
        while scrapes < SCRAPES || !has_size(self) {
            let started = Instant::now();
            assert_eq!(endpoint.status(TWO, "/metrics", lines).await, 200);
            assert!(started.elapsed() < SCRAPE_MAX, "{:?}", started.elapsed());
            assert!(clients.try_join_next().is_none_or(|ended| ended.is_ok()), "a client of the flood has failed");
            scrapes += 1;
            // The scraping client stays below its rate limit.
            tokio::time::sleep(SCRAPE_INTERVAL).await;
        }
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }
}

/// Sends at least this many requests of one client over persistent connections.
async fn flood(endpoint: &TestEndpoint, path: &str, requests: usize) -> Arc<Flood> {
    let (flood, mut clients) = (Arc::new(Flood::default()), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let (stream, path, flood) = (endpoint.connect(ONE).await, path.to_owned(), flood.clone());
        clients.spawn(async move { send_requests(stream, &path, &flood).await });
    }
    flood.scrape(endpoint, &[], |flood| flood.accepted() + flood.refused() >= requests, clients).await;
    flood
}

async fn send_requests(mut stream: TcpStream, path: &str, flood: &Flood) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    while !flood.is_over() {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut response, mut chunk) = (Vec::new(), [0; 16 * 1024]);
        while !is_complete(&response) {
            let n = stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "the connection was closed");
            response.extend_from_slice(&chunk[..n]);
        }
        match &response[..12] {
            b"HTTP/1.1 429" => flood.count(false),
            b"HTTP/1.1 200" => flood.count(true),
            _ => panic!("{}", String::from_utf8_lossy(&response)),
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
    let started = Instant::now();
    let flood = flood(&endpoint, "/metrics", 10_000).await;
    // The rate limit allows 200 at once and 100 per second; one more may have become due.
    let allowed_max = 200.0 + 100.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(flood.accepted() >= 200 && flood.accepted() as f64 <= allowed_max, "{} of {allowed_max}", flood.accepted());
    assert!(flood.refused() > 0);
    endpoint.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_rate_limit_leaves_capacity_to_another() {
    let endpoint = TestEndpoint::new("").await;
    let flood = flood(&endpoint, "/-/healthy", 10_000).await;
    assert_eq!(flood.refused(), 0);
    endpoint.end().await;
}

/// The hash takes about a second in a test build, so that the checks of a hundred wrong passwords would keep all cores busy for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_do_not_delay_authenticated_clients() {
    let hash = bcrypt::hash("right", 8).unwrap();
    let endpoint = Arc::new(TestEndpoint::new(&format!("    auth: {{basic: {{alice: {hash}}}}}\n")).await);
    let right = basic("alice", "right");
    assert_eq!(endpoint.status(TWO, "/metrics", &[&right]).await, 200);
    let (flood, mut clients) = (Arc::new(Flood::default()), JoinSet::new());
    for client in 0..GUESSING_CLIENTS {
        let (endpoint, flood) = (endpoint.clone(), flood.clone());
        clients.spawn(async move { guess_passwords(&endpoint, client, &flood).await });
    }
    // More guesses at a time than are checked.
    flood.scrape(&endpoint, &[&right], |flood| flood.refused() >= GUESSING_CLIENTS, clients).await;
    assert_eq!(flood.accepted(), 0);
    // The guessing address is neither admitted nor locked out, once the check of its last guess has ended.
    let wrong = basic("alice", "wrong again");
    until("a wrong password is checked", || async { endpoint.status(ONE, "/metrics", &[&wrong]).await == 401 }).await;
    until("the right password is accepted", || async { endpoint.status(ONE, "/metrics", &[&right]).await == 200 }).await;
    // Passwords of another address are still checked.
    assert_eq!(endpoint.status(TWO, "/metrics", &[&basic("alice", "also wrong")]).await, 401);
    Arc::into_inner(endpoint).unwrap().end().await;
}

async fn guess_passwords(endpoint: &TestEndpoint, client: usize, flood: &Flood) {
    for n in 0.. {
        if flood.is_over() {
            return;
        }
        match endpoint.status(ONE, "/metrics", &[&basic("alice", &format!("wrong {client} {n}"))]).await {
            // 503: too many at a time, not checked. 0: too many connections, no response.
            401 => {}
            503 | 0 => flood.count(false),
            other => panic!("{other}"),
        }
    }
}
