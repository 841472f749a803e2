//! Credentials: sent as each system wants them, read again when refused, seen by nobody else.

use crate::poll::common::{
    GOOD, Log, SECRET, Server, answer, configured, emailengine, environment, fails, is_good, say, target, tells_nothing,
};
use postmeter::poll::{Limits, Target};
use std::sync::{Arc, Mutex};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// A server that lets in one token at a time, and a target that reads its token from a file.
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
            say(if request.contains(&header) { answer("200 OK", GOOD) } else { answer("401 Unauthorized", SECRET) })
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

    fn file_says(&self, token: &str) {
        fs::write(&self.file, token).unwrap();
    }
}

#[tokio::test]
async fn a_new_token_is_taken_up_in_the_same_poll() {
    let it = Rotated::new(&format!("{SECRET}\n")).await;
    is_good(&it.target.reading().await);
    it.server_wants("B");
    it.file_says("B\r\n");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 3, "one request more than polls");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 4, "the new token is remembered");
}

#[tokio::test]
async fn an_old_token_is_sent_once_a_poll() {
    let it = Rotated::new(SECRET).await;
    it.server_wants("B");
    for polls in 1..3 {
        fails(&it.target, &it.target.reading().await, "auth", "the server refused the credential (401): set token (or token_file)");
        assert_eq!(it.server.count(), polls);
    }
    it.file_says("B");
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), 3, "what was refused is not sent again when the file says otherwise");
}

#[tokio::test]
async fn a_second_wrong_token_is_the_last() {
    let it = Rotated::new(SECRET).await;
    is_good(&it.target.reading().await);
    it.server_wants("C");
    it.file_says("B");
    fails(&it.target, &it.target.reading().await, "auth", "(401)");
    assert_eq!(it.server.count(), 3);
}

#[tokio::test]
async fn a_token_file_that_is_gone_is_named() {
    let it = Rotated::new(SECRET).await;
    fs::remove_file(&it.file).unwrap();
    fails(&it.target, &it.target.reading().await, "auth", &format!("credential: cannot read {}", it.file.display()));
    assert_eq!(it.server.count(), 0);
    it.file_says(SECRET);
    is_good(&it.target.reading().await);
    // Gone when a new one is looked for.
    it.server_wants("B");
    fs::remove_file(&it.file).unwrap();
    fails(&it.target, &it.target.reading().await, "auth", &format!("cannot read {}", it.file.display()));
    it.file_says("B");
    let before = it.server.count();
    is_good(&it.target.reading().await);
    assert_eq!(it.server.count(), before + 1, "what was refused is not sent again");
}

#[tokio::test]
async fn a_token_that_no_header_can_have() {
    let it = Rotated::new(SECRET).await;
    for (token, says) in [(format!("{SECRET}\n{SECRET}"), "characters that a header cannot have"), (String::new(), "empty")] {
        it.file_says(&token);
        fails(&it.target, &it.target.reading().await, "auth", says);
    }
    assert_eq!(it.server.count(), 0);
}

#[tokio::test]
async fn a_server_that_repeats_the_credential_in_its_answer_is_not_quoted() {
    for (error_type, body) in [
        ("api", format!(r#"{{"metadata":{{"result":0,"reason":"no such thing: whm root:{SECRET}"}}}}"#)),
        ("auth", format!(r#"{{"metadata":{{"result":0,"reason":"permission denied for {SECRET}"}}}}"#)),
        ("malformed", format!("you sent {SECRET}")),
    ] {
        let server = Server::always(answer("200 OK", body)).await;
        let target = target(&format!("system: cpanel, url: '{}', username: root, token: '${{env:SECRET}}'", server.url()));
        fails(&target, &target.reading().await, error_type, "");
    }
}

/// A server that answers all with the headers it was sent, as a JSON document that is none; so long that a quote of it ends inside `what`.
async fn echo(what: &'static str) -> Server {
    Server::start(move |_, request| {
        let line = request.lines().find(|line| line.contains(what)).unwrap_or_default();
        let ahead = 190_usize.saturating_sub(line.find(what).unwrap_or(0));
        say(answer("200 OK", format!("{}{line}, {line}", "-".repeat(ahead))))
    })
    .await
}

#[tokio::test]
async fn what_was_sent_is_not_quoted_in_whatever_form_it_comes_back() {
    const BASIC: &str = "dXNlcjpzM2NyM3QtYzBmZmVl";
    for (what, keys) in [
        (BASIC, "system: kumomta, username: user, password: '${env:SECRET}'"),
        (SECRET, "system: kumomta, headers: {X-Key: '${env:SECRET}'}"),
        (SECRET, "system: kumomta, headers: {X-Key: 'Key ${env:SECRET}'}"),
        (SECRET, "system: kumomta, token: '${env:SECRET}'"),
        (SECRET, "system: cpanel, username: root, token: '${env:SECRET}'"),
    ] {
        // All of it, cut in it, and in front of the cut.
        let whole = Server::start(|_, request| say(answer("200 OK", request))).await;
        let lone =
            Server::start(move |_, request| say(answer("200 OK", request.lines().find(|line| line.contains(what)).unwrap_or_default())))
                .await;
        for (server, says) in [(whole, "cannot be read"), (echo(what).await, "cannot be read"), (lone, "***")] {
            let target = target(&format!("{keys}, url: '{}'", server.url()));
            let log = Log::begin();
            let reading = target.reading().await;
            let says = if keys.contains("cpanel") { "" } else { says };
            fails(&target, &reading, "malformed", says);
            assert!(server.requests()[0].contains(what), "it was not sent: {keys}");
            let (line, secret) = (reading.outcome.as_ref().unwrap_err().to_string(), &what[..5]);
            assert!(!line.contains(secret) && !log.lines().concat().contains(secret), "{line}");
            tells_nothing(&log.lines().concat());
        }
    }
}

#[tokio::test]
async fn a_token_that_was_sent_before_its_file_was_changed_is_not_quoted() {
    let it = Rotated::new(SECRET).await;
    is_good(&it.target.reading().await);
    let echo = Server::start(|nth, request| {
        say(if nth == 0 { answer("200 OK", GOOD) } else { answer("200 OK", request.lines().last().unwrap_or_default()) })
    })
    .await;
    let target = target(&format!("system: emailengine, url: '{}', token_file: '{}'", echo.url(), it.file.display()));
    is_good(&target.reading().await);
    it.file_says("another-token");
    fails(&target, &target.reading().await, "malformed", "");
    assert!(echo.requests()[1].contains(SECRET), "{:?}", echo.requests());
}

#[tokio::test]
async fn each_system_gets_its_kind() {
    for (system, credential, header) in [
        ("emailengine", "token: '${env:SECRET}'", format!("authorization: Bearer {SECRET}\r\n")),
        ("ceymail", "token: '${env:SECRET}'", format!("authorization: Bearer {SECRET}\r\n")),
        ("cpanel", "username: root, token: '${env:SECRET}'", format!("authorization: whm root:{SECRET}\r\n")),
        ("stalwart", "username: user, password: '${env:SECRET}'", "authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n".to_owned()),
        ("kumomta", "username: user, password: '${env:SECRET}'", "authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n".to_owned()),
    ] {
        let server = Server::always(answer("403 Forbidden", SECRET)).await;
        let target = target(&format!("system: {system}, url: '{}', {credential}", server.url()));
        fails(&target, &target.reading().await, "auth", "(403): ");
        assert!(server.requests()[0].contains(&header), "{:?}", server.requests());
    }
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_is_configured() {
    let server = Server::always(answer("200 OK", r#"{"memory_usage":{"type":"gauge","value":1}}"#)).await;
    is_good(&target(&format!("system: kumomta, url: '{}'", server.url())).reading().await);
    assert!(!server.requests()[0].to_ascii_lowercase().contains("authorization"), "{:?}", server.requests());
}

#[tokio::test]
async fn headers() {
    let server = Server::always(answer("200 OK", GOOD)).await;
    let keys = format!(
        "system: emailengine, url: '{}/under/', token: x, headers: {{X-Site: a, X-Key: '${{env:SECRET}}', Authorization: mine, Accept: text/plain}}",
        server.url()
    );
    let target = Target::new(configured(&keys, &environment(&[("SECRET", SECRET)])), Limits::default()).unwrap();
    is_good(&target.reading().await);
    let request = server.requests().remove(0);
    let says = |line: &str| assert_eq!(request.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}\n{request}");
    assert!(request.starts_with("GET /under/metrics HTTP/1.1\r\n"), "{request}");
    says("x-site: a");
    says(&format!("x-key: {SECRET}"));
    says(&format!("user-agent: postmeter/{}", env!("CARGO_PKG_VERSION")));
    says("accept: text/plain");
    // The credential goes before a header of the same name.
    says("authorization: Bearer x");
    assert_eq!(request.matches("authorization").count(), 1, "{request}");
    tells_nothing(&format!("{target:?}{:?}", target.config));
}

#[tokio::test]
async fn the_log_says_what_changed_and_no_secret() {
    let log = Log::begin();
    let server = Server::start(|nth, _| say(if (1..4).contains(&nth) { answer("401 No", SECRET) } else { answer("200 OK", GOOD) })).await;
    let target = emailengine(&server.url());
    for _ in 0..6 {
        target.reading().await;
    }
    let (ours, log) = (log.lines(), log.text());
    assert_eq!(ours.len(), 2, "{log}");
    assert!(ours[0].contains(r#"refused the credential (401)"#) && ours[0].contains(r#"error.type="auth""#), "{log}");
    assert!(ours[1].contains("answers again"), "{log}");
    tells_nothing(&log);
}

/// KumoMTA trusts addresses or lets in users of its own: both parts send the credential.
#[tokio::test]
async fn kumomta_is_sent_basic_credentials() {
    let server = Server::start(|_, request| {
        let good = request.contains("authorization: Basic dXNlcjpzM2NyM3QtYzBmZmVl\r\n");
        let body = if request.contains("machine-info") { r#"{"version":"1"}"# } else { r#"{"memory_usage":{"type":"gauge","value":1}}"# };
        say(if good { answer("200 OK", body) } else { answer("401 Unauthorized", "") })
    })
    .await;
    let url = server.url();
    let right =
        target(&format!("system: kumomta, url: '{url}', username: user, password: '${{env:SECRET}}', parts: {{machine-info: {{}}}}"));
    let reading = right.reading().await;
    is_good(&reading);
    assert!(reading.is_complete());
    tells_nothing(&format!("{right:?}{reading:?}"));
    for wrong in ["", ", username: user, password: other"] {
        let target = target(&format!("system: kumomta, url: '{url}'{wrong}"));
        fails(&target, &target.reading().await, "auth", "set username and password of a user");
    }
}
