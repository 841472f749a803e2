//! Detects counters that decreased: the server restarted, or dropped a series and started it again.

use super::CounterMemory;
use super::part_families::PartFamilies;
use crate::model::{Families, Kind};
use crate::source::{Part, Transform};

impl CounterMemory {
    /// Returns `true` if a counter that a rule of this part takes is lower than in the previous poll, and stores the values for the next.
    pub fn has_decreased(&mut self, part: &'static Part, read: &[(&'static Part, Families)]) -> bool {
        let families = PartFamilies::new(part, read);
        let mut has_decreased = false;
        for (index, rule) in part.rules.iter().enumerate().filter(|(_, rule)| rule.metric.kind == Kind::Counter) {
            let mut sum = None;
            for (family, sample) in families.taken_by(rule) {
                let Some(value) = sample.number() else { continue };
                if rule.transform == Transform::Accumulate {
                    has_decreased |= self.last_value(family, sample.identity()).is_some_and(|last| value < last);
                } else {
                    *sum.get_or_insert(0.0) += value;
                }
            }
            if let Some(sum) = sum {
                has_decreased |= self.sums.insert(index, sum).is_some_and(|last| sum < last);
            }
        }
        self.process.has_decreased = has_decreased;
        has_decreased
    }
}
