//! The targets that are collected. A reload replaces the set as a whole.

use super::CollectedTarget;
use parking_lot::RwLock;
use std::sync::Arc;

/// The current set of targets. Clones share it.
///
/// A collection gets the set once and finishes with the same targets; the next collection uses the set of a reload in between.
#[derive(Clone, Debug, Default)]
pub struct TargetSet(Arc<RwLock<Arc<[Arc<CollectedTarget>]>>>);

impl From<Vec<Arc<CollectedTarget>>> for TargetSet {
    fn from(targets: Vec<Arc<CollectedTarget>>) -> Self {
        Self::new(targets)
    }
}

impl TargetSet {
    /// A set of these targets.
    #[must_use]
    pub fn new(targets: impl Into<Arc<[Arc<CollectedTarget>]>>) -> Self {
        Self(Arc::new(RwLock::new(targets.into())))
    }

    /// The current targets, in the order of the configuration.
    #[must_use]
    pub fn now(&self) -> Arc<[Arc<CollectedTarget>]> {
        self.0.read().clone()
    }

    /// The target with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<CollectedTarget>> {
        self.now().iter().find(|collected| collected.target.name() == name).cloned()
    }

    /// Replaces the targets.
    pub fn replace(&self, targets: impl Into<Arc<[Arc<CollectedTarget>]>>) {
        *self.0.write() = targets.into();
    }
}
