//! The routes of the pull endpoint.

pub(crate) mod config;
mod growing_page;
pub(crate) mod health;
mod large_pages;
pub(crate) mod logged_conflicts;
pub(crate) mod metrics;
mod page_cache;
pub(crate) mod poll;
pub(crate) mod refusal;
pub(crate) mod reload;
pub(crate) mod rendered;
mod scrape_request;
pub(crate) mod service_discovery;
pub(crate) mod targets;

/// The body of a 404 response to a request for an unknown target.
pub(crate) const TARGET_NOT_FOUND: &str = "no target with this name; use a name from the configuration\n";
