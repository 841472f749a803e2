//! One client asks as fast as it can, while another is served.

use crate::access::common::{ONE, TWO, World, basic};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 20;
/// What a scrape may take besides, on a machine that runs other tests: half of Prometheus' default timeout.
const SCRAPE_MAX: Duration = Duration::from_secs(5);

const SCRAPE_INTERVAL: Duration = Duration::from_millis(20);

/// Requests from one client over connections that it keeps, and beside them scrapes of another, none of which fails or is late.
/// How many of the first were refused, and how many scrapes there were.
async fn flood(world: &World, path: &str, requests: usize) -> (usize, usize) {
    let (refused, mut asking) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let (stream, path, refused) = (world.connect(ONE).await, path.to_owned(), refused.clone());
        asking.spawn(async move { ask_on(stream, &path, requests / CONNECTIONS, &refused).await });
    }
    let (mut scrapes, mut is_done) = (0, false);
    while !is_done {
        while let Some(joined) = asking.try_join_next() {
            joined.unwrap();
        }
        is_done = asking.is_empty();
        let began = Instant::now();
        assert_eq!(world.status(TWO, "/metrics", &[]).await, 200);
        assert!(began.elapsed() < SCRAPE_MAX, "{:?}", began.elapsed());
        scrapes += 1;
        // Within its own rate.
        tokio::time::sleep(SCRAPE_INTERVAL).await;
    }
    (refused.load(Ordering::Relaxed), scrapes)
}

async fn ask_on(mut stream: TcpStream, path: &str, requests: usize, refused: &AtomicUsize) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
        while !is_whole(&answer) {
            let n = stream.read(&mut piece).await.unwrap();
            assert!(n > 0, "the connection was closed");
            answer.extend_from_slice(&piece[..n]);
        }
        match &answer[..12] {
            b"HTTP/1.1 429" => drop(refused.fetch_add(1, Ordering::Relaxed)),
            status => assert_eq!(status, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer)),
        }
    }
}

/// An answer with a length, or in chunks.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_rate_takes_nothing_from_another() {
    let world = World::new("    rate_limit: {per_minute: 6000, burst: 200}\n").await;
    let (refused, scrapes) = flood(&world, "/metrics", 10_000).await;
    assert!(refused > 1000 && refused < 10_000, "{refused}");
    assert!(scrapes > 1, "{scrapes}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_limit_leaves_room_for_another() {
    let world = World::new("").await;
    let (refused, scrapes) = flood(&world, "/-/healthy", 10_000).await;
    assert_eq!(refused, 0);
    assert!(scrapes > 1, "{scrapes}");
    world.end().await;
}

/// A hash that takes a second or so in a test build: a hundred wrong passwords would keep all cores busy for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_do_not_hold_up_those_who_are_known() {
    let hash = bcrypt::hash("right", 8).unwrap();
    let world = Arc::new(World::new(&format!("    auth: {{basic: {{alice: {hash}}}}}\n")).await);
    let right = basic("alice", "right");
    assert_eq!(world.status(TWO, "/metrics", &[&right]).await, 200);
    let mut guesses = JoinSet::new();
    for n in 0..100 {
        let world = world.clone();
        guesses.spawn(async move { world.status(ONE, "/metrics", &[&basic("alice", &format!("wrong {n}"))]).await });
    }
    let (mut refused, mut busy, mut scrapes) = (0, 0, 0);
    while !guesses.is_empty() {
        let began = Instant::now();
        assert_eq!(world.status(TWO, "/metrics", &[&right]).await, 200);
        assert!(began.elapsed() < SCRAPE_MAX, "{:?}", began.elapsed());
        scrapes += 1;
        while let Some(guess) = guesses.try_join_next() {
            match guess.unwrap() {
                401 => refused += 1,
                // Too many at once: not looked at. A connection too many: not answered.
                503 | 0 => busy += 1,
                other => panic!("{other}"),
            }
        }
    }
    // How many guesses are checked before their connection is displaced depends on the machine.
    assert!(refused + busy == 100 && busy > 0 && scrapes > 1, "{refused} {busy} {scrapes}");
    // The address that guessed is neither let in nor locked out.
    assert_eq!(world.status(ONE, "/metrics", &[&basic("alice", "wrong again")]).await, 401);
    assert_eq!(world.status(ONE, "/metrics", &[&right]).await, 200);
    // A known user who is new here gets through as well, from another address.
    assert_eq!(world.status(TWO, "/metrics", &[&basic("alice", "also wrong")]).await, 401);
    Arc::into_inner(world).unwrap().end().await;
}
