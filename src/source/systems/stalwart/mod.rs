//! The reader of Stalwart's queue: its management API (0.15) and JMAP (0.16).

pub(super) mod queue;

#[cfg(test)]
mod tests;
