//! Responses of receivers whose body breaks off or never ends: the status decides, so that an accepted request is not sent twice.

use super::ANY;
use axum::body::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postmeter::config::{Compression, Otlp, Protocol};
use postmeter::export::otlp::{OtlpExporter, RequestBody, Signal};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The end of a response after which the connection stays open.
const ENDLESS: &str = "ENDLESS";

/// Reads a request, and writes a response, after which the connection is closed, or stays open without further bytes.
async fn respond(stream: TcpStream, response: &str) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut len) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; len]).await.unwrap();
    stream.write_all(response.strip_suffix(ENDLESS).unwrap_or(response).as_bytes()).await.unwrap();
    if response.ends_with(ENDLESS) {
        std::future::pending::<()>().await;
    }
}

/// Starts a receiver that gives this response to each request.
async fn http_receiver(response: String) -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, response) = (listener.accept().await.unwrap().0, response.clone());
            tokio::spawn(async move { respond(stream, &response).await });
        }
    });
    address
}

/// Sends a request. Returns the receiver's warning, or the type and the text of the error.
async fn result_of(endpoint: String, protocol: Protocol) -> Result<String, (&'static str, String)> {
    let config = Otlp { protocol, timeout: Duration::from_secs(1), compression: Compression::None, ..Otlp::to(endpoint) };
    let body = RequestBody::uncompressed(Bytes::from_static(&[0; 0]));
    let sent = OtlpExporter::new(config).unwrap().send(Signal::Metrics, &body).await;
    sent.map(|response| response.message).map_err(|error| (error.error_type(), error.to_string()))
}

/// The result of a request that gets this HTTP response.
async fn http_result(response: &str) -> Result<String, (&'static str, String)> {
    let address = http_receiver(response.to_owned()).await;
    result_of(format!("http://{address}/v1/metrics"), Protocol::HttpProtobuf).await
}

/// Bodies that break off or do not end, each with its header.
const BROKEN: [&str; 5] = [
    "Content-Length: 10\r\n\r\n",
    "Content-Length: 10\r\n\r\n\n",
    "Transfer-Encoding: chunked\r\n\r\n2\r\n\n\0\r\n",
    "Transfer-Encoding: chunked\r\n\r\nno length\r\n",
    "Content-Length: 10\r\n\r\n\nENDLESS",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_request_stays_accepted() {
    for body in BROKEN {
        for status in ["200 OK", "202 Accepted"] {
            let warning = http_result(&format!("HTTP/1.1 {status}\r\n{body}")).await.unwrap_or_else(|error| panic!("{body:?}: {error:?}"));
            assert!(warning.starts_with("the response cannot be decoded: it ends early: "), "{body:?}: {warning}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_stays_a_rejection() {
    for body in BROKEN {
        for (status, error_type) in
            [("400 Bad Request", "refused"), ("413 Payload Too Large", "too_large"), ("403 Forbidden", "unauthenticated")]
        {
            let error = http_result(&format!("HTTP/1.1 {status}\r\n{body}")).await.unwrap_err();
            assert_eq!(error.0, error_type, "{body:?}: {error:?}");
        }
        let error = http_result(&format!("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n{body}")).await.unwrap_err();
        assert_eq!(error.0, "busy", "{body:?}: {error:?}");
    }
    let error = http_result("HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nthe request is too large").await.unwrap_err();
    assert_eq!(error.0, "too_large", "what has arrived of the reason is used: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_that_breaks_off_is_not_an_accepted_request() {
    for page in ["Content-Length: 100\r\n\r\n<!doctype html><title>Sign", "Content-Type: text/html\r\nContent-Length: 100\r\n\r\n<"] {
        let error = http_result(&format!("HTTP/1.1 200 OK\r\n{page}")).await.unwrap_err();
        assert_eq!(error.0, "unreachable", "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_status_the_request_is_sent_again() {
    for response in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", ENDLESS, ""] {
        assert_eq!(http_result(response).await.unwrap_err().0, "unreachable", "{response:?}");
    }
}

/// A body of HTTP/2 that is reset after its first frame, or does not end.
struct BrokenBody {
    first: Option<Bytes>,
    is_endless: bool,
}

impl Body for BrokenBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.first.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.is_endless => Poll::Pending,
            None => Poll::Ready(Some(Err(std::io::Error::other("reset")))),
        }
    }
}

/// The result of a gRPC request that gets a response with this HTTP status, a broken body and no gRPC status.
async fn grpc_result(status: u16, is_endless: bool) -> Result<String, (&'static str, String)> {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let stream = TokioIo::new(listener.accept().await.unwrap().0);
            let service = service_fn(move |_: Request<Incoming>| {
                let body = BrokenBody { first: Some(Bytes::from_static(&[0; 5])), is_endless };
                std::future::ready(Response::builder().status(status).header("content-type", "application/grpc").body(body))
            });
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service));
        }
    });
    result_of(format!("http://{address}"), Protocol::Grpc).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_rejects_a_grpc_request_with_a_status_of_http() {
    for (status, error_type) in [(413, "too_large"), (403, "unauthenticated"), (503, "busy")] {
        let error = grpc_result(status, true).await.unwrap_err();
        assert_eq!(error.0, error_type, "{status}: {error:?}");
    }
    // A gRPC response is complete with its trailers only: before them, the receiver has not accepted the request.
    for is_endless in [false, true] {
        assert_eq!(grpc_result(200, is_endless).await.unwrap_err().0, "unreachable", "{is_endless}");
    }
}
