//! `target_info`: a family whose labels describe the server and become resource attributes.

use super::{Families, SampleRef, is_metric_name_label};

/// The family that describes a target. Prometheus and OTLP have one series of it per target.
pub const TARGET_INFO: &str = "target_info";

/// Labels that are not used: they name the target or the metric, and Postmeter sets them.
const EXCLUDED: [&str; 6] = ["job", "instance", "service.name", "service.namespace", "service.instance.id", "url.scheme"];
/// Labels with this prefix are not used: Postmeter sets the address of the server.
const EXCLUDED_PREFIX: &str = "server.";

/// The `target_info` of one reading.
#[derive(Debug, Default)]
pub(super) struct TargetInfo {
    attributes: Vec<(String, String)>,
    series: u64,
    exported_series: u64,
    is_ambiguous: bool,
}

impl TargetInfo {
    /// The `target_info` of these bodies, if its family is selected. Several series with different labels describe several targets, so none
    /// of them is used.
    pub(super) fn of(bodies: &[Families], is_selected: impl Fn(&str) -> bool) -> Self {
        let mut info = Self::default();
        let mut first: Option<Vec<(&str, &str)>> = None;
        for family in bodies.iter().flat_map(|body| body.named(TARGET_INFO)) {
            info.series += family.samples().len() as u64;
            for sample in family.samples() {
                let labels = sorted(&sample);
                info.is_ambiguous |= first.as_ref().is_some_and(|first| *first != labels);
                first.get_or_insert(labels);
            }
        }
        if info.is_ambiguous || info.series == 0 || !is_selected(TARGET_INFO) {
            return info;
        }
        let is_used = |(name, _): &(&str, &str)| {
            !EXCLUDED.contains(name) && !name.starts_with(EXCLUDED_PREFIX) && !name.is_empty() && !is_metric_name_label(name)
        };
        let labels = first.into_iter().flatten().filter(is_used);
        info.attributes = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        info.exported_series = info.series;
        info
    }

    /// Its labels, as resource attributes.
    pub(super) fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// The number of series that became attributes. Other series are dropped.
    pub(super) const fn exported_series(&self) -> u64 {
        self.exported_series
    }

    /// Returns true if there are several series with different labels.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }
}

/// The labels without empty ones, sorted by name.
fn sorted<'a>(sample: &SampleRef<'a>) -> Vec<(&'a str, &'a str)> {
    let mut labels: Vec<(&str, &str)> = sample.labels().filter(|(_, value)| !value.is_empty()).collect();
    labels.sort_unstable();
    labels
}
