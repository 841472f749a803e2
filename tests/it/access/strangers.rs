//! Clients that have not authenticated take nothing from those who have, or will.

use crate::access::common::{ONE, SOON, TWO, World, basic, bcrypt_hash, rest, sha256, until};
use postmeter::serve::Limits;
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

async fn world(keys: &str, limits: Limits) -> World {
    World::with(keys, limits, tempfile::tempdir().unwrap()).await
}

fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n)
}

/// Asks over a connection that is kept, and gives the status.
async fn ask_and_keep(stream: &mut TcpStream, path: &str, line: &str) -> u16 {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64 * 1024];
    let n = tokio::time::timeout(SOON, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..n]).get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn is_open(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn connections_that_are_held_open_keep_nobody_out() {
    // As many as there may be in all, many times over, from many addresses.
    let world = world(&tokens(), Limits { strangers_max: 8, strangers_client_max: 4, ..Limits::default() }).await;
    let mut held = Vec::new();
    for n in 0..40 {
        held.push(world.connect(address(n % 10)).await);
        let path = if n % 2 == 0 { "/metrics" } else { "/-/healthy" };
        assert_eq!(world.status(TWO, path, &[BEARER]).await, 200);
    }
    // Somebody who was never here.
    assert_eq!(world.status(ONE, "/metrics", &[BEARER]).await, 200);
    until("no more are left than there may be", || std::future::ready(held.iter().filter(|stream| is_open(stream)).count() <= 8)).await;
    let page = world.ask(TWO, "/metrics", &[BEARER]).await;
    assert!(page.refusals("displaced").is_some_and(|displaced| displaced >= 30.0), "{}", page.text);
    world.end().await;
}

#[tokio::test]
async fn a_connection_is_kept_for_who_has_authenticated() {
    let limits = Limits { stranger_idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let world = world(&tokens(), limits).await;
    let mut known = world.connect(ONE).await;
    // A short response: it is read in one piece.
    assert_eq!(ask_and_keep(&mut known, "/-/ready", "Authorization: Bearer a\r\n").await, 200);
    // What is open to everybody authenticates nobody.
    for (path, line, expected) in [("/-/healthy", "", 200), ("/metrics", "", 401), ("/metrics", "Authorization: Bearer b\r\n", 401)] {
        let mut stranger = world.connect(TWO).await;
        assert_eq!(ask_and_keep(&mut stranger, path, line).await, expected);
        rest(stranger).await;
    }
    // Each of those was closed after its time, and this one is still there.
    assert_eq!(ask_and_keep(&mut known, "/-/ready", "Authorization: Bearer a\r\n").await, 200);
    world.end().await;
}

#[tokio::test]
async fn a_trusted_address_and_one_that_is_known_have_their_places() {
    let keys = format!("    auth: {{tokens: [{{name: a, sha256: {}}}], trusted: [127.0.0.1]}}\n", sha256("a"));
    let world = world(&keys, Limits { strangers_max: 2, strangers_client_max: 2, ..Limits::default() }).await;
    let mut trusted = [world.connect(ONE).await, world.connect(ONE).await, world.connect(ONE).await];
    assert_eq!(world.status(TWO, "/metrics", &[BEARER]).await, 200);
    let mut known = [world.connect(TWO).await, world.connect(TWO).await, world.connect(TWO).await];
    let mut strangers = Vec::new();
    for n in 0..10 {
        strangers.push(world.connect(address(n)).await);
    }
    for stream in &mut trusted {
        assert_eq!(ask_and_keep(stream, "/metrics", "").await, 200);
    }
    for stream in &mut known {
        assert_eq!(ask_and_keep(stream, "/metrics", "Authorization: Bearer a\r\n").await, 200);
    }
    world.end().await;
}

/// More guesses at one time than the queue holds, from many addresses.
#[tokio::test(flavor = "multi_thread")]
async fn guessed_passwords_do_not_deny_the_right_one() {
    const ADDRESSES: u8 = 30;
    const GUESSERS: u8 = 90;
    let right = basic("alice", "right");
    let world = Arc::new(
        world(
            &format!("    auth: {{basic: {{alice: {}, bob: {}}}}}\n", bcrypt_hash("right"), bcrypt_hash("also right")),
            Limits::default(),
        )
        .await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let mut guesses = JoinSet::new();
    for guesser in 0..GUESSERS {
        let (world, stop) = (world.clone(), stop.clone());
        guesses.spawn(async move {
            let mut guess = 0;
            while !stop.load(Ordering::Relaxed) {
                guess += 1;
                let wrong = basic("alice", &format!("wrong {guesser} {guess}"));
                let status = world.status(address(guesser % ADDRESSES), "/metrics", &[&wrong]).await;
                assert!([0, 401, 503].contains(&status), "{status}");
            }
        });
    }
    // Until each of them was wrong, and the queue was full.
    until("guesses wait", || async {
        let page = world.ask(ONE, "/metrics", &[&right]).await;
        page.refusals("unauthenticated").is_some_and(|wrong| wrong > f64::from(2 * ADDRESSES)) && page.refusals("busy").is_some()
    })
    .await;
    // From an address that was never here, with a password that nobody has checked.
    assert_eq!(world.status(TWO, "/metrics", &[&basic("bob", "also right")]).await, 200);
    stop.store(true, Ordering::Relaxed);
    while let Some(guess) = guesses.join_next().await {
        guess.unwrap();
    }
    Arc::into_inner(world).unwrap().end().await;
}

#[tokio::test]
async fn a_password_that_bcrypt_would_cut_is_refused() {
    let long = "x".repeat(72);
    let world = World::new(&format!("    auth: {{basic: {{alice: {}}}}}\n", bcrypt_hash(&long))).await;
    assert_eq!(world.status(ONE, "/metrics", &[&basic("alice", &long)]).await, 200);
    for longer in [format!("{long}x"), format!("{long} and any other ending"), "x".repeat(73)] {
        let refused = world.ask(ONE, "/metrics", &[&basic("alice", &longer)]).await;
        assert_eq!((refused.status, refused.header("WWW-Authenticate").len()), (401, 1));
        assert!(refused.text.contains("more than 72 bytes"), "{}", refused.text);
    }
    let page = world.ask(ONE, "/metrics", &[&basic("alice", &long)]).await;
    assert_eq!(page.refusals("password_too_long"), Some(3.0));
    world.end().await;
}

#[tokio::test]
async fn no_answer_is_taken_for_something_else() {
    let world = World::new("").await;
    for path in ["/targets.json", "/metrics.json", "/sd", "/metrics", "/-/ready", "/", "/none"] {
        assert_eq!(world.ask(ONE, path, &[]).await.header("X-Content-Type-Options"), ["nosniff"], "{path}");
    }
    world.end().await;
}
