//! EmailEngine's webhooks: one event in a request, one request at a time.

use super::delivery::{Delivery, rfc3339};
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "emailengine",
    item,
    message_id,
    body: BodyForm::Single,
    content_type: "application/json",
    id_header: Some("x-ee-wh-event-id"),
    signing: Signing::Hmac { header: "x-ee-wh-signature", is_url_safe: true },
    retries: Retries::new(&[5, 10, 20, 40, 80, 160, 320, 640, 1280], Some(10), 30),
    parallel_max: 1,
};

/// The first 11 digits are the milliseconds of queueing.
fn message_id(delivery: &Delivery) -> String {
    format!("{:011x}{:08x}", delivery.received * 1000, delivery.id & 0xffff_ffff)
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let envelope = json!({"from": "sender@example.com", "to": [delivery.recipient()]});
    let id = format!("<{}@example.com>", delivery.id);
    let queue_id = message_id(delivery);
    let mut data = json!({"queueId": queue_id, "messageId": id, "envelope": envelope, "networkRouting": null});
    let event = if delivery.is_delivered() {
        data["originalMessageId"] = id.into();
        data["response"] = reply.line().into();
        "messageSent"
    } else {
        let is_final = delivery.outcome == AttemptOutcome::Failure;
        data["error"] = format!("Can't send mail - all recipients were rejected: {}", reply.line()).into();
        data["errorCode"] = "EENVELOPE".into();
        data["smtpResponse"] = reply.line().into();
        data["smtpResponseCode"] = reply.code.into();
        data["smtpCommand"] = "RCPT TO".into();
        let next = if is_final { Value::Bool(false) } else { rfc3339(delivery.at + 60).into() };
        data["job"] = json!({"id": queue_id, "attemptsMade": delivery.attempt - 1, "attempts": 10, "nextAttempt": next});
        "messageDeliveryError"
    };
    let account = delivery.tenant.unwrap_or("account");
    json!({"serviceUrl": null, "account": account, "date": rfc3339(delivery.at), "event": event, "data": data})
}
