//! Exim with its exporter, which reads the main log and the reject log, the spool and the list of processes.

use super::Traffic;
use super::exposition::{by, exporter_process, one, table};
use super::response::reply;
use super::server::{Request, ServerState};
use super::text::Text;
use axum::response::Response;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=values";
/// Log lines for each deferred attempt: without `log_selector = -retry_defer`, each queue run logs each waiting message.
const LINES_PER_DEFERRED_ATTEMPT: u64 = 3;
/// Lines of the reject log for each refused message: its headers are logged, too.
const LINES_PER_REJECTION: u64 = 4;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match request.path.as_str() {
        "/metrics" => reply(200, TEXT, metrics(state.traffic)),
        _ => reply(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let frozen = t.queue.iter().filter(|message| message.frozen()).count() as u64;
    let code = |status: u64, enhanced: &str, count: u64| (format!("enhanced=\"{enhanced}\",status=\"{status}\""), count);
    // A process that does not exist has no series.
    let mut processes = by("state", &[("daemon", 1), ("delivering", t.outbound_active), ("handling", t.smtp_active)]);
    processes.retain(|(_, count)| *count > 0);
    let mut text = Text::default();
    table(
        &mut text,
        vec![
            ("exim_log_read_errors", "counter", "Logs that could not be read", one(0)),
            (
                "exim_message_errors_total",
                "counter",
                "Logged failures by code",
                // Refused connections and unknown domains have no code.
                vec![code(451, "4.7.1", t.deferred_greylisted), code(550, "5.1.1", t.failed_rcpt)],
            ),
            (
                "exim_messages_total",
                "counter",
                "Logged messages by flag",
                by(
                    "flag",
                    &[
                        ("additional", t.delivered / 8),
                        ("arrived", t.received),
                        ("completed", t.delivered + t.failed),
                        ("deferred", t.deferred * LINES_PER_DEFERRED_ATTEMPT),
                        ("delivered", t.delivered - t.delivered / 8),
                        ("failed", t.failed),
                    ],
                ),
            ),
            ("exim_panic_total", "counter", "Lines of the panic log", one(0)),
            ("exim_processes", "gauge", "Processes by state", processes),
            ("exim_queue", "gauge", "Queued messages", one(t.scheduled() + t.ready())),
            ("exim_queue_frozen", "gauge", "Frozen messages", one(frozen)),
            ("exim_reject_total", "counter", "Lines of the reject log", one(t.rejected * LINES_PER_REJECTION + t.auth_failed)),
            ("exim_up", "gauge", "1 if the daemon was found", one(1)),
        ],
    );
    exporter_process(&mut text, t.started());
    text.finish()
}
