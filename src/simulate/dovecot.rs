//! Dovecot's stats service with the metric blocks of the documentation: names of types without `_total`, grouped metrics with a `_count`,
//! and a content type of an early OpenMetrics draft.

use super::Traffic;
use super::exposition::by;
use super::response::reply;
use super::server::{Request, ServerState};
use super::text::Text;
use axum::response::Response;

const OPEN_METRICS: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
/// The bounds of the durations of deliveries, in seconds.
const DURATIONS: &[(f64, &str)] = &[(0.001, "0.001000"), (0.01, "0.010000"), (0.1, "0.100000"), (1.0, "1.000000"), (10.0, "10.000000")];
/// The duration of an event, in seconds. Only the counts matter.
const EVENT_SECONDS: f64 = 0.001;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match request.path.as_str() {
        "/metrics" => reply(200, OPEN_METRICS, metrics(state.traffic)),
        _ => reply(404, "text/plain; charset=utf-8", ""),
    }
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let mut text = Text::default();
    text.single("process_start_time_seconds", "gauge", "Start of the service", t.started().floor());
    text.family("dovecot_build", "info", "The build of Dovecot");
    text.sample("dovecot_build_info", "version=\"2.3.19.1\",revision=\"9b53102964\"", 1);
    for (name, count) in [
        ("auth_success", t.auth_success),
        ("auth_failures", t.auth_failed),
        ("auth_errors", t.auth_error),
        ("mail_delivered", t.delivered),
        ("mail_delivery_failed", t.failed),
        ("submission_accepted", t.received_authenticated),
        ("submission_rcpt_rejected", t.rejected / 2),
        ("lmtp_rcpt_rejected", t.rejected - t.rejected / 2),
    ] {
        metric(&mut text, name, &[], count);
    }
    let commands = [("SELECT", t.imap_opened), ("FETCH", t.imap_opened * 4), ("LOGOUT", t.imap_opened / 2)];
    metric(&mut text, "imap_command", &by("cmd_name", &commands), commands.iter().map(|(_, count)| count).sum());
    text.family("dovecot_mail_delivery", "histogram", "Durations of deliveries");
    if t.attempt_seconds.count > 0 {
        text.histogram("dovecot_mail_delivery", "", &t.attempt_seconds, DURATIONS.iter().copied());
    }
    text.line("# EOF");
    text.finish()
}

/// Writes a metric and its duration. A grouped metric has a series for each group, and a total.
fn metric(text: &mut Text, name: &str, groups: &[(String, u64)], total: u64) {
    let (events, seconds) = (format!("dovecot_{name}"), format!("dovecot_{name}_duration_seconds"));
    let (total_suffix, sum_suffix) = if groups.is_empty() { ("total", "total") } else { ("count", "sum") };
    text.family(&events, "counter", "Events");
    groups.iter().for_each(|(labels, count)| text.sample(&format!("{events}_total"), labels, count));
    text.sample(&format!("{events}_{total_suffix}"), "", total);
    text.family(&seconds, "counter", "Duration of the events");
    let duration = |count: u64| format!("{:.6}", count as f64 * EVENT_SECONDS);
    groups.iter().for_each(|(labels, count)| text.sample(&format!("{seconds}_total"), labels, duration(*count)));
    text.sample(&format!("{seconds}_{sum_suffix}"), "", duration(total));
}
