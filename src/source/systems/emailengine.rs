//! EmailEngine: `GET /metrics`, Prometheus text format, bearer token with the scope `metrics`.
//!
//! # Facts
//!
//! From version 2.79.2, its source code and tests with a running server:
//!
//! - `messageFailed` is raised only for the final failure, and `messageDeliveryError` not for every transport. So the number of deferred
//!   attempts is the number of failed runs of the submit queue minus the final failures. The two are counted a moment apart, so the
//!   difference can fall for a moment, and [`Transform::Hold`] holds it.
//! - `authenticationSuccess` and `authenticationError` count changes of an account's state, not individual logins.
//!
//! # What is not mapped
//!
//! - `messageNew` counts every new message in a watched folder, including the account's own sent copies (40 for 10 received ones), so it
//!   cannot report received messages.
//! - The state `paused` of the submit queue is 0 even while the queue is paused, so held messages cannot be reported.
//! - The state `delayed` holds messages that are retried and messages that are scheduled with `sendAt`. The server reports one number for
//!   both, so `deferred` includes both.

use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::model::{Attribute, Metric};
use crate::source::{AttributeSource, Credential, Part, Request, Rule, Source, Transform};

/// EmailEngine, as listed in the registry.
pub static SOURCE: Source = Source {
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
    ..Source::new("emailengine", "EmailEngine", PARTS)
};

static PARTS: &[Part] = &[Part {
    credential: Credential::Bearer,
    rules: RULES,
    identifying_families: &[
        "emailengine_*",
        "license_days_remaining",
        "outlook_subscriptions",
        "thread_starts",
        "thread_stops",
        "unresponsive_workers",
    ],
    unauthorized_hint: "set token (or token_file) to an access token with the scope metrics (Integrations > Access Tokens > Create access token); EmailEngine loses all tokens if its Redis data is lost",
    not_found_hint: "this is not the address of EmailEngine, whose metrics are at /metrics; check the url",
    ..Part::new("metrics", "all metrics of the server", REQUESTS)
}];

static REQUESTS: &[Request] = &[Request::get("text", "/metrics", prometheus::read)];

/// Maps the counter of one event. An event that has not happened yet has no series.
const fn event(
    event: &'static [(&'static str, &'static str)],
    metric: &'static Metric,
    attributes: &'static [(&'static Attribute, &'static str)],
) -> Rule {
    Rule::new(&["events"], metric).when(event).with(attributes).zero_when_absent()
}

static RULES: &[Rule] = &[
    event(&[("event", "messageSent")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "delivered")]),
    event(&[("event", "messageFailed")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "failed")]),
    Rule::new(&["queues_processed"], &DELIVERY_ATTEMPTS)
        .when(&[("queue", "submit"), ("status", "failed")])
        .with(&[(&DELIVERY_OUTCOME, "deferred")])
        .zero_when_absent()
        .transform(Transform::Hold),
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
    Rule::new(&["queue_size"], &QUEUE_DEPTH).when(&[("queue", "submit")]).from(&[
        AttributeSource::labels(&["state"], &QUEUE_STATE).by_table(&[("waiting", "queued"), ("active", "active"), ("delayed", "deferred")])
    ]),
    Rule::new(&["queue_size"], &JOB_DEPTH).unless(&[("queue", "submit")]).from(&[
        AttributeSource::labels(&["queue"], &JOB_QUEUE),
        AttributeSource::labels(&["state"], &JOB_STATE).by_table(&[
            ("waiting", "waiting"),
            ("active", "active"),
            ("delayed", "delayed"),
            ("paused", "paused"),
        ]),
    ]),
    Rule::new(&["queues_processed"], &JOB_PROCESSED).unless(&[("queue", "submit")]).from(&[
        AttributeSource::labels(&["queue"], &JOB_QUEUE),
        AttributeSource::labels(&["status"], &JOB_OUTCOME).by_table(&[("completed", "completed"), ("failed", "failed")]),
    ]),
    Rule::new(&["imap_connections"], &ACCOUNT_STATUS).from(&[AttributeSource::labels(&["status"], &ACCOUNT_STATE)
        .by_table(&[
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
        ])
        .otherwise(OTHER)]),
    Rule::new(&["imap_bytes_sent"], &NETWORK_IO).with(&[(&PROTOCOL, "imap"), (&IO_DIRECTION, "transmit")]).zero_when_absent(),
    Rule::new(&["imap_bytes_received"], &NETWORK_IO).with(&[(&PROTOCOL, "imap"), (&IO_DIRECTION, "receive")]).zero_when_absent(),
    Rule::new(&["webhooks"], &WEBHOOK_REQUESTS)
        .from(&[AttributeSource::labels(&["status"], &WEBHOOK_OUTCOME).by_table(&[("success", "success"), ("fail", "failure")])])
        .zero_when_absent(),
    Rule::new(&["webhook_req"], &WEBHOOK_REQUEST_DURATION).scale(0.001),
    Rule::new(&["process_cpu_user_seconds_total"], &PROCESS_CPU_TIME).with(&[(&CPU_MODE, "user")]),
    Rule::new(&["process_cpu_system_seconds_total"], &PROCESS_CPU_TIME).with(&[(&CPU_MODE, "system")]),
    Rule::new(&["process_resident_memory_bytes"], &PROCESS_MEMORY_USAGE),
];
