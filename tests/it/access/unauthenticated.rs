//! Unauthenticated clients cannot lock out authenticated ones.

use crate::access::common::{ONE, TIMEOUT, TWO, TestEndpoint, basic, bcrypt_hash, read_to_end, sha256, until};
use postmeter::serve::ServerLimits;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const BEARER: &str = "Authorization: Bearer a";

fn tokens() -> String {
    format!("    auth: {{tokens: [{{name: a, sha256: {}}}], open: [/-/healthy]}}\n", sha256("a"))
}

async fn start(keys: &str, limits: ServerLimits) -> TestEndpoint {
    TestEndpoint::with_limits(keys, limits, tempfile::tempdir().unwrap()).await
}

fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n)
}

/// Sends a request over a persistent connection and returns the status.
async fn get_and_keep(stream: &mut TcpStream, path: &str, line: &str) -> u16 {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n").as_bytes()).await.unwrap();
    let mut buffer = [0; 64 * 1024];
    let n = tokio::time::timeout(TIMEOUT, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..n]).get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn is_open(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn connections_that_are_held_open_do_not_lock_out_others() {
    // Several times the maximum of connections, from many addresses.
    let endpoint =
        start(&tokens(), ServerLimits { unauthenticated_max: 8, unauthenticated_client_max: 4, ..ServerLimits::default() }).await;
    let mut held = Vec::new();
    for n in 0..40 {
        held.push(endpoint.connect(address(n % 10)).await);
        let path = if n % 2 == 0 { "/metrics" } else { "/-/healthy" };
        assert_eq!(endpoint.status(TWO, path, &[BEARER]).await, 200);
    }
    // A client that has not authenticated before.
    assert_eq!(endpoint.status(ONE, "/metrics", &[BEARER]).await, 200);
    until("excess connections are closed", || std::future::ready(held.iter().filter(|stream| is_open(stream)).count() <= 8)).await;
    let page = endpoint.get(TWO, "/metrics", &[BEARER]).await;
    assert!(page.refusals("displaced").is_some_and(|displaced| displaced >= 30.0), "{}", page.text);
    endpoint.end().await;
}

#[tokio::test]
async fn idle_connections_of_the_health_endpoint_do_not_lock_out_probes() {
    let limits = ServerLimits { unauthenticated_max: 8, unauthenticated_client_max: 4, connections_max: 16, ..ServerLimits::default() };
    let endpoint = TestEndpoint::health(limits.clone()).await;
    let mut held = Vec::new();
    for n in 0..40 {
        let mut stream = endpoint.connect(address(n % 10)).await;
        assert_eq!(get_and_keep(&mut stream, "/-/healthy", "").await, 200);
        held.push(stream);
        assert_eq!(endpoint.status(TWO, "/-/healthy", &[]).await, 200);
    }
    endpoint.end().await;

    let endpoint = TestEndpoint::health(ServerLimits { unauthenticated_idle_timeout: Duration::from_millis(200), ..limits }).await;
    let mut idle = endpoint.connect(ONE).await;
    assert_eq!(get_and_keep(&mut idle, "/-/healthy", "").await, 200);
    read_to_end(idle).await;
    endpoint.end().await;
}

#[tokio::test]
async fn only_connections_of_authenticated_clients_are_kept() {
    let limits = ServerLimits { unauthenticated_idle_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let endpoint = start(&tokens(), limits).await;
    let mut authenticated = endpoint.connect(ONE).await;
    // A short response: it is read in one piece.
    assert_eq!(get_and_keep(&mut authenticated, "/-/ready", "Authorization: Bearer a\r\n").await, 200);
    // A request to an open path does not authenticate the client.
    for (path, line, expected) in [("/-/healthy", "", 200), ("/metrics", "", 401), ("/metrics", "Authorization: Bearer b\r\n", 401)] {
        let mut unauthenticated = endpoint.connect(TWO).await;
        assert_eq!(get_and_keep(&mut unauthenticated, path, line).await, expected);
        read_to_end(unauthenticated).await;
    }
    // Those were closed after the timeout, and this one is still open.
    assert_eq!(get_and_keep(&mut authenticated, "/-/ready", "Authorization: Bearer a\r\n").await, 200);
    endpoint.end().await;
}

#[tokio::test]
async fn connections_of_trusted_and_authenticated_clients_are_not_displaced() {
    let keys = format!("    auth: {{tokens: [{{name: a, sha256: {}}}], trusted: [127.0.0.1]}}\n", sha256("a"));
    let endpoint = start(&keys, ServerLimits { unauthenticated_max: 2, unauthenticated_client_max: 2, ..ServerLimits::default() }).await;
    let mut trusted = [endpoint.connect(ONE).await, endpoint.connect(ONE).await, endpoint.connect(ONE).await];
    assert_eq!(endpoint.status(TWO, "/metrics", &[BEARER]).await, 200);
    let mut authenticated = [endpoint.connect(TWO).await, endpoint.connect(TWO).await, endpoint.connect(TWO).await];
    let mut unauthenticated = Vec::new();
    for n in 0..10 {
        unauthenticated.push(endpoint.connect(address(n)).await);
    }
    for stream in &mut trusted {
        assert_eq!(get_and_keep(stream, "/metrics", "").await, 200);
    }
    for stream in &mut authenticated {
        assert_eq!(get_and_keep(stream, "/metrics", "Authorization: Bearer a\r\n").await, 200);
    }
    endpoint.end().await;
}

/// Sends more guesses at a time than the queue holds, from many addresses.
#[tokio::test(flavor = "multi_thread")]
async fn guessed_passwords_do_not_lock_out_the_correct_one() {
    const ADDRESSES: u8 = 30;
    const GUESSERS: u8 = 90;
    let right = basic("alice", "right");
    let endpoint = Arc::new(
        start(
            &format!("    auth: {{basic: {{alice: {}, bob: {}}}}}\n", bcrypt_hash("right"), bcrypt_hash("also right")),
            ServerLimits::default(),
        )
        .await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let mut guesses = JoinSet::new();
    for guesser in 0..GUESSERS {
        let (endpoint, stop) = (endpoint.clone(), stop.clone());
        guesses.spawn(async move {
            let mut guess = 0;
            while !stop.load(Ordering::Relaxed) {
                guess += 1;
                let wrong = basic("alice", &format!("wrong {guesser} {guess}"));
                let status = endpoint.status(address(guesser % ADDRESSES), "/metrics", &[&wrong]).await;
                assert!([0, 401, 503].contains(&status), "{status}");
            }
        });
    }
    // Until each address has sent a wrong password and the queue is full.
    until("the queue is full", || async {
        let page = endpoint.get(ONE, "/metrics", &[&right]).await;
        page.refusals("unauthenticated").is_some_and(|wrong| wrong > f64::from(2 * ADDRESSES)) && page.refusals("busy").is_some()
    })
    .await;
    // A new address with a password that has not been checked yet.
    assert_eq!(endpoint.status(TWO, "/metrics", &[&basic("bob", "also right")]).await, 200);
    stop.store(true, Ordering::Relaxed);
    while let Some(guess) = guesses.join_next().await {
        guess.unwrap();
    }
    Arc::into_inner(endpoint).unwrap().end().await;
}

#[tokio::test]
async fn a_password_that_bcrypt_would_truncate_is_refused() {
    let long = "x".repeat(72);
    let endpoint = TestEndpoint::new(&format!("    auth: {{basic: {{alice: {}}}}}\n", bcrypt_hash(&long))).await;
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", &long)]).await, 200);
    for longer in [format!("{long}x"), format!("{long} and any other ending"), "x".repeat(73)] {
        let refused = endpoint.get(ONE, "/metrics", &[&basic("alice", &longer)]).await;
        assert_eq!((refused.status, refused.header("WWW-Authenticate").len()), (401, 1));
        assert!(refused.text.contains("more than 72 bytes"), "{}", refused.text);
    }
    let page = endpoint.get(ONE, "/metrics", &[&basic("alice", &long)]).await;
    assert_eq!(page.refusals("password_too_long"), Some(3.0));
    endpoint.end().await;
}

#[tokio::test]
async fn all_responses_forbid_content_sniffing() {
    let endpoint = TestEndpoint::new("").await;
    for path in ["/targets.json", "/metrics.json", "/sd", "/metrics", "/-/ready", "/", "/none"] {
        assert_eq!(endpoint.get(ONE, path, &[]).await.header("X-Content-Type-Options"), ["nosniff"], "{path}");
    }
    endpoint.end().await;
}
