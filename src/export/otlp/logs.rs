//! Encodes delivery records as OTLP logs.
//!
//! The table of fields ([`crate::model::FIELDS`]) defines which fields are exported, which are hashed, and which are omitted unless the
//! target's `messages.include` lists them. The text of an SMTP reply may contain addresses: only its codes are exported by default.

use super::metrics::resource;
use super::wire::field_len;
use crate::delivery_log::{HashKey, RecordUid};
use crate::export::queue::request_exporter::EncodedRequest;
use crate::model::registry::SCHEMA_URL;
use crate::model::vocabulary::{DELIVERY_OUTCOME, DELIVERY_STAGE, ERROR_TYPE, MESSAGE_SOURCE, SYSTEM_NAME};
use crate::model::{Field, NANOS_PER_SECOND, Outcome, Privacy, Record, RecordEvent};
use crate::telemetry::{Identity, SCOPE};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// The size by which the lengths around the log records of a request may grow: two lengths from one byte to five.
const LENGTH_GROWTH_MAX: usize = 8;
/// The number of attributes that most records have.
const ATTRIBUTES_USUAL: usize = 20;

/// Encodes the delivery records of one target.
#[derive(Debug)]
pub struct LogsEncoder {
    key: HashKey,
    include: Vec<Field>,
    system: &'static str,
}

impl LogsEncoder {
    /// Creates an encoder that hashes fields with `key` and exports the fields in `include` unhashed.
    #[must_use]
    pub fn new(system: &'static str, key: HashKey, include: Vec<Field>) -> Self {
        Self { key, include, system }
    }

    /// Encodes records as requests of at most `bytes_max` bytes each; a single larger record is a request of its own. The records were read
    /// at `observed_nanos` (Unix time).
    #[must_use]
    pub fn requests(
        &self,
        identity: &Identity,
        records: &[(RecordUid, Record)],
        observed_nanos: u64,
        bytes_max: usize,
    ) -> Vec<EncodedRequest> {
        let resource = resource(identity);
        let envelope_bytes = request(&resource, Vec::new()).encoded_len() + LENGTH_GROWTH_MAX;
        let (mut requests, mut batch, mut batch_bytes) = (Vec::new(), Vec::new(), envelope_bytes);
        for (uid, record) in records {
            let record = self.log_record(uid, record, observed_nanos);
            let record_bytes = field_len(record.encoded_len());
            if !batch.is_empty() && batch_bytes + record_bytes > bytes_max {
                requests.push(encoded(&resource, std::mem::take(&mut batch)));
                batch_bytes = envelope_bytes;
            }
            batch.push(record);
            batch_bytes += record_bytes;
        }
        if !batch.is_empty() {
            requests.push(encoded(&resource, batch));
        }
        requests
    }

    /// Encodes one record, which was read at `observed_nanos` (Unix time).
    #[must_use]
    pub fn log_record(&self, uid: &RecordUid, record: &Record, observed_nanos: u64) -> LogRecord {
        let (severity, severity_text) = severity(record);
        let mut log_record = LogRecord {
            time_unix_nano: record.at.saturating_mul(NANOS_PER_SECOND).saturating_add(record.at_nanos.into()),
            observed_time_unix_nano: observed_nanos,
            severity_number: severity.into(),
            severity_text: severity_text.to_owned(),
            event_name: record.event.as_str().to_owned(),
            attributes: Vec::with_capacity(ATTRIBUTES_USUAL),
            ..LogRecord::default()
        };
        let attributes = &mut log_record.attributes;
        attributes.push(text("log.record.uid", hex_text(&uid.hex())));
        attributes.push(text(SYSTEM_NAME.key, self.system));
        attributes.extend(record.outcome.map(|outcome| text(DELIVERY_OUTCOME.key, outcome.as_str())));
        attributes.extend(record.source.map(|source| text(MESSAGE_SOURCE.key, source)));
        attributes.extend(record.size.map(|bytes| integer("mail.message.size", bytes)));
        attributes.extend(record.attempt.map(|attempt| integer("mail.delivery.attempt", attempt.into())));
        attributes.extend(record.duration.map(|seconds| double("mail.delivery.duration", seconds)));
        attributes.extend(record.attempt_duration.map(|seconds| double("mail.delivery.attempt_duration", seconds)));
        attributes.extend(record.remote.map(|is_remote| flag("mail.delivery.remote", is_remote)));
        attributes.extend(record.spam_score.map(|score| double("mail.spam.score", score)));
        attributes.extend(record.protocol.map(|protocol| text("network.protocol.name", protocol)));
        attributes.extend(record.tls.map(|is_encrypted| flag("tls.established", is_encrypted)));
        attributes.extend(record.origin.map(|origin| text("mail.failure.origin", origin.as_str())));
        attributes.extend(record.bounce.map(|bounce| text("mail.bounce.type", bounce.as_str())));
        attributes.extend(record.complaint.map(|complaint| text("mail.complaint.type", complaint.as_str())));
        attributes.extend(record.reply.code.map(|code| integer("mail.smtp.reply_code", u64::from(code))));
        let status = record.reply.status.map(|status| status.to_string());
        let has_failed = has_failed(record);
        if let Some(reason) = status.as_deref().or(record.error_type).filter(|_| has_failed) {
            attributes.push(text(ERROR_TYPE.key, reason));
        }
        attributes.extend(status.map(|status| text("mail.smtp.enhanced_status_code", status)));
        attributes.extend(record.reply.stage.filter(|_| has_failed).map(|stage| text(DELIVERY_STAGE.key, stage)));
        for (field, value) in &record.fields {
            let info = field.info();
            let privacy = if self.include.contains(field) { Privacy::Open } else { info.privacy };
            match privacy {
                Privacy::Open if *field == Field::Message => {
                    log_record.body = Some(AnyValue { value: Some(Value::StringValue(value.clone())) });
                }
                Privacy::Open => attributes.push(text(info.attribute.key, value.as_str())),
                Privacy::Hashed => attributes.push(text(info.hash.key, hex_text(&self.key.hash(value)))),
                Privacy::Hidden => {}
            }
        }
        log_record
    }
}

const fn severity(record: &Record) -> (SeverityNumber, &'static str) {
    use Outcome::{Canceled, Deferred, Delivered, Expired, Failed, Held, InProgress, Suppressed};
    match (record.event, record.outcome) {
        (RecordEvent::Delivery, Some(InProgress | Held)) => (SeverityNumber::Debug, "DEBUG"),
        (RecordEvent::Delivery, Some(Delivered) | None) | (RecordEvent::Received, _) => (SeverityNumber::Info, "INFO"),
        (RecordEvent::Delivery, Some(Deferred)) | (RecordEvent::Complaint | RecordEvent::Rejection, _) => (SeverityNumber::Warn, "WARN"),
        (RecordEvent::Delivery, Some(Failed | Expired | Canceled | Suppressed)) | (RecordEvent::Bounce, _) => {
            (SeverityNumber::Error, "ERROR")
        }
    }
}

/// Returns `true` if the record reports a failure, whose reason is its `error.type`.
const fn has_failed(record: &Record) -> bool {
    use Outcome::{Deferred, Expired, Failed, Suppressed};
    match record.event {
        RecordEvent::Delivery => matches!(record.outcome, Some(Deferred | Failed | Expired | Suppressed)),
        RecordEvent::Bounce | RecordEvent::Rejection => true,
        RecordEvent::Complaint | RecordEvent::Received => false,
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

fn integer(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn hex_text(digits: &[u8]) -> String {
    digits.iter().copied().map(char::from).collect()
}

fn encoded(resource: &Resource, log_records: Vec<LogRecord>) -> EncodedRequest {
    let records = log_records.len() as u64;
    EncodedRequest { bytes: request(resource, log_records).encode_to_vec().into(), points: records }
}

fn request(resource: &Resource, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope = InstrumentationScope { name: SCOPE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    let scope_logs = ScopeLogs { scope: Some(scope), log_records, schema_url: SCHEMA_URL.to_owned() };
    let resource_logs = ResourceLogs { resource: Some(resource.clone()), scope_logs: vec![scope_logs], schema_url: SCHEMA_URL.to_owned() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
