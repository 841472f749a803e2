//! The header `Host` of requests to all listeners.

use super::common::{TestResponse, read_to_end, sha256};
use crate::support::program::Program;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Sends a request with these header lines over a new connection.
async fn send(url: &str, start: &str, lines: &[&str]) -> TestResponse {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    stream.write_all(format!("{start}\r\n{lines}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    TestResponse::parse(&read_to_end(stream).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_http_1_1_needs_one_host() {
    let state = tempfile::tempdir().unwrap();
    let config = format!(
        "state_dir: {}\nreceive: {{listen: \"127.0.0.1:0\"}}\ntargets: [{{name: mta1, system: kumomta, parts: {{deliveries: {{token: let-me-in}}}}}}]\nexport: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n",
        state.path().display()
    );
    let mut program = Program::spawn_with(state.path(), &config, &[]);
    let (pull, receive) = (program.base_url().await, program.receive_url().await);
    let post = "POST /v1/deliveries/mta1 HTTP/1.1";
    let body = ["Content-Length: 0", "Authorization: Bearer let-me-in"];
    for (hosts, status) in [
        (&[][..], 400),
        (&["Host: a"], 200),
        (&["Host: postmeter_1.example.com:9464"], 200),
        (&["Host: [::1]:9464"], 200),
        (&["Host:"], 200),
        (&["Host: a", "Host: a"], 400),
        (&["Host: a", "hOST: b"], 400),
        (&["Host: a b"], 400),
        (&["Host: user@a"], 400),
    ] {
        assert_eq!(send(&pull, "GET /metrics HTTP/1.1", hosts).await.status, status, "{hosts:?}");
        // A request without a body is rejected with 503 after all other checks.
        let received = send(&receive, post, &[hosts, &body].concat()).await.status;
        assert_eq!(received, if status == 200 { 503 } else { status }, "{hosts:?}");
    }
    // The absolute form needs the header as well, and HTTP/1.0 does not have it.
    assert_eq!(send(&pull, "GET http://a/metrics HTTP/1.1", &[]).await.status, 400);
    assert_eq!(send(&pull, "GET /metrics HTTP/1.0", &[]).await.status, 200);
    assert_eq!(send(&pull, "GET /metrics HTTP/1.0", &["Host: a", "Host: b"]).await.status, 400);
    let page = send(&pull, "GET /metrics HTTP/1.0", &[]).await;
    assert_eq!(page.refusals("invalid_host"), Some(12.0), "{}", page.text);
    let refused = send(&pull, "GET /metrics HTTP/1.1", &[]).await;
    assert!(refused.text.ends_with("the header Host is missing, repeated or not valid; HTTP/1.1 requires it once\n"), "{}", refused.text);
    program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_listener_on_a_loopback_address_serves_its_pages_under_its_own_names_only() {
    let tokens = format!(", auth: {{tokens: [{{name: a, sha256: {}}}]}}", sha256("let-me-in"));
    for (auth, other) in [("", 421), (tokens.as_str(), 401)] {
        let state = tempfile::tempdir().unwrap();
        let config = format!(
            "targets: [{{name: a, system: kumomta, url: \"http://127.0.0.1:1\"}}]\nexport: {{prometheus: {{listen: \"127.0.0.1:0\"{auth}}}}}\n"
        );
        let mut program = Program::spawn_with(state.path(), &config, &[]);
        let pull = program.base_url().await;
        for path in ["/", "/config", "/targets.json"] {
            let start = format!("GET {path} HTTP/1.1");
            let refused = send(&pull, &start, &["Host: evil.example.com:9464"]).await;
            assert_eq!(refused.status, other, "{path} {auth}");
            let expected = if auth.is_empty() { 200 } else { 401 };
            for host in ["Host: localhost:9464", "Host: 127.0.0.1", "Host: [::1]:9464"] {
                assert_eq!(send(&pull, &start, &[host]).await.status, expected, "{path} {auth} {host}");
            }
        }
        if auth.is_empty() {
            let poll = ["Host: evil.example.com", "Origin: http://evil.example.com", "Sec-Fetch-Site: same-origin", "Content-Length: 0"];
            let refused = send(&pull, "POST /-/poll?target=a HTTP/1.1", &poll).await;
            assert!(refused.status == 421 && refused.text.contains("configure auth"), "{}", refused.text);
            for path in ["/metrics", "/-/healthy", "/sd"] {
                assert_eq!(send(&pull, &format!("GET {path} HTTP/1.1"), &["Host: postmeter.example.com"]).await.status, 200, "{path}");
            }
        } else {
            let token = ["Host: postmeter.example.com", "Authorization: Bearer let-me-in"];
            assert_eq!(send(&pull, "GET /config HTTP/1.1", &token).await.status, 200);
        }
        program.end();
    }
}
