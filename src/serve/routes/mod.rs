//! The routes of the pull endpoint.

pub(crate) mod config;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod poll;
pub(crate) mod reload;
mod scrape_request;
pub(crate) mod service_discovery;
pub(crate) mod targets;

/// The body of a 404 response to a request for an unknown target.
pub(crate) const TARGET_NOT_FOUND: &str = "no target with this name; use a name from the configuration\n";
