//! Mox' outgoing webhooks: one event in a request. A newer event of a message replaces the one that waits.

use super::delivery::{Delivery, rfc3339};
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "mox",
    item,
    message_id,
    body: BodyForm::Single,
    content_type: "application/json; charset=utf-8",
    id_header: Some("x-mox-webhook-id"),
    signing: Signing::None,
    retries: Retries {
        is_replaced: true,
        ..Retries::new(&[60, 120, 240, 450, 900, 1800, 3600, 7200, 14_400, 28_800, 57_600], Some(12), 60)
    },
    parallel_max: 2,
};

fn message_id(delivery: &Delivery) -> String {
    delivery.id.to_string()
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let event = match delivery.outcome {
        AttemptOutcome::Defer => "delayed",
        AttemptOutcome::Failure => "failed",
        AttemptOutcome::Success | AttemptOutcome::InProgress => "delivered",
    };
    // A success has no code.
    let (code, status, error) =
        if delivery.is_delivered() { (0, String::new(), String::new()) } else { (reply.code, reply.status(), failure_text(delivery)) };
    json!({
        "Version": 0,
        "Event": event,
        "DSN": false,
        "Suppressing": false,
        "QueueMsgID": delivery.id,
        "FromID": "from",
        "MessageID": format!("<{}@example.com>", delivery.id),
        "Subject": "private",
        "WebhookQueued": rfc3339(delivery.at),
        "SMTPCode": code,
        "SMTPEnhancedCode": status,
        "Error": error,
        "Extra": {},
    })
}

/// The text of a failure: the reply of the other server is its end.
fn failure_text(delivery: &Delivery) -> String {
    let reply = delivery.reply();
    let kind = if delivery.outcome == AttemptOutcome::Failure { "permanent" } else { "transient" };
    format!("remote smtp server sent unexpected response status code: got {}, expected 2xx, {kind}: {}", reply.code, reply.line())
}
