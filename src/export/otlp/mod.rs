//! The push: metrics and delivery records are encoded as OTLP and sent by gRPC or HTTP.
//!
//! # Encoded and compressed once
//!
//! A request is encoded once, below the 4 MiB that gRPC receivers accept by default, and compressed once. The same bytes are queued, in
//! memory or on disk, and sent by either protocol, so a retried request keeps its original timestamps and costs nothing. Only a receiver
//! that does not support the compression needs other bytes.
//!
//! `opentelemetry-otlp` is used for Postmeter's own telemetry only. It could send the metrics of the SDK, but neither with corrected start
//! times nor together with native metrics.

pub(crate) mod collector;
pub(crate) mod connection;
mod exemplar;
pub(crate) mod exporter;
mod grpc;
mod http_response;
pub(crate) mod logs;
mod logs_export;
mod logs_sender;
mod metric_header;
pub(crate) mod metrics;
mod native_metrics;
mod point_writer;
pub(crate) mod push;
mod pushed_target;
mod request_writer;
pub(crate) mod response;
mod split;
mod supported_compression;

use super::wire;

pub use super::queue::queue::ExportQueue;
pub use super::queue::request_exporter::{EncodedRequest, PartialSuccess, RetryDecision};
pub use super::queue::status::{PushFailure, PushStatus, SpoolStatus, Usage};
pub use super::request_body::RequestBody;
pub use exporter::{OtlpExporter, Signal};
pub use http_response::result_of_response;
pub use logs::LogsEncoder;
pub use logs_export::LogsExport;
pub use logs_sender::LogsSender;
pub use metrics::{MetricsRequests, REQUEST_BYTES_MAX, TargetMetrics, message, requests};
pub use native_metrics::NATIVE_SCOPE;
pub use push::Push;
pub use response::SendError;
