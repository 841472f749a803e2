//! Counters whose increases are accumulated, because the server drops idle series.

use super::{Mapping, taken};
use crate::model::{Attributes, identity_of_point, scale};
use crate::source::Rule;
use crate::source::map::part_families::PartFamilies;
use crate::source::map::points::POINTS_PER_METRIC_MAX;
use std::collections::HashMap;

/// The largest number of points of a target whose increases are accumulated.
const ACCUMULATED_POINTS_MAX: usize = 10 * POINTS_PER_METRIC_MAX;

/// A point whose increases are accumulated, with the series of the current poll.
struct AccumulatedPoint {
    identity: u64,
    attributes: Attributes,
    /// The value of each series, by the identity of the series. An invalid one is NaN.
    values: Vec<(u64, f64)>,
}

impl Mapping<'_> {
    /// Adds up the increases of each point's series.
    pub(super) fn accumulate(&mut self, rule: &'static Rule, families: &PartFamilies<'_>) {
        let (key, has_patterns) = (rule.key(families.part), rule.has_patterns_in_tables());
        let mut points: Vec<AccumulatedPoint> = Vec::new();
        if rule.from.is_empty() {
            let (attributes, values) = (rule.fixed_attributes(), Vec::with_capacity(families.series_read_by(rule)));
            points.push(AccumulatedPoint { identity: identity_of_point(rule.metric, &attributes), attributes, values });
        } else {
            let known = self.memory.accumulated_by(key).into_iter();
            points.extend(known.map(|(identity, attributes)| AccumulatedPoint { identity, attributes, values: Vec::new() }));
        }
        let mut indexes: HashMap<u64, usize> = points.iter().enumerate().map(|(index, point)| (point.identity, index)).collect();
        for (position, series) in self.series(rule, families).enumerate() {
            let value = taken(rule.take, series.sample.value()).and_then(|value| self.number(rule.metric, value));
            if let Err(repair) = value {
                self.omit_value(rule.metric, repair);
            }
            let mut index = 0;
            if !rule.from.is_empty() {
                let Some(attributes) = rule.attributes_of(&series.sample, has_patterns) else { continue };
                let identity = identity_of_point(rule.metric, &attributes);
                index = *indexes.entry(identity).or_insert(points.len());
                if index == points.len() {
                    points.push(AccumulatedPoint { identity, attributes, values: Vec::new() });
                }
            }
            points[index].values.push((series.identity(), value.unwrap_or(f64::NAN)));
            if let Some(trace) = &mut self.memory.trace {
                trace.point(position, &points[index].attributes, value.err());
            }
        }
        let mut absent = if rule.zero_when_absent { rule.possible_attributes() } else { Vec::new() };
        let may_lack_series = families.may_lack(rule);
        for AccumulatedPoint { identity, attributes, values } in points {
            if !self.memory.is_accumulated(key, identity) && self.memory.accumulated_points() >= ACCUMULATED_POINTS_MAX {
                self.exceed_points(rule.metric, Some(&attributes));
                continue;
            }
            if let Some(total) = self.memory.accumulate(key, (identity, &attributes), values, may_lack_series) {
                absent.retain(|other| *other != attributes);
                self.add(rule, attributes, Ok(scale(total, rule.scale)));
            }
        }
        for attributes in absent.into_iter().filter(|_| !may_lack_series) {
            self.add_zero(rule, attributes, 0.0);
        }
    }
}
