//! Postal's webhooks: one event in a request.

use super::delivery::Delivery;
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use crate::simulate::random::mix;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "postal",
    item,
    message_id,
    body: BodyForm::Single,
    content_type: "application/json",
    id_header: None,
    signing: Signing::Rsa { header: "x-postal-signature-256" },
    retries: Retries::new(&[120, 180, 360, 600, 900], Some(6), 5),
    parallel_max: 2,
};

fn message_id(delivery: &Delivery) -> String {
    format!("token{}", delivery.id)
}

fn item(delivery: &Delivery) -> Value {
    let (reply, host, peer) = (delivery.reply(), delivery.host(), delivery.peer());
    let (event, status, details) = match delivery.outcome {
        AttemptOutcome::Success | AttemptOutcome::InProgress => (
            "MessageSent",
            "Sent",
            format!("Message for {} accepted by {peer}:25 ({host}) (from {})", delivery.recipient(), delivery.source_address()),
        ),
        AttemptOutcome::Defer => {
            ("MessageDelayed", "SoftFail", format!("Temporary SMTP delivery error when sending to {peer}:25 ({host})"))
        }
        AttemptOutcome::Failure => {
            ("MessageDeliveryFailed", "HardFail", format!("Permanent SMTP delivery error when sending to {peer}:25 ({host})"))
        }
    };
    let at = delivery.at as f64 + 0.25;
    json!({
        "event": event,
        "timestamp": at,
        "uuid": format!("{:016x}", mix(delivery.id)),
        "payload": {
            "message": {
                "id": delivery.id,
                "token": message_id(delivery),
                "direction": "outgoing",
                "message_id": format!("{}@example.com", delivery.id),
                "to": delivery.recipient(),
                "from": "sender@example.com",
                "subject": "private",
                "timestamp": delivery.received,
                "spam_status": "NotSpam",
                "tag": delivery.campaign,
            },
            "status": status,
            "details": details,
            "output": reply.line(),
            "sent_with_ssl": delivery.id.is_multiple_of(2),
            "timestamp": at,
            "time": 0.25,
        },
    })
}
