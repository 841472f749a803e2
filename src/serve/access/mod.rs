//! Authentication and authorization of the pull endpoint.

pub(crate) mod basic;
pub(crate) mod bearer;
pub(crate) mod check_queue;
pub(crate) mod rules;
pub(crate) mod tls;
pub(crate) mod watch;
