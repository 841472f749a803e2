//! Detects counters that decreased: the server restarted, or dropped a series and started it again.

use super::CounterMemory;
use super::last_values::{LastValueSearch, LastValues};
use super::mapping::{is_counter_value, taken};
use super::part_families::PartFamilies;
use crate::model::{Families, Kind, Value, identity_of_point};
use crate::source::{Part, Transform};
use foldhash::fast::RandomState;
use std::collections::HashMap;

impl CounterMemory {
    /// Returns `true` if a counter that a rule of this part takes is lower than in the previous poll, and stores the values for the next.
    pub fn has_decreased(&mut self, part: &'static Part, read: &[(&'static Part, Families)]) -> bool {
        let families = PartFamilies::new(part, read);
        let mut has_decreased = false;
        for (index, rule) in part.rules.iter().enumerate().filter(|(_, rule)| rule.metric.kind == Kind::Counter) {
            let mut sum = None;
            let accumulated = (rule.transform == Transform::Accumulate).then(|| (rule.key(part), rule.has_patterns_in_tables()));
            // Most accumulated rules have one point.
            let only_point = rule.from.is_empty().then(|| identity_of_point(rule.metric, &rule.fixed_attributes()));
            let mut searches: HashMap<u64, Option<LastValueSearch<'_>>, RandomState> = HashMap::default();
            for series in families.taken_by(rule) {
                let Ok(Value::Number(value)) = taken(rule.take, series.sample.value()) else { continue };
                let Some((key, has_patterns)) = accumulated else {
                    *sum.get_or_insert(0.0) += if is_counter_value(value) { value } else { f64::NAN };
                    continue;
                };
                if !is_counter_value(value) {
                    continue;
                }
                let point_of =
                    || rule.attributes_of(&series.sample, has_patterns).map(|attributes| identity_of_point(rule.metric, &attributes));
                let Some(point) = only_point.or_else(point_of) else { continue };
                let search = searches.entry(point).or_insert_with(|| self.last_values(key, point).map(LastValues::search));
                has_decreased |= search.as_mut().and_then(|search| search.find(series.identity())).is_some_and(|last| value < last);
            }
            drop(searches);
            if let Some(sum) = sum.filter(|sum| !sum.is_nan() && !families.may_lack(rule)) {
                has_decreased |= self.sums.insert(index, sum).is_some_and(|last| sum < last);
            }
        }
        self.process.has_decreased = has_decreased;
        has_decreased
    }
}
