//! mailcow: a JSON API with an API key. Numbers are texts where the database adds them up.

use super::response::reply;
use super::server::{Request, ServerState};
use super::{Message, Traffic};
use axum::response::Response;
use serde_json::{Value, json};

const JSON: &str = "application/json";
/// The containers, each with the service that decides its state.
const CONTAINERS: &[(&str, &str)] = &[
    ("postfix-mailcow", "postfix"),
    ("dovecot-mailcow", "dovecot"),
    ("rspamd-mailcow", "spamassassin"),
    ("nginx-mailcow", "nginx"),
    ("mysql-mailcow", "mariadb"),
    ("acme-mailcow", ""),
];
/// Mailboxes of a domain.
const MAILBOXES: u64 = 3;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match request.headers.get("x-api-key").map(|key| key.as_bytes()) {
        // The server has no role for such a request, and sends nothing.
        None => reply(200, JSON, ""),
        Some(key) if key != state.options.token.as_bytes() => {
            reply(401, JSON, json!({"type": "error", "msg": "authentication failed"}).to_string())
        }
        Some(_) => {
            let data = request.path.strip_prefix("/api/v1/get/").and_then(|name| data(state.traffic, name));
            data.map_or_else(
                || reply(404, JSON, json!({"type": "error", "msg": "route not found"}).to_string()),
                |data| reply(200, JSON, data.to_string()),
            )
        }
    }
}

fn data(t: &Traffic, name: &str) -> Option<Value> {
    Some(match name {
        "status/containers" => containers(t),
        "mailq/all" => t.queue.iter().map(|message| queued(t, message)).collect(),
        "logs/rspamd-stats" => rspamd(t),
        "mailbox/all" => mailboxes(t),
        "domain/all" => domains(t),
        "quarantine/all" => {
            let row = |id: u64| json!({"id": id, "subject": "Offer", "virus_flag": 0, "score": 17.5, "action": "reject", "created": t.started() as u64});
            (1..=t.spam % 5).map(row).collect()
        }
        _ => return None,
    })
}

fn containers(t: &Traffic) -> Value {
    let is_up = |unit: &str| unit.is_empty() || t.services.iter().any(|service| service.name == unit && service.up);
    let row = |(name, unit): &(&str, &str)| {
        let state = if is_up(unit) { "running" } else { "exited" };
        (
            (*name).to_owned(),
            json!({"type": "info", "container": name, "state": state, "started_at": "2026-01-02T03:04:05.678Z", "image": "mailcow"}),
        )
    };
    Value::Object(CONTAINERS.iter().map(row).collect())
}

/// A message as Postfix reports it, with one recipient. Some numbers are texts.
fn queued(t: &Traffic, message: &Message) -> Value {
    let time = message.received as u64;
    json!({
        "queue_name": if message.frozen() { "hold" } else { "deferred" },
        "queue_id": format!("{:X}", message.id),
        "arrival_time": if message.id.is_multiple_of(4) { json!(time.to_string()) } else { json!(time) },
        "message_size": message.bytes,
        "forced_expire": false,
        "sender": "sender@example.com",
        "recipients": [format!("reader@{} (host mx[192.0.2.25]: \"try later\", 451)", t.domains[message.domain].name)],
    })
}

fn rspamd(t: &Traffic) -> Value {
    let greylisted = t.deferred_greylisted;
    json!({
        "version": "3.4", "uptime": (t.now() - t.started()) as u64, "read_only": false,
        "scanned": t.spam + t.ham + greylisted, "learned": 7,
        "actions": {
            "reject": t.spam / 2, "soft reject": t.throttled, "rewrite subject": 0, "add header": t.spam - t.spam / 2,
            "greylist": greylisted, "no action": t.ham,
        },
        "scan_times": [0.4, null], "spam_count": t.spam + t.throttled, "ham_count": t.ham + greylisted, "bytes_allocated": 38_000_000,
    })
}

fn mailboxes(t: &Traffic) -> Value {
    let row = |(at, domain): (usize, &super::Domain)| {
        let name = domain.name.clone();
        (0..MAILBOXES).map(move |nth| {
            let number = at as u64 + nth;
            json!({
                "username": format!("u{nth}@{name}"), "active": number % 3, "domain": name,
                "quota": if number.is_multiple_of(2) { 1_u64 << 30 } else { 0 }, "quota_used": 1_000_000 * number,
                "messages": if number.is_multiple_of(5) { Value::Null } else { json!(number * 10) },
                "percent_in_use": if number.is_multiple_of(2) { json!(number) } else { json!("- ") },
            })
        })
    };
    list_or_empty_object(t.domains.iter().enumerate().flat_map(row).collect())
}

fn domains(t: &Traffic) -> Value {
    let row = |(at, domain): (usize, &super::Domain)| {
        let aliases = if at.is_multiple_of(2) { json!(at) } else { json!(at.to_string()) };
        json!({"domain_name": domain.name, "mboxes_in_domain": MAILBOXES, "aliases_in_domain": aliases, "bytes_total": (at * 1000).to_string(), "active": 1})
    };
    list_or_empty_object(t.domains.iter().enumerate().map(row).collect())
}

/// An empty list is an empty object.
fn list_or_empty_object(rows: Vec<Value>) -> Value {
    if rows.is_empty() { json!({}) } else { Value::Array(rows) }
}
