//! Proxies, and proxy variables of the environment.

use crate::poll::common::{GOOD, SECRET, Server, fails, has_no_secret, is_good, response, target};
use std::process::{Command, Output};

#[tokio::test]
async fn a_configured_proxy_is_used() {
    let proxy = Server::always(response("200 OK", GOOD)).await;
    let target = target(&format!("system: emailengine, url: 'http://mail.invalid:3000', token: x, proxy: '{}'", proxy.url()));
    is_good(&target.reading().await);
    assert!(proxy.requests()[0].starts_with("GET http://mail.invalid:3000/metrics HTTP/1.1\r\n"), "{:?}", proxy.requests());
}

#[tokio::test]
async fn tls_is_tunnelled_through_a_proxy() {
    let proxy = Server::always(response("502 Bad Gateway", "")).await;
    let target = target(&format!("system: emailengine, url: 'https://mail.invalid', token: '${{env:SECRET}}', proxy: '{}'", proxy.url()));
    fails(&target, &target.reading().await, "connect", "");
    assert!(proxy.requests()[0].starts_with("CONNECT mail.invalid:443 HTTP/1.1\r\n"), "{:?}", proxy.requests());
    has_no_secret(&proxy.requests().concat());
}

/// Runs `postmeter scrape` with unusable proxies in the environment.
async fn scrape(url: String) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    command.args(["scrape", "--system", "emailengine", "--token", "${env:SECRET}", "--timeout", "5s", "--url", &url]);
    command.env("SECRET", SECRET);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_ignored() {
    let server = Server::always(response("200 OK", GOOD)).await;
    let output = scrape(server.url()).await;
    let (stdout, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("mail_up"), "{stdout}{log}");
    assert!(server.requests()[0].starts_with("GET /metrics HTTP/1.1\r\n"), "{:?}", server.requests());
    has_no_secret(&format!("{stdout}{log}"));
}

#[tokio::test]
async fn the_program_reports_the_error_in_one_line_without_secrets() {
    let server = Server::always(response("401 Unauthorized", SECRET)).await;
    let output = scrape(server.url()).await;
    let (stdout, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{stdout}{log}");
    assert_eq!(log.matches("the server rejected the credential (401)").count(), 1, "{log}");
    has_no_secret(&format!("{stdout}{log}"));
}
