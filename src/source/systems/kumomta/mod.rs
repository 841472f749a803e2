//! Readers of KumoMTA's responses, which need repairs that no other server needs.

mod escape;
mod forged;
pub(super) mod json;
pub(super) mod liveness;
pub(super) mod machine_info;
pub(super) mod text;

#[cfg(test)]
mod tests;
