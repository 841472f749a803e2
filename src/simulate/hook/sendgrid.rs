//! SendGrid's event webhook: lists of events.

use super::delivery::Delivery;
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use crate::simulate::random::mix;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "sendgrid",
    item,
    message_id,
    body: BodyForm::Array(100),
    content_type: "application/json",
    id_header: None,
    signing: Signing::Ecdsa { header: "x-twilio-email-event-webhook-signature", timestamp: "x-twilio-email-event-webhook-timestamp" },
    // Rising intervals for 24 hours; their lengths are not documented.
    retries: Retries::new(&[30, 60, 120, 300, 600, 1800], None, 10),
    parallel_max: 4,
};

fn message_id(delivery: &Delivery) -> String {
    format!("message{}.recvd-0", delivery.id)
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let mut item = json!({
        "email": delivery.recipient(),
        "timestamp": delivery.at,
        "smtp-id": format!("<{}@example.com>", delivery.id),
        "sg_event_id": format!("{:016x}", mix(delivery.id)),
        "sg_message_id": message_id(delivery),
        "category": delivery.campaign.unwrap_or("newsletter"),
        "ip": delivery.source_address(),
        "tls": delivery.id % 2,
    });
    match delivery.outcome {
        AttemptOutcome::Success | AttemptOutcome::InProgress => {
            item["event"] = "delivered".into();
            item["response"] = reply.line().into();
        }
        AttemptOutcome::Defer => {
            item["event"] = "deferred".into();
            item["response"] = reply.line().into();
            // It is a text.
            item["attempt"] = delivery.attempt.to_string().into();
        }
        AttemptOutcome::Failure => {
            item["event"] = "bounce".into();
            item["type"] = "bounce".into();
            item["reason"] = reply.line().into();
            item["status"] = reply.status().into();
            item["bounce_classification"] = "Invalid Address".into();
        }
    }
    item
}
