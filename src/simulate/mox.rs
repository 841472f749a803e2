//! Mox: metrics in the Prometheus text format, without authentication. Families with labels appear with their first event.

use super::distribution::SECONDS;
use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use super::text::Text;
use super::{Distribution, Traffic};
use axum::response::Response;

const DELIVERY_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];
const COMMAND_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];
const VERIFICATION_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0];
const WEBHOOK_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0];
/// The duration of each simulated command and verification, in seconds.
const STEP_SECONDS: f64 = 0.02;
const HEADERS: &[(&str, &str)] = &[("referrer-policy", "same-origin"), ("x-content-type-options", "nosniff"), ("x-frame-options", "deny")];

/// Requests of the webmail for each login. Each is counted as a login of the variant websession.
const REQUESTS_PER_LOGIN: u64 = 20;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    if request.path != "/metrics" {
        return reply(404, "text/plain; charset=utf-8", "404 page not found\n");
    }
    with_headers(reply(200, "text/plain; version=0.0.4; charset=utf-8", metrics(state.traffic)), HEADERS)
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic) -> String {
    let frozen = t.queue.iter().filter(|message| message.frozen()).count();
    let mut text = Text::default();
    clients(&mut text, t);
    counters(&mut text, "mox_queue_connection_total", "Connections of the queue", &[("result=\"ok\"", t.outbound_opened)]);
    text.family("mox_queue_delivery_duration_seconds", "histogram", "Attempts to deliver to one host");
    for (result, seconds) in
        [("ok", &t.delivered_attempt_seconds), ("permerror", &t.failed_attempt_seconds), ("temperror", &t.deferred_attempt_seconds)]
    {
        let labels = format!("attempt=\"1\",result=\"{result}\",tlsmode=\"opportunistic\",transport=\"\"");
        if seconds.count > 0 {
            text.histogram("mox_queue_delivery_duration_seconds", &labels, seconds, formatted(DELIVERY_SECONDS));
        }
    }
    text.single("mox_queue_hold", "gauge", "Messages in the queue that are on hold", frozen);
    let responses = [
        ("cmd=\"(greeting)\",code=\"421\",secode=\"\"", t.deferred_connect),
        ("cmd=\"data\",code=\"250\",secode=\"2.0\"", t.delivered),
        ("cmd=\"data\",code=\"451\",secode=\"7.1\"", t.throttled),
        ("cmd=\"rcptto\",code=\"451\",secode=\"7.1\"", t.deferred_greylisted),
        ("cmd=\"rcptto\",code=\"550\",secode=\"1.1\"", t.failed_rcpt),
    ];
    histograms(&mut text, "mox_smtpclient_command_duration_seconds", "Commands to other servers", COMMAND_SECONDS, &responses);
    let commands = [
        ("cmd=\"data\",code=\"250\",ecode=\"2.2.0\",kind=\"smtp\"", t.received_remote),
        ("cmd=\"data\",code=\"250\",ecode=\"2.2.0\",kind=\"submission\"", t.received_authenticated),
        ("cmd=\"rcpt\",code=\"550\",ecode=\"5.1.1\",kind=\"smtp\"", t.rejected),
    ];
    histograms(&mut text, "mox_smtpserver_command_duration_seconds", "Commands of clients", COMMAND_SECONDS, &commands);
    verifications(&mut text, t);
    text.family("mox_webhook_request_duration_seconds", "histogram", "Webhook requests");
    text.histogram("mox_webhook_request_duration_seconds", "", &t.webhook_seconds, formatted(WEBHOOK_SECONDS));
    let webhooks = [("code=\"200\"", t.webhooks_succeeded), ("code=\"503\"", t.webhooks_failed)];
    counters(&mut text, "mox_webhook_results_total", "Webhook requests by status", &webhooks);
    text.single("process_resident_memory_bytes", "gauge", "Resident memory", t.memory_used_bytes / 20);
    text.single("process_start_time_seconds", "gauge", "Start of the process", t.started());
    text.finish()
}

fn clients(text: &mut Text, t: &Traffic) {
    let submissions = t.received_authenticated;
    let logins = [
        ("kind=\"imap\",result=\"ok\",variant=\"plain\"", t.auth_success),
        ("kind=\"submission\",result=\"badcreds\",variant=\"plain\"", t.auth_failed),
        ("kind=\"submission\",result=\"error\",variant=\"cram-md5\"", t.auth_error),
        ("kind=\"webmail\",result=\"ok\",variant=\"websession\"", t.auth_success * REQUESTS_PER_LOGIN),
    ];
    counters(text, "mox_authentication_total", "Logins by kind, mechanism and result", &logins);
    let limited = [("kind=\"submission\"", t.auth_rate_limited)];
    counters(text, "mox_authentication_ratelimited_total", "Logins that were refused by the rate limit", &limited);
    text.family("mox_connections_count", "gauge", "Open connections");
    for (labels, active) in [
        ("listener=\"public\",protocol=\"imap\"", t.imap_active),
        ("listener=\"public\",protocol=\"smtp\"", t.smtp_active),
        ("listener=\"queue\",protocol=\"smtpclient\"", t.outbound_active),
    ] {
        text.sample("mox_connections_count", labels, active);
    }
    counters(text, "mox_imap_connection_total", "IMAP connections", &[("service=\"imaps\"", t.imap_opened)]);
    let kinds = [("kind=\"smtp\"", t.smtp_opened), ("kind=\"submission\"", submissions)];
    counters(text, "mox_smtpserver_connection_total", "Connections of clients", &kinds);
}

fn verifications(text: &mut Text, t: &Traffic) {
    let dkim = [("algorithm=\"rsa-sha256\",status=\"fail\"", t.dkim_fail), ("algorithm=\"rsa-sha256\",status=\"pass\"", t.dkim_pass)];
    histograms(text, "mox_dkim_verify_duration_seconds", "Verifications of DKIM signatures", VERIFICATION_SECONDS, &dkim);
    let dmarc = [("reject=\"no\",status=\"pass\",use=\"yes\"", t.dmarc_pass), ("reject=\"yes\",status=\"fail\",use=\"yes\"", t.dmarc_fail)];
    histograms(text, "mox_dmarc_verify_duration_seconds", "Verifications of DMARC policies", VERIFICATION_SECONDS, &dmarc);
    let spf = [("status=\"fail\"", t.spf_fail), ("status=\"pass\"", t.spf_pass)];
    histograms(text, "mox_spf_verify_duration_seconds", "Verifications of SPF", VERIFICATION_SECONDS, &spf);
    text.single("mox_dane_verify_errors_total", "counter", "DANE verifications that failed", 0);
    text.single("mox_dane_verify_total", "counter", "DANE verifications, with those that failed", t.dane_ok);
}

/// Adds a counter without the series that have had no event yet.
fn counters(text: &mut Text, name: &str, help: &str, series: &[(&str, u64)]) {
    if series.iter().any(|(_, count)| *count > 0) {
        text.family(name, "counter", help);
    }
    for (labels, count) in series.iter().filter(|(_, count)| *count > 0) {
        text.sample(name, labels, count);
    }
}

/// Adds a histogram of equal durations without the series that have had no event yet.
fn histograms(text: &mut Text, name: &str, help: &str, bounds: &[f64], series: &[(&str, u64)]) {
    if series.iter().any(|(_, count)| *count > 0) {
        text.family(name, "histogram", help);
    }
    for (labels, count) in series.iter().filter(|(_, count)| *count > 0) {
        text.histogram(name, labels, &Distribution::repeated(SECONDS, STEP_SECONDS, *count), formatted(bounds));
    }
}

/// Bounds with their texts.
fn formatted(bounds: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    bounds.iter().map(|bound| (*bound, *bound))
}
