//! CeyMail: metrics in the Prometheus text format, with a bearer token, at most twelve times a minute.

use super::Traffic;
use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::Text;
use super::traffic::{DISK_BYTES, MEMORY_BYTES};
use axum::response::Response;
use std::time::{Duration, Instant};

/// Requests that a client may make in a minute, including unauthorized ones.
const REQUESTS_PER_MINUTE_MAX: usize = 12;
const MINUTE: Duration = Duration::from_secs(60);
const HEADERS: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store, no-cache, must-revalidate, proxy-revalidate"),
];

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    with_headers(route(state, request), HEADERS)
}

fn route(state: ServerState<'_>, request: &Request) -> Response {
    if request.path != "/api/stats/metrics" {
        return reply(404, "application/json", r#"{"error":"Not found"}"#);
    }
    let now = Instant::now();
    let recent = state.recent_requests.entry(request.peer).or_default();
    recent.retain(|at| now.duration_since(*at) < MINUTE);
    if recent.len() >= REQUESTS_PER_MINUTE_MAX {
        let refusal = reply(429, "application/json", r#"{"error":"Too many requests. Please try again later."}"#);
        return with_headers(refusal, &[("retry-after", "60"), ("x-ratelimit-limit", "12")]);
    }
    recent.push_back(now);
    match request.credential("Bearer") {
        Some(token) if token == state.options.token => reply(200, "text/plain; version=0.0.4; charset=utf-8", metrics(state.traffic)),
        Some(_) => reply(401, "application/json", r#"{"error":"Invalid or expired token"}"#),
        None => reply(401, "application/json", r#"{"error":"Authentication required"}"#),
    }
}

/// The body of `/api/stats/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let frozen = t.queue.iter().filter(|message| message.frozen()).count() as u64;
    let domains = t.domains.len() as u64;
    let mut text = Text::default();
    text.single("ceymail_cpu_idle_jiffies", "counter", "Idle time of all processors", t.cpu_idle_jiffies);
    text.single("ceymail_cpu_total_jiffies", "counter", "Total time of all processors", t.cpu_total_jiffies);
    for (name, help, value) in [
        ("ceymail_memory_used_bytes", "Memory in use", t.memory_used_bytes),
        ("ceymail_memory_total_bytes", "Total memory", MEMORY_BYTES),
        ("ceymail_disk_used_bytes", "Used space of the root partition", t.disk_used_bytes),
        ("ceymail_disk_total_bytes", "Size of the root partition", DISK_BYTES),
        ("ceymail_queue_active", "Messages in delivery", t.ready()),
        ("ceymail_queue_deferred", "Messages that are queued for a retry", t.scheduled() - frozen),
        ("ceymail_queue_bounce", "Bounce messages", t.bouncing),
        ("ceymail_queue_hold", "Messages on hold", frozen),
    ] {
        text.single(name, "gauge", help, value);
    }
    text.family("ceymail_service_up", "gauge", "1 if a service is running");
    for service in &t.services {
        text.sample("ceymail_service_up", format_args!("name=\"{}\"", service.name), u8::from(service.up));
    }
    text.single("ceymail_domains_total", "gauge", "Configured domains", domains);
    text.single("ceymail_mailboxes_total", "gauge", "Configured mailboxes", domains * 7);
    text.single("ceymail_aliases_total", "gauge", "Configured aliases", domains * 2);
    text.finish()
}
