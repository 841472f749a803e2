//! Clients that disconnect before their response.

use super::common::{ONE, TIMEOUT, TestEndpoint, limits};
use crate::support::wait_until_async;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// More than a client may have at the same time.
const REQUESTS: usize = 300;

#[tokio::test]
async fn requests_of_a_client_that_has_disconnected_occupy_nothing() {
    // A server that accepts connections and never responds, and scrapes that wait for it longer than this test.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let endpoint = TestEndpoint::with_slow_target(&url, "    scrape_wait_max: 5m\n", limits(), tempfile::tempdir().unwrap()).await;
    for _ in 0..REQUESTS {
        let mut stream = endpoint.connect(ONE).await;
        // The endpoint may have closed the connection already, because too many are open for a moment.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Prometheus-Scrape-Timeout-Seconds: 300\r\n\r\n").await;
    }
    wait_until_async(async || endpoint.status(ONE, "/-/healthy", &[]).await == 200, TIMEOUT, "the same client gets a response").await;
    endpoint.end().await;
}
