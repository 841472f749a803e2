//! KumoMTA's log hook, as the shipped Lua sends it.

use super::delivery::{Delivery, rfc3339};
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::{AttemptOutcome, Origin};
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "kumomta",
    item,
    message_id,
    body: BodyForm::Lines(500),
    content_type: "application/x-ndjson",
    id_header: None,
    signing: Signing::None,
    // The queue of the hook keeps a record for a week.
    retries: Retries::new(&[60, 120, 240, 480, 960, 1200], None, 30),
    parallel_max: 4,
};

fn message_id(delivery: &Delivery) -> String {
    format!("{:032x}", delivery.id)
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let [class, subject, detail] = reply.status;
    let (kind, bounce_class) = match delivery.outcome {
        AttemptOutcome::Defer => ("TransientFailure", "Uncategorized"),
        AttemptOutcome::Failure => ("Bounce", "InvalidRecipient"),
        AttemptOutcome::Success | AttemptOutcome::InProgress => ("Delivery", "Uncategorized"),
    };
    let tenant = delivery.tenant.map(|tenant| format!("{}:{tenant}@", delivery.campaign.unwrap_or_default())).unwrap_or_default();
    let command = if delivery.is_delivered() { ".".to_owned() } else { format!("RCPT TO:<{}>\r\n", delivery.recipient()) };
    json!({
        "type": kind,
        "id": message_id(delivery),
        "sender": "sender@example.com",
        "recipient": delivery.recipient(),
        "queue": format!("{tenant}{}", delivery.domain),
        "site": delivery.host(),
        "size": delivery.bytes,
        "response": {
            "code": reply.code,
            "enhanced_code": {"class": class, "subject": subject, "detail": detail},
            "content": reply.text,
            "command": command,
        },
        "peer_address": {"name": delivery.host(), "addr": delivery.peer()},
        "timestamp": delivery.at,
        "event_time": rfc3339(delivery.at),
        "created": delivery.received,
        "created_time": rfc3339(delivery.received),
        "num_attempts": delivery.attempt - 1,
        "bounce_classification": bounce_class,
        "egress_pool": "pool",
        "egress_source": format!("source-{}", 1 + delivery.id % 2),
        "source_address": {"address": format!("{}:25000", delivery.source_address())},
        "feedback_report": null,
        "meta": {},
        "headers": {},
        "delivery_protocol": "ESMTP",
        "reception_protocol": if delivery.origin == Origin::Remote { "ESMTP" } else { "HTTP" },
        "nodeid": "557f3ad4-2c8c-11ee-976e-782d7e12e173",
        "session_id": null,
        "provider_name": if delivery.domain.len().is_multiple_of(2) { "other-provider" } else { "example-provider" },
    })
}
