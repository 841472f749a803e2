//! The families of a target, or of Postmeter, on a page.

use super::PageSettings;
use crate::export::otlp::NATIVE_SCOPE;
use crate::model::registry::SCHEMA_URL;
use crate::model::{SelectedFamilies, SelectedFamily, TARGET_INFO};
use crate::telemetry::{Identity, SCOPE};
use std::sync::{Arc, Weak};

/// The families of one target or of Postmeter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Section {
    /// Native families, or Postmeter's own.
    pub(super) native: Arc<SelectedFamilies>,
    /// `job` and `instance`, which are added to each series.
    pub(super) identity: Option<(Arc<str>, Arc<str>)>,
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
        let [(_, instance), (_, job)] = identity.labels();
        Self { native, identity: Some((job, instance)), is_postmeters: false }
    }

    /// Returns the number of series.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.native.kept
    }

    /// Returns the memory of the families in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.native.memory_bytes()
    }

    /// Returns the labels that each series of a family gets in addition to its own.
    pub(super) fn labels(&self, settings: &PageSettings, family: &SelectedFamily<'_>) -> impl Iterator<Item = (&'static str, &str)> {
        let of_target = self.identity.iter().flat_map(|(job, instance)| [("instance", &**instance), ("job", &**job)]);
        // Series of another scope have its labels already, and `target_info` is not a metric.
        let has_scope =
            settings.scope_labels && family.scope().is_none() && !family.keeps_scope_labels() && family.native_name() != TARGET_INFO;
        let of_scope = [
            Some(("otel_scope_name", if self.is_postmeters { SCOPE } else { NATIVE_SCOPE })),
            self.is_postmeters.then_some(("otel_scope_schema_url", SCHEMA_URL)),
            Some(("otel_scope_version", env!("CARGO_PKG_VERSION"))),
        ];
        of_target.chain(of_scope.into_iter().flatten().filter(move |_| has_scope))
    }

    /// Returns the name of the target for messages.
    pub(super) fn target(&self) -> &str {
        self.identity.as_ref().map_or("this target", |(_, instance)| instance)
    }

    /// Returns the key of the section.
    #[must_use]
    pub fn key(&self) -> SectionKey {
        SectionKey { native: Arc::downgrade(&self.native), identity: self.identity.clone() }
    }
}

/// The identity of a section, which does not keep the families in memory.
#[derive(Debug)]
pub struct SectionKey {
    native: Weak<SelectedFamilies>,
    identity: Option<(Arc<str>, Arc<str>)>,
}

impl SectionKey {
    /// Returns true if the families are in use.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.native.strong_count() > 0
    }

    /// Returns true if the section has the same families and the same identity.
    #[must_use]
    pub fn is_of(&self, section: &Section) -> bool {
        // The address of families is not used again while there is a key.
        std::ptr::eq(self.native.as_ptr(), Arc::as_ptr(&section.native)) && self.identity == section.identity
    }
}

impl PartialEq for SectionKey {
    fn eq(&self, other: &Self) -> bool {
        self.native.ptr_eq(&other.native) && self.identity == other.identity
    }
}
