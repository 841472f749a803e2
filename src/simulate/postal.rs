//! The SMTP server of Postal: text without a version, TYPE before HELP, and every value with a fraction.

use super::Traffic;
use super::response::reply;
use super::server::{Request, ServerState};
use axum::response::Response;
use std::fmt::Write;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match request.path.as_str() {
        "/metrics" => reply(200, "text/plain", metrics(state.traffic)),
        "/health" => reply(200, "text/plain", "OK"),
        "/" => reply(200, "text/plain", "smtp-server (pid: 9, host: postal)"),
        _ => reply(404, "text/plain", "Not Found"),
    }
}

/// The body of `/metrics`. Families with labels have no series before their first event.
pub(super) fn metrics(t: &Traffic) -> String {
    /// A family: its name, help, and the labels and value of each series.
    type FamilyText<'t> = (&'t str, &'t str, &'t [(&'t str, u64)]);
    let families: [FamilyText<'_>; 5] = [
        ("postal_smtp_server_connections_total", "Connections of clients.", &[("", t.smtp_opened)]),
        ("postal_smtp_server_tls_connections_total", "Connections with TLS.", &[("", t.smtp_opened / 2)]),
        ("postal_smtp_server_commands_total", "Commands by name.", &[("{command=\"EHLO\"}", t.smtp_opened)]),
        (
            "postal_smtp_server_client_errors",
            "Errors that clients got.",
            &[("{error=\"invalid-credentials\"}", t.auth_failed), ("{error=\"authentication-required\"}", t.rejected)],
        ),
        (
            "postal_smtp_server_messages_total",
            "Accepted messages.",
            &[
                ("{type=\"outgoing\",tls=\"yes\"}", t.received_authenticated),
                ("{type=\"incoming\",tls=\"yes\"}", t.received_remote),
                ("{type=\"bounce\",tls=\"no\"}", t.hard_bounces),
            ],
        ),
    ];
    let mut out = String::new();
    for (name, help, series) in families {
        let _ = writeln!(out, "# TYPE {name} counter\n# HELP {name} {help}");
        for (labels, value) in series.iter().filter(|(labels, value)| labels.is_empty() || *value > 0) {
            let _ = writeln!(out, "{name}{labels} {value}.0");
        }
    }
    out
}
