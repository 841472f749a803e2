//! EmailEngine: seventy families, separated by blank lines, with types that contradict the suffixes of names.

mod process;

use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::Text;
use super::{Distribution, TOKEN_WITHOUT_SCOPE, Traffic};
use axum::response::Response;
use process::{node, process};
use serde_json::json;

const JSON: &str = "application/json; charset=utf-8";
const WEBHOOK_MILLISECONDS: &[f64] = &[100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4, 6e4];
const GC_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 1.0, 2.0, 5.0];
const FORBIDDEN: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n    <title>EmailEngine</title>\n</head>\n<body>\n    \
    <h1>Forbidden</h1>\n    <p>This token has no permission for this request.</p>\n</body>\n</html>\n";

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let response = if matches!(request.path.as_str(), "/metrics" | "/v1/stats") {
        route(state, request)
    } else {
        refusal(404, "Not Found", "Not Found", "")
    };
    with_headers(response, &[("cache-control", "no-cache"), ("vary", "accept-encoding"), ("keep-alive", "timeout=5")])
}

fn route(state: ServerState<'_>, request: &Request) -> Response {
    match request.credential("Bearer") {
        Some(token) if token == state.options.token && request.path == "/v1/stats" => reply(200, JSON, stats(state.traffic).to_string()),
        Some(token) if token == state.options.token => reply(200, "text/plain; charset=utf-8", metrics(state.traffic)),
        Some(TOKEN_WITHOUT_SCOPE) => reply(403, "text/html; charset=utf-8", FORBIDDEN),
        Some(_) => refusal(401, "Unauthorized", "Bad token", r#"Bearer error="Bad token""#),
        None => refusal(401, "Unauthorized", "Missing authentication", "Bearer"),
    }
}

fn refusal(status: u16, error: &str, message: &str, challenge: &'static str) -> Response {
    let response = reply(status, JSON, json!({"statusCode": status, "error": error, "message": message}).to_string());
    if challenge.is_empty() { response } else { with_headers(response, &[("www-authenticate", challenge)]) }
}

/// The body of `/v1/stats`.
fn stats(t: &Traffic) -> serde_json::Value {
    let queue = |active: u64, delayed: u64, waiting: u64| {
        let total = active + delayed + waiting;
        json!({"active": active, "delayed": delayed, "waiting": waiting, "paused": 0, "isPaused": false, "total": total})
    };
    json!({
        "version": "2.79.2",
        "accounts": t.domains.len() * 7,
        "queues": {"notify": queue(0, 0, t.webhooks_waiting), "submit": queue(t.outbound_active, t.scheduled(), t.ready())},
        "connections": {"connected": t.domains.len() * 7},
        "counters": {"events:messageNew": t.received_remote},
    })
}

/// Series: formatted labels and value.
type Rows = Vec<(&'static str, f64)>;
/// A family: name, type, help and series.
type Family = (&'static str, &'static str, &'static str, Rows);

/// One series without labels.
fn one(value: impl Into<f64>) -> Rows {
    vec![("", value.into())]
}

fn count(value: u64) -> Rows {
    one(value as f64)
}

fn rows(rows: &[(&'static str, u64)]) -> Rows {
    rows.iter().map(|(labels, value)| (*labels, *value as f64)).collect()
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let mut text = Text::new("\n");
    table(&mut text, process(t));
    table(&mut text, node());
    histogram(
        &mut text,
        "nodejs_gc_duration_seconds",
        "Duration of garbage collections",
        &t.http_seconds,
        GC_SECONDS,
        1.0,
        "kind=\"minor\"",
    );
    table(&mut text, mail(t));
    histogram(&mut text, "webhook_req", "Duration of webhook calls", &t.webhook_seconds, WEBHOOK_MILLISECONDS, 1e3, "");
    table(&mut text, queues(t));
    table(&mut text, redis(t));
    text.finish()
}

fn table(text: &mut Text, families: Vec<Family>) {
    for (name, kind, help, rows) in families {
        text.family(name, kind, help);
        rows.iter().for_each(|(labels, value)| text.sample(name, labels, value));
    }
}

fn histogram(text: &mut Text, name: &str, help: &str, distribution: &Distribution, bounds: &[f64], scale: f64, labels: &str) {
    text.family(name, "histogram", help);
    let comma = if labels.is_empty() { "" } else { "," };
    for bound in bounds {
        text.line(format_args!("{name}_bucket{{le=\"{bound}\"{comma}{labels}}} {}", distribution.at_most(bound / scale)));
    }
    text.line(format_args!("{name}_bucket{{le=\"+Inf\"{comma}{labels}}} {}", distribution.count));
    let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    text.line(format_args!("{name}_sum{braced} {}", distribution.sum * scale));
    text.line(format_args!("{name}_count{braced} {}", distribution.count));
}

fn mail(t: &Traffic) -> Vec<Family> {
    let accounts = t.domains.len() as u64 * 7;
    let (failing, lost) = (t.domains.len() as u64 / 8, t.auth_error.min(1));
    vec![
        ("thread_starts", "counter", "Threads started", count(6)),
        ("thread_stops", "counter", "Threads stopped", count(0)),
        (
            "api_call",
            "counter",
            "API calls",
            rows(&[
                ("method=\"post\",route=\"/v1/account/{account}/submit\",statusCode=\"200\"", t.received_http),
                ("method=\"get\",route=\"/v1/account/{account}/messages\",statusCode=\"200\"", t.http_opened),
                ("method=\"get\",route=\"/v1/account/{account}\",statusCode=\"404\"", t.http_opened / 50),
            ]),
        ),
        (
            "imap_connections",
            "gauge",
            "Accounts by state",
            rows(&[
                ("status=\"init\"", 0),
                ("status=\"connected\"", accounts - failing - lost),
                ("status=\"connecting\"", lost),
                ("status=\"authenticationError\"", failing),
                ("status=\"connectError\"", 0),
                ("status=\"unset\"", 0),
                ("status=\"disconnected\"", 0),
            ]),
        ),
        (
            "imap_responses",
            "counter",
            "Responses of IMAP servers",
            rows(&[
                ("response=\"OK\"", t.imap_bytes_received / 4000),
                ("response=\"OK\",code=\"CAPABILITY\"", t.imap_opened),
                ("response=\"OK\",code=\"READ-WRITE\"", t.imap_opened),
                ("response=\"NO\",code=\"AUTHENTICATIONFAILED\"", t.auth_failed),
            ]),
        ),
        ("imap_bytes_sent", "counter", "Bytes sent to IMAP servers", count(t.imap_bytes_sent)),
        ("imap_bytes_received", "counter", "Bytes received from IMAP servers", count(t.imap_bytes_received)),
        (
            "oauth2_token_refresh",
            "counter",
            "Token refreshes",
            rows(&[
                ("provider=\"gmail\",status=\"success\",statusCode=\"200\"", t.auth_success / 4),
                ("provider=\"outlook\",status=\"success\",statusCode=\"200\"", t.auth_success / 8),
                ("provider=\"outlook\",status=\"failure\",statusCode=\"400\"", t.auth_failed / 8),
            ]),
        ),
        (
            "oauth2_api_request",
            "counter",
            "Requests to provider APIs",
            rows(&[
                ("provider=\"gmail\",status=\"success\",statusCode=\"200\"", t.received / 4),
                ("provider=\"outlook\",status=\"success\",statusCode=\"200\"", t.received / 8),
                ("provider=\"outlook\",status=\"failure\",statusCode=\"429\"", t.received / 500),
            ]),
        ),
        (
            "outlook_subscriptions",
            "gauge",
            "Subscriptions by state",
            rows(&[
                ("status=\"valid\"", 0),
                ("status=\"expired\"", 0),
                ("status=\"unset\"", 0),
                ("status=\"failed\"", 0),
                ("status=\"pending\"", 0),
            ]),
        ),
        (
            "webhooks",
            "counter",
            "Webhooks called",
            rows(&[
                ("event=\"messageSent\",status=\"success\"", t.webhooks_succeeded),
                ("event=\"messageSent\",status=\"fail\"", t.webhooks_failed),
            ]),
        ),
        (
            "events",
            "counter",
            "Events",
            rows(&[
                ("event=\"authenticationSuccess\"", t.imap_opened),
                ("event=\"authenticationError\"", t.auth_failed),
                ("event=\"messageNew\"", t.received_remote),
                ("event=\"messageSent\"", t.delivered),
                ("event=\"messageDeliveryError\"", t.deferred),
                ("event=\"messageFailed\"", t.failed),
                ("event=\"messageBounce\"", t.received_dsn),
                ("event=\"messageComplaint\"", t.complaints),
            ])
            .into_iter()
            .filter(|(_, value)| *value > 0.0)
            .collect(),
        ),
    ]
}

fn queues(t: &Traffic) -> Vec<Family> {
    vec![
        (
            "queue_size",
            "gauge",
            "Jobs by queue",
            rows(&[
                ("queue=\"notify\",state=\"active\"", 0),
                ("queue=\"notify\",state=\"delayed\"", 0),
                ("queue=\"notify\",state=\"paused\"", 0),
                ("queue=\"notify\",state=\"waiting\"", t.webhooks_waiting),
                ("queue=\"submit\",state=\"active\"", t.outbound_active),
                ("queue=\"submit\",state=\"delayed\"", t.scheduled()),
                ("queue=\"submit\",state=\"paused\"", 0),
                ("queue=\"submit\",state=\"waiting\"", t.ready()),
                ("queue=\"documents\",state=\"active\"", 0),
                ("queue=\"documents\",state=\"delayed\"", 0),
                ("queue=\"documents\",state=\"paused\"", 0),
                ("queue=\"documents\",state=\"waiting\"", 0),
            ]),
        ),
        (
            "queues_processed",
            "counter",
            "Processed jobs",
            rows(&[
                ("queue=\"notify\",status=\"completed\"", t.webhooks_succeeded),
                ("queue=\"notify\",status=\"failed\"", t.webhooks_failed),
                ("queue=\"submit\",status=\"completed\"", t.delivered),
                ("queue=\"submit\",status=\"failed\"", t.deferred + t.failed),
            ]),
        ),
        (
            "threads",
            "gauge",
            "Threads by kind",
            rows(&[
                ("type=\"main\",recent=\"yes\"", 1),
                ("type=\"api\",recent=\"yes\"", 1),
                ("type=\"imap\",recent=\"yes\"", 4),
                ("type=\"imap\",recent=\"no\"", 4),
                ("type=\"webhooks\",recent=\"yes\"", 1),
                ("type=\"submit\",recent=\"yes\"", 1),
            ]),
        ),
        ("unresponsive_workers", "gauge", "Unresponsive worker threads", count(0)),
        ("license_days_remaining", "gauge", "Days until the license expires", one(-1)),
        (
            "emailengine_config",
            "gauge",
            "Settings",
            rows(&[
                ("version=\"v2.79.2\"", 1),
                ("config=\"uvThreadpoolSize\"", 4),
                ("config=\"workersImap\"", 4),
                ("config=\"workersWebhooks\"", 1),
            ]),
        ),
    ]
}

fn redis(t: &Traffic) -> Vec<Family> {
    let (hget, evalsha, xadd) = (t.received * 9, t.received * 4, t.attempts() * 2);
    let total = hget + evalsha + xadd;
    vec![
        ("redis_version", "gauge", "Version of Redis", rows(&[("version=\"v7.0.15\"", 1)])),
        ("redis_uptime_in_seconds", "gauge", "Uptime of Redis", one((t.now() - t.started()).floor())),
        ("redis_latency", "gauge", "Latency of Redis in nanoseconds", count(60_000 + (80_000.0 * t.cpu_busy()) as u64)),
        ("redis_rejected_connections_total", "gauge", "Connections rejected by Redis", count(0)),
        ("redis_config_maxclients", "gauge", "Limit of connections to Redis", count(10_000)),
        ("redis_connected_clients", "gauge", "Connections to Redis", count(34)),
        ("redis_slowlog_length", "gauge", "Length of the slow log", count(t.received / 10_000)),
        ("redis_commands_duration_seconds_total", "gauge", "Total duration of commands", count(total / 50_000)),
        ("redis_commands_processed_total", "gauge", "Commands processed", count(total)),
        ("redis_keyspace_hits_total", "gauge", "Keys found", count(total / 3)),
        ("redis_keyspace_misses_total", "gauge", "Keys not found", count(total / 8)),
        ("redis_evicted_keys_total", "gauge", "Keys evicted", count(0)),
        ("redis_memory_used_bytes", "gauge", "Memory used by Redis", count(2_400_000 + t.scheduled() * 4096)),
        ("redis_memory_max_bytes", "gauge", "Memory limit of Redis", count(4 << 30)),
        ("redis_mem_fragmentation_ratio", "gauge", "Memory fragmentation ratio", one(1.37)),
        ("redis_key_count", "gauge", "Keys", rows(&[("db=\"db8\"", 30 + t.domains.len() as u64 * 40)])),
        ("redis_last_save_time", "gauge", "Time of the last save", one((t.now() / 300.0).floor() * 300.0)),
        ("redis_instantaneous_ops_per_sec", "gauge", "Commands per second", count(20 + t.outbound_active * 7)),
        (
            "redis_command_runs",
            "gauge",
            "Commands by name",
            rows(&[("command=\"hget\"", hget), ("command=\"evalsha\"", evalsha), ("command=\"total\"", total), ("command=\"xadd\"", xadd)]),
        ),
        ("redis_command_runs_fail", "gauge", "Failed commands by name", rows(&[("command=\"total\",status=\"rejected\"", 15)])),
    ]
}
