//! The push: collected, encoded once, sent by gRPC or HTTP.
//!
//! # The bytes are the unit
//!
//! A request is encoded once, below the 4 MiB that a gRPC receiver takes by default, and sent as bytes by either protocol.
//! `opentelemetry-otlp` could send the SDK's part alone, but neither with start times of its own nor beside the relay;
//! it carries Postmeter's own telemetry.

mod answer;
mod backoff;
mod encode;
mod native;
mod page;
mod push;
mod send;
mod way;
mod wire;

pub use answer::{Again, Rejected, SendError};
pub use backoff::Backoff;
pub use encode::{REQUEST_BYTES_MAX, Request, Requests, Told, message, requests, told};
pub use native::NATIVE_SCOPE;
pub use push::Push;
pub use send::{Sender, Signal};
