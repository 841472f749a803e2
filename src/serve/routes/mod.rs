//! The routes of the pull endpoint, one file each.

pub(crate) mod metrics;
pub(crate) mod refusal;
pub(crate) mod reload;
pub(crate) mod rendered;
pub(crate) mod service_discovery;
pub(crate) mod targets;
