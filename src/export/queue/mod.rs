//! The export queue: encoded requests in memory or on disk, kept until the receiver accepts them.
//!
//! The queue is independent of the protocol: it keeps bytes, and sends them through a [`request_exporter::RequestExporter`]. `queue` is the
//! queue, of which `request_list` keeps the requests in order. `spool` and `store` keep requests on disk. `worker` sends them, and
//! `receiver_state` holds the result.

mod damaged_requests;
#[expect(clippy::module_inception, reason = "the queue itself; the other files store and send its requests")]
pub(crate) mod queue;
pub(crate) mod queued_request;
mod receiver_problems;
mod receiver_state;
pub(crate) mod request_exporter;
pub(crate) mod request_file;
pub(crate) mod request_list;
pub(crate) mod request_size;
pub(crate) mod retry_backoff;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod store;
mod stored_file;
pub(crate) mod stored_requests;
pub(crate) mod worker;
