//! Postmark's webhooks: one event in a request.

use super::delivery::{Delivery, rfc3339};
use super::format::{BodyForm, HookFormat, Retries, Signing};
use crate::simulate::AttemptOutcome;
use crate::simulate::random::mix;
use serde_json::{Value, json};

pub(super) static FORMAT: HookFormat = HookFormat {
    name: "postmark",
    item,
    message_id,
    body: BodyForm::Single,
    content_type: "application/json",
    id_header: None,
    signing: Signing::None,
    retries: Retries::new(&[60, 300, 600, 600, 600, 900, 1800, 3600, 7200, 21_600], Some(11), 10),
    parallel_max: 4,
};

fn message_id(delivery: &Delivery) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", mix(delivery.id) >> 32, delivery.id)
}

fn item(delivery: &Delivery) -> Value {
    let (reply, at, to) = (delivery.reply(), rfc3339(delivery.at), delivery.recipient());
    let mut item = json!({
        "ServerID": 23,
        "MessageStream": "outbound",
        "MessageID": message_id(delivery),
        "Tag": delivery.campaign.unwrap_or("welcome"),
        "Metadata": {"private": "x"},
        "Details": format!("smtp;{}", reply.line()),
    });
    if delivery.is_delivered() {
        item["RecordType"] = "Delivery".into();
        item["Recipient"] = to.into();
        item["DeliveredAt"] = at.into();
        return item;
    }
    let (kind, code) = if delivery.outcome == AttemptOutcome::Failure { ("HardBounce", 1) } else { ("Transient", 2) };
    item["RecordType"] = "Bounce".into();
    item["Type"] = kind.into();
    item["TypeCode"] = code.into();
    item["ID"] = delivery.id.into();
    item["Email"] = to.into();
    item["From"] = "sender@example.com".into();
    item["BouncedAt"] = at.into();
    item["Inactive"] = (delivery.outcome == AttemptOutcome::Failure).into();
    item["Description"] = "".into();
    item
}
