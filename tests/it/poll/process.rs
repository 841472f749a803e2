//! Proxies, and what the program makes of its environment.

use crate::poll::common::{GOOD, SECRET, Server, answer, fails, is_good, target, tells_nothing};
use std::process::{Command, Output};

#[tokio::test]
async fn a_proxy_that_is_named_is_used() {
    let proxy = Server::always(answer("200 OK", GOOD)).await;
    let target = target(&format!("system: emailengine, url: 'http://mail.invalid:3000', token: x, proxy: '{}'", proxy.url()));
    is_good(&target.reading().await);
    assert!(proxy.requests()[0].starts_with("GET http://mail.invalid:3000/metrics HTTP/1.1\r\n"), "{:?}", proxy.requests());
}

#[tokio::test]
async fn tls_goes_through_a_proxy_as_a_tunnel() {
    let proxy = Server::always(answer("502 Bad Gateway", "")).await;
    let target = target(&format!("system: emailengine, url: 'https://mail.invalid', token: '${{env:SECRET}}', proxy: '{}'", proxy.url()));
    fails(&target, &target.reading().await, "connect", "");
    assert!(proxy.requests()[0].starts_with("CONNECT mail.invalid:443 HTTP/1.1\r\n"), "{:?}", proxy.requests());
    tells_nothing(&proxy.requests().concat());
}

/// `postmeter scrape` of it, with proxies in the environment that lead nowhere.
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
async fn the_environments_proxy_is_not_followed() {
    let server = Server::always(answer("200 OK", GOOD)).await;
    let output = scrape(server.url()).await;
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("mail_up"), "{said}{log}");
    assert!(server.requests()[0].starts_with("GET /metrics HTTP/1.1\r\n"), "{:?}", server.requests());
    tells_nothing(&format!("{said}{log}"));
}

#[tokio::test]
async fn the_program_says_why_in_a_line_and_shows_no_secret() {
    let server = Server::always(answer("401 Unauthorized", SECRET)).await;
    let output = scrape(server.url()).await;
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{said}{log}");
    assert_eq!(log.matches("the server refused the credential (401)").count(), 1, "{log}");
    tells_nothing(&format!("{said}{log}"));
}
