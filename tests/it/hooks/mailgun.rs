//! Metrics of Mailgun's API and records of its hook count the same events.

use super::{RECEIVED_AT, fixture, read};
use postmeter::model::Outcome;
use postmeter::source::{self, Context, CounterMemory, map_to_canonical};
use serde_json::{Value, json};
use std::time::SystemTime;

#[test]
fn mailgun_counts_the_same_in_metrics_and_in_records() {
    let body = fixture("mailgun", "hook-events.jsonl");
    let events: Vec<Value> =
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
    // The metrics of these events, by the definitions of Mailgun's documentation ("Metric Definitions").
    let count = |is_counted: &dyn Fn(&Value) -> bool| events.iter().filter(|event| is_counted(&event["event-data"])).count();
    let permanent = |event: &Value| event["event"] == "failed" && event["severity"] == "permanent";
    let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
    let metrics = json!({
        "delivered_count": count(&|event| event["event"] == "delivered"),
        "temporary_failed_count": count(&|event| event["event"] == "failed" && event["severity"] != "permanent"),
        "permanent_failed_count": count(&permanent),
        "bounced_count": count(&|event| permanent(event) && !reason(event).starts_with("suppress-")),
        "delayed_bounce_count": count(&|event| permanent(event) && event["flags"]["is-delayed-bounce"] == true),
        "permanent_failed_old_count": count(&|event| permanent(event) && reason(event) == "old"),
        "webhook_count": count(&|event| permanent(event) && event["flags"]["is-callback"] == true),
        "complained_count": count(&|event| event["event"] == "complained"),
    });
    let system = source::by_name("mailgun").unwrap();
    let part = system.required();
    let families = part.read_saved(json!({"items": [{"metrics": metrics}]}).to_string().into_bytes()).unwrap();
    let now = SystemTime::UNIX_EPOCH + RECEIVED_AT;
    let context = Context::at(now);
    let snapshot = map_to_canonical(system, &[(part, families)], &mut CounterMemory::default(), &context);
    let mut counted: Vec<(&str, String, f64)> = snapshot
        .points
        .iter()
        .map(|point| (point.metric.name, point.attributes.iter().map(|(_, value)| value.to_string()).collect(), point.value))
        .collect();
    counted.sort_by(|a, b| a.partial_cmp(b).unwrap());

    let page = read("mailgun", &body);
    let records = |event: &str, outcome: Option<Outcome>| {
        page.records.iter().filter(|found| found.record.event.as_str() == event && found.record.outcome == outcome).count() as f64
    };
    let attempts = |outcome: Outcome| ("mail.delivery.attempts", outcome.as_str().to_owned(), records("mail.delivery", Some(outcome)));
    assert_eq!(
        counted,
        [
            ("mail.bounces", "unknown".to_owned(), records("mail.bounce", None)),
            ("mail.complaints", String::new(), records("mail.complaint", None)),
            attempts(Outcome::Deferred),
            attempts(Outcome::Delivered),
            attempts(Outcome::Failed),
            ("mail.rejected.messages", "policy".to_owned(), records("mail.delivery", Some(Outcome::Suppressed))),
        ]
    );
    assert!(counted.iter().all(|(.., value)| *value > 0.0), "{counted:?}");
}
