//! Delivery records as OTLP logs, and the loop that delivers them.
//!
//! # What leaves the machine
//!
//! The table of fields ([`crate::model::FIELDS`]) says it, and a target's `messages.include`; nothing else is looked at. The
//! text that an SMTP server answered may hold addresses: of it there are the codes, unless it is included.
//!
//! # Tried without end
//!
//! `retry.give_up_after` is for metrics, which come anew. A record does not; it waits on the mail server meanwhile.

use super::exporter::{OtlpExporter, Signal};
use super::metrics::{Request, resource_field};
use super::response::{PartialSuccess, RetryDecision, SendError};
use super::split::split;
use super::wire::{self, bytes, close, delimited, fixed64, key_value, length, open, varint};
use crate::config::{Otlp, Protocol};
use crate::delivery_log::{Acceptance, Batch, Feed, Key, Uid};
use crate::export::queue::backoff::Backoff;
use crate::model::vocabulary::{DELIVERY_OUTCOME, DELIVERY_STAGE, ERROR_TYPE, MESSAGE_SOURCE, SYSTEM_NAME};
use crate::model::{Field, Outcome, Privacy, Record};
use crate::report::nanos;
use crate::telemetry::{CollectedTarget, Identity, SCOPE};
use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, info, warn};

/// `event_name` of each record.
pub const EVENT_NAME: &str = "mail.delivery";
/// How long a batch that is being sent may still take when Postmeter ends.
const LAST_SEND_MAX: Duration = Duration::from_secs(5);

// ExportLogsServiceRequest, ResourceLogs and ScopeLogs, whose fields are numbered alike.
const RESOURCE_LOGS: u8 = delimited(1);
const SCOPE_LOGS: u8 = delimited(2);
const SCOPE_FIELD: u8 = delimited(1);
const LOG_RECORDS: u8 = delimited(2);
// LogRecord.
const TIME: u8 = fixed64(1);
const SEVERITY_NUMBER: u8 = varint(2);
const SEVERITY_TEXT: u8 = delimited(3);
const BODY: u8 = delimited(5);
const ATTRIBUTES: u8 = delimited(6);
const OBSERVED: u8 = fixed64(11);
const NAME: u8 = delimited(12);
// KeyValue and AnyValue.
const KEY: u8 = delimited(1);
const VALUE: u8 = delimited(2);
const STRING: u8 = delimited(1);
const BOOL: u8 = varint(2);
const INT: u8 = varint(3);
const DOUBLE: u8 = fixed64(4);

/// How one target's records are told.
#[derive(Debug)]
pub struct LogsEncoder {
    key: Key,
    include: Vec<Field>,
    system: &'static str,
}

/// An encoded `ExportLogsServiceRequest`.
#[derive(Clone, Debug)]
pub struct LogRequest {
    /// The bytes.
    pub bytes: Bytes,
    /// How many records are in it.
    pub records: u64,
}

impl LogRequest {
    /// The same in requests of at most so many bytes; `None` where it is one record.
    fn parts(&self, bytes_max: usize) -> Option<Vec<Self>> {
        let parts = split(Signal::Logs, &self.bytes, bytes_max);
        let parts: Vec<_> = parts.into_iter().map(|Request { bytes, points: records }| Self { bytes, records }).collect();
        (parts.len() > 1).then_some(parts)
    }
}

/// What became of a request.
enum Sent {
    /// It was accepted, but for so many records.
    Done { refused: u64 },
    /// It is too large, and these are to be sent instead.
    InParts(Vec<LogRequest>),
}

impl LogsEncoder {
    /// Fields in `include` are told as they are.
    #[must_use]
    pub fn new(system: &'static str, key: Key, include: Vec<Field>) -> Self {
        Self { key, include, system }
    }

    /// Requests that hold all of these, none above `bytes_max` unless a single record is.
    #[must_use]
    pub fn requests(&self, identity: &Identity, records: &[(Uid, Record)], observed: u64, bytes_max: usize) -> Vec<LogRequest> {
        let resource = resource_field(identity);
        let (mut requests, mut page, mut record_bytes) = (Vec::new(), LogsRequestWriter::new(&resource), Vec::new());
        for (uid, record) in records {
            record_bytes.clear();
            self.write(&mut record_bytes, uid, record, observed);
            if page.records > 0 && page.bytes.len() + wire::field_len(record_bytes.len()) > bytes_max {
                requests.push(std::mem::replace(&mut page, LogsRequestWriter::new(&resource)).end());
            }
            bytes(&mut page.bytes, LOG_RECORDS, &record_bytes);
            page.records += 1;
        }
        if page.records > 0 {
            requests.push(page.end());
        }
        requests
    }

    fn write(&self, to: &mut Vec<u8>, uid: &Uid, record: &Record, observed: u64) {
        let (severity, text) = severity(record.outcome);
        to.push(TIME);
        to.extend_from_slice(&record.at.saturating_mul(1_000_000_000).to_le_bytes());
        to.extend_from_slice(&[SEVERITY_NUMBER, severity as u8]);
        bytes(to, SEVERITY_TEXT, text.as_bytes());
        to.push(OBSERVED);
        to.extend_from_slice(&observed.to_le_bytes());
        bytes(to, NAME, EVENT_NAME.as_bytes());
        string(to, "log.record.uid", &uid.hex());
        string(to, SYSTEM_NAME.key, self.system.as_bytes());
        if let Some(outcome) = record.outcome {
            string(to, DELIVERY_OUTCOME.key, outcome.as_str().as_bytes());
        }
        if let Some(source) = record.source {
            string(to, MESSAGE_SOURCE.key, source.as_bytes());
        }
        if let Some(size) = record.size {
            integer(to, "mail.message.size", size);
        }
        if let Some(seconds) = record.received.and_then(|received| record.at.checked_sub(received)) {
            double(to, "mail.delivery.duration", seconds as f64);
        }
        if let Some(remote) = record.remote {
            attribute(to, "mail.delivery.remote", &[BOOL, u8::from(remote)]);
        }
        if let Some(score) = record.spam_score {
            double(to, "mail.spam.score", score);
        }
        let (reply, failed) = (&record.reply, matches!(record.outcome, Some(Outcome::Deferred | Outcome::Failed)));
        if let Some(code) = reply.code {
            integer(to, "mail.smtp.reply_code", u64::from(code));
        }
        if let Some(status) = reply.status {
            let status = status.to_string();
            string(to, "mail.smtp.enhanced_status_code", status.as_bytes());
            if failed {
                string(to, ERROR_TYPE.key, status.as_bytes());
            }
        }
        if let Some(stage) = reply.stage.filter(|_| failed) {
            string(to, DELIVERY_STAGE.key, stage.as_bytes());
        }
        for (field, value) in &record.fields {
            let info = field.info();
            let told = if self.include.contains(field) { Privacy::Open } else { info.privacy };
            match told {
                Privacy::Open if *field == Field::Message => {
                    to.push(BODY);
                    length(to, wire::field_len(value.len()));
                    bytes(to, STRING, value.as_bytes());
                }
                Privacy::Open => string(to, info.attribute.key, value.as_bytes()),
                Privacy::Hashed => string(to, info.hash.key, &self.key.hash(value)),
                Privacy::Hidden => {}
            }
        }
    }
}

const fn severity(outcome: Option<Outcome>) -> (SeverityNumber, &'static str) {
    match outcome {
        Some(Outcome::InProgress) => (SeverityNumber::Debug, "DEBUG"),
        Some(Outcome::Delivered) | None => (SeverityNumber::Info, "INFO"),
        Some(Outcome::Deferred) => (SeverityNumber::Warn, "WARN"),
        Some(Outcome::Failed) => (SeverityNumber::Error, "ERROR"),
    }
}

fn string(to: &mut Vec<u8>, key: &str, value: &[u8]) {
    key_value(to, ATTRIBUTES, key.as_bytes(), value);
}

fn integer(to: &mut Vec<u8>, key: &str, value: u64) {
    let mut encoded = vec![INT];
    length(&mut encoded, usize::try_from(value).unwrap_or(usize::MAX));
    attribute(to, key, &encoded);
}

fn double(to: &mut Vec<u8>, key: &str, value: f64) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    attribute(to, key, &[DOUBLE, a, b, c, d, e, f, g, h]);
}

/// With an encoded value.
fn attribute(to: &mut Vec<u8>, key: &str, value: &[u8]) {
    to.push(ATTRIBUTES);
    length(to, wire::field_len(key.len()) + wire::field_len(value.len()));
    bytes(to, KEY, key.as_bytes());
    bytes(to, VALUE, value);
}

/// One request while it is written.
struct LogsRequestWriter {
    bytes: Vec<u8>,
    resource: usize,
    scope: usize,
    records: u64,
}

impl LogsRequestWriter {
    fn new(resource_field: &[u8]) -> Self {
        let mut to = Vec::new();
        let resource = open(&mut to, RESOURCE_LOGS);
        to.extend_from_slice(resource_field);
        let scope = open(&mut to, SCOPE_LOGS);
        let version = env!("CARGO_PKG_VERSION");
        to.push(SCOPE_FIELD);
        length(&mut to, wire::field_len(SCOPE.len()) + wire::field_len(version.len()));
        bytes(&mut to, delimited(1), SCOPE.as_bytes());
        bytes(&mut to, delimited(2), version.as_bytes());
        Self { bytes: to, resource, scope, records: 0 }
    }

    fn end(mut self) -> LogRequest {
        close(&mut self.bytes, self.scope);
        close(&mut self.bytes, self.resource);
        LogRequest { bytes: self.bytes.into(), records: self.records }
    }
}

/// What takes one target's batches to the receiver.
#[derive(Debug)]
pub struct LogsExport {
    feed: Feed,
    teller: LogsEncoder,
    monitored: Arc<CollectedTarget>,
    sender: Arc<OtlpExporter>,
    /// Where logs go, for people.
    endpoint: String,
    /// What went wrong last: said once, until something else does.
    failing: Option<&'static str>,
}

impl LogsExport {
    /// Of this target's feed.
    #[must_use]
    pub fn new(feed: Feed, key: Key, monitored: Arc<CollectedTarget>, sender: Arc<OtlpExporter>) -> Self {
        let config = &monitored.target.config;
        let include = config.delivery_log.as_ref().map(|messages| messages.include.clone()).unwrap_or_default();
        let teller = LogsEncoder::new(config.source.name, key, include);
        let endpoint = logs_receiver(sender.config());
        Self { feed, teller, monitored, sender, endpoint, failing: None }
    }

    /// Delivers until `stop` says so. What was not taken by then is read again at the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.feed.next() => batch,
            };
            let Some(batch) = batch else { return };
            let ended = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_SEND_MAX).await;
            };
            let span = debug_span!("deliver", target = self.feed.target(), records = batch.records.len());
            tokio::select! {
                () = ended => return,
                () = self.deliver(batch).instrument(span) => {}
            }
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        let identity = self.monitored.last_identity();
        let limit = self.sender.logs_size().limit();
        let mut refused = 0;
        for request in self.teller.requests(&identity, &batch.records, nanos(batch.observed), limit) {
            refused += self.send(request).await;
        }
        self.feed.settle(batch, Acceptance::Sent { refused }).await;
    }

    /// Sends one request, in parts where it is too large, until each is accepted, or refused for good. Returns how many of its
    /// records were refused.
    async fn send(&mut self, request: LogRequest) -> u64 {
        let mut refused = 0;
        let mut parts = VecDeque::from([request]);
        while let Some(part) = parts.pop_front() {
            let limit = self.sender.logs_size().limit();
            match self.send_part(&part, limit).await {
                Sent::Done { refused: of_part } => refused += of_part,
                Sent::InParts(smaller) => smaller.into_iter().rev().for_each(|part| parts.push_front(part)),
            }
        }
        refused
    }

    async fn send_part(&mut self, request: &LogRequest, limit: usize) -> Sent {
        let len = request.bytes.len();
        if len > limit
            && let Some(parts) = request.parts(limit)
        {
            return Sent::InParts(parts);
        }
        let mut backoff = Backoff::new(self.sender.config().queue.retry);
        loop {
            let result = self.sender.send(Signal::Logs, request.bytes.clone()).await;
            let again = match &result {
                // An operator mends it, and a record that is passed over does not come again.
                Err(SendError::Unauthenticated(_)) => RetryDecision::Later,
                Err(error) => error.again(),
                Ok(_) => RetryDecision::Never,
            };
            if matches!(result, Err(SendError::TooLarge(_))) {
                self.sender.logs_size().too_large(len);
                if let Some(parts) = request.parts(len / 2) {
                    return Sent::InParts(parts);
                }
            }
            self.report(&result, request.records, again);
            match (result, backoff.wait(again)) {
                (Ok(rejected), _) => {
                    if let Some(limit) = self.sender.logs_size().accepted(len) {
                        info!(endpoint = self.sender.receiver(), "the receiver accepts logs in requests of at most {limit} bytes");
                    }
                    return Sent::Done { refused: rejected.count };
                }
                (Err(_), Some(wait)) => tokio::time::sleep(wait).await,
                (Err(_), None) => return Sent::Done { refused: request.records },
            }
        }
    }

    fn report(&mut self, result: &Result<PartialSuccess, SendError>, records: u64, again: RetryDecision) {
        let (target, endpoint) = (self.feed.target(), self.endpoint.as_str());
        let now = match result {
            Ok(PartialSuccess { count: 0, .. }) => None,
            Ok(_) => Some("rejected"),
            Err(error) => Some(error.error_type()),
        };
        // Each batch that is passed over is lost to the receiver, and so said each time.
        let passed_over = matches!((result, again), (Err(_), RetryDecision::Never));
        if self.failing == now && !passed_over {
            return;
        }
        match result {
            Ok(PartialSuccess { count: 0, .. }) => info!(target, endpoint, "the receiver takes delivery records again"),
            Ok(PartialSuccess { count, reason }) => {
                warn!(target, endpoint, records = count, "the receiver left delivery records out: {reason}")
            }
            Err(error) if passed_over => {
                warn!(target, endpoint, records, error.type = error.error_type(), "delivery records were refused and passed over: {error}");
            }
            Err(error) => warn!(target, endpoint, error.type = error.error_type(), "delivery records wait: {error}"),
        }
        self.failing = now;
    }
}

/// The endpoint of logs for people: over HTTP it has a path of its own. What is behind `?` may be a secret.
fn logs_receiver(config: &Otlp) -> String {
    let of_logs = config.logs_endpoint().filter(|_| config.protocol == Protocol::HttpProtobuf);
    let hidden = |url: String| url.split_once('?').map(|(place, _)| format!("{place}?***")).unwrap_or(url);
    of_logs.map_or_else(|| config.receiver(), hidden)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
