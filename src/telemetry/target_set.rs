//! The targets that are collected. A reload replaces the set as a whole.

use super::CollectedTarget;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The current set of targets. Clones share it.
///
/// A collection gets the set once and finishes with the same targets; the next collection uses the set of a reload in between.
#[derive(Clone, Debug, Default)]
pub struct TargetSet(Arc<RwLock<Indexed>>);

/// Targets in the order of the configuration, and the index of each by its name.
#[derive(Debug, Default)]
struct Indexed {
    targets: Arc<[Arc<CollectedTarget>]>,
    by_name: HashMap<String, usize>,
}

impl From<Arc<[Arc<CollectedTarget>]>> for Indexed {
    fn from(targets: Arc<[Arc<CollectedTarget>]>) -> Self {
        let by_name = targets.iter().enumerate().map(|(index, collected)| (collected.target.name().to_owned(), index)).collect();
        Self { targets, by_name }
    }
}

impl From<Vec<Arc<CollectedTarget>>> for TargetSet {
    fn from(targets: Vec<Arc<CollectedTarget>>) -> Self {
        Self::new(targets)
    }
}

impl TargetSet {
    /// A set of these targets.
    #[must_use]
    pub fn new(targets: impl Into<Arc<[Arc<CollectedTarget>]>>) -> Self {
        Self(Arc::new(RwLock::new(targets.into().into())))
    }

    /// The current targets, in the order of the configuration.
    #[must_use]
    pub fn now(&self) -> Arc<[Arc<CollectedTarget>]> {
        self.0.read().targets.clone()
    }

    /// The target with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<CollectedTarget>> {
        let current = self.0.read();
        current.targets.get(*current.by_name.get(name)?).cloned()
    }

    /// Replaces the targets.
    pub fn replace(&self, targets: impl Into<Arc<[Arc<CollectedTarget>]>>) {
        *self.0.write() = targets.into().into();
    }
}
