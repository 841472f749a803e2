//! The settings of a page: its format, and what the configuration adds to it.

use super::Format;
use crate::config;
use crate::model::TranslationStrategy;

/// The settings of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageSettings {
    /// The format, which the client chooses.
    pub format: Format,
    /// The translation of the names of canonical metrics.
    pub translation: TranslationStrategy,
    /// Each series has the labels `otel_scope_name`, `otel_scope_version` and `otel_scope_schema_url`.
    pub scope_labels: bool,
    /// OpenMetrics has a line with the start time of each series that has one.
    pub created_lines: bool,
}

impl PageSettings {
    /// The settings of a page in this format, with this configuration.
    #[must_use]
    pub const fn new(format: Format, config: &config::Prometheus) -> Self {
        let config::Prometheus { translation, scope_labels, created_lines, .. } = config;
        Self { format, translation: *translation, scope_labels: *scope_labels, created_lines: *created_lines }
    }

    /// Returns true if the page has lines with start times.
    pub(super) const fn has_created_lines(&self) -> bool {
        self.created_lines && self.format.is_open_metrics()
    }
}

impl From<Format> for PageSettings {
    /// The default settings.
    fn from(format: Format) -> Self {
        Self { format, translation: TranslationStrategy::default(), scope_labels: false, created_lines: false }
    }
}
