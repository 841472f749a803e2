//! The HTTP connections of the pull endpoint.

pub(crate) mod accept;
mod accept_problem;
pub(crate) mod activity;
pub(crate) mod body;
pub(crate) mod client;
mod closed_connections;
mod connection;
pub(crate) mod connection_client;
mod host_header;
pub(crate) mod negotiate;
mod observed_body;
mod observed_stream;
pub(crate) mod security_headers;
