//! Authentication and authorization of the pull endpoint.

pub(crate) mod authenticate;
pub(crate) mod basic;
pub(crate) mod bearer;
mod certificate;
pub(crate) mod check_queue;
pub(crate) mod control;
pub(crate) mod listener_kind;
pub(crate) mod own_host;
pub(crate) mod rules;
pub(crate) mod same_site;
pub(crate) mod tls;
pub(crate) mod watch;
