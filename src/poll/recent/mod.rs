//! What a target did during the last hour, for people.

pub(crate) mod history;
pub(crate) mod key_figures;
