//! The limits of the pull endpoint, for connections, requests and clients.

pub(crate) mod client_quota;
pub(crate) mod rate_limit;
pub(crate) mod scrape_queue;
pub(crate) mod server_limits;
pub(crate) mod unauthenticated;
