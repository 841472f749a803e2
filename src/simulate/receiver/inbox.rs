//! The requests that a simulated collector received.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use tonic::metadata::MetadataMap;

/// The number of requests that are kept; older ones are only counted.
const REQUESTS_KEPT_MAX: usize = 256;
/// The number of target names that are kept.
const TARGETS_MAX: usize = 100_000;
/// The number of log record identifiers that are kept.
const UIDS_MAX: usize = 1_000_000;
/// The attribute that identifies a log record.
const UID: &str = "log.record.uid";
/// The attribute with the id of a message, which a record has if the sender's configuration includes it.
const MESSAGE_ID: &str = "mail.message.id";
/// The attribute of a resource with the name of the target.
const INSTANCE: &str = "service.instance.id";

/// Records by the id of their message: the `log.record.uid` of each record, with its time in nanoseconds since 1970.
pub type MessageRecords = HashMap<String, BTreeMap<String, u64>>;

/// The accepted requests, and counts of all.
#[derive(Default)]
pub(super) struct Inbox {
    /// `true` if nothing is kept but counts.
    pub(super) is_counting: bool,
    pub(super) kept: VecDeque<ExportMetricsServiceRequest>,
    pub(super) count: u64,
    pub(super) rejected: u64,
    pub(super) points: u64,
    pub(super) targets: BTreeSet<String>,
    pub(super) largest: usize,
    pub(super) metadata: Option<MetadataMap>,
    pub(super) rejection: Option<tonic::Status>,
    pub(super) bytes_max: Option<usize>,
    pub(super) logs: Logs,
}

impl Inbox {
    /// Receives metrics.
    ///
    /// # Errors
    /// The request is rejected.
    pub(super) fn receive_metrics(&mut self, metadata: MetadataMap, request: ExportMetricsServiceRequest) -> Result<(), tonic::Status> {
        self.admit(metadata, request.encoded_len())?;
        self.points += points(&request);
        for target in request.resource_metrics.iter().filter_map(|of| target(of.resource.as_ref())) {
            if self.targets.len() < TARGETS_MAX {
                self.targets.insert(target);
            }
        }
        if !self.is_counting {
            keep(&mut self.kept, request);
        }
        Ok(())
    }

    /// Receives log records.
    ///
    /// # Errors
    /// The request is rejected.
    pub(super) fn receive_logs(&mut self, metadata: MetadataMap, request: ExportLogsServiceRequest) -> Result<(), tonic::Status> {
        self.admit(metadata, request.encoded_len())?;
        let logs = &mut self.logs;
        for of in &request.resource_logs {
            if self.is_counting {
                logs.records += of.scope_logs.iter().map(|scope| scope.log_records.len() as u64).sum::<u64>();
                continue;
            }
            let target = target(of.resource.as_ref());
            of.scope_logs.iter().flat_map(|scope| &scope.log_records).for_each(|record| logs.add(target.as_deref(), record));
        }
        if !self.is_counting {
            keep(&mut logs.kept, request);
        }
        Ok(())
    }

    /// Counts a request of this length.
    ///
    /// # Errors
    /// It is rejected.
    fn admit(&mut self, metadata: MetadataMap, len: usize) -> Result<(), tonic::Status> {
        self.metadata = Some(metadata);
        let too_large = |max| tonic::Status::resource_exhausted(format!("grpc: received message larger than max ({len} vs. {max})"));
        if let Some(status) = self.rejection.clone().or_else(|| self.bytes_max.filter(|max| len > *max).map(too_large)) {
            self.rejected += 1;
            return Err(status);
        }
        self.count += 1;
        self.largest = self.largest.max(len);
        Ok(())
    }
}

/// The log records that arrived.
#[derive(Default)]
pub(super) struct Logs {
    pub(super) kept: VecDeque<ExportLogsServiceRequest>,
    pub(super) records: u64,
    /// The number of arrivals of each record, by `log.record.uid`.
    pub(super) uids: HashMap<String, u32>,
    /// The records of each message, by target and message id.
    pub(super) messages: HashMap<String, MessageRecords>,
}

impl Logs {
    /// Counts a record of a target.
    fn add(&mut self, target: Option<&str>, record: &LogRecord) {
        self.records += 1;
        let attribute = |key: &str| record.attributes.iter().find(|attribute| attribute.key == key).and_then(text);
        let Some(uid) = attribute(UID).filter(|_| self.uids.len() < UIDS_MAX) else { return };
        if let (Some(target), Some(id)) = (target, attribute(MESSAGE_ID)) {
            let messages = self.messages.entry(target.to_owned()).or_default();
            messages.entry(id).or_default().insert(uid.clone(), record.time_unix_nano);
        }
        *self.uids.entry(uid).or_default() += 1;
    }
}

/// Keeps a request instead of the oldest one.
fn keep<T>(kept: &mut VecDeque<T>, request: T) {
    if kept.len() == REQUESTS_KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(request);
}

fn text(attribute: &KeyValue) -> Option<String> {
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// The number of data points in a request.
fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let of = |data: &Data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    };
    scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref()).map(|data| of(data) as u64).sum()
}

/// The name of the target whose resource this is.
fn target(resource: Option<&Resource>) -> Option<String> {
    resource?.attributes.iter().find(|attribute| attribute.key == INSTANCE).and_then(text)
}
