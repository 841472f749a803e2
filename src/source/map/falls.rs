//! Whether a counter fell: a restart of the server, or a series that it forgot and began again.

use super::CounterMemory;
use super::part_families::PartFamilies;
use crate::model::{Families, Kind};
use crate::source::{Part, Transform};

impl CounterMemory {
    /// Whether a counter that a rule of this part takes is lower than in the reading before; remembers the sums.
    pub fn has_fallen(&mut self, part: &'static Part, read: &[(&'static Part, Families)]) -> bool {
        let families = PartFamilies::of(part, read);
        let mut fell = false;
        for (place, rule) in part.rules.iter().enumerate().filter(|(_, rule)| rule.metric.kind == Kind::Counter) {
            let mut sum = None;
            for (family, sample) in families.taken_by(rule) {
                let Some(value) = sample.number() else { continue };
                if rule.step == Transform::Accumulate {
                    fell |= self.last_of(family, sample.identity()).is_some_and(|last| value < last);
                } else {
                    *sum.get_or_insert(0.0) += value;
                }
            }
            if let Some(sum) = sum {
                fell |= self.sums.insert(place, sum).is_some_and(|last| sum < last);
            }
        }
        self.process.fell = fell;
        fell
    }
}
