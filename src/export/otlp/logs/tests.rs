//! Encodes delivery records and decodes them again.

use super::*;
use crate::delivery_log::KEY_BYTES;
use crate::model::{EnhancedStatus, FIELDS, Reply};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use std::collections::BTreeMap;

const OBSERVED_NANOS: u64 = 1_800_000_000_000_000_007;

fn key() -> HashKey {
    HashKey::new(&[7; KEY_BYTES])
}

fn record(outcome: Option<Outcome>) -> Record {
    Record {
        at: 1_795_168_807,
        received: Some(1_795_168_805),
        outcome,
        size: Some(10_242),
        source: Some("authenticated"),
        reply: Reply { code: Some(451), status: Some(EnhancedStatus { class: 4, subject: 7, detail: 1 }), stage: Some("rcpt_to") },
        remote: Some(true),
        spam_score: Some(-1.5),
        duration: Some(2.0),
        fields: FIELDS.iter().map(|info| (info.field, format!("value-{}", info.name))).collect(),
        ..Record::default()
    }
}

fn decoded(include: &[Field], records: &[Record], bytes_max: usize) -> Vec<ExportLogsServiceRequest> {
    let key = key();
    let records: Vec<(RecordUid, Record)> = records.iter().map(|record| (key.uid(record, &mut Vec::new()), record.clone())).collect();
    let encoder = LogsEncoder::new("cpanel", key, include.to_vec());
    let requests = encoder.requests(&Identity::new("cpanel", "whm1"), &records, OBSERVED_NANOS, bytes_max);
    requests.into_iter().map(|request| ExportLogsServiceRequest::decode(request.bytes).unwrap()).collect()
}

fn one(include: &[Field], record: Record) -> LogRecord {
    let mut requests = decoded(include, &[record], usize::MAX);
    requests.pop().unwrap().resource_logs.pop().unwrap().scope_logs.pop().unwrap().log_records.pop().unwrap()
}

fn attributes(record: &LogRecord) -> BTreeMap<&str, &Value> {
    record.attributes.iter().map(|a| (a.key.as_str(), a.value.as_ref().unwrap().value.as_ref().unwrap())).collect()
}

#[test]
fn fields_that_are_not_personal_are_exported() {
    let record = one(&[], record(Some(Outcome::Deferred)));
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (1_795_168_807_000_000_000, OBSERVED_NANOS));
    assert_eq!((record.severity_number(), record.severity_text.as_str()), (SeverityNumber::Warn, "WARN"));
    assert_eq!((record.event_name.as_str(), record.body.as_ref()), ("mail.delivery", None));
    let attributes = attributes(&record);
    let text = |text: &str| Value::StringValue(text.to_owned());
    for (key, value) in [
        ("mail.system.name", text("cpanel")),
        ("mail.delivery.outcome", text("deferred")),
        ("mail.message.source", text("authenticated")),
        ("mail.message.size", Value::IntValue(10_242)),
        ("mail.delivery.duration", Value::DoubleValue(2.0)),
        ("mail.delivery.remote", Value::BoolValue(true)),
        ("mail.spam.score", Value::DoubleValue(-1.5)),
        ("mail.smtp.reply_code", Value::IntValue(451)),
        ("mail.smtp.enhanced_status_code", text("4.7.1")),
        ("error.type", text("4.7.1")),
        ("mail.delivery.stage", text("rcpt_to")),
        ("mail.delivery.transport", text("value-transport")),
    ] {
        assert_eq!(attributes.get(key), Some(&&value), "{key}");
    }
    assert!(matches!(attributes["log.record.uid"], Value::StringValue(uid) if uid.len() == 32));
}

#[test]
fn personal_fields_are_hashed_or_omitted_unless_included() {
    let fields: Vec<Field> = FIELDS.iter().map(|info| info.field).collect();
    let default = one(&[], record(Some(Outcome::Delivered)));
    let bytes = default.encode_to_vec();
    for info in FIELDS {
        let is_exported = bytes.windows(6 + info.name.len()).any(|window| window == format!("value-{}", info.name).as_bytes());
        assert_eq!(is_exported, info.privacy == Privacy::Open, "{}", info.name);
        assert_eq!(attributes(&default).contains_key(info.hash.key), info.privacy == Privacy::Hashed, "{}", info.name);
    }
    let all = one(&fields, record(Some(Outcome::Delivered)));
    for info in FIELDS.iter().filter(|info| info.field != Field::Message) {
        assert_eq!(attributes(&all)[info.attribute.key], &Value::StringValue(format!("value-{}", info.name)));
    }
    assert_eq!(all.body, Some(AnyValue { value: Some(Value::StringValue("value-message".to_owned())) }));
    assert_eq!(attributes(&default)["log.record.uid"], attributes(&all)["log.record.uid"]);
}

#[test]
fn the_severity_depends_on_the_outcome() {
    for (outcome, severity) in [
        (Some(Outcome::InProgress), SeverityNumber::Debug),
        (Some(Outcome::Delivered), SeverityNumber::Info),
        (None, SeverityNumber::Info),
        (Some(Outcome::Deferred), SeverityNumber::Warn),
        (Some(Outcome::Failed), SeverityNumber::Error),
    ] {
        let record = one(&[], record(outcome));
        assert_eq!(record.severity_number(), severity, "{outcome:?}");
        let has_failed = matches!(outcome, Some(Outcome::Deferred | Outcome::Failed));
        assert_eq!(attributes(&record).contains_key("error.type"), has_failed, "{outcome:?}");
    }
}

#[test]
fn requests_stay_below_the_limit_and_contain_every_record() {
    let records: Vec<Record> = (0..100).map(|n| Record { at: n, ..record(None) }).collect();
    let requests = decoded(&[], &records, 5000);
    assert!(requests.len() > 5, "{}", requests.len());
    let mut times = Vec::new();
    for request in &requests {
        assert!(request.encoded_len() <= 5000);
        assert_eq!(request.resource_logs[0].resource.as_ref().unwrap().attributes.len(), 2);
        assert_eq!(request.resource_logs[0].scope_logs[0].scope.as_ref().unwrap().name, "postmeter");
        times.extend(request.resource_logs[0].scope_logs[0].log_records.iter().map(|record| record.time_unix_nano / 1_000_000_000));
    }
    assert_eq!(times, (0..100).collect::<Vec<_>>());
    // A single record is sent even if it exceeds the limit.
    assert_eq!(decoded(&[], &records[..3], 1).len(), 3);
}
