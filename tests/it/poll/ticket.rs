//! Tickets: requested once for all parts, sent as a cookie, renewed once after a rejection, and never exposed.

use crate::poll::common::{Log, SECRET, Server, fails, has_no_secret, is_good, response, send, target, value};
use postmeter::poll::Target;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The ticket number `n`, and the cookie that carries it.
fn ticket(n: usize) -> (String, String) {
    (format!("PMG:u@pmg:{n}::{SECRET}+{n}/="), format!("PMGAuthCookie=PMG:u@pmg:{n}::{SECRET}+{n}/="))
}

/// A gateway that accepts the ticket with the highest number, and only this password.
struct Gateway {
    server: Server,
    issued: Arc<AtomicUsize>,
    target: Arc<Target>,
}

/// The form with the user name and the password of the target.
const FORM: &str = "username=u%40pmg&password=p%26%20w%2F";

impl Gateway {
    async fn new(password: &'static str) -> Self {
        let issued = Arc::new(AtomicUsize::new(0));
        let counted = issued.clone();
        let server = Server::start(move |_, request| {
            let cookie = ticket(counted.load(Ordering::SeqCst)).1;
            send(if request.starts_with("POST /api2/json/access/ticket ") {
                if request.ends_with(FORM) && request.contains("content-type: application/x-www-form-urlencoded\r\n") {
                    let (ticket, _) = ticket(counted.fetch_add(1, Ordering::SeqCst) + 1);
                    response("200 OK", json!({"data": {"ticket": ticket}}).to_string())
                } else {
                    response("401 authentication failure", SECRET)
                }
            } else if !request.contains(&format!("cookie: {cookie}\r\n")) {
                response("401 permission denied - invalid PMG ticket", "")
            } else if request.contains("/qshape?") {
                response("200 OK", json!({"data": [{"domain": "TOTAL", "total": "4"}]}).to_string())
            } else {
                response("200 OK", json!({"data": {"count_out": 7, "count_in": 0}}).to_string())
            })
        })
        .await;
        let keys = format!("system: pmg, url: '{}', username: u@pmg, password: '{password}'", server.url());
        let target = target(&format!("{keys}, parts: {{queue-active: {{}}, queue-deferred: {{}}, queue-hold: {{}}}}"));
        Self { server, issued, target }
    }

    fn logins(&self) -> usize {
        self.server.requests().iter().filter(|request| request.starts_with("POST ")).count()
    }
}

#[tokio::test]
async fn all_parts_share_a_ticket() {
    let it = Gateway::new("p& w/").await;
    for polls in 1..=3 {
        let reading = it.target.reading().await;
        is_good(&reading);
        assert_eq!(value(&reading, "mail.received.messages", &["authenticated"]), Some(7.0));
        assert_eq!(value(&reading, "mail.queue.depth", &["deferred"]), Some(4.0));
        assert_eq!((it.logins(), it.server.count()), (1, 1 + 4 * polls));
    }
}

#[tokio::test]
async fn a_rejected_ticket_is_renewed_once_in_the_same_poll() {
    let it = Gateway::new("p& w/").await;
    is_good(&it.target.reading().await);
    // The server forgets the ticket, as it does when it restarts with another key.
    it.issued.fetch_add(10, Ordering::SeqCst);
    let reading = it.target.reading().await;
    is_good(&reading);
    assert_eq!(value(&reading, "mail.queue.depth", &["held"]), Some(4.0));
    assert_eq!(it.logins(), 2);
}

#[tokio::test]
async fn a_server_that_rejects_new_tickets_gets_one_login_for_each_poll() {
    let server = Server::start(move |_, request| {
        let is_login = request.starts_with("POST ");
        send(if is_login {
            response("200 OK", json!({"data": {"ticket": SECRET}}).to_string())
        } else {
            response("403 Permission check failed", "")
        })
    })
    .await;
    let target = target(&format!("system: pmg, url: '{}', username: u@pmg, password: p", server.url()));
    fails(&target, &target.reading().await, "auth", "role Auditor");
    assert_eq!(server.count(), 2, "a login and a request");
    fails(&target, &target.reading().await, "auth", "role Auditor");
    assert_eq!(server.count(), 4, "the request and a login, which results in the same ticket");
}

#[tokio::test]
async fn a_rejected_login_is_not_repeated_for_each_part() {
    let log = Log::begin();
    let it = Gateway::new("wrong-s3cr3t-c0ffee").await;
    let reading = it.target.reading().await;
    fails(&it.target, &reading, "auth", "second factor");
    assert_eq!((it.logins(), it.server.count()), (1, 1));
    has_no_secret(&log.text());
}

#[tokio::test]
async fn a_ticket_is_redacted_in_errors_and_logs() {
    let log = Log::begin();
    let (issued, cookie) = ticket(1);
    let repeated: Arc<Mutex<String>> = Arc::default();
    let body = repeated.clone();
    let server = Server::start(move |_, request| {
        let is_login = request.starts_with("POST ");
        let body = if is_login { json!({"data": {"ticket": issued}}).to_string() } else { body.lock().unwrap().clone() };
        send(response("200 OK", body))
    })
    .await;
    let target = target(&format!("system: pmg, url: '{}', username: u@pmg, password: p", server.url()));
    for text in [cookie.clone(), ticket(1).0] {
        *repeated.lock().unwrap() = json!({ text.as_str(): 1 }).to_string();
        fails(&target, &target.reading().await, "malformed", "***");
    }
    *repeated.lock().unwrap() = String::new();
    let _ = target.reading().await;
    has_no_secret(&log.text());
}

#[tokio::test]
async fn the_password_of_a_ticket_is_redacted_in_every_response() {
    let log = Log::begin();
    let password = format!("{SECRET}=x/y");
    let forms = [password.clone(), format!("{SECRET}%3Dx%2Fy")];
    let repeated: Arc<Mutex<String>> = Arc::default();
    let body = repeated.clone();
    let server = Server::start(move |_, request| {
        let is_login = request.starts_with("POST ");
        let body = if is_login { json!({"data": {"ticket": "T1-of-the-gateway"}}).to_string() } else { body.lock().unwrap().clone() };
        send(response("200 OK", body))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, &password).unwrap();
    for key in [format!("password: '{password}'"), format!("password_file: '{}'", file.display())] {
        let target = target(&format!("system: pmg, url: '{}', username: u@pmg, {key}", server.url()));
        for text in &forms {
            *repeated.lock().unwrap() = json!({ text.as_str(): 1 }).to_string();
            fails(&target, &target.reading().await, "malformed", "***");
            has_no_secret(&target.redactor().redacted(text.clone()));
        }
    }
    has_no_secret(&log.text());
}

#[tokio::test]
async fn a_login_without_a_ticket_is_an_error() {
    let server = Server::always(response("200 OK", json!({"data": {"NeedTFA": 1}}).to_string())).await;
    let target = target(&format!("system: pmg, url: '{}', username: u@pmg, password: p", server.url()));
    fails(
        &target,
        &target.reading().await,
        "auth",
        "the server issued no ticket for this login: nothing is at $.data.ticket, and it has data",
    );
}

#[tokio::test]
async fn a_ticket_that_is_created_is_a_ticket() {
    let server = Server::start(move |_, request| {
        send(if request.starts_with("POST ") {
            response("201 Created", json!({"data": {"ticket": "T1"}}).to_string())
        } else {
            response("200 OK", json!({"data": {"count_out": 7, "count_in": 0}}).to_string())
        })
    })
    .await;
    let target = target(&format!("system: pmg, url: '{}', username: u@pmg, password: p", server.url()));
    is_good(&target.reading().await);
}
