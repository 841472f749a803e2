//! The readers of Stalwart's queue and certificates: its management API (0.15) and JMAP (0.16).

pub(super) mod certificates;
pub(super) mod queue;

#[cfg(test)]
mod tests;
