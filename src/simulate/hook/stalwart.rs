//! Stalwart's webhooks: everything that waits in one request.

use super::delivery::{Delivery, rfc3339};
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "stalwart",
    item,
    message_id,
    body: BodyForm::Events(usize::MAX),
    content_type: "application/json",
    id_header: None,
    signing: Signing::Hmac { header: "x-signature", is_url_safe: false },
    // About once a second, until the event is older than `discardAfter`: the simulated one is longer than any test.
    retries: Retries::new(&[1], None, 30),
    parallel_max: 1,
};

fn message_id(delivery: &Delivery) -> String {
    // Real ids do not fit into a float.
    (0x7000_0000_0000_0000 + delivery.id).to_string()
}

fn item(delivery: &Delivery) -> Value {
    let reply = delivery.reply();
    let mut data = json!({
        "queueId": 0x7000_0000_0000_0000_u64 + delivery.id,
        "queueName": "remote",
        "from": "sender@example.com",
        "size": delivery.bytes,
        "hostname": delivery.host(),
    });
    let kind = match delivery.outcome {
        AttemptOutcome::Defer => {
            data["to"] = json!([delivery.recipient()]);
            data["nextRetry"] = rfc3339(delivery.at + 120).into();
            "queue.rescheduled"
        }
        AttemptOutcome::Failure => {
            data["to"] = delivery.recipient().into();
            data["total"] = (delivery.attempt - 1).into();
            let (status, text) = (reply.status(), reply.text);
            data["details"] = format!(
                "Unexpected response for RCPT TO:<{}>: Code: {}, Enhanced code: {status}, Message: {text}",
                delivery.recipient(),
                reply.code
            )
            .into();
            "delivery.dsn-perm-fail"
        }
        AttemptOutcome::Success | AttemptOutcome::InProgress => {
            data["to"] = delivery.recipient().into();
            data["code"] = reply.code.into();
            data["details"] = format!("{} {}", reply.status(), reply.text).into();
            "delivery.dsn-success"
        }
    };
    json!({"id": format!("{}", delivery.at * 1000), "createdAt": rfc3339(delivery.at), "type": kind, "data": data})
}
