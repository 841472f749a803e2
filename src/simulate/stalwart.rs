//! Stalwart, in two generations: metrics in the Prometheus text format with buckets that are not cumulative, and the queue in the
//! management API.

use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::{Text, bucket_counts};
use super::{Distribution, Generation, Message, Traffic};
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json; charset=utf-8";
const TIME_MILLISECONDS: &[f64] = &[1e3, 3e4, 3e5, 6e5, 1.8e6, 3.6e6, 1.44e7, 2.88e7, 4.32e7, 8.64e7, 6.048e8];
const REQUEST_MILLISECONDS: &[f64] = &[250.0, 500.0, 1e3, 5e3, 1e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6, 1.8e7];
const BYTES: &[f64] = &[500.0, 1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 5e8];
/// The default limit of a listing.
const LISTED_MAX: usize = 1000;
/// Counters and buckets have 32 bits, and wrap.
const WRAP: u64 = 1 << 32;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let generation = state.options.generation;
    match (&request.method, request.path.as_str(), generation) {
        (&Method::GET, "/metrics/prometheus", _) => match basic(request) {
            Some(credential) if credential == format!("{}:{}", state.options.username, state.options.password) => {
                state.traffic.http_opened += 1;
                reply(200, "text/plain; version=0.0.4", metrics(state.traffic, generation))
            }
            _ => {
                state.traffic.auth_failed += 1;
                unauthorized(generation)
            }
        },
        (&Method::GET, "/api/queue/messages", Generation::V015) | (&Method::POST, "/jmap" | "/jmap/", Generation::V016) => {
            if !may_manage(&state, request) {
                state.traffic.auth_failed += 1;
                return unauthorized(generation);
            }
            let body = if generation == Generation::V015 { listing(state.traffic, request) } else { jmap(state.traffic, request) };
            reply(200, JSON, body.to_string())
        }
        _ => problem(404, "Not Found", "The requested resource does not exist."),
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
    let refusal = problem(401, "Unauthorized", "Authentication is required.");
    with_headers(refusal, &[("www-authenticate", bearer), ("www-authenticate", r#"Basic realm="Stalwart Server""#)])
}

/// Returns true if the request has a credential for the management API.
fn may_manage(state: &ServerState<'_>, request: &Request) -> bool {
    request.credential("Bearer") == Some(&state.options.token)
        || basic(request).is_some_and(|credential| credential == format!("{}:{}", state.options.username, state.options.password))
}

fn basic(request: &Request) -> Option<String> {
    String::from_utf8(base64(request.credential("Basic")?)?).ok()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut bit_count) = (Vec::new(), 0u32, 0);
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
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count) as u8);
            bits &= (1 << bit_count) - 1;
        }
    }
    Some(bytes)
}

/// The body of `/api/queue/messages`.
fn listing(t: &Traffic, request: &Request) -> Value {
    let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(LISTED_MAX);
    let page: usize = request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let listed = t.queue.iter().skip(page.saturating_sub(1).saturating_mul(limit)).take(limit);
    let items: Vec<Value> = match request.parameter("values") {
        Some("1" | "true") => listed.map(|message| queued(t, message)).collect(),
        _ => listed.map(|message| json!(message.id)).collect(),
    };
    json!({"data": {"items": items, "total": t.queue.len(), "status": true}})
}

/// A message in the format of 0.15.
fn queued(t: &Traffic, message: &Message) -> Value {
    let domain = &t.domains[message.domain].name;
    let response = format!("Host mx.{domain} answered with code 451 and enhanced code 4.7.1: come back later");
    json!({
        "id": message.id,
        "return_path": format!("sender@{domain}"),
        "recipients": [{
            "address": format!("reader{}@{domain}", message.id % 100),
            "queue": "remote",
            "status": {"temp_fail": response},
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

/// The body of `/jmap/`. Errors of a method call are in a response with status 200.
fn jmap(t: &Traffic, request: &Request) -> Value {
    let request: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let calls = request["methodCalls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let responses: Vec<Value> = calls.iter().map(|call| method(t, call)).collect();
    json!({"methodResponses": responses, "sessionState": "5a2c91d0"})
}

fn method(t: &Traffic, call: &Value) -> Value {
    let (name, arguments, id) = (call[0].as_str().unwrap_or_default(), &call[1], &call[2]);
    let limit = arguments["limit"].as_u64().unwrap_or(LISTED_MAX as u64);
    let listed = || t.queue.iter().take(limit as usize);
    match name {
        "x:QueuedMessage/query" => {
            let due = arguments["filter"]["dueIsLessThan"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let is_meant = |message: &&Message| due.is_none_or(|due| (message.retry as i64) < due.as_second());
            let ids: Vec<String> = t.queue.iter().filter(is_meant).map(|message| format!("{:x}", message.id)).collect();
            let total = ids.len();
            let ids: Vec<String> = ids.into_iter().take(limit as usize).collect();
            let mut response = json!({"accountId": "a1", "queryState": "n", "canCalculateChanges": true, "position": 0, "ids": ids});
            if arguments["calculateTotal"] == true {
                response["total"] = json!(total);
            }
            if arguments["limit"].is_u64() {
                response["limit"] = json!(limit);
            }
            json!([name, response, id])
        }
        "x:QueuedMessage/get" => {
            let list: Vec<Value> = listed().map(|message| queued_v016(t, message)).collect();
            json!([name, {"accountId": "a1", "list": list, "notFound": []}, id])
        }
        "x:Certificate/get" => {
            let end = rfc3339(t.started() + 60.0 * 86_400.0);
            let list = [json!({"id": "c1", "notValidAfter": end, "subjectAlternativeNames": {"mail.example.com": true}})];
            json!([name, {"accountId": "a1", "state": "n", "list": list, "notFound": []}, id])
        }
        _ => json!(["error", {"type": "unknownMethod", "description": "The method does not exist."}, id]),
    }
}

/// A message in the format of 0.16.
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

/// The body of `/metrics/prometheus`. Stalwart omits counters that are zero.
pub(super) fn metrics(t: &Traffic, generation: Generation) -> String {
    let name = |v015: &'static str, v016: &'static str| if generation == Generation::V015 { v015 } else { v016 };
    let completed = t.delivery_seconds.count;
    let received_authenticated = name("queue_queue_message_authenticated", "queue_authenticated_message_queued");
    let counters = [
        ("auth_success", "Successful logins", t.auth_success),
        ("auth_failed", "Failed logins", t.auth_failed),
        ("auth_error", "Logins with an error", t.auth_error),
        ("auth_too_many_attempts", "Logins rejected by a rate limit", t.auth_rate_limited),
        ("security_ip_blocked", "Blocked addresses", t.blocked),
        ("security_authentication_ban", "Addresses blocked for failed logins", t.blocked / 3),
        ("http_connection_start", "HTTP connections", t.http_opened),
        ("imap_connection_start", "IMAP connections", t.imap_opened),
        ("pop3_connection_start", "POP3 connections", t.pop3_opened),
        ("smtp_connection_start", "SMTP connections", t.smtp_opened),
        ("smtp_dkim_pass", "DKIM passed", t.dkim_pass),
        ("smtp_dkim_fail", "DKIM failed", t.dkim_fail),
        ("smtp_spf_from_pass", "SPF passed", t.spf_pass),
        ("smtp_spf_from_fail", "SPF failed", t.spf_fail),
        ("smtp_dmarc_pass", "DMARC passed", t.dmarc_pass),
        ("smtp_dmarc_fail", "DMARC failed", t.dmarc_fail),
        ("smtp_mailbox_does_not_exist", "Unknown recipients", t.rejected),
        ("delivery_attempt_start", "Delivery attempts started", t.attempts()),
        ("delivery_completed", "Deliveries completed", completed),
        ("delivery_delivered", "Messages delivered", t.delivered - t.delivered / 5),
        ("delivery_mx_lookup_failed", "Failed MX lookups", t.failed_lookup),
        // A domain without MX records is looked up as a host.
        ("delivery_ip_lookup_failed", "Failed IP lookups", t.failed_lookup),
        ("delivery_connect_error", "Failed connections", t.deferred_connect),
        ("delivery_rcpt_to_rejected", "Rejected recipients", t.failed_rcpt + t.deferred_greylisted),
        ("delivery_dsn_success", "Recipients with a successful delivery", t.delivered),
        ("delivery_dsn_perm_fail", "Recipients with a permanent failure", t.failed),
        (name("queue_queue_message", "queue_message_queued"), "Messages from other servers", t.received_remote),
        (received_authenticated, "Messages from users", t.received_authenticated),
        (name("queue_queue_dsn", "queue_dsn_queued"), "Bounces", t.received_dsn),
        (name("queue_queue_report", "queue_report_queued"), "Reports", t.received_report),
        ("queue_rescheduled", "Rescheduled messages", t.deferred),
        ("queue_rate_limit_exceeded", "Messages delayed by a rate limit", t.throttled),
        ("queue_concurrency_limit_exceeded", "Messages delayed by a concurrency limit", 0),
        ("dane_authentication_success", "Successful DANE authentications", t.dane_ok),
        ("dane_tlsa_record_not_found", "Servers without TLSA records", t.dane_none),
        ("message_ingest_ham", "Messages classified as ham", t.ham),
        ("message_ingest_spam", "Messages classified as spam", t.spam),
        ("outgoing_report_dmarc_aggregate_report", "DMARC reports sent", t.received_report),
        ("incoming_report_dmarc_report", "DMARC reports received", t.received_remote / 500),
    ];
    let gauges = [
        ("server_memory", "Memory in use", t.memory_used_bytes),
        ("user_count", "Accounts", t.domains.len() as u64 * 7),
        ("domain_count", "Domains", t.domains.len() as u64),
        ("smtp_active_connections", "Open SMTP connections", t.smtp_active),
        ("delivery_active_connections", "Open outgoing connections", t.outbound_active),
        ("imap_active_connections", "Open IMAP connections", t.imap_active),
        ("pop3_active_connections", "Open POP3 connections", t.pop3_active),
        ("http_active_connections", "Open HTTP connections", t.http_active),
        ("sieve_active_connections", "Open Sieve connections", 0),
    ];
    let mut text = Text::default();
    for (name, help, value) in counters.into_iter().filter(|(.., value)| *value > 0) {
        text.single(name, "counter", help, value % WRAP);
    }
    for (name, help, value) in gauges {
        text.single(name, "gauge", help, value);
    }
    histogram(&mut text, "delivery_total_time", "Time from queueing to the final outcome", &t.delivery_seconds, TIME_MILLISECONDS, 1e3);
    histogram(&mut text, "message_size", "Size of messages from other servers", &t.remote_bytes, BYTES, 1.0);
    histogram(&mut text, "message_authenticated_size", "Size of messages from users", &t.authenticated_bytes, BYTES, 1.0);
    histogram(&mut text, "smtp_request_time", "Duration of SMTP connections", &t.smtp_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "delivery_attempt_time", "Duration of delivery attempts", &t.attempt_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "imap_request_time", "Duration of IMAP connections", &t.imap_seconds, REQUEST_MILLISECONDS, 1e3);
    histogram(&mut text, "http_request_time", "Duration of HTTP connections", &t.http_seconds, REQUEST_MILLISECONDS, 1e3);
    text.finish()
}

/// Writes a histogram as Stalwart does: buckets are not cumulative, and the last bound is `inf`.
fn histogram(text: &mut Text, name: &str, help: &str, distribution: &Distribution, bounds: &[f64], scale: f64) {
    if distribution.count == 0 {
        return;
    }
    text.family(name, "histogram", help);
    let les = bounds.iter().map(ToString::to_string).chain(["inf".to_string()]);
    for (le, count) in les.zip(bucket_counts(distribution, bounds, scale)) {
        text.line(format_args!("{name}_bucket{{le=\"{le}\"}} {}", count % WRAP));
    }
    text.line(format_args!("{name}_sum {}", (distribution.sum * scale) as u64));
    text.line(format_args!("{name}_count {}", distribution.count % WRAP));
}
