//! Mailgun's webhooks: one event in a request, with a signature in the body that does not cover the event.

use super::delivery::Delivery;
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use crate::simulate::random::mix;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "mailgun",
    item,
    message_id,
    body: BodyForm::BesideSignature,
    content_type: "application/json",
    id_header: None,
    signing: Signing::BodyToken,
    retries: Retries::new(&[300, 600, 900, 3600, 7200, 14_400], Some(7), 10),
    parallel_max: 4,
};

fn message_id(delivery: &Delivery) -> String {
    format!("{}@example.com", delivery.id)
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let (event, severity) = match delivery.outcome {
        AttemptOutcome::Success | AttemptOutcome::InProgress => ("delivered", None),
        AttemptOutcome::Defer => ("failed", Some("temporary")),
        AttemptOutcome::Failure => ("failed", Some("permanent")),
    };
    let mut item = json!({
        "id": format!("{:016x}", mix(delivery.id)),
        "timestamp": delivery.at as f64 + 0.5,
        "event": event,
        "log-level": "info",
        "recipient": delivery.recipient(),
        "recipient-domain": delivery.domain,
        "recipient-provider": "Example Mail",
        "message": {"size": delivery.bytes, "headers": {"message-id": message_id(delivery), "subject": "private"}},
        "envelope": {"sender": "sender@example.com", "sending-ip": delivery.source_address(), "targets": delivery.recipient()},
        "tags": delivery.campaign.into_iter().collect::<Vec<_>>(),
        "domain": {"name": "example.com"},
        "account": {"id": "account"},
        "user-variables": {"private": "x"},
        "flags": {"is-delayed-bounce": false},
        "delivery-status": {
            "code": reply.code,
            "enhanced-code": reply.status(),
            "attempt-no": delivery.attempt,
            "message": reply.text,
            "tls": true,
            "mx-host": delivery.host(),
            "session-seconds": 0.4,
        },
    });
    if let Some(severity) = severity {
        item["severity"] = severity.into();
        item["reason"] = "generic".into();
    }
    item
}
