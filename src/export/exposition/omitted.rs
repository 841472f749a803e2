//! A report of the families, labels and series that a page omits or changes.

/// Families, labels and series that could not be written unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OmittedFamilies {
    /// Families that were omitted because their type conflicts with that of another target, because their name is empty or reserved, or
    /// because a line of another family has their name.
    pub families_dropped: u64,
    /// Families that were written as untyped because targets expose different types.
    pub families_untyped: u64,
    /// Labels of mail servers that were renamed because Prometheus reserves their names: `job` became `exported_job`.
    pub labels_renamed: u64,
    /// Series that were omitted because another one has the same labels after renaming.
    pub series_dropped: u64,
    /// Sums and quantiles that were omitted because OpenMetrics forbids them.
    pub values_dropped: u64,
    /// The first omitted families, each with the reason.
    pub reasons: Vec<String>,
}

/// The maximum length of [`OmittedFamilies::reasons`].
const REASONS_MAX: usize = 16;

impl OmittedFamilies {
    pub(super) fn add(&mut self, reason: impl FnOnce() -> String) {
        self.families_dropped += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason());
        }
    }
}
