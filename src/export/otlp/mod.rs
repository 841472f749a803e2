//! The push: collected, encoded once, queued as bytes, sent by gRPC or HTTP until it is taken.
//!
//! # The bytes are the unit
//!
//! A request is encoded once, below the 4 MiB that a gRPC receiver takes by default, and queued as bytes (in memory, or on
//! disk), and sent by either protocol. What waits keeps the times that it had.
//! `opentelemetry-otlp` could send the SDK's part alone, but neither with start times of its own nor beside the relay;
//! it carries Postmeter's own telemetry.

pub(crate) mod collect;
pub(crate) mod connection;
pub(crate) mod exporter;
pub(crate) mod logs;
pub(crate) mod metrics;
mod native_metrics;
pub(crate) mod push;
pub(crate) mod request_size;
mod request_writer;
pub(crate) mod response;
pub(crate) mod split;
mod wire;

pub use super::queue::queue::ExportQueue;
pub use super::queue::status::{Failing, PushStatus, SpoolStatus, Usage};
pub use exporter::{OtlpExporter, Signal};
pub use logs::{LogsEncoder, LogsExport};
pub use metrics::{REQUEST_BYTES_MAX, Request, Requests, TargetMetrics, message, requests, told};
pub use native_metrics::NATIVE_SCOPE;
pub use push::Push;
pub use response::{PartialSuccess, RetryDecision, SendError};
