//! Rspamd's controller, which trusts the loopback address. Its counters are kept over restarts, so they are older than the process.

use super::Traffic;
use super::exposition::{by, one, table};
use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::Text;
use axum::response::Response;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const HEADERS: &[(&str, &str)] = &[("server", "rspamd/3.4"), ("cache-control", "no-store")];
/// The number of messages that were scanned before the process started.
const SCANNED_BEFORE: u64 = 4000;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let response = match request.path.as_str() {
        "/metrics" => reply(200, OPEN_METRICS, metrics(state.traffic)),
        _ => reply(404, "application/json", r#"{"error":"Not found"}"#),
    };
    with_headers(response, HEADERS)
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let (reject, soft_reject, greylist) = (t.spam / 2, t.rejected / 8, t.deferred_greylisted);
    let marked = t.spam - reject;
    let rewrite = marked / 5;
    let actions = [
        ("reject", reject),
        ("soft reject", soft_reject),
        ("rewrite subject", rewrite),
        ("add header", marked - rewrite),
        ("greylist", greylist),
        ("no action", t.ham + SCANNED_BEFORE),
    ];
    let ham = t.ham + SCANNED_BEFORE + greylist;
    let mut text = Text::default();
    text.family("rspamd_build_info", "gauge", "The version");
    text.sample("rspamd_build_info", "version=\"3.4\"", 1);
    text.single("rspamd_scan_time_average", "gauge", "Mean time of a scan", 0.35);
    text.single("process_start_time_seconds", "gauge", "Start of the process", t.started().floor());
    table(
        &mut text,
        vec![
            ("rspamd_read_only", "gauge", "1 if nothing is learned", one(0)),
            ("rspamd_scanned_total", "counter", "Scanned messages", one(actions.iter().map(|(_, count)| count).sum())),
            ("rspamd_learned_total", "counter", "Learned messages", one(t.spam / 20)),
            // Soft rejects are counted as spam.
            ("rspamd_spam_total", "counter", "Spam", one(t.spam + soft_reject)),
            ("rspamd_ham_total", "counter", "Ham", one(ham)),
            // Known defect: connections since the start, not open ones.
            ("rspamd_connections", "gauge", "Connections", one(t.smtp_opened)),
            ("rspamd_control_connections_total", "gauge", "Control connections", one(t.http_opened / 20)),
            ("rspamd_pools_allocated", "gauge", "Allocated pools", one(20 + t.received)),
            ("rspamd_pools_freed", "gauge", "Freed pools", one(t.received)),
            ("rspamd_allocated_bytes", "gauge", "Allocated bytes", one(27_400_000)),
            ("rspamd_chunks_allocated", "gauge", "Allocated chunks", one(39)),
            ("rspamd_fragmented", "gauge", "Unused memory of pools", one(0)),
            ("rspamd_learns_total", "counter", "All learned messages", one(t.spam / 20)),
            ("rspamd_actions_total", "counter", "Actions by type", by("type", &actions)),
            ("rspamd_statfiles_used", "gauge", "Used tokens", by("symbol", &[("BAYES_SPAM", 0), ("BAYES_HAM", 0)])),
        ],
    );
    text.line("# EOF");
    text.finish()
}
