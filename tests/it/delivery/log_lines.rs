//! The log lines about a receiver: metrics that are lost, causes that change, states that flap, and responses of something else.

use super::{ANY, QUICK, Ticker, WAIT_MAX, assert_each_tick_once, ticks};
use crate::support::otlp_receiver::{OtlpReceiver, Rules};
use crate::support::program::Program;
use crate::support::wait_until;
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use postmeter::simulate::Receiver;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tonic::Status;

/// The lines of the log with this text.
fn lines(program: &Program, text: &str) -> Vec<String> {
    program.log().into_iter().filter(|line| line.contains(text)).collect()
}

/// Starts the program, which pushes this server's metrics.
async fn start(ticker: &Ticker, folder: &tempfile::TempDir, otlp: &str) -> Program {
    let mut program = Program::spawn_with(folder.path(), &ticker.config_file(otlp), &[]);
    program.base_url().await;
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_expire_are_logged_with_their_number_and_so_is_the_end() {
    let (ticker, folder) = (Ticker::start(0).await, tempfile::tempdir().unwrap());
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let retry = "interval: 1s, retry: {initial: 100ms, max: 300ms, give_up_after: 1s}";
    let program = start(&ticker, &folder, &format!("endpoint: \"{}\", {retry}", receiver.url())).await;
    wait_until(|| !lines(&program, "metrics that were queued for 1s are lost").is_empty(), WAIT_MAX, "a line about the loss").await;
    ticker.wait_for_polls(4).await;
    receiver.fail_with(None);
    wait_until(|| !lines(&program, "accepts metrics again").is_empty(), WAIT_MAX, "a line about the end").await;
    let log = program.end();
    let of = |text: &str| log.iter().filter(|line| line.contains(text)).collect::<Vec<_>>();
    let lost = of("are lost");
    assert_eq!(lost.len(), 1, "once for each outage: {log:#?}");
    for part in ["WARN", "points=", "error.type=\"expired\"", "raise export.otlp.retry.give_up_after", "Unavailable busy"] {
        assert!(lost[0].contains(part), "{part}: {lost:?}");
    }
    let again = of("accepts metrics again");
    assert!(again.len() == 1 && again[0].contains("again; some metrics were lost") && again[0].contains("lost_points="), "{again:?}");
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_of_a_failing_push_is_logged_once() {
    let (ticker, folder) = (Ticker::start(0).await, tempfile::tempdir().unwrap());
    // Until it listens, connections to its port are refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ANY).unwrap();
    let address = socket.local_addr().unwrap();
    let program = start(&ticker, &folder, &format!("endpoint: \"https://{address}\", protocol: http/protobuf, {QUICK}")).await;
    let failures = || lines(&program, "push failed, metrics are queued and sent again");
    wait_until(|| failures().len() == 1, WAIT_MAX, "the refused connection").await;

    // Something responds that has no TLS, and then something that closes each connection.
    let listener = socket.listen(64).unwrap();
    let (is_silent, connections) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (silent, counted) = (is_silent.clone(), connections.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A client that has sent more than was read would get a reset.
            let mut hello = [0; 16 * 1024];
            let _ = stream.read(&mut hello).await;
            if !silent.load(Ordering::SeqCst) {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let several_attempts = async || {
        let before = connections.load(Ordering::SeqCst);
        wait_until(|| connections.load(Ordering::SeqCst) > before + 4, WAIT_MAX, "several attempts").await;
    };
    wait_until(|| failures().len() == 2, WAIT_MAX, "the missing TLS").await;
    several_attempts().await;
    is_silent.store(true, Ordering::SeqCst);
    wait_until(|| failures().len() == 3, WAIT_MAX, "the closed connection").await;
    several_attempts().await;
    let failures = failures();
    assert!(failures.len() == 3 && failures[0].contains("Connection refused"), "{failures:#?}");
    let causes: std::collections::HashSet<_> = failures.iter().map(|line| line.split_once("sent again: ").unwrap().1).collect();
    assert_eq!(causes.len(), 3, "{failures:#?}");
    drop(program.end());
}

/// An HTTP receiver that responds with `respond` to the attempt of this number. Returns its configuration and the number of attempts.
async fn http_receiver<R: IntoResponse + 'static>(respond: fn(u64) -> R) -> (String, Arc<AtomicU64>) {
    let attempts = Arc::<AtomicU64>::default();
    let counted = attempts.clone();
    let router = Router::new().route(
        "/v1/metrics",
        post(move || {
            let response = respond(counted.fetch_add(1, Ordering::SeqCst)).into_response();
            async move { response }
        }),
    );
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("endpoint: \"http://{address}\", protocol: http/protobuf, {QUICK}"), attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_flaps_does_not_fill_the_log() {
    /// The lines that are logged at once.
    const LINES: usize = 10;
    /// The attempts that fail, with two errors in turn.
    const FAILURES: u64 = 40;
    let (ticker, folder) = (Ticker::start(0).await, tempfile::tempdir().unwrap());
    let (otlp, attempts) = http_receiver(|attempt| match attempt {
        FAILURES.. => StatusCode::OK,
        even if even % 2 == 0 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    })
    .await;
    let program = start(&ticker, &folder, &otlp).await;
    wait_until(|| attempts.load(Ordering::SeqCst) >= FAILURES, WAIT_MAX, "many attempts").await;
    wait_until(|| !lines(&program, "accepts metrics again").is_empty(), WAIT_MAX, "the end").await;
    let log = program.end();
    let failures: Vec<&String> = log.iter().filter(|line| line.contains("push failed")).collect();
    assert_eq!(failures.len(), LINES, "{log:#?}");
    let noted: Vec<bool> = failures.iter().map(|line| line.contains("this changes often")).collect();
    assert_eq!(noted.iter().position(|noted| *noted), Some(LINES - 1), "the last line says so: {failures:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_points_without_a_reason_are_logged() {
    let (ticker, folder) = (Ticker::start(0).await, tempfile::tempdir().unwrap());
    const RESPONSE: &str = "{\"partialSuccess\":{\"rejectedDataPoints\":\"1\"}}";
    let (otlp, attempts) = http_receiver(|_| ([("content-type", "application/json")], RESPONSE)).await;
    let program = start(&ticker, &folder, &otlp).await;
    wait_until(|| attempts.load(Ordering::SeqCst) >= 2, WAIT_MAX, "two requests").await;
    let rejected = || lines(&program, "the receiver rejected some metrics: it gives no reason");
    wait_until(|| rejected().len() == 1, WAIT_MAX, "a line").await;
    assert!(rejected()[0].contains("points=1"), "{:?}", rejected());
    drop(program.end());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_is_no_receiver_and_its_metrics_arrive_later() {
    for is_grpc in [false, true] {
        let (ticker, folder) = (Ticker::start(0).await, tempfile::tempdir().unwrap());
        let receiver = OtlpReceiver::start(is_grpc, Rules { is_web_page: true, ..Rules::all() }).await;
        let program = start(&ticker, &folder, &format!("{}, {QUICK}", receiver.config())).await;
        wait_until(|| receiver.arrivals().len() >= 5, WAIT_MAX, "several attempts").await;
        receiver.set_rules(Rules::all());
        let missed = ticker.polls();
        wait_until(|| ticks(&receiver.metrics()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
        let log = program.end();
        let failures: Vec<&String> = log.iter().filter(|line| line.contains("push failed")).collect();
        assert_eq!(failures.len(), 1, "{log:#?}");
        assert!(failures[0].contains("the response is a web page, so this is probably not an OTLP receiver"), "{failures:?}");
        assert_each_tick_once(&ticks(&receiver.metrics()));
    }
}
