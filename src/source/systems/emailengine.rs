//! EmailEngine: `GET /metrics`, Prometheus text, Bearer token with the metrics scope.
//!
//! Facts from 2.79.2, its source and a run of it. `messageDeliveryError` is not raised on every transport and
//! `messageFailed` only at the end, so what was put off is what the submit queue counts as failed tries less the final
//! ones; the two are counted a moment apart, hence `Hold`. `authenticationSuccess` and `-Error` count changes of an account's
//! state, not each login.
//!
//! # What is not mapped
//!
//! `messageNew` counts every new message in a watched folder, the account's own sent copies included (40 for 10 received), so nothing
//! reports what was received. The state `paused` of the submit queue is always 0, also while the queue is paused, so nothing reports
//! what is held. Both stay native. `delayed` holds messages that are retried and messages that are scheduled with `sendAt`; the
//! server reports one number for both, so deferred includes both.

use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::model::{Attribute, Metric};
use crate::source::{AttributeSource, Credential, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "emailengine",
    title: "EmailEngine",
    parts: &[Part {
        name: "metrics",
        help: "everything the server says",
        requests: &[Request { format: "text", path: "/metrics", post: None, read: prometheus::read }],
        body_bytes_max: 16 * 1024 * 1024,
        credential: Credential::Bearer,
        rules: RULES,
        known_by: &[
            "emailengine_*",
            "license_days_remaining",
            "outlook_subscriptions",
            "thread_starts",
            "thread_stops",
            "unresponsive_workers",
        ],
        misnamed_when: &[],
        interval: None,
        on_unauthorized: "set token (or token_file) to an access token with the scope metrics (Integrations > Access Tokens > Create access token); after a loss of its Redis data EmailEngine knows no tokens",
        on_not_found: "this is not EmailEngine's address; its metrics are at /metrics",
    }],
    min_interval: Duration::from_secs(15),
    timeout: Duration::from_secs(10),
    requests_per_minute_max: None,
    windowed: false,
    gauges_underflow: false,
    mistyped_counters: &[
        "redis_rejected_connections_total",
        "redis_commands_duration_seconds_total",
        "redis_commands_processed_total",
        "redis_keyspace_hits_total",
        "redis_keyspace_misses_total",
        "redis_evicted_keys_total",
    ],
    version: Some(("emailengine_config", "version")),
    counters_since: Some("process_start_time_seconds"),
    process_since: None,
    records: None,
};

/// A counter of one event; one that has not happened yet has no series.
const fn event(
    name: &'static [(&'static str, &'static str)],
    metric: &'static Metric,
    with: &'static [(&'static Attribute, &'static str)],
) -> Rule {
    Rule::new(&["events"], metric).when(name).with(with).zero_when_absent()
}

static RULES: &[Rule] = &[
    event(&[("event", "messageSent")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "delivered")]),
    event(&[("event", "messageFailed")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "failed")]),
    Rule::new(&["queues_processed"], &DELIVERY_ATTEMPTS)
        .when(&[("queue", "submit"), ("status", "failed")])
        .with(&[(&DELIVERY_OUTCOME, "deferred")])
        .zero_when_absent()
        .step(Transform::Hold),
    event(&[("event", "messageFailed")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "deferred")]).scale(-1.0),
    event(&[("event", "messageBounce")], &BOUNCES, &[(&BOUNCE_TYPE, "unknown")]),
    event(&[("event", "messageComplaint")], &COMPLAINTS, &[]),
    event(
        &[("event", "authenticationSuccess")],
        &AUTHENTICATION_ATTEMPTS,
        &[(&AUTHENTICATION_OUTCOME, "success"), (&AUTHENTICATION_DIRECTION, "outbound")],
    ),
    event(
        &[("event", "authenticationError")],
        &AUTHENTICATION_ATTEMPTS,
        &[(&AUTHENTICATION_OUTCOME, "failure"), (&AUTHENTICATION_DIRECTION, "outbound")],
    ),
    // The submit queue is the mail queue; the others are background jobs.
    Rule::new(&["queue_size"], &QUEUE_DEPTH).when(&[("queue", "submit")]).from(&[AttributeSource::table(
        "state",
        &QUEUE_STATE,
        &[("waiting", "queued"), ("active", "active"), ("delayed", "deferred")],
    )]),
    Rule::new(&["queue_size"], &JOB_DEPTH).unless(&[("queue", "submit")]).from(&[
        AttributeSource::same("queue", &JOB_QUEUE),
        AttributeSource::table(
            "state",
            &JOB_STATE,
            &[("waiting", "waiting"), ("active", "active"), ("delayed", "delayed"), ("paused", "paused")],
        ),
    ]),
    Rule::new(&["queues_processed"], &JOB_PROCESSED).unless(&[("queue", "submit")]).from(&[
        AttributeSource::same("queue", &JOB_QUEUE),
        AttributeSource::table("status", &JOB_OUTCOME, &[("completed", "completed"), ("failed", "failed")]),
    ]),
    Rule::new(&["imap_connections"], &ACCOUNT_STATUS).from(&[AttributeSource::table(
        "status",
        &ACCOUNT_STATE,
        &[
            ("init", "init"),
            ("connecting", "connecting"),
            ("syncing", "syncing"),
            ("connected", "connected"),
            ("authenticationError", "authentication_error"),
            ("connectError", "connect_error"),
            ("unset", "unset"),
            ("disconnected", "disconnected"),
            ("paused", "paused"),
            ("unassigned", "unassigned"),
        ],
    )
    .or("other")]),
    Rule::new(&["imap_bytes_sent"], &NETWORK_IO).with(&[(&PROTOCOL, "imap"), (&IO_DIRECTION, "transmit")]).zero_when_absent(),
    Rule::new(&["imap_bytes_received"], &NETWORK_IO).with(&[(&PROTOCOL, "imap"), (&IO_DIRECTION, "receive")]).zero_when_absent(),
    Rule::new(&["webhooks"], &WEBHOOK_REQUESTS)
        .from(&[AttributeSource::table("status", &WEBHOOK_OUTCOME, &[("success", "success"), ("fail", "failure")])])
        .zero_when_absent(),
    Rule::new(&["webhook_req"], &WEBHOOK_REQUEST_DURATION).scale(0.001),
    Rule::new(&["process_cpu_user_seconds_total"], &PROCESS_CPU_TIME).with(&[(&CPU_MODE, "user")]),
    Rule::new(&["process_cpu_system_seconds_total"], &PROCESS_CPU_TIME).with(&[(&CPU_MODE, "system")]),
    Rule::new(&["process_resident_memory_bytes"], &PROCESS_MEMORY_USAGE),
];
