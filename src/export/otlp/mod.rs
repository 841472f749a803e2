//! The push: collected, encoded once, sent by gRPC or HTTP.
//!
//! # The bytes are the unit
//!
//! A request is encoded once, below the 4 MiB that a gRPC receiver takes by default, and sent as bytes by either protocol.
//! `opentelemetry-otlp` could send the SDK's part alone, but neither with start times of its own nor beside the relay;
//! it carries Postmeter's own telemetry.

mod encode;
mod push;
mod send;

pub use encode::{REQUEST_BYTES_MAX, Request, message, requests, resource_metrics};
pub use push::Push;
pub use send::{Rejected, SendError, Sender};
