//! Stalwart: `GET /metrics/prometheus`, Prometheus text, Basic authentication; the queue by its management API.
//!
//! Facts from 0.15.5 and 0.16.18, their sources and runs of both. No labels but `le`; counters that are zero are absent;
//! buckets are not cumulative; durations are milliseconds. 0.16 renamed some counters, so rules know both names.
//! What is not mapped, and why: `spf_*`, `dmarc_*` and `dkim_*` beside `smtp_spf_*`... never count a verification of their
//! own; `delivery_rate_limit_exceeded` and `queue_rate_limit_exceeded` are one event told twice;
//! `smtp_spf_ehlo_*` is a second check of the same session.

mod queue;
mod rules;

use crate::format::prometheus;
use crate::source::{Credential, Part, Request, Source};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "stalwart",
    title: "Stalwart",
    parts: &[
        Part {
            name: "metrics",
            help: "everything the server counts",
            requests: &[Request { format: "text", path: "/metrics/prometheus", post: None, read: prometheus::read }],
            body_bytes_max: 4 * 1024 * 1024,
            credential: Credential::Basic,
            rules: rules::METRICS,
            known_by: rules::KNOWN_BY,
            misnamed_when: rules::MISNAMED,
            interval: None,
            on_unauthorized: "set username and password to those of the Prometheus endpoint (Settings > Telemetry > Metrics), which are not an account's; each refused scrape counts as a failed login there",
            on_not_found: "enable the Prometheus endpoint in Stalwart (Settings > Telemetry > Metrics > Prometheus)",
        },
        Part {
            name: "queue",
            help: "how many messages are queued, and the age of the oldest (0.15)",
            requests: &[
                Request { format: "0.15", path: "/api/queue/messages?limit=1&values=1", post: None, read: queue::read_management },
                Request { format: "0.16", path: "/jmap/", post: Some(queue::JMAP_QUERY), read: queue::read_jmap },
            ],
            body_bytes_max: 1024 * 1024,
            credential: Credential::BearerOrBasic,
            rules: rules::QUEUE,
            known_by: &[],
            misnamed_when: &[],
            interval: None,
            on_unauthorized: "set parts.queue.token to an API key, or username and password to an account, with the permission message-queue-list (0.15) or sysQueuedMessageQuery (0.16)",
            on_not_found: "this server has neither the management API of 0.15 nor JMAP of 0.16; check the url",
        },
    ],
    min_interval: Duration::from_secs(15),
    timeout: Duration::from_secs(10),
    requests_per_minute_max: None,
    windowed: false,
    gauges_underflow: true,
    mistyped_counters: &[],
    version: None,
    counters_since: None,
    process_since: None,
    records: None,
};

#[cfg(test)]
mod tests;
