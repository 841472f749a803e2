//! The targets that are collected now: read by both ways out at each collection, replaced as a whole by a reload.

use super::CollectedTarget;
use parking_lot::RwLock;
use std::sync::Arc;

/// A handle on the set of targets; every clone sees the same set.
///
/// Whoever collects takes the set once and works with that: a reload in between is seen by the next collection, and one in
/// flight finishes with the targets that it began with.
#[derive(Clone, Debug, Default)]
pub struct TargetSet(Arc<RwLock<Arc<[Arc<CollectedTarget>]>>>);

impl From<Vec<Arc<CollectedTarget>>> for TargetSet {
    fn from(targets: Vec<Arc<CollectedTarget>>) -> Self {
        Self::new(targets)
    }
}

impl TargetSet {
    /// A set that begins with these.
    #[must_use]
    pub fn new(targets: impl Into<Arc<[Arc<CollectedTarget>]>>) -> Self {
        Self(Arc::new(RwLock::new(targets.into())))
    }

    /// The targets of this moment, in the order of the configuration.
    #[must_use]
    pub fn now(&self) -> Arc<[Arc<CollectedTarget>]> {
        self.0.read().clone()
    }

    /// The target of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<CollectedTarget>> {
        self.now().iter().find(|monitored| monitored.target.name() == name).cloned()
    }

    /// From now on it is these.
    pub fn replace(&self, targets: impl Into<Arc<[Arc<CollectedTarget>]>>) {
        *self.0.write() = targets.into();
    }
}
