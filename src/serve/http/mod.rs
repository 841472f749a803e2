//! The HTTP connections of the pull endpoint.

mod accept_problem;
pub(crate) mod activity;
pub(crate) mod body;
pub(crate) mod client;
mod closed_connections;
pub(crate) mod connection;
pub(crate) mod connection_client;
mod host_header;
pub(crate) mod negotiate;
mod observed_stream;
pub(crate) mod security_headers;
