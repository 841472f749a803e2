//! Makes the records of one item: one for each recipient.

use super::node_path::scalar;
use super::value_source::Found;
use super::{HookPage, HookRecord, Row, Slot, address, identity, reply_text, slot, timestamp};
use crate::format::parse_smtp_reply;
use crate::model::{BounceType, ComplaintType, FIELDS, FailureOrigin, Field, Outcome, Record, RecordEvent, Reply, cut, scale, since_1970};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The largest number of recipients of an item.
const RECIPIENTS_MAX: usize = 1000;
/// The largest length of a text field. The rest is cut.
const FIELD_BYTES_MAX: usize = 1024;
/// The largest length of a failure class.
const CLASS_BYTES_MAX: usize = 200;
/// The longest duration that is believed, in seconds.
const DURATION_MAX: f64 = 400.0 * 86_400.0;
/// The memory of a record without its texts.
const RECORD_BYTES: usize = size_of::<HookRecord>();

/// The memory that a record needs.
fn memory_bytes(record: &HookRecord) -> usize {
    let texts: usize = record.record.fields.iter().map(|(_, text)| text.len() + size_of::<(Field, String)>()).sum();
    RECORD_BYTES + texts + record.identity.len()
}

/// An item and the row that it fits.
pub(super) struct Assembly<'v> {
    pub row: &'v Row,
    pub item: &'v Value,
    pub received_at: SystemTime,
}

impl<'v> Assembly<'v> {
    /// Adds the records of the item to the page, and their memory to `bytes`. Each recipient has a copy of all fields.
    pub(super) fn add_records(&self, bytes: &mut usize, page: &mut HookPage) -> Result<(), String> {
        let recipients = self.recipients();
        let record = self.record();
        // As in a delivery log, such a record is not about a message.
        if record.event == RecordEvent::Delivery && recipients.is_empty() && record.field(Field::MessageId).is_none() {
            return Err("has neither the id of a message nor a recipient".to_owned());
        }
        let count = recipients.len().max(1);
        for index in 0..count.min(RECIPIENTS_MAX) {
            let record = self.of_recipient(&record, recipients.get(index).map(String::as_str), index);
            *bytes += memory_bytes(&record);
            page.records.push(record);
        }
        if count > RECIPIENTS_MAX {
            page.unreadable += (count - RECIPIENTS_MAX - 1) as u64;
            return Err(format!("has {count} recipients, which exceeds the limit of {RECIPIENTS_MAX}"));
        }
        Ok(())
    }

    /// Finds the value of a field.
    fn find(&self, slot: Slot) -> Option<Found<'v>> {
        let (_, sources) = self.row.fields.iter().find(|(other, _)| *other == slot)?;
        sources.iter().find_map(|source| source.find(self.item))
    }

    fn find_text(&self, slot: Slot) -> Option<String> {
        self.find(slot)?.text().map(std::borrow::Cow::into_owned)
    }

    fn find_number(&self, slot: Slot) -> Option<f64> {
        let (_, sources) = self.row.fields.iter().find(|(other, _)| *other == slot)?;
        sources.iter().find_map(|source| Some(scale(source.find(self.item)?.number()?, source.scale) + f64::from(source.add)))
    }

    /// A non-negative integer that a float holds exactly.
    fn find_integer(&self, slot: Slot) -> Option<u64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range")]
        self.find_number(slot).filter(|number| (0.0..9e15).contains(number) && number.fract() == 0.0).map(|number| number as u64)
    }

    fn find_time(&self, slot: Slot) -> Option<Duration> {
        let (_, sources) = self.row.fields.iter().find(|(other, _)| *other == slot)?;
        sources.iter().find_map(|source| timestamp::read(&source.find(self.item)?, source.scale, source.age_max, self.received_at))
    }

    /// The recipients: one or a list.
    fn recipients(&self) -> Vec<String> {
        let texts: Vec<String> = match self.find(Slot::Text(Field::Recipient)) {
            Some(Found::Node(Value::Array(elements))) => elements.iter().filter_map(scalar).map(std::borrow::Cow::into_owned).collect(),
            Some(found) => found.text().map(std::borrow::Cow::into_owned).into_iter().collect(),
            None => Vec::new(),
        };
        texts.iter().filter_map(|text| address::mail(text)).map(str::to_owned).collect()
    }

    /// The record without what depends on the recipient.
    fn record(&self) -> Record {
        let row = self.row;
        let time = self.find_time(Slot::Time);
        let received = self.find_time(Slot::Received);
        let at = time.unwrap_or_else(|| since_1970(self.received_at));
        let measured = || {
            let (time, received) = (time?, received?);
            // Some systems report one time in whole seconds and the other one with a fraction.
            let is_rounded = received > time && received.saturating_sub(time) < Duration::from_secs(1);
            if is_rounded { Some(0.0) } else { time.checked_sub(received).map(|duration| duration.as_secs_f64()) }
        };
        let is_delivery = row.event == RecordEvent::Delivery && row.outcome != Some(Outcome::Held);
        let duration = self.find_number(Slot::Duration).or_else(measured).filter(|_| is_delivery);
        let is_duration = |seconds: &f64| (0.0..=DURATION_MAX).contains(seconds);
        let mut record = Record {
            event: row.event,
            at: at.as_secs(),
            at_nanos: at.subsec_nanos(),
            received: received.map(|received| received.as_secs()),
            outcome: row.outcome,
            attempt: self.find_integer(Slot::Attempt).and_then(|attempt| u32::try_from(attempt).ok()).filter(|attempt| *attempt > 0),
            duration: duration.filter(is_duration),
            attempt_duration: self.find_number(Slot::AttemptDuration).filter(is_duration),
            size: self.find_integer(Slot::Size).filter(|size| *size > 0),
            source: self.find_closed(Slot::Source, slot::MESSAGE_SOURCES),
            protocol: self.find_closed(Slot::Protocol, slot::PROTOCOLS),
            tls: self.find_text(Slot::Tls).and_then(|text| flag(&text)),
            origin: self.find_text(Slot::Origin).and_then(|text| FailureOrigin::by_name(&text)).or(row.origin),
            bounce: self.find_text(Slot::BounceType).and_then(|text| BounceType::by_name(&text)).or(row.bounce),
            complaint: self.find_text(Slot::ComplaintType).and_then(|text| ComplaintType::by_name(&text)).or(row.complaint),
            ..Record::default()
        };
        for info in FIELDS.iter().filter(|info| info.field != Field::Recipient) {
            record.fields.extend(self.text(info.field).map(|text| (info.field, text)));
        }
        self.set_reply(&mut record);
        record
    }

    /// Sets the reply, and the reason of a failure that has no enhanced status code.
    fn set_reply(&self, record: &mut Record) {
        let parsed = record.field(Field::Message).map(parse_smtp_reply).unwrap_or_default();
        let code = self.find_integer(Slot::Code).and_then(|code| u16::try_from(code).ok()).filter(|code| (200..600).contains(code));
        let status = self.find(Slot::Status).as_ref().and_then(reply_text::status);
        record.reply.code = if self.has(Slot::Code) { code } else { parsed.code };
        // The text may quote another reply than the one of the code.
        let fits = |class: u8| code.is_none_or(|code| u16::from(class) == code / 100);
        record.reply.status = status.or_else(|| parsed.status.filter(|status| fits(status.class)));
        record.reply.stage = self.find_closed(Slot::Stage, slot::STAGES).or(parsed.stage);
        // Nothing was tried, so nobody replied, whatever the item has.
        if matches!(record.outcome, Some(Outcome::Suppressed | Outcome::Held)) {
            record.reply = Reply::default();
        }
        let is_failure = match record.event {
            RecordEvent::Delivery => {
                !matches!(record.outcome, None | Some(Outcome::Delivered | Outcome::InProgress | Outcome::Held | Outcome::Canceled))
            }
            RecordEvent::Bounce | RecordEvent::Rejection => true,
            RecordEvent::Complaint | RecordEvent::Received => false,
        };
        if !is_failure {
            (record.origin, record.reply.stage) = (None, None);
        } else if record.reply.status.is_none() {
            record.error_type = Some(self.error_type(record));
        }
    }

    fn error_type(&self, record: &Record) -> &'static str {
        let of_stage = |stage| matches!(stage, "dns" | "connect" | "tls" | "auth").then_some(stage);
        match record.outcome {
            Some(Outcome::Expired) => "expired",
            Some(Outcome::Suppressed) => "suppressed",
            _ => self
                .find_closed(Slot::ErrorType, slot::ERROR_TYPES)
                .or_else(|| record.reply.stage.and_then(of_stage))
                .or_else(|| (record.origin == Some(FailureOrigin::Local)).then_some("local"))
                .unwrap_or("_OTHER"),
        }
    }

    /// Returns `true` if the item has a value for a field, even one that is not valid.
    fn has(&self, slot: Slot) -> bool {
        self.find(slot).is_some()
    }

    fn find_closed(&self, slot: Slot, values: &'static [&'static str]) -> Option<&'static str> {
        slot::find(values, &self.find_text(slot)?)
    }

    /// The value of a text field, in its normal form.
    fn text(&self, field: Field) -> Option<String> {
        let text = self.find_text(Slot::Text(field))?;
        let max = if field == Field::FailureClass { CLASS_BYTES_MAX } else { FIELD_BYTES_MAX };
        let text = match field {
            Field::Message => reply_text::clean(&text),
            Field::PeerIp | Field::SourceIp | Field::ClientIp => address::ip(&text)?,
            Field::Sender => cut(address::mail(&text)?, max).to_owned(),
            Field::Domain | Field::DeliveryDomain => cut(text.trim().trim_end_matches('.'), max).to_lowercase(),
            _ => cut(text.trim(), max).to_owned(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// The record of one recipient.
    fn of_recipient(&self, record: &Record, recipient: Option<&str>, index: usize) -> HookRecord {
        let mut record = record.clone();
        let mut add = |field: Field, text: String| {
            let at = record.fields.partition_point(|(other, _)| (*other as u8) < field as u8);
            record.fields.insert(at, (field, text));
        };
        if let Some(recipient) = recipient {
            add(Field::Recipient, cut(recipient, FIELD_BYTES_MAX).to_owned());
        }
        if let Some(domain) = recipient.and_then(address::domain).filter(|_| !self.has(Slot::Text(Field::DeliveryDomain))) {
            add(Field::DeliveryDomain, cut(&domain, FIELD_BYTES_MAX).to_owned());
        }
        let mut bytes = Vec::new();
        identity::write(&self.row.identity, self.item, recipient, index, &mut bytes);
        HookRecord { identity: bytes, record }
    }
}

/// A Boolean: true and false, or 1 and 0.
fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
