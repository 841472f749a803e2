//! Maddy: metrics in the Prometheus text format, without authentication. Counters lack the suffix `_total`.

use super::Traffic;
use super::response::reply;
use super::server::{Request, ServerState};
use super::text::Text;
use axum::response::Response;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    if request.path != "/metrics" {
        return reply(404, "text/plain; charset=utf-8", "404 page not found\n");
    }
    reply(200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", metrics(state.traffic))
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let mut text = Text::default();
    text.single("go_goroutines", "gauge", "Goroutines that exist", 40 + t.smtp_active);
    /// A family: its name, type, help, and the labels and value of each series.
    type FamilyText<'t> = (&'t str, &'t str, &'t str, &'t [(&'t str, u64)]);
    let families: [FamilyText<'_>; 6] = [
        (
            "maddy_queue_length",
            "gauge",
            "Messages in the queue",
            &[("location=\"/var/lib/maddy/remote_queue\",module=\"remote_queue\"", t.scheduled() + t.ready())],
        ),
        (
            "maddy_remote_conns_mx_level",
            "counter",
            "Connections by the security of the MX",
            &[("level=\"none\",module=\"remote\"", t.outbound_opened)],
        ),
        (
            "maddy_remote_conns_tls_level",
            "counter",
            "Connections by the security of TLS",
            &[("level=\"encrypted\",module=\"remote\"", t.outbound_opened)],
        ),
        ("maddy_smtp_aborted_transactions", "counter", "Transactions that were aborted", &[("module=\"smtp\"", t.blocked)]),
        (
            "maddy_smtp_failed_commands",
            "counter",
            "Commands that failed",
            &[
                ("command=\"DATA\",module=\"smtp\",smtp_code=\"550\",smtp_enchcode=\"5.7.1\"", t.dmarc_fail),
                ("command=\"RCPT\",module=\"smtp\",smtp_code=\"501\",smtp_enchcode=\"5.1.1\"", t.rejected),
            ],
        ),
        (
            "maddy_smtp_started_transactions",
            "counter",
            "Transactions that were started",
            &[("module=\"smtp\"", t.received_remote + t.blocked + t.dmarc_fail), ("module=\"submission\"", t.received_authenticated)],
        ),
    ];
    for (name, kind, help, series) in families {
        text.family(name, kind, help);
        for (labels, value) in series {
            text.sample(name, labels, value);
        }
    }
    text.single("process_resident_memory_bytes", "gauge", "Resident memory", t.memory_used_bytes / 40);
    text.single("process_start_time_seconds", "gauge", "Start of the process", t.started());
    text.finish()
}
