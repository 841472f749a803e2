//! CeyMail: `GET /api/stats/metrics`, Prometheus text, Bearer token.
//!
//! Facts from its API documentation (statistics, Business plan): one live token, shown once; 12 requests a minute and
//! address, counted before authentication; `*_total` names are gauges; units that are not loaded have no series. Nothing says that
//! its last line ends, and no rule of it takes what is absent for 0.

use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::source::{AttributeSource, Credential, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "ceymail",
    title: "CeyMail",
    parts: &[Part {
        name: "metrics",
        help: "everything the server says",
        requests: &[Request { format: "text", path: "/api/stats/metrics", post: None, read: prometheus::read_unended }],
        body_bytes_max: 1024 * 1024,
        credential: Credential::Bearer,
        rules: RULES,
        known_by: &["ceymail_*"],
        misnamed_when: &[],
        interval: None,
        on_unauthorized: "set token (or token_file) to the API token of the statistics page; making a new one there revokes the old, and the Business plan is needed",
        on_not_found: "this server has no statistics API at /api/stats/metrics; check the url and the plan",
    }],
    min_interval: Duration::from_secs(10),
    timeout: Duration::from_secs(10),
    requests_per_minute_max: Some(12),
    windowed: false,
    gauges_underflow: false,
    mistyped_counters: &[],
    version: None,
    counters_since: None,
    process_since: None,
    records: None,
};

static RULES: &[Rule] = &[
    Rule::new(&["ceymail_queue_active"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]),
    Rule::new(&["ceymail_queue_deferred"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "deferred")]),
    Rule::new(&["ceymail_queue_hold"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
    Rule::new(&["ceymail_queue_bounce"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "bounce")]),
    Rule::new(&["ceymail_service_up"], &SERVICE_STATUS)
        .with(&[(&SERVICE_STATE, "up")])
        .from(&[AttributeSource::same("name", &SERVICE_NAME)])
        .step(Transform::Is),
    Rule::new(&["ceymail_service_up"], &SERVICE_STATUS)
        .with(&[(&SERVICE_STATE, "down")])
        .from(&[AttributeSource::same("name", &SERVICE_NAME)])
        .step(Transform::Not),
    Rule::new(&["ceymail_domains_total"], &DOMAIN_CONFIGURED),
    Rule::new(&["ceymail_mailboxes_total"], &ACCOUNT_CONFIGURED),
    Rule::new(&["ceymail_aliases_total"], &ALIAS_CONFIGURED),
    Rule::new(&["ceymail_memory_used_bytes"], &SYSTEM_MEMORY_USAGE).with(&[(&MEMORY_STATE, "used")]),
    Rule::new(&["ceymail_memory_total_bytes"], &SYSTEM_MEMORY_LIMIT),
    Rule::new(&["ceymail_disk_used_bytes"], &SYSTEM_FILESYSTEM_USAGE).with(&[(&FILESYSTEM_STATE, "used"), (&FILESYSTEM_MOUNTPOINT, "/")]),
    Rule::new(&["ceymail_disk_total_bytes"], &SYSTEM_FILESYSTEM_LIMIT).with(&[(&FILESYSTEM_MOUNTPOINT, "/")]),
    Rule::new(&["ceymail_cpu_idle_jiffies"], &SYSTEM_CPU_UTILIZATION).step(Transform::OneMinusShareOf("ceymail_cpu_total_jiffies")),
];
