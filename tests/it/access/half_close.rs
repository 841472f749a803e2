//! Clients that close their side of the connection: after the request, or both sides.

use super::common::{ONE, TIMEOUT, TWO, TestEndpoint, limits, read_to_end};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_client_that_closes_its_side_gets_the_whole_response() {
    let (endpoint, server) = TestEndpoint::with_large_target("", limits(), tempfile::tempdir().unwrap()).await;
    for (version, path, bytes_min) in
        [("1.1", "/-/healthy", 10), ("1.0", "/-/healthy", 10), ("1.1", "/metrics", 600_000), ("1.0", "/metrics", 600_000)]
    {
        let mut stream = endpoint.connect(ONE).await;
        stream.write_all(format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let response = tokio::time::timeout(TIMEOUT, read_to_end(stream)).await.unwrap();
        let status = format!("HTTP/{version} 200 OK\r\n");
        assert!(response.starts_with(status.as_bytes()) && response.len() > bytes_min, "{version} {path}: {} bytes", response.len());
    }
    endpoint.end().await;
    server.shutdown().await;
}

#[tokio::test]
async fn clients_that_have_disconnected_occupy_nothing() {
    let endpoint = TestEndpoint::with_limits("", limits(), tempfile::tempdir().unwrap()).await;
    for _ in 0..300 {
        let mut stream = endpoint.connect(ONE).await;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        drop(stream);
    }
    assert_eq!(endpoint.status(TWO, "/metrics", &[]).await, 200);
    endpoint.end().await;
}
