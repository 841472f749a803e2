//! HTTP/2 clients that stall, read slowly, or are refused.

use crate::access::authority::Authority;
use crate::access::common::{ONE, TIMEOUT, TestEndpoint, get, limits, sha256};
use crate::access::tls::TLS;
use http_body::Body as _;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postmeter::serve::ServerLimits;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_client_that_stops_reading_or_sends_no_handshake_is_disconnected() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let short = Duration::from_millis(2500);
    let limits = ServerLimits { head_timeout: short, response_timeout: short, ..ServerLimits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let page = get(server.connect(&endpoint, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert!(page.text.len() > 500_000, "{}", page.text.len());
    // The client sends no handshake.
    assert!(crate::access::common::read_to_end(endpoint.connect(ONE).await).await.is_empty());
    // The HTTP/2 window of the stream stays closed: the connection accepts data, but the response is not sent.
    let stream = server.connect(&endpoint, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.initial_stream_window_size(10_000).handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    // The connection ends, with or without an error, because the server closes it: the sender is still alive.
    let _ended = tokio::time::timeout(TIMEOUT, connection).await.expect("the client is not disconnected").unwrap();
    drop((sender, response));
    let stream = server.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    let page = get(stream, "/metrics", &[]).await;
    assert_eq!((page.refusals("slow_request"), page.refusals("slow_reader")), (Some(1.0), Some(1.0)));
    endpoint.end().await;
    mail_server.shutdown().await;
}

/// Creates an HTTP/2 client with this stream window, and its connection.
async fn http2(server: &Authority, endpoint: &TestEndpoint, window_bytes: u32) -> (SendRequest<String>, JoinHandle<hyper::Result<()>>) {
    let stream = server.connect(endpoint, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(window_bytes).handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get_request(path: &str) -> http::Request<String> {
    http::Request::get(format!("https://127.0.0.1{path}")).body(String::new()).unwrap()
}

#[tokio::test]
async fn a_connection_with_stalled_streams_is_closed_in_spite_of_progress_of_another_stream() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = ServerLimits { response_timeout: Duration::from_secs(2), ..ServerLimits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let (mut sender, mut connection) = http2(&server, &endpoint, 10_000).await;
    let mut stalled = Vec::new();
    for _ in 0..15 {
        stalled.push(sender.send_request(get_request("/metrics")).await.unwrap());
    }
    let (started, mut completed) = (Instant::now(), 0);
    while !connection.is_finished() {
        assert!(started.elapsed() < TIMEOUT, "not disconnected after {completed} other requests");
        if let Ok(response) = sender.send_request(get_request("/-/healthy")).await {
            completed += usize::from(response.status() == 200);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(completed > 5, "{completed}");
    let _ended = (&mut connection).await.unwrap();

    // Slow reading is not a stall: the response takes longer than the limit, but each part of it less.
    let (mut sender, _connection) = http2(&server, &endpoint, 32 * 1024).await;
    let (started, mut bytes) = (Instant::now(), 0);
    let mut body = sender.send_request(get_request("/metrics")).await.unwrap().into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.unwrap().into_data().map(|data| data.len()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(bytes > 500_000 && started.elapsed() > Duration::from_secs(2), "{bytes} in {:?}", started.elapsed());
    let page = get(server.connect(&endpoint, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_reader"), Some(1.0));
    drop(stalled);
    endpoint.end().await;
    mail_server.shutdown().await;
}

#[tokio::test]
async fn unread_refusals_do_not_occupy_capacity() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = ServerLimits { requests_max: 2, requests_client_max: 2, ..limits() };
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n{auth}"), limits, files).await;
    let (mut sender, _connection) = http2(&server, &endpoint, 0).await;
    let mut unread = Vec::new();
    for _ in 0..10 {
        unread.push(sender.send_request(get_request("/metrics")).await.unwrap());
        assert_eq!(unread.last().unwrap().status(), 401);
    }
    let stream = server.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    assert_eq!(get(stream, "/metrics", &["Authorization: Bearer a"]).await.status, 200);
    endpoint.end().await;
}

#[tokio::test]
async fn a_refused_head_request_has_no_body_in_http2() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n{auth}"), limits(), files).await;
    let (mut sender, _connection) = http2(&server, &endpoint, 10_000).await;
    let request = http::Request::head("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 401);
    let mut body = response.into_body();
    let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert!(frame.is_none(), "{frame:?}");
    endpoint.end().await;
}
