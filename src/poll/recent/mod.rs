//! The last hour of a target, for the status page.

pub(crate) mod history;
pub(crate) mod key_figures;
mod slot;
