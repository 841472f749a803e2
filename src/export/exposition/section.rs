//! The families of a target, or of Postmeter, on a page.

use crate::model::SelectedFamilies;
use crate::telemetry::Identity;
use std::sync::Arc;

/// The families of one target or of Postmeter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) native: Arc<SelectedFamilies>,
    /// `job` and `instance`, which are added to each series.
    pub(super) identity: Option<(String, String)>,
    /// True for canonical metrics and self-metrics.
    pub(super) is_postmeters: bool,
}

impl Section {
    /// Creates a section of canonical metrics or self-metrics.
    #[must_use]
    pub fn of_postmeter(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, is_postmeters: true }
    }

    /// Creates a section of native families, without `job` and `instance`.
    #[must_use]
    pub fn without_identity(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, is_postmeters: false }
    }

    /// Creates a section of native families, with `job` and `instance`.
    #[must_use]
    pub fn of_target(native: Arc<SelectedFamilies>, identity: &Identity) -> Self {
        Self { native, identity: Some((identity.job().to_owned(), identity.instance().to_owned())), is_postmeters: false }
    }

    /// Returns the number of series.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.native.kept
    }

    /// Returns the name of the target for messages.
    pub(super) fn target(&self) -> &str {
        self.identity.as_ref().map_or("this target", |(_, instance)| instance)
    }

    /// Returns true if both sections share the same families and have the same identity.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.native, &other.native) && self.identity == other.identity
    }
}
