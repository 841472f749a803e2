//! The mail systems: one file or folder each.

pub(crate) mod ceymail;
pub(crate) mod cpanel;
pub(crate) mod emailengine;
pub(crate) mod kumomta;
pub(crate) mod prometheus;
pub(crate) mod stalwart;
