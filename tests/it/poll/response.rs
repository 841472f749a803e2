//! Responses: status, size, compression, headers.

use crate::poll::common::{Act, GOOD, Server, chunked, emailengine, fails, gzip, is_good, response, send, target, value};
use std::time::{Duration, Instant};

async fn fails_with(bytes: impl Into<Vec<u8>>, error_type: &str, message: &str) {
    let bytes = bytes.into();
    let server = Server::start(move |nth, _| if nth == 0 { send(bytes.clone()) } else { send(response("200 OK", GOOD)) }).await;
    let target = emailengine(&server.url());
    fails(&target, &target.reading().await, error_type, message);
    assert_eq!(server.count(), 1, "requested again: {message}");
    is_good(&target.reading().await);
}

#[tokio::test]
async fn statuses() {
    let page = "<html>no</html>";
    fails_with(response("401 Unauthorized", "{}"), "auth", "the server rejected the credential (401): set token").await;
    fails_with(response("403 Forbidden", page), "auth", "(403): set token (or token_file) to an access token with the scope metrics").await;
    fails_with(response("404 Not Found", page), "status", "404: this is not the address of EmailEngine").await;
    fails_with(response("500 Oops", page), "status", "500: the server or a proxy in front of it has a problem").await;
    fails_with(response("503 Oops", page), "status", "503: the server or a proxy in front of it has a problem").await;
    fails_with(response("204 No Content", ""), "status", "204: this is not a response of the expected API").await;
    fails_with(response("418 Teapot", page), "status", "418").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::always(response("200 OK", GOOD)).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let redirect = response(&format!("{status}\r\nLocation: {}/metrics", other.url()), "");
        fails_with(redirect, "status", "redirects are not followed; set url to the final address").await;
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn bodies_that_are_not_metrics() {
    fails_with(response("200 OK\r\nContent-Type: text/plain", "\n <!DOCTYPE html><html>Log in</html>"), "malformed", "HTML page").await;
    let xml = "\u{feff}<?xml version=\"1.0\"?><status><queue>1</queue></status>";
    fails_with(response("200 OK\r\nContent-Type: text/xml", xml), "malformed", "an XML document instead of metrics").await;
    fails_with(response("200 OK", ""), "malformed", "no metrics in it").await;
    fails_with(response("200 OK", "\n\n"), "malformed", "no metrics in it").await;
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    for content_type in ["text/html", "application/octet-stream", "nonsense", "application/json; charset=x"] {
        let server = Server::always(response(&format!("200 OK\r\nContent-Type: {content_type}"), GOOD)).await;
        is_good(&emailengine(&server.url()).reading().await);
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_not_part_of_the_response() {
    let server = Server::always(response("200 OK", "\u{feff}events{event=\"messageSent\"} 7\nserver_memory 1\n")).await;
    let reading = emailengine(&server.url()).reading().await;
    is_good(&reading);
    let names: Vec<String> = reading.points(Instant::now()).iter().map(|point| format!("{} {}", point.metric.name, point.value)).collect();
    assert!(names.iter().any(|point| point.ends_with(" 7")), "{names:?}");
}

#[tokio::test]
async fn openmetrics_that_does_not_end_is_incomplete() {
    for (content_type, end, is_complete) in [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", "", false),
        ("application/openmetrics-text;version=0.0.1", "# EO\n", false),
        ("Application/OpenMetrics-Text", "# EOF\nx 1\n", false),
        ("application/openmetrics-text; version=1.0.0", "# EOF\n", true),
        ("application/openmetrics-text", "# EOF", true),
        ("text/plain; version=0.0.4", "", true),
    ] {
        let response = response(&format!("200 OK\r\nContent-Type: {content_type}"), format!("{GOOD}{end}"));
        if is_complete {
            is_good(&emailengine(&Server::always(response).await.url()).reading().await);
        } else {
            fails_with(response, "malformed", "it is incomplete: OpenMetrics that does not end with # EOF").await;
        }
    }
}

#[tokio::test]
async fn the_content_type_decides_the_unit_of_timestamps() {
    for (content_type, expected) in [
        ("text/plain; version=0.0.4", 1_795_999_645),
        ("application/openmetrics-text; version=1.0.0", 1_795_999_645_000),
        ("application/octet-stream", 1_795_999_645_000),
    ] {
        let page = format!("{GOOD}x 5 1795999645\n# EOF\n");
        let server = Server::always(response(&format!("200 OK\r\nContent-Type: {content_type}"), page)).await;
        let reading = emailengine(&server.url()).reading().await;
        let x = (0..reading.native.len()).map(|index| reading.native.family(index)).find(|family| family.native_name() == "x").unwrap();
        let timestamps: Vec<_> = x.samples().map(|sample| sample.timestamp()).collect();
        assert_eq!(timestamps, [Some(expected)], "{content_type}");
    }
}

#[tokio::test]
async fn a_response_of_another_exporter_is_recognised() {
    let node = "go_goroutines 7\nnode_load1 0.5\n";
    fails_with(response("200 OK", node), "malformed", "this looks like another exporter: go_goroutines, node_load1; check url and system")
        .await;
}

/// Checks that a response of these bytes exceeds the limit, which is 1 MiB.
async fn too_large(bytes: Vec<u8>, limit: &str) {
    let server = Server::always(bytes).await;
    let target = target(&format!("system: emailengine, url: '{}', token: x, body_bytes_max: {limit}", server.url()));
    fails(&target, &target.reading().await, "too_large", "raise body_bytes_max if that is expected");
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let body = GOOD.repeat(2048 / GOOD.len() + 1);
    too_large(response("200 OK", &body), "1KiB").await;
    too_large(chunked("200 OK", body.as_bytes()), "1KiB").await;
    too_large(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into(), "1KiB").await;
    too_large(response("200 OK\r\nContent-Encoding: gzip", gzip(body.as_bytes())), "1KiB").await;
    // A response that only claims to be that long.
    too_large("HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n".into(), "1KiB").await;
    let fits = &GOOD.repeat(1024 / GOOD.len());
    for bytes in [response("200 OK", fits), chunked("200 OK", fits.as_bytes())] {
        let server = Server::always(bytes).await;
        is_good(&target(&format!("system: emailengine, url: '{}', token: x, body_bytes_max: 1KiB", server.url())).reading().await);
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_not_unpacked() {
    // Many gzip members, each within the limit: a decoder that stops after each member must not evade it.
    let members = gzip(&vec![b'#'; 64 * 1024]).repeat(32);
    for bomb in [gzip(&vec![b'#'; 64 * 1024 * 1024]), members] {
        // The end of the body never arrives, so this fails while the body is unpacked, or times out with another error.
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len() + 1);
        too_large([head.as_bytes(), &bomb].concat(), "1MiB").await;
    }
}

#[tokio::test]
async fn compression() {
    let head = "200 OK\r\nContent-Encoding: gzip";
    let good = gzip(GOOD.as_bytes());
    let server = Server::always(chunked(head, &good)).await;
    is_good(&emailengine(&server.url()).reading().await);
    assert!(server.requests()[0].to_ascii_lowercase().contains("accept-encoding: gzip\r\n"), "{:?}", server.requests());
    // A stream that is compressed piece by piece consists of several members (RFC 1952, section 2.2).
    let (begin, end) = GOOD.as_bytes().split_at(GOOD.len() / 2);
    let members = [gzip(begin), gzip(b""), gzip(end)].concat();
    is_good(&emailengine(&Server::always(response("200 OK\r\nContent-Encoding: X-GZIP", &members)).await.url()).reading().await);
    fails_with(response(head, &members[..members.len() - 9]), "malformed", "the compression of the response is broken").await;
    let mut flipped = good.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 0xff;
    fails_with(response(head, flipped), "malformed", "the compression of the response is broken").await;
    fails_with(response(head, "not gzip at all"), "malformed", "the compression of the response is broken").await;
    fails_with(response(head, &good[..good.len() - 9]), "malformed", "the compression of the response is broken").await;
    for coding in ["br", "deflate", "zstd", "gzip, gzip"] {
        let reason = format!("the response has Content-Encoding: {coding}, but only gzip was requested");
        fails_with(response(&format!("200 OK\r\nContent-Encoding: {coding}"), &good), "malformed", &reason).await;
    }
}

#[tokio::test]
async fn headers_over_the_limit() {
    let many = "X: y\r\n".repeat(100);
    fails_with(format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"), "malformed", "not valid HTTP").await;
    let long = "y".repeat(2 * 1024 * 1024);
    let server = Server::start(move |_, _| vec![Act::Send(format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n").into()), Act::Hang]).await;
    let target = emailengine(&server.url());
    fails(&target, &target.reading().await, "malformed", "not valid HTTP");
}

const WHM: &str = r#"{"data":{"records":[]},"metadata":{"result":1}}"#;

#[tokio::test]
async fn a_line_that_leaked_into_the_headers_fails_only_its_part() {
    for leaked in ["Use of uninitialized value in print", "\u{201c}tailwatchd\u{201d} is up: 1", "\u{201c}x\u{201d}: y"] {
        let server = Server::start(move |_, request| {
            if request.contains("servicestatus") {
                send(format!("HTTP/1.1 200 OK\r\n{leaked}\r\nContent-Length: {}\r\n\r\n{WHM}", WHM.len()))
            } else {
                send(response("200 OK", WHM))
            }
        })
        .await;
        let target = target(&format!(
            "system: cpanel, url: '{}', username: root, token: '${{env:SECRET}}', parts: {{servicestatus: {{}}, fetch_mail_queue: {{}}}}",
            server.url()
        ));
        let reading = target.reading().await;
        is_good(&reading);
        assert!(!reading.has_all_parts() && !reading.is_complete());
        let failed: Vec<_> = reading.parts.iter().filter_map(|part| Some((part.part, part.error.as_ref()?.error_type()))).collect();
        assert_eq!(failed, [("servicestatus", "malformed")]);
        assert_eq!(value(&reading, "postmeter.poll.errors", &["servicestatus", "malformed"]), Some(1.0));
    }
}

/// A server that responds to the first request with 429.
async fn limited(retry_after: &str) -> (Server, std::sync::Arc<postmeter::poll::Target>) {
    let refusal = response(&format!("429 Too Many Requests{retry_after}"), "{}");
    let server = Server::start(move |nth, _| if nth == 0 { send(refusal.clone()) } else { send(response("200 OK", GOOD)) }).await;
    let target = emailengine(&server.url());
    fails(&target, &target.reading().await, "rate_limited", "all clients that poll it from this address share that limit");
    (server, target)
}

#[tokio::test]
async fn retry_after_is_respected() {
    let date = (jiff::Timestamp::now() + Duration::from_secs(50)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (header, message) in [
        ("\r\nRetry-After: 60", "in 60 s"),
        (&*format!("\r\nRetry-After: {date}"), "in "),
        ("", "in 30 s"),
        ("\r\nRetry-After: soon", "in 30 s"),
    ] {
        let (server, target) = limited(header).await;
        let reading = target.reading().await;
        fails(&target, &reading, "rate_limited", message);
        assert_eq!(server.count(), 1, "requested within {header:?}");
        if header.contains("GMT") {
            let line = reading.outcome.as_ref().unwrap_err().to_string();
            assert!((40..=50).any(|seconds| line.contains(&format!("in {seconds} s"))), "{line}");
        }
    }
    let (_server, target) = limited("\r\nRetry-After: 0").await;
    is_good(&target.reading().await);
}
