//! The export queue: encoded requests in memory or on disk, kept until the receiver acknowledges them.

pub(crate) mod damaged_requests;
#[expect(clippy::module_inception, reason = "the queue itself, beside what stores and sends its requests")]
pub(crate) mod queue;
pub(crate) mod receiver_problems;
pub(crate) mod request_file;
pub(crate) mod request_list;
pub(crate) mod retry_backoff;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod worker;
