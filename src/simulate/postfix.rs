//! Postfix with Hsn723's exporter, which reads the log with the recommended flags, and the queue.

use super::exposition::{by, exporter_process, one, table};
use super::response::reply;
use super::server::{Request, ServerState};
use super::text::Text;
use super::{Distribution, Traffic};
use axum::response::Response;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
/// The bounds of the ages of queued messages, in seconds.
const AGES: &[(f64, &str)] = &[(10.0, "10"), (100.0, "100"), (1e3, "1000"), (1e4, "10000"), (1e5, "100000"), (1e6, "1e+06")];
const AGE_BOUNDS: &[f64] = &[10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match request.path.as_str() {
        "/metrics" => reply(200, TEXT, metrics(state.traffic)),
        _ => reply(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let mut text = Text::default();
    queue(&mut text, t);
    let temporary = t.deferred - t.deferred_connect - t.deferred_greylisted;
    table(
        &mut text,
        vec![
            ("postfix_bounce_non_delivery_notification_total", "counter", "Bounces that were made", one(t.received_dsn)),
            ("postfix_cleanup_messages_processed_total", "counter", "Messages that cleanup processed", one(t.received)),
            ("postfix_cleanup_messages_rejected_total", "counter", "Messages that cleanup rejected", one(t.rejected / 9)),
            ("postfix_qmgr_messages_expired_total", "counter", "Messages that expired", one(0)),
            ("postfix_qmgr_messages_removed_total", "counter", "Messages that left the queue", one(t.delivered + t.failed)),
            (
                "postfix_smtp_messages_processed_total",
                "counter",
                "Messages by status",
                by("status", &[("bounced", t.failed), ("deferred", t.deferred), ("sent", t.delivered)]),
            ),
            (
                "postfix_smtp_bounced_messages_by_dsn_total",
                "counter",
                "Bounced messages by DSN",
                by("dsn", &[("5.1.1", t.failed_rcpt), ("5.4.4", t.failed_lookup)]),
            ),
            (
                "postfix_smtp_deferred_messages_by_dsn_total",
                "counter",
                "Deferred messages by DSN",
                by("dsn", &[("4.2.0", temporary), ("4.4.1", t.deferred_connect), ("4.7.1", t.deferred_greylisted)]),
            ),
            // Known defect: nothing raises it.
            ("postfix_smtp_deferred_messages_total", "counter", "Deferred messages", one(0)),
            ("postfix_smtp_status_deferred", "counter", "Deferred messages", one(t.deferred)),
            ("postfix_smtpd_connects_total", "counter", "Incoming connections", one(t.smtp_opened)),
            ("postfix_smtpd_disconnects_total", "counter", "Closed connections", one(t.smtp_opened)),
            (
                "postfix_smtpd_messages_processed_total",
                "counter",
                "Messages by method of the login",
                by("sasl_method", &[("NONE", t.received_remote), ("PLAIN", t.received_authenticated)]),
            ),
            (
                "postfix_smtpd_messages_rejected_total",
                "counter",
                "Refused recipients",
                by("code", &[("450", t.rejected / 3), ("550", t.rejected - t.rejected / 3)]),
            ),
            ("postfix_smtpd_sasl_authentication_failures_total", "counter", "Failed logins", one(t.auth_failed)),
            (
                "postfix_unsupported_log_entries_total",
                "counter",
                "Log lines that were not understood",
                vec![("level=\"\",service=\"anvil\"".to_owned(), t.smtp_opened / 50)],
            ),
            (
                "postfix_up",
                "gauge",
                "1 if the source could be read",
                by("path", &[("/var/log/mail.log", 1), ("unix:///var/spool/postfix/public/showq", 1)]),
            ),
            ("postfix_virtual_delivered_total", "counter", "Deliveries to a maildir", one(0)),
        ],
    );
    exporter_process(&mut text, t.started());
    text.finish()
}

/// The queue as showq lists it. Postfix holds what the traffic has frozen.
fn queue(text: &mut Text, t: &Traffic) {
    let held = t.queue.iter().filter(|message| message.frozen()).count() as u64;
    let depths = [("active", t.ready()), ("deferred", t.scheduled() - held), ("hold", held), ("incoming", 0), ("maildrop", 0)];
    table(text, vec![("postfix_showq_queue_depth", "gauge", "Queued messages", by("queue", &depths))]);
    let mut ages = Distribution::new(AGE_BOUNDS);
    t.queue.iter().filter(|message| !message.frozen()).for_each(|message| ages.observe((t.now() - message.received).max(0.0)));
    text.family("postfix_showq_message_age_seconds", "histogram", "Ages of queued messages");
    text.histogram("postfix_showq_message_age_seconds", "queue=\"deferred\"", &ages, AGES.iter().copied());
}
