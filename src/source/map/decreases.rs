//! Detects counters that decreased: the server restarted, or dropped a series and started it again.

use super::CounterMemory;
use super::mapping::{identity, taken};
use super::part_families::PartFamilies;
use crate::model::{Families, Kind, Value};
use crate::source::{Part, Transform};

impl CounterMemory {
    /// Returns `true` if a counter that a rule of this part takes is lower than in the previous poll, and stores the values for the next.
    pub fn has_decreased(&mut self, part: &'static Part, read: &[(&'static Part, Families)]) -> bool {
        let families = PartFamilies::new(part, read);
        let mut has_decreased = false;
        for (index, rule) in part.rules.iter().enumerate().filter(|(_, rule)| rule.metric.kind == Kind::Counter) {
            let mut sum = None;
            let (address, has_patterns) = (std::ptr::from_ref(rule).addr(), rule.has_patterns_in_tables());
            // Most accumulated rules have one point.
            let only_point = rule.from.is_empty().then(|| identity(rule.metric, &rule.fixed_attributes()));
            for (family, sample) in families.taken_by(rule) {
                let Ok(Value::Number(value)) = taken(rule.take, sample.value()) else { continue };
                if rule.transform != Transform::Accumulate {
                    *sum.get_or_insert(0.0) += value;
                    continue;
                }
                let point_of = || rule.attributes_of(&sample, has_patterns).map(|attributes| identity(rule.metric, &attributes));
                let Some(point) = only_point.or_else(point_of) else { continue };
                has_decreased |= self.last_value(address, point, family.identity_of(&sample)).is_some_and(|last| value < last);
            }
            if let Some(sum) = sum {
                has_decreased |= self.sums.insert(index, sum).is_some_and(|last| sum < last);
            }
        }
        self.process.has_decreased = has_decreased;
        has_decreased
    }
}
