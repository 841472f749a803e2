//! `target_info`: what a server's exporter knows of the server itself, as labels of a family that is no metric.

use super::{Families, SampleRef};

/// The family that describes the target; Prometheus and OTLP have one of each target.
pub const TARGET_INFO: &str = "target_info";

/// Labels that name the target or the metric, which are Postmeter's to give.
const NEVER_TAKEN: [&str; 7] = ["job", "instance", "__name__", "service.name", "service.namespace", "service.instance.id", "url.scheme"];
/// The same for all that begin so: where the server was polled.
const NEVER_TAKEN_PREFIX: &str = "server.";

/// The `target_info` of one reading.
#[derive(Debug, Default)]
pub(super) struct TargetInfo {
    attributes: Vec<(String, String)>,
    series: u64,
    taken: u64,
    ambiguous: bool,
}

impl TargetInfo {
    /// The one of these pages, where its family is `wanted`. Of several with different labels none is taken: they describe several targets.
    pub(super) fn of(pages: &[Families], wanted: impl Fn(&str) -> bool) -> Self {
        let mut info = Self::default();
        let mut first: Option<Vec<(&str, &str)>> = None;
        for family in pages.iter().flat_map(|page| page.named(TARGET_INFO)) {
            info.series += family.samples().len() as u64;
            for sample in family.samples() {
                let labels = sorted(&sample);
                info.ambiguous |= first.as_ref().is_some_and(|first| *first != labels);
                first.get_or_insert(labels);
            }
        }
        if info.ambiguous || info.series == 0 || !wanted(TARGET_INFO) {
            return info;
        }
        let taken = |(name, _): &(&str, &str)| !NEVER_TAKEN.contains(name) && !name.starts_with(NEVER_TAKEN_PREFIX) && !name.is_empty();
        let labels = first.into_iter().flatten().filter(taken);
        info.attributes = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        info.taken = info.series;
        info
    }

    /// Its labels, as attributes of the resource.
    pub(super) fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// Series that became attributes; the others are dropped.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether there are several with different labels.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }
}

/// Labels by name; one of nothing is none.
fn sorted<'a>(sample: &SampleRef<'a>) -> Vec<(&'a str, &'a str)> {
    let mut labels: Vec<(&str, &str)> = sample.labels().filter(|(_, value)| !value.is_empty()).collect();
    labels.sort_unstable();
    labels
}
