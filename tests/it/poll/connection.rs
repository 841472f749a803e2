//! Connections that fail, hang, or break.

use crate::poll::common::{Act, GOOD, PATIENCE, Server, emailengine, fails, hasty, is_good, response, send, value};
use postmeter::poll::Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// The bytes that are sent, the end of the connection, and the expected error.
type Break = (&'static str, fn() -> Act, &'static str);

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n";

/// A server that plays these acts for the first request, and responds with metrics from then on.
async fn once(acts: impl Fn() -> Vec<Act> + Send + Sync + 'static) -> Server {
    Server::start(move |nth, _| if nth == 0 { acts() } else { send(response("200 OK", GOOD)) }).await
}

#[track_caller]
fn spent(began: Instant, at_least: Duration) {
    let spent = began.elapsed();
    assert!(spent >= at_least && spent < at_least + Duration::from_secs(3), "{spent:?}");
}

async fn next_is_good(target: &Arc<Target>) {
    is_good(&target.reading().await);
}

#[tokio::test]
async fn a_refused_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = emailengine(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let reading = target.reading().await;
    fails(&target, &reading, "connect", "Connection refused");
    fails(&target, &reading, "connect", "check the url, and that the server runs");
    assert_eq!(value(&reading, "postmeter.poll.errors", &["metrics", "connect"]), Some(1.0));
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let target = emailengine("http://nowhere.invalid");
    fails(&target, &target.reading().await, "connect", "lookup");
}

#[tokio::test]
async fn a_port_that_never_accepts() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut filled = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
        filled.push(stream);
        assert!(filled.len() < 100, "the backlog has no end");
    }
    let target = hasty(&format!("http://{addr}"));
    let began = Instant::now();
    fails(&target, &target.reading().await, "timeout", "within 400ms; raise timeout");
    spent(began, Duration::from_millis(400));
}

#[tokio::test]
async fn a_server_that_hangs() {
    for before in ["", HEAD, &format!("{HEAD}events")] {
        let before = before.to_owned();
        let server = once(move || vec![Act::Send(before.clone().into()), Act::Hang]).await;
        let target = hasty(&server.url());
        let began = Instant::now();
        fails(&target, &target.reading().await, "timeout", "within 400ms");
        spent(began, Duration::from_millis(400));
        next_is_good(&target).await;
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test]
async fn the_deadline_covers_a_slow_response() {
    let server = once(|| vec![Act::Drip(response("200 OK", GOOD), Duration::from_millis(200))]).await;
    let target = hasty(&server.url());
    let began = Instant::now();
    fails(&target, &target.reading().await, "timeout", "within 400ms");
    spent(began, Duration::from_millis(400));
    next_is_good(&target).await;
    // The same within the body.
    let server = once(|| vec![Act::Send(HEAD.into()), Act::Drip(GOOD.into(), Duration::from_millis(200))]).await;
    let target = hasty(&server.url());
    fails(&target, &target.reading().await, "timeout", "within 400ms");
    next_is_good(&target).await;
}

#[tokio::test]
async fn a_connection_that_breaks() {
    let breaks: &'static [Break] = &[
        ("", || Act::Close, "connection closed"),
        ("", || Act::Reset, "reset"),
        ("HTTP/1.1 200 OK\r\nContent-", || Act::Close, "connection closed"),
        (HEAD, || Act::Close, "during the response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\nevents", || Act::Close, "during the response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\nevents", || Act::Reset, "during the response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevents", || Act::Close, "during the response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nevents", || Act::Close, "during the response"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 90\r\n\r\n\x1f", || Act::Close, "during the response"),
    ];
    for (before, ends, message) in breaks {
        let server = once(move || vec![Act::Send((*before).into()), ends()]).await;
        let target = emailengine(&server.url());
        fails(&target, &target.reading().await, "connect", message);
        assert_eq!(server.count(), 1, "requested again after {before:?}");
        next_is_good(&target).await;
    }
}

#[tokio::test]
async fn a_response_that_is_not_http() {
    for bytes in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
        let server = once(move || vec![Act::Send(bytes.into()), Act::Close]).await;
        let target = emailengine(&server.url());
        fails(&target, &target.reading().await, "malformed", "the response is not valid HTTP: ");
        next_is_good(&target).await;
    }
}

/// Counts the requests after the first successful response, if the reused connection is closed `times` times.
async fn requests_when_kept_connection_ends(end: fn() -> Act, times: usize) -> (usize, Arc<Target>, Server) {
    let server = Server::start(move |nth, _| if nth > 0 && nth <= times { vec![end()] } else { send(response("200 OK", GOOD)) }).await;
    let target = emailengine(&server.url());
    next_is_good(&target).await;
    let reading = target.reading().await;
    let requests = server.count() - 1;
    if times == 1 {
        is_good(&reading)
    } else {
        fails(&target, &reading, "connect", "")
    }
    (requests, target, server)
}

#[tokio::test]
async fn a_reused_connection_that_was_closed_is_opened_again_once() {
    for end in [|| Act::Close, || Act::Reset] {
        let (requests, ..) = requests_when_kept_connection_ends(end, 1).await;
        assert_eq!(requests, 2);
        let (requests, target, server) = requests_when_kept_connection_ends(end, 2).await;
        assert_eq!(requests, 2, "requested again more than once");
        next_is_good(&target).await;
        assert_eq!(server.count(), 4);
    }
}

#[tokio::test]
async fn a_connection_is_reused() {
    let server = Server::always(response("200 OK", GOOD)).await;
    let target = emailengine(&server.url());
    for _ in 0..3 {
        next_is_good(&target).await;
    }
    assert_eq!((server.count(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_server_that_restarts() {
    let up = Arc::new(AtomicBool::new(true));
    let is_up = up.clone();
    let server =
        Server::start(move |_, _| if is_up.load(Ordering::SeqCst) { send(response("200 OK", GOOD)) } else { vec![Act::Close] }).await;
    let target = emailengine(&server.url());
    next_is_good(&target).await;
    up.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        fails(&target, &target.reading().await, "connect", "");
    }
    up.store(true, Ordering::SeqCst);
    let reading = timeout(PATIENCE, target.reading()).await.unwrap();
    is_good(&reading);
    assert_eq!(value(&reading, "postmeter.poll.errors", &["metrics", "connect"]), Some(2.0), "earlier errors remain counted");
}
