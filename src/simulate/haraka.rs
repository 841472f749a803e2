//! Haraka with its Prometheus plugin: a counter of the calls of each hook, separated by blank lines.

use super::Traffic;
use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::Text;
use axum::response::Response;

/// Connections that stay open.
const OPEN_CONNECTIONS: u64 = 3;
/// One of so many clients hangs up while its address is looked up, such as a health check. The hook connect does not run for it.
const CONNECTIONS_PER_EARLY_END: u64 = 8;
/// The default label of the shipped configuration.
const LABELS: &str = "service_name=\"haraka\"";

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let response = match request.path.as_str() {
        "/metrics" => reply(200, "text/plain; version=0.0.4; charset=utf-8", metrics(state.traffic)),
        _ => reply(404, "text/html; charset=utf-8", "<!DOCTYPE html>\n<html><body><pre>Not found</pre></body></html>\n"),
    };
    with_headers(response, &[("x-powered-by", "Express"), ("keep-alive", "timeout=5")])
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let mut text = Text::new("\n");
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        text.family(name, kind, help);
        text.sample(name, LABELS, value);
    };
    let busy_seconds = (t.cpu_total_jiffies - t.cpu_idle_jiffies) as f64 / 1e4;
    one("haraka_process_cpu_user_seconds_total", "counter", "Processor time in user mode", busy_seconds);
    one("haraka_process_cpu_system_seconds_total", "counter", "Processor time in system mode", busy_seconds / 4.0);
    one("haraka_process_start_time_seconds", "gauge", "Start of the process", t.started());
    one("haraka_process_resident_memory_bytes", "gauge", "Resident memory", (t.memory_used_bytes / 25) as f64);
    one("haraka_nodejs_active_handles_total", "gauge", "Active handles", 12.0);
    for (hook, calls) in hooks(t) {
        one(&format!("haraka_{hook}_total"), "counter", &format!("Calls of the hook {hook}"), calls as f64);
    }
    text.finish()
}

/// The hooks, each with the number of its calls.
fn hooks(t: &Traffic) -> [(&'static str, u64); 27] {
    let (opened, accepted) = (t.smtp_opened, t.received_remote + t.received_authenticated);
    let greeted = opened - opened / CONNECTIONS_PER_EARLY_END;
    let logins = t.auth_success + t.auth_failed;
    [
        ("connect_init", opened),
        ("lookup_rdns", opened),
        ("connect", greeted),
        ("capabilities", greeted),
        ("unrecognized_command", logins * 2),
        ("helo", 0),
        ("ehlo", greeted),
        ("quit", greeted.saturating_sub(OPEN_CONNECTIONS)),
        ("vrfy", 0),
        ("noop", 0),
        ("rset", t.rejected),
        ("mail", accepted + t.rejected),
        ("rcpt", accepted + t.rejected),
        ("rcpt_ok", accepted),
        ("data_post", accepted),
        ("max_data_exceeded", 0),
        ("queue", t.received_remote),
        ("queue_outbound", t.received_authenticated),
        ("queue_ok", accepted),
        ("reset_transaction", accepted + t.rejected),
        ("deny", t.rejected),
        ("get_mx", t.attempts()),
        ("deferred", t.deferred),
        ("bounce", t.failed),
        ("delivered", t.delivered),
        ("send_email", t.attempts()),
        ("disconnect", opened.saturating_sub(OPEN_CONNECTIONS)),
    ]
}
