//! Credentials: sent in the form that each system requires, read again after a rejection, and never exposed.

use crate::poll::common::{
    GOOD, Log, SECRET, Server, configured, emailengine, environment, fails, has_no_secret, is_good, response, send, target,
};
use postmeter::poll::{Limits, Target};
use std::sync::{Arc, Mutex};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// A server that accepts one token at a time, and a target that reads its token from a file.
struct Rotated {
    server: Server,
    lets_in: Arc<Mutex<String>>,
    target: Arc<Target>,
    file: PathBuf,
    _directory: TempDir,
}

impl Rotated {
    async fn new(in_file: &str) -> Self {
        let lets_in = Arc::new(Mutex::new(SECRET.to_owned()));
        let token = lets_in.clone();
        let server = Server::start(move |_, request| {
            let header = format!("authorization: Bearer {}\r\n", token.lock().unwrap());
            send(if request.contains(&header) { response("200 OK", GOOD) } else { response("401 Unauthorized", SECRET) })
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, in_file).unwrap();
        let target = target(&format!("system: emailengine, url: '{}', token_file: '{}'", server.url(), file.display()));
        Self { server, lets_in, target, file, _directory: directory }
    }

    fn server_wants(&self, token: &str) {
        *self.lets_in.lock().unwrap() = token.to_owned();
    }

    fn write_token(&self, token: &str) {
        fs::write(&self.file, token).unwrap();
    }
}

#[tokio::test]
async fn a_new_token_is_used_in_the_same_poll() {
    let it = Rotated::new(&format!("{SECRET}\n")).await;
    is_good(&it.target.reading().await);
    it.server_wants("B");
    it.write_token("B\r\n");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 3, "one more request than polls");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 4, "the new token is used again");
}

#[tokio::test]
async fn a_byte_order_mark_is_not_part_of_the_token() {
    let it = Rotated::new(&format!("\u{feff}{SECRET}\r\n")).await;
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 1);
}

#[tokio::test]
async fn a_rejected_token_is_sent_once_per_poll() {
    let it = Rotated::new(SECRET).await;
    it.server_wants("B");
    for polls in 1..3 {
        fails(&it.target, &it.target.reading().await, "auth", "the server rejected the credential (401): set token (or token_file)");
        assert_eq!(it.server.count(), polls);
    }
    it.write_token("B");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 3, "a rejected token is not sent again if the file has another");
}

#[tokio::test]
async fn a_second_rejected_token_is_the_last_attempt() {
    let it = Rotated::new(SECRET).await;
    is_good(&it.target.reading().await);
    it.server_wants("C");
    it.write_token("B");
    fails(&it.target, &it.target.reading().await, "auth", "(401)");
    assert_eq!(it.server.count(), 3);
}

#[tokio::test]
async fn a_missing_token_file_is_named() {
    let it = Rotated::new(SECRET).await;
    fs::remove_file(&it.file).unwrap();
    fails(&it.target, &it.target.reading().await, "auth", &format!("credential: cannot read {}", it.file.display()));
    assert_eq!(it.server.count(), 0);
    it.write_token(SECRET);
    is_good(&it.target.reading().await);
    // The file is missing when it is read again.
    it.server_wants("B");
    fs::remove_file(&it.file).unwrap();
    fails(&it.target, &it.target.reading().await, "auth", &format!("cannot read {}", it.file.display()));
    it.write_token("B");
    let before = it.server.count();
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), before + 1, "a rejected token is not sent again");
}

#[tokio::test]
async fn a_token_file_that_is_a_named_pipe_is_reported() {
    let it = Rotated::new(SECRET).await;
    fs::remove_file(&it.file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&it.file).status().unwrap().success());
    fails(&it.target, &it.target.reading().await, "auth", "not a regular file");
    fs::remove_file(&it.file).unwrap();
    it.write_token(SECRET);
    is_good(&it.target.reading().await);
}

#[tokio::test]
async fn a_token_that_is_not_valid_in_a_header() {
    let it = Rotated::new(SECRET).await;
    for (token, message) in [(format!("{SECRET}\n{SECRET}"), "characters that a header cannot have"), (String::new(), "empty")] {
        it.write_token(&token);
        fails(&it.target, &it.target.reading().await, "auth", message);
    }
    assert_eq!(it.server.count(), 0);
}

#[tokio::test]
async fn a_credential_that_a_server_repeats_is_redacted() {
    for (error_type, body) in [
        ("api", format!(r#"{{"metadata":{{"result":0,"reason":"no such thing: whm root:{SECRET}"}}}}"#)),
        ("auth", format!(r#"{{"metadata":{{"result":0,"reason":"permission denied for {SECRET}"}}}}"#)),
        ("malformed", format!("you sent {SECRET}")),
    ] {
        let server = Server::always(response("200 OK", body)).await;
        let target = target(&format!("system: cpanel, url: '{}', username: root, token: '${{env:SECRET}}'", server.url()));
        fails(&target, &target.reading().await, error_type, "");
    }
}

#[tokio::test]
async fn the_credentials_of_other_parts_and_of_records_are_redacted() {
    let server = Server::start(|_, request| {
        let body = if request.starts_with("GET /metrics") { format!("no such token: {SECRET}") } else { "{}".to_owned() };
        send(response("200 OK", body))
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: user, password: other-password", server.url());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, SECRET).unwrap();
    let file = file.display();
    let of_queue = ["token: '${env:SECRET}'", "username: user, password: '${env:SECRET}'", &format!("token_file: '{file}'")];
    let of_records = [
        "token: '${env:SECRET}'",
        &format!("token_file: '{file}'"),
        &format!("username: user, password_file: '{file}'"),
        &format!("signing_key_file: '{file}'"),
    ];
    let parts = of_queue.map(|credential| format!("queue: {{{credential}}}"));
    for part in parts.into_iter().chain(of_records.map(|credential| format!("deliveries: {{{credential}}}"))) {
        let target = target(&format!("{keys}, parts: {{{part}}}"));
        fails(&target, &target.reading().await, "malformed", "***");
        let raw = target.raw_response(None).await.unwrap();
        assert!(raw.body.contains("no such token: ***"), "{}", raw.body);
        has_no_secret(&raw.body);
    }
}

/// A server that responds with the request header `what` in text that is not valid JSON.
async fn echo(what: &'static str) -> Server {
    Server::start(move |_, request| {
        let line = request.lines().find(|line| line.contains(what)).unwrap_or_default();
        let ahead = 190_usize.saturating_sub(line.find(what).unwrap_or(0));
        send(response("200 OK", format!("{}{line}, {line}", "-".repeat(ahead))))
    })
    .await
}

#[tokio::test]
async fn secrets_of_the_request_are_redacted_in_any_encoding() {
    const BASIC: &str = "dXNlcjpzM2NyM3QtYzBmZmVl";
    for (what, keys) in [
        (BASIC, "system: kumomta, username: user, password: '${env:SECRET}'"),
        (SECRET, "system: kumomta, headers: {X-Key: '${env:SECRET}'}"),
        (SECRET, "system: kumomta, headers: {X-Key: 'Key ${env:SECRET}'}"),
        (SECRET, "system: kumomta, token: '${env:SECRET}'"),
        (SECRET, "system: cpanel, username: root, token: '${env:SECRET}'"),
    ] {
        // The whole secret, a secret that is cut, and a secret before the cut.
        let whole = Server::start(|_, request| send(response("200 OK", request))).await;
        let lone =
            Server::start(move |_, request| send(response("200 OK", request.lines().find(|line| line.contains(what)).unwrap_or_default())))
                .await;
        for (server, message) in [(whole, "cannot be read"), (echo(what).await, "cannot be read"), (lone, "***")] {
            let target = target(&format!("{keys}, url: '{}'", server.url()));
            let log = Log::begin();
            let reading = target.reading().await;
            let message = if keys.contains("cpanel") { "" } else { message };
            fails(&target, &reading, "malformed", message);
            assert!(server.requests()[0].contains(what), "it was not sent: {keys}");
            let (line, secret) = (reading.outcome.as_ref().unwrap_err().to_string(), &what[..5]);
            assert!(!line.contains(secret) && !log.lines().concat().contains(secret), "{line}");
            has_no_secret(&log.lines().concat());
        }
    }
}

#[tokio::test]
async fn a_token_is_redacted_after_its_file_has_changed() {
    let it = Rotated::new(SECRET).await;
    is_good(&it.target.reading().await);
    let echo = Server::start(|nth, request| {
        send(if nth == 0 { response("200 OK", GOOD) } else { response("200 OK", request.lines().last().unwrap_or_default()) })
    })
    .await;
    let target = target(&format!("system: emailengine, url: '{}', token_file: '{}'", echo.url(), it.file.display()));
    is_good(&target.reading().await);
    it.write_token("another-token");
    fails(&target, &target.reading().await, "malformed", "");
    assert!(echo.requests()[1].contains(SECRET), "{:?}", echo.requests());
}

#[tokio::test]
async fn each_system_gets_its_kind_of_credential() {
    for (system, credential, header) in [
        ("emailengine", "token: '${env:SECRET}'", format!("authorization: Bearer {SECRET}\r\n")),
        ("ceymail", "token: '${env:SECRET}'", format!("authorization: Bearer {SECRET}\r\n")),
        ("cpanel", "username: root, token: '${env:SECRET}'", format!("authorization: whm root:{SECRET}\r\n")),
        ("stalwart", "username: user, password: '${env:SECRET}'", "authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n".to_owned()),
        ("kumomta", "username: user, password: '${env:SECRET}'", "authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n".to_owned()),
    ] {
        let server = Server::always(response("403 Forbidden", SECRET)).await;
        let target = target(&format!("system: {system}, url: '{}', {credential}", server.url()));
        fails(&target, &target.reading().await, "auth", "(403): ");
        assert!(server.requests()[0].contains(&header), "{:?}", server.requests());
    }
}

#[tokio::test]
async fn no_credential_is_sent_unless_one_is_configured() {
    let server = Server::always(response("200 OK", r#"{"memory_usage":{"type":"gauge","value":1}}"#)).await;
    is_good(&target(&format!("system: kumomta, url: '{}'", server.url())).reading().await);
    assert!(!server.requests()[0].to_ascii_lowercase().contains("authorization"), "{:?}", server.requests());
}

#[tokio::test]
async fn headers() {
    let server = Server::always(response("200 OK", GOOD)).await;
    let keys = format!(
        "system: emailengine, url: '{}/under/', token: x, headers: {{X-Site: a, X-Key: '${{env:SECRET}}', Authorization: mine, Accept: text/plain}}",
        server.url()
    );
    let target = Target::new(configured(&keys, &environment(&[("SECRET", SECRET)])), Limits::default()).unwrap();
    is_good(&target.reading().await);
    let request = server.requests().remove(0);
    let has_line = |line: &str| assert_eq!(request.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}\n{request}");
    assert!(request.starts_with("GET /under/metrics HTTP/1.1\r\n"), "{request}");
    has_line("x-site: a");
    has_line(&format!("x-key: {SECRET}"));
    has_line(&format!("user-agent: postmeter/{}", env!("CARGO_PKG_VERSION")));
    has_line("accept: text/plain");
    // The credential overrides a header of the same name.
    has_line("authorization: Bearer x");
    assert_eq!(request.matches("authorization").count(), 1, "{request}");
    has_no_secret(&format!("{target:?}{:?}", target.config));
}

#[tokio::test]
async fn the_log_has_changes_and_no_secrets() {
    let log = Log::begin();
    let server =
        Server::start(|nth, _| send(if (1..4).contains(&nth) { response("401 No", SECRET) } else { response("200 OK", GOOD) })).await;
    let target = emailengine(&server.url());
    for _ in 0..6 {
        target.reading().await;
    }
    let (ours, log) = (log.lines(), log.text());
    assert_eq!(ours.len(), 2, "{log}");
    assert!(ours[0].contains(r#"rejected the credential (401)"#) && ours[0].contains(r#"error.type="auth""#), "{log}");
    assert!(ours[1].contains("poll succeeded again"), "{log}");
    has_no_secret(&log);
}

/// KumoMTA trusts addresses, or authenticates its own users. Both parts send the credential.
#[tokio::test]
async fn kumomta_is_sent_basic_credentials() {
    let server = Server::start(|_, request| {
        let good = request.contains("authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n");
        let body = if request.contains("machine-info") { r#"{"version":"1"}"# } else { r#"{"memory_usage":{"type":"gauge","value":1}}"# };
        send(if good { response("200 OK", body) } else { response("401 Unauthorized", "") })
    })
    .await;
    let url = server.url();
    let right =
        target(&format!("system: kumomta, url: '{url}', username: user, password: '${{env:SECRET}}', parts: {{machine-info: {{}}}}"));
    let reading = right.reading().await;
    is_good(&reading);
    assert!(reading.is_complete());
    has_no_secret(&format!("{right:?}{reading:?}"));
    for wrong in ["", ", username: user, password: other"] {
        let target = target(&format!("system: kumomta, url: '{url}'{wrong}"));
        fails(&target, &target.reading().await, "auth", "set username and password to those of a user");
    }
}

#[tokio::test]
async fn a_key_is_tried_once_before_all_parts_send_it() {
    let accepts = Arc::new(Mutex::new(false));
    let is_accepted = accepts.clone();
    let server = Server::start(move |_, request| {
        let body = match request {
            _ if request.contains("/mailq/") => "[]",
            _ if request.contains("/rspamd-stats") => r#"{"actions":{"reject":1}}"#,
            _ => r#"{"a":{"container":"a","state":"running"}}"#,
        };
        let is_key = request.contains(&format!("x-api-key: {SECRET}\r\n")) && !request.contains("authorization:");
        send(if *is_accepted.lock().unwrap() && is_key { response("200 OK", body) } else { response("401 Unauthorized", SECRET) })
    })
    .await;
    let target =
        target(&format!("system: mailcow, url: '{}', token: '${{env:SECRET}}', parts: {{queue: {{}}, rspamd: {{}}}}", server.url()));
    fails(&target, &target.reading().await, "auth", "API key");
    fails(&target, &target.reading().await, "auth", "API key");
    assert_eq!(server.count(), 2);
    *accepts.lock().unwrap() = true;
    is_good(&target.reading().await);
    is_good(&target.reading().await);
    assert_eq!(server.count(), 2 + 3 + 3);
    *accepts.lock().unwrap() = false;
    fails(&target, &target.reading().await, "auth", "API key");
    let after_rejection = server.count();
    fails(&target, &target.reading().await, "auth", "API key");
    assert_eq!(server.count(), after_rejection + 1);
}
