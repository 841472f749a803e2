//! `postmeter scrape --file` for saved responses: the metrics and errors that it prints, compared with snapshots.
//!
//! The fixtures are synthetic; each has the quirks that the documentation of its `source` module describes.
#![allow(clippy::unwrap_used)]

use crate::assert_text_snapshot;
use crate::support::{FIXTURES, fixture_files, postmeter, stderr, stdout};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{DataPointFlags, NumberDataPoint};

/// The name of a snapshot, `SYSTEM/NAME`, and the responses it is made from. `PART=` precedes the responses of optional parts.
const READABLE: &[(&str, &[&str])] = &[
    ("ceymail/full", &["full.prom"]),
    ("ceymail/full", &["full.http"]),
    ("ceymail/bare", &["bare.prom"]),
    ("cpanel/required", &["emailtrack_user_stats.json"]),
    (
        "cpanel/all",
        &[
            "emailtrack_user_stats.json",
            "emailtrack_stats=emailtrack_stats.json",
            "fetch_mail_queue=fetch_mail_queue.json",
            "servicestatus=servicestatus.json",
            "systemloadavg=systemloadavg.json",
            "getdiskusage=getdiskusage.json",
            "version=version.json",
            "email_logs=email_logs.json",
        ],
    ),
    ("cpanel/part-refused", &["emailtrack_user_stats.json", "fetch_mail_queue=result-0.json"]),
    ("kumomta/json", &["metrics.json", "machine-info=machine-info.json"]),
    (
        "kumomta/administration",
        &[
            "metrics.json",
            "liveness=liveness.txt",
            "suspensions=suspensions.json",
            "suspended-ready-queues=suspended-ready-queues.json",
            "bounces=bounces.json",
            "ready-queue-states=ready-queue-states.json",
        ],
    ),
    (
        "kumomta/administration-none",
        &[
            "metrics.json",
            "liveness=liveness-503.http",
            "suspensions=suspensions-none.json",
            "suspended-ready-queues=suspensions-none.json",
            "bounces=suspensions-none.json",
            "ready-queue-states=ready-queue-states-none.json",
        ],
    ),
    ("kumomta/liveness-of-a-proxy", &["metrics.json", "liveness=liveness-proxy.http"]),
    ("kumomta/gzip", &["metrics.json.gz"]),
    ("kumomta/text", &["metrics.txt"]),
    ("stalwart/v0.15", &["v0.15.prom", "queue=queue-0.15.json"]),
    ("stalwart/v0.16", &["v0.16.prom", "queue=queue-0.16.http"]),
    ("stalwart/deeper-0.16", &["misnamed.prom", "overdue=overdue-0.16.http", "certificates=certificates-0.16.json"]),
    ("stalwart/overdue-forbidden", &["misnamed.prom", "overdue=overdue-forbidden-0.16.json"]),
    ("stalwart/misnamed", &["misnamed.prom"]),
    ("stalwart/queue-forbidden-0.15", &["misnamed.prom", "queue=queue-forbidden-0.15.json"]),
    ("stalwart/queue-forbidden-0.16", &["misnamed.prom", "queue=queue-forbidden-0.16.json"]),
    ("stalwart/queue-unsupported", &["misnamed.prom", "queue=queue-unsupported-0.15.http"]),
    ("stalwart/queue-429", &["misnamed.prom", "queue=queue-429.http"]),
    ("emailengine/active", &["active.prom"]),
    ("emailengine/active", &["active.prom.gz"]),
    ("emailengine/stats", &["active.prom", "stats=stats.json"]),
    ("emailengine/stats-403", &["active.prom", "stats=stats-403.http"]),
    ("emailengine/fresh", &["fresh.prom"]),
    ("postfix/fresh", &["fresh.prom"]),
    ("postfix/default-flags", &["default-flags.prom"]),
    ("postfix/all-flags", &["all-flags.prom"]),
    ("postfix/stopped", &["stopped.prom"]),
    ("postfix/kumina", &["kumina.prom"]),
    ("exim/fresh", &["fresh.prom"]),
    ("exim/active", &["active.prom"]),
    ("exim/unseen", &["unseen.prom"]),
    ("dovecot/fresh", &["fresh.prom"]),
    ("dovecot/active", &["active.prom"]),
    ("dovecot/grouped", &["grouped.prom"]),
    ("dovecot/no-metrics", &["no-metrics.prom"]),
    ("rspamd/fresh", &["fresh.prom"]),
    ("rspamd/active", &["active.http"]),
    ("mox/active", &["active.prom"]),
    ("mox/fresh", &["fresh.prom"]),
    ("maddy/active", &["active.prom"]),
    ("maddy/fresh", &["fresh.prom"]),
    ("maddy/v0.8", &["v0.8.prom"]),
    ("haraka/prefixed", &["prefixed.prom"]),
    ("haraka/bare", &["bare.prom"]),
    ("postal/smtp", &["smtp.prom"]),
    ("postal/smtp-fresh", &["smtp-fresh.prom"]),
    ("postal/worker", &["worker.prom"]),
    ("postal/worker-fresh", &["worker-fresh.prom"]),
    ("prometheus/postfix", &["postfix.prom"]),
    (
        "mailcow/all",
        &[
            "containers.json",
            "queue=mailq.json",
            "rspamd=rspamd.json",
            "mailboxes=mailboxes.json",
            "domains=domains.json",
            "quarantine=quarantine.json",
        ],
    ),
    ("mailcow/empty", &["containers.json", "queue=mailq-empty.json", "rspamd=rspamd-away.json", "mailboxes=mailboxes-empty.json"]),
    (
        "pmg/all",
        &["statistics.json", "queue-deferred=qshape-deferred.json", "queue-hold=qshape-hold.json", "quarantine-spam=spamstatus.json"],
    ),
    ("pmg/fresh", &["statistics-fresh.json", "queue-hold=403.http"]),
    ("sendgrid/day", &["stats.json"]),
    ("mailgun/hours", &["analytics.json"]),
    ("postmark/day", &["outbound.json"]),
    ("powermta/status", &["status.json"]),
];

/// Responses without usable metrics.
const UNUSABLE: &[(&str, &[&str])] = &[
    ("ceymail/401", &["401.http"]),
    ("ceymail/404", &["404.http"]),
    ("ceymail/429", &["429.http"]),
    ("ceymail/302", &["302.http"]),
    ("ceymail/login-page", &["login.html"]),
    ("ceymail/login-page-with-head", &["login.http"]),
    ("ceymail/only-comments", &["only-comments.prom"]),
    ("ceymail/no-metrics", &["no-metrics.txt"]),
    ("stalwart/401", &["401.http"]),
    ("stalwart/404", &["404.http"]),
    ("stalwart/503", &["503.http"]),
    ("stalwart/json-for-text", &["queue-0.15.json"]),
    ("stalwart/required-missing", &["queue=queue-0.15.json"]),
    ("emailengine/401", &["401.http"]),
    ("emailengine/403", &["403.http"]),
    ("kumomta/401", &["401.http"]),
    ("cpanel/403", &["403.http"]),
    ("cpanel/result-0", &["result-0.json"]),
    ("cpanel/api-0", &["api-0.json"]),
    ("postfix/401", &["401.http"]),
    ("postfix/other-exporter", &["other-exporter.prom"]),
    ("exim/other-exporter", &["other-exporter.prom"]),
    ("dovecot/404", &["404.http"]),
    ("rspamd/401", &["401.http"]),
    ("mox/404", &["404.http"]),
    ("mox/other-system", &["../maddy/active.prom"]),
    ("maddy/other-system", &["../mox/fresh.prom"]),
    ("haraka/other-system", &["../mox/active.prom"]),
    ("postal/other-system", &["../haraka/prefixed.prom"]),
    ("prometheus/404", &["404.http"]),
    ("prometheus/landing-page", &["landing-page.html"]),
    ("mailcow/401", &["401.http"]),
    ("mailcow/no-key", &["no-key.http"]),
    ("mailcow/dockerapi-away", &["dockerapi-away.json"]),
    ("pmg/401", &["401.http"]),
    ("sendgrid/401", &["401.http"]),
    ("sendgrid/429", &["429.http"]),
    ("mailgun/401", &["401.http"]),
    ("postmark/401", &["401.http"]),
    ("powermta/403", &["403.http"]),
];

/// Runs `scrape --file` in the directory of the fixtures, so that messages contain no absolute path.
fn scrape(snapshot: &str, files: &[&str], options: &[&str]) -> std::process::Output {
    let (system, _) = snapshot.split_once('/').unwrap();
    let args: Vec<&str> = ["scrape", "--system", system, "--file"].iter().chain(files).chain(options).copied().collect();
    postmeter().current_dir(format!("{FIXTURES}/{system}")).args(args).output().unwrap()
}

#[test]
fn metrics_of_saved_responses() {
    for (snapshot, files) in READABLE {
        let output = scrape(snapshot, files, &[]);
        assert!(output.status.success(), "{snapshot}: {}", stderr(&output));
        let errors = stderr(&output);
        let errors = if errors.is_empty() { errors } else { format!("--- standard error\n{errors}") };
        assert_text_snapshot!(snapshot.replace('/', "-"), format!("{}{errors}", mask_ages(&stdout(&output))));
    }
}

#[test]
fn errors_of_unusable_responses() {
    for (snapshot, files) in UNUSABLE {
        let output = scrape(snapshot, files, &[]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{snapshot}");
        assert_text_snapshot!(snapshot.replace('/', "-"), stderr(&output));
    }
}

#[test]
fn every_fixture_is_used() {
    // config.rs, properties.rs and hooks.rs use the others.
    let is_other = |path: &String| path.starts_with("config/") || path.starts_with("found/") || path.contains("/hook-");
    for path in fixture_files().filter(|path| !is_other(path)) {
        let (system, file) = path.split_once('/').unwrap();
        let uses = |files: &[&str]| files.iter().any(|argument| argument.rsplit('=').next() == Some(file));
        let is_used = READABLE
            .iter()
            .chain(UNUSABLE)
            .any(|(snapshot, files)| snapshot.split_once('/').is_some_and(|(name, _)| name == system) && uses(files));
        assert!(is_used, "{path} is not used");
    }
}

/// Masks the values that depend on the clock.
fn mask_ages(page: &str) -> String {
    const AGES: [&str; 2] = ["postmeter_poll_age_seconds{", "mail_queue_oldest_age_seconds{"];
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if AGES.iter().any(|age| line.starts_with(age)) => format!("{series} *\n"),
        _ => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

#[test]
fn otlp_json_is_the_pushed_request() {
    let output = scrape("emailengine/active", &["active.prom"], &["--format", "otlp-json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let message: ExportMetricsServiceRequest = serde_json::from_slice(&output.stdout).unwrap();
    let [resource_metrics] = &message.resource_metrics[..] else { panic!("one target, one resource") };
    let identity: Vec<_> =
        resource_metrics.resource.as_ref().unwrap().attributes.iter().map(|a| format!("{}={}", a.key, text(a))).collect();
    assert_eq!(identity, ["service.name=emailengine", "service.instance.id=file", "service.version=2.79.2"]);
    let metrics: Vec<_> = resource_metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics).collect();
    let mut points = 0;
    for metric in &metrics {
        for point in numbers(metric.data.as_ref()) {
            let path = || format!("{}: {point:?}", metric.name);
            assert_eq!(point.flags & DataPointFlags::NoRecordedValueMask as u32, 0, "{}", path());
            assert!(point.time_unix_nano > 0 && point.value.is_some(), "{}", path());
            points += 1;
        }
    }
    assert!(points > 40, "{points}");
    let started = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        numbers(metric.data.as_ref()).iter().map(|point| point.start_time_unix_nano).collect::<Vec<_>>()
    };
    assert!(started("mail.queue.depth").iter().all(|at| *at == 0));
    assert!(started("mail.webhook.requests").iter().all(|at| *at == 1_700_000_000_000_000_000), "process_start_time_seconds");
    let output = scrape("kumomta/json", &["metrics.json"], &["--format", "otlp-json"]);
    let message: ExportMetricsServiceRequest = serde_json::from_slice(&output.stdout).unwrap();
    let metrics = message.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|scope| &scope.metrics);
    for metric in metrics.filter(|metric| !metric.name.starts_with("postmeter.poll.")) {
        assert!(
            numbers(metric.data.as_ref()).iter().all(|point| point.start_time_unix_nano == 0),
            "{}: the start time is unknown",
            metric.name
        );
    }
}

#[test]
fn otlp_json_is_proto_json_and_respects_only() {
    use serde_json::Value;
    fn walk(value: &Value, path: &str) {
        match value {
            Value::Null => panic!("{path} is null"),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = format!("{path}.{key}");
                    if ["timeUnixNano", "startTimeUnixNano", "asInt", "count", "intValue"].contains(&key.as_str()) {
                        assert!(
                            value.as_str().is_some_and(|n| n.parse::<i128>().is_ok_and(|n| n != 0 || key == "asInt")),
                            "{path}: {value}"
                        );
                    }
                    if key == "aggregationTemporality" {
                        assert!(value.is_number(), "{path}: {value}");
                    }
                    walk(value, &path);
                }
            }
            Value::Array(items) => {
                assert!(!items.is_empty(), "{path} is empty");
                items.iter().for_each(|item| walk(item, path));
            }
            _ => {}
        }
    }
    let names = |only: &[&str]| {
        let output = scrape("kumomta/json", &["metrics.json"], &[&["--format", "otlp-json"], only].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let message: Value = serde_json::from_slice(&output.stdout).unwrap();
        walk(&message, "");
        let scopes = message["resourceMetrics"][0]["scopeMetrics"].as_array().unwrap().clone();
        let metrics = scopes.iter().flat_map(|scope| scope["metrics"].as_array().unwrap().clone());
        metrics.map(|metric| metric["name"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let (all, canonical, native) = (names(&[]), names(&["--only", "canonical"]), names(&["--only", "native"]));
    assert!(canonical.contains("mail.delivery.attempts") && canonical.contains("mail.delivery.attempt.duration"), "{canonical:?}");
    assert!(native.contains("scheduled_count") && !canonical.contains("scheduled_count") && !native.contains("mail.up"), "{native:?}");
    assert_eq!(all, canonical.union(&native).cloned().collect());
}

fn numbers(data: Option<&Data>) -> &[NumberDataPoint] {
    match data {
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        Some(Data::Sum(sum)) => &sum.data_points,
        _ => &[],
    }
}

fn text(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{}: {other:?}", attribute.key),
    }
}
