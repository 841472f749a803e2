//! The families of a target, or of Postmeter, on a page.

use super::PageSettings;
use crate::export::otlp::NATIVE_SCOPE;
use crate::model::registry::SCHEMA_URL;
use crate::model::{SelectedFamilies, SelectedFamily, TARGET_INFO};
use crate::telemetry::{Identity, SCOPE};
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

    /// Returns the labels that each series of a family gets in addition to its own.
    pub(super) fn labels(&self, settings: &PageSettings, family: &SelectedFamily<'_>) -> Vec<(&'static str, &str)> {
        let mut labels = Vec::new();
        if let Some((job, instance)) = &self.identity {
            labels.extend([("instance", instance.as_str()), ("job", job)]);
        }
        // Series of another scope have its labels already, and `target_info` is not a metric.
        if settings.scope_labels && family.scope().is_none() && family.native_name() != TARGET_INFO {
            labels.push(("otel_scope_name", if self.is_postmeters { SCOPE } else { NATIVE_SCOPE }));
            labels.extend(self.is_postmeters.then_some(("otel_scope_schema_url", SCHEMA_URL)));
            labels.push(("otel_scope_version", env!("CARGO_PKG_VERSION")));
        }
        labels
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
