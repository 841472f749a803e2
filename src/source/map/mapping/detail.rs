//! Details: totals that are split by a label, in targets that opt in to it.

use super::{Mapping, taken};
use crate::model::Attributes;
use crate::model::vocabulary::OTHER;
use crate::source::Rule;
use crate::source::map::Detail;
use crate::source::map::part_families::{PartFamilies, TakenSeries};
use crate::source::map::points::TakenSum;
use crate::source::map::selector::with_attribute;
use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::HashMap;

impl Mapping<'_> {
    /// Replaces a total by the largest values of a detail, and one more point with the rest, so that the sum stays the same. If the total
    /// is unknown because of an invalid value, the rest is, and is omitted: an invalid value does not make the others unknown.
    pub(in crate::source::map) fn apply_detail(&mut self, rule: &'static Rule, label: &str, detail: &Detail, families: &PartFamilies<'_>) {
        let mut series = self.series(rule, families).peekable();
        let fixed = rule.fixed_attributes();
        // If the server does not have the family, the totals stay.
        if !rule.replaces.is_empty() && series.peek().is_none() {
            return;
        }
        let mut replaced: Vec<Attributes> = rule
            .replaces
            .iter()
            .map(|attributes| attributes.iter().map(|(attribute, value)| (*attribute, Cow::Borrowed(*value))).collect())
            .collect();
        if replaced.is_empty() {
            replaced.push(fixed.clone());
        }
        let totals = replaced
            .iter()
            .filter_map(|attributes| self.points.take(|point| point.metric == rule.metric && point.attributes == *attributes));
        let totals: Vec<TakenSum> = totals.collect();
        if totals.is_empty() || totals.contains(&TakenSum::Incomplete) {
            return;
        }
        let total: f64 = totals.iter().map(|total| if let TakenSum::Known(total) = total { *total } else { f64::NAN }).sum();
        let mut invalid = Vec::new();
        let are_unknown = families.has_unknown_series_of(rule);
        let values = series.filter(|_| !are_unknown).enumerate().filter_map(|(index, TakenSeries { sample, .. })| {
            let value = taken(rule.take, sample.value()).and_then(|value| self.number(rule.metric, value));
            invalid.extend(value.err());
            Some((sample.label(label)?, value.map_or(f64::NAN, |value| self.transformed(rule, value)), index))
        });
        let mut values = add_up(values);
        // Without a total, the rule of the total has counted them.
        invalid.into_iter().filter(|_| !total.is_nan()).for_each(|repair| self.omit_value(rule.metric, repair));
        values.sort_unstable_by(|a, b| b.value.total_cmp(&a.value).then(a.name.cmp(b.name)));
        // One point is reserved for the rest; without it the sum would be too small.
        let rest = values.split_off(values.len().min(detail.top.min(self.points.room(rule.metric).saturating_sub(1))));
        let of_rest = with_attribute(&fixed, detail.by, OTHER.to_owned());
        rest.into_iter().flat_map(|value| value.series).for_each(|index| self.trace(|trace| trace.point(index, &of_rest, None)));
        // The server counts families one after the other while mail moves, so the rest can be slightly negative.
        let rest = total - values.iter().map(|value| value.value).sum::<f64>();
        for DetailValue { name, value, series } in values {
            let attributes = with_attribute(&fixed, detail.by, name.to_owned());
            series.into_iter().for_each(|index| self.trace(|trace| trace.point(index, &attributes, None)));
            self.add(rule, attributes, Ok(value));
        }
        if !rest.is_nan() {
            self.add(rule, of_rest, Ok(rest.max(0.0)));
        }
    }
}

/// The sum of the series with one value of the label of a detail.
struct DetailValue<'f> {
    name: &'f str,
    value: f64,
    /// The indexes of the series.
    series: SmallVec<[usize; 1]>,
}

/// Adds up the values with the same name. Those of which one is NaN are part of the rest.
fn add_up<'f>(values: impl Iterator<Item = (&'f str, f64, usize)>) -> Vec<DetailValue<'f>> {
    let mut sums: Vec<DetailValue<'f>> = Vec::new();
    let mut indexes: HashMap<&'f str, usize, RandomState> = HashMap::default();
    for (name, value, index) in values {
        let at = *indexes.entry(name).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => {
                sum.value += value;
                sum.series.push(index);
            }
            None => sums.push(DetailValue { name, value, series: smallvec![index] }),
        }
    }
    sums.retain(|sum| !sum.value.is_nan());
    sums
}
