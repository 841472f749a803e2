//! The push: collected, encoded once, queued as bytes, sent by gRPC or HTTP until it is taken.
//!
//! # The bytes are the unit
//!
//! A request is encoded once, below the 4 MiB that a gRPC receiver takes by default, and queued as bytes (in memory, or on
//! disk), and sent by either protocol. What waits keeps the times that it had.
//! `opentelemetry-otlp` could send the SDK's part alone, but neither with start times of its own nor beside the relay;
//! it carries Postmeter's own telemetry.

mod answer;
mod backoff;
mod collect;
mod deliver;
mod encode;
mod native;
mod news;
mod outbox;
mod page;
mod push;
mod quarantine;
mod records;
mod request_file;
mod request_size;
mod send;
mod split;
mod spool;
mod status;
mod store;
mod waiting;
mod way;
mod wire;

pub use answer::{Again, Rejected, SendError};
pub use backoff::Backoff;
pub use encode::{REQUEST_BYTES_MAX, Request, Requests, Told, message, requests, told};
pub use native::NATIVE_SCOPE;
pub use outbox::Outbox;
pub use push::Push;
pub use records::{Delivery, Teller};
pub use send::{Sender, Signal};
pub use status::{Failing, PushStatus, Room, SpoolStatus};
