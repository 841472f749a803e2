//! Utilization: 1 minus the share of a counter's increase in the increase of another counter.

use super::{Mapping, is_counter_value};
use crate::model::{Attributes, SampleRef, duplicates_to_drop, remove_indices};
use crate::source::Rule;
use crate::source::map::Omission;
use crate::source::map::counter_memory::ShareValues;
use crate::source::map::part_families::PartFamilies;

impl Mapping<'_> {
    /// Maps the sums of the series that the rule takes and of those of the whole. Without one of the numbers there is no point.
    pub(super) fn map_share(&mut self, rule: &'static Rule, whole: &'static str, families: &PartFamilies<'_>) {
        let part: Vec<SampleRef<'_>> = self.series(rule, families).map(|series| series.sample).collect();
        let (Some(part_sum), Some((whole_sum, whole_series))) = (sum(&part), sum_of_whole(rule, whole, families)) else {
            (0..part.len()).for_each(|index| self.trace(|trace| trace.omit(index, Omission::UnknownWhole)));
            return;
        };
        let values = ShareValues { part: part_sum, whole: whole_sum, series: (part.len(), whole_series) };
        if let Some(share) = self.memory.share_of_increase((rule.key(families.part), whole), values) {
            if rule.fallback {
                let mut earlier = self.earlier_points(rule);
                if self.is_settled(rule, &Attributes::new(), &mut earlier) {
                    (0..part.len()).for_each(|index| self.trace(|trace| trace.omit(index, Omission::Superseded)));
                    return;
                }
            }
            (0..part.len()).for_each(|index| self.trace(|trace| trace.point(index, &Attributes::new(), None)));
            self.add(rule, Attributes::new(), Ok(1.0 - share));
        }
    }
}

/// The sum of numbers, which is NaN if one is invalid.
fn sum(samples: &[SampleRef<'_>]) -> Option<f64> {
    samples.iter().map(|sample| sample.number().map(valid)).reduce(|sum, number| Some(sum? + number?))?
}

fn valid(n: f64) -> f64 {
    if is_counter_value(n) { n } else { f64::NAN }
}

/// The sum of the series of the whole, and their number. Conditions of the rule apply to those labels that a series of the whole has,
/// unless the whole is the family that the rule reads: it then selects a part of it.
fn sum_of_whole(rule: &'static Rule, whole: &str, families: &PartFamilies<'_>) -> Option<(f64, usize)> {
    let is_own = rule.families.contains(&whole);
    let is_accepted = |sample: &SampleRef<'_>| is_own || rule.accepts_labels_of(sample);
    let mut samples: Vec<_> = families.named(whole).filter(is_accepted).collect();
    let identities: Vec<u64> = samples.iter().map(SampleRef::prometheus_identity).collect();
    let outdated = duplicates_to_drop(&identities, samples.iter().map(SampleRef::timestamp));
    remove_indices(&mut samples, &outdated);
    Some((sum(&samples)?, samples.len()))
}
