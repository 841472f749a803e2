//! Stalwart, in two generations: text with buckets that are not cumulative, and the queue by its management API.

use super::server::{Request, ServerState, reply, with_headers};
use super::text::{Text, apart};
use super::{Distribution, Generation, Message, Traffic};
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json; charset=utf-8";
const TIME_MILLISECONDS: &[f64] = &[1e3, 3e4, 3e5, 6e5, 1.8e6, 3.6e6, 1.44e7, 2.88e7, 4.32e7, 8.64e7, 6.048e8];
const REQUEST_MILLISECONDS: &[f64] = &[250.0, 500.0, 1e3, 5e3, 1e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6, 1.8e7];
const BYTES: &[f64] = &[500.0, 1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 5e8];
/// Messages of a listing that names no limit.
const LISTED_MAX: usize = 1000;
/// Counters and buckets are of 32 bits.
const WRAP: u64 = 1 << 32;

pub(super) fn answer(site: ServerState<'_>, request: &Request) -> Response {
    let generation = site.options.generation;
    match (&request.method, request.path.as_str(), generation) {
        (&Method::GET, "/metrics/prometheus", _) => match basic(request) {
            Some(said) if said == format!("{}:{}", site.options.username, site.options.password) => {
                site.traffic.http_opened += 1;
                reply(200, "text/plain; version=0.0.4", metrics(site.traffic, generation))
            }
            _ => {
                site.traffic.auth_failed += 1;
                unauthorized(generation)
            }
        },
        (&Method::GET, "/api/queue/messages", Generation::V015) | (&Method::POST, "/jmap" | "/jmap/", Generation::V016) => {
            if !manages(&site, request) {
                site.traffic.auth_failed += 1;
                return unauthorized(generation);
            }
            let body = if generation == Generation::V015 { listing(site.traffic, request) } else { jmap(site.traffic, request) };
            reply(200, JSON, body.to_string())
        }
        _ => problem(404, "Not Found", "There is nothing here by that name."),
    }
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status, "title": title, "detail": detail});
    reply(status, PROBLEM, body.to_string())
}

fn unauthorized(generation: Generation) -> Response {
    let bearer = match generation {
        Generation::V015 => r#"Bearer realm="Stalwart Server""#,
        Generation::V016 => r#"Bearer realm="Stalwart Server", resource_metadata="/.well-known/oauth-protected-resource""#,
    };
    let refusal = problem(401, "Unauthorized", "Credentials are needed here.");
    with_headers(refusal, &[("www-authenticate", bearer), ("www-authenticate", r#"Basic realm="Stalwart Server""#)])
}

fn manages(site: &ServerState<'_>, request: &Request) -> bool {
    request.credential("Bearer") == Some(&site.options.token)
        || basic(request).is_some_and(|said| said == format!("{}:{}", site.options.username, site.options.password))
}

fn basic(request: &Request) -> Option<String> {
    String::from_utf8(base64(request.credential("Basic")?)?).ok()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

/// `/api/queue/messages`.
fn listing(t: &Traffic, request: &Request) -> Value {
    let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(LISTED_MAX);
    let page: usize = request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let shown = t.queue.iter().skip(page.saturating_sub(1).saturating_mul(limit)).take(limit);
    let items: Vec<Value> = match request.parameter("values") {
        Some("1" | "true") => shown.map(|message| queued(t, message)).collect(),
        _ => shown.map(|message| json!(message.id)).collect(),
    };
    json!({"data": {"items": items, "total": t.queue.len(), "status": true}})
}

fn queued(t: &Traffic, message: &Message) -> Value {
    let domain = &t.domains[message.domain].name;
    let said = format!("Host mx.{domain} answered with code 451 and enhanced code 4.7.1: come back later");
    json!({
        "id": message.id,
        "return_path": format!("sender@{domain}"),
        "recipients": [{
            "address": format!("reader{}@{domain}", message.id % 100),
            "queue": "remote",
            "status": {"temp_fail": said},
            "retry_num": message.tries,
            "next_retry": rfc3339(message.retry),
            "next_notify": rfc3339(message.received + 86_400.0),
            "expires": rfc3339(message.received + 3.0 * 86_400.0),
        }],
        "created": rfc3339(message.received),
        "size": message.bytes,
        "blob_hash": format!("{:x}", message.id),
    })
}

fn rfc3339(unix_seconds: f64) -> String {
    jiff::Timestamp::from_second(unix_seconds as i64).map_or_else(|_| String::new(), |time| time.to_string())
}

/// `/jmap/`: errors of a method arrive inside of 200.
fn jmap(t: &Traffic, request: &Request) -> Value {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let calls = asked["methodCalls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let answers: Vec<Value> = calls.iter().map(|call| method(t, call)).collect();
    json!({"methodResponses": answers, "sessionState": "5a2c91d0"})
}

fn method(t: &Traffic, call: &Value) -> Value {
    let (name, arguments, id) = (call[0].as_str().unwrap_or_default(), &call[1], &call[2]);
    let limit = arguments["limit"].as_u64().unwrap_or(LISTED_MAX as u64);
    let shown = || t.queue.iter().take(limit as usize);
    match name {
        "x:QueuedMessage/query" => {
            let ids: Vec<String> = shown().map(|message| format!("{:x}", message.id)).collect();
            let mut said = json!({"accountId": "a1", "queryState": "n", "canCalculateChanges": true, "position": 0, "ids": ids});
            if arguments["calculateTotal"] == true {
                said["total"] = json!(t.queue.len());
            }
            if arguments["limit"].is_u64() {
                said["limit"] = json!(limit);
            }
            json!([name, said, id])
        }
        "x:QueuedMessage/get" => {
            let list: Vec<Value> = shown().map(|message| queued_v016(t, message)).collect();
            json!([name, {"accountId": "a1", "list": list, "notFound": []}, id])
        }
        _ => json!(["error", {"type": "unknownMethod", "description": "There is no such method."}, id]),
    }
}

fn queued_v016(t: &Traffic, message: &Message) -> Value {
    let domain = &t.domains[message.domain].name;
    json!({
        "createdAt": rfc3339(message.received),
        "nextRetry": rfc3339(message.retry),
        "returnPath": format!("sender@{domain}"),
        "recipients": {format!("reader{}@{domain}", message.id % 100): {
            "retryCount": message.tries,
            "retryDue": rfc3339(message.retry),
            "queueName": "remote",
            "status": {"@type": "TemporaryFailure", "errorType": "unexpectedResponse", "responseCode": 451, "responseEnhanced": "4.7.1"},
        }},
        "size": message.bytes,
        "id": format!("{:x}", message.id),
    })
}

/// The body of `/metrics/prometheus`. A counter that never counted is not in it.
pub(super) fn metrics(t: &Traffic, generation: Generation) -> String {
    let name = |v015: &'static str, v016: &'static str| if generation == Generation::V015 { v015 } else { v016 };
    let completed = t.delivery_seconds.count;
    let received_authenticated = name("queue_queue_message_authenticated", "queue_authenticated_message_queued");
    let counters = [
        ("auth_success", "Logins that worked", t.auth_success),
        ("auth_failed", "Logins that did not", t.auth_failed),
        ("auth_error", "Logins that could not be decided", t.auth_error),
        ("auth_too_many_attempts", "Logins beyond what is allowed", t.auth_rate_limited),
        ("security_ip_blocked", "Addresses shut out", t.blocked),
        ("security_authentication_ban", "Addresses shut out for their logins", t.blocked / 3),
        ("http_connection_start", "HTTP connections", t.http_opened),
        ("imap_connection_start", "IMAP connections", t.imap_opened),
        ("pop3_connection_start", "POP3 connections", t.pop3_opened),
        ("smtp_connection_start", "SMTP connections", t.smtp_opened),
        ("smtp_dkim_pass", "Signatures that held", t.dkim_pass),
        ("smtp_dkim_fail", "Signatures that did not", t.dkim_fail),
        ("smtp_spf_from_pass", "Senders that may send from there", t.spf_pass),
        ("smtp_spf_from_fail", "Senders that may not", t.spf_fail),
        ("smtp_dmarc_pass", "Messages in line with their policy", t.dmarc_pass),
        ("smtp_dmarc_fail", "Messages against their policy", t.dmarc_fail),
        ("smtp_mailbox_does_not_exist", "Recipients that are unknown", t.rejected),
        ("delivery_attempt_start", "Attempts begun", t.attempts()),
        ("delivery_completed", "Attempts that ended a message", completed),
        ("delivery_delivered", "Messages taken by another server", t.delivered - t.delivered / 5),
        ("delivery_mx_lookup_failed", "Domains whose servers were not found", t.failed_lookup),
        ("delivery_connect_error", "Servers that were not reached", t.deferred_connect),
        ("delivery_rcpt_to_rejected", "Recipients that were refused", t.failed_rcpt + t.deferred_greylisted),
        ("delivery_dsn_success", "Recipients that got their message", t.delivered),
        ("delivery_dsn_perm_fail", "Recipients that never will", t.failed),
        (name("queue_queue_message", "queue_message_queued"), "Messages from other servers", t.received_remote),
        (received_authenticated, "Messages from users", t.received_authenticated),
        (name("queue_queue_dsn", "queue_dsn_queued"), "Bounces", t.received_dsn),
        (name("queue_queue_report", "queue_report_queued"), "Reports", t.received_report),
        ("queue_rescheduled", "Messages that are tried again", t.deferred),
        ("queue_rate_limit_exceeded", "Messages held back by a rate", t.throttled),
        ("queue_concurrency_limit_exceeded", "Messages held back by a number of connections", 0),
        ("dane_authentication_success", "Servers whose certificate is as published", t.dane_ok),
        ("dane_tlsa_record_not_found", "Servers that publish none", t.dane_none),
        ("message_ingest_ham", "Wanted messages", t.ham),
        ("message_ingest_spam", "Unwanted messages", t.spam),
        ("outgoing_report_dmarc_aggregate_report", "Reports about other domains", t.received_report),
        ("incoming_report_dmarc_report", "Reports about our domains", t.received_remote / 500),
    ];
    let gauges = [
        ("server_memory", "Memory in use", t.memory_used_bytes),
        ("user_count", "Accounts", t.domains.len() as u64 * 7),
        ("domain_count", "Domains", t.domains.len() as u64),
        ("smtp_active_connections", "SMTP connections now", t.smtp_active),
        ("delivery_active_connections", "Connections to other servers now", t.outbound_active),
        ("imap_active_connections", "IMAP connections now", t.imap_active),
        ("pop3_active_connections", "POP3 connections now", t.pop3_active),
        ("http_active_connections", "HTTP connections now", t.http_active),
        ("sieve_active_connections", "Sieve connections now", 0),
    ];
    let mut text = Text::default();
    for (name, help, value) in counters.into_iter().filter(|(.., value)| *value > 0) {
        text.single(name, "counter", help, value % WRAP);
    }
    for (name, help, value) in gauges {
        text.single(name, "gauge", help, value);
    }
    histogram(&mut text, "delivery_total_time", "From the queue to the end", &t.delivery_seconds, TIME_MILLISECONDS, 1e3);
    histogram(&mut text, "message_size", "Size of messages of other servers", &t.remote_bytes, BYTES, 1.0);
    histogram(&mut text, "message_authenticated_size", "Size of messages of users", &t.authenticated_bytes, BYTES, 1.0);
    histogram(&mut text, "smtp_request_time", "Length of SMTP connections", &t.smtp_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "delivery_attempt_time", "Length of attempts", &t.attempt_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "imap_request_time", "Length of IMAP connections", &t.imap_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "http_request_time", "Length of HTTP connections", &t.http_seconds, REQUEST_MILLISECONDS, 1e3);
    text.finish()
}

/// Each bucket says what is in it alone, and the last is `inf`: as the server does it.
fn histogram(text: &mut Text, name: &str, help: &str, of: &Distribution, bounds: &[f64], scale: f64) {
    if of.count == 0 {
        return;
    }
    text.family(name, "histogram", help);
    let les = bounds.iter().map(ToString::to_string).chain(["inf".to_string()]);
    for (le, count) in les.zip(apart(of, bounds, scale)) {
        text.line(format_args!("{name}_bucket{{le=\"{le}\"}} {}", count % WRAP));
    }
    text.line(format_args!("{name}_sum {}", (of.sum * scale) as u64));
    text.line(format_args!("{name}_count {}", of.count % WRAP));
}
