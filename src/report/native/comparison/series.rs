//! The comparison of a family that both readings have, series by series.

use super::{Comparison, FamilyPair, IndexedSample};
use crate::model::{SamplePosition, SampleRef, SelectedFamilies, SelectedFamily};
use crate::report::counted_value::Change;
use crate::report::native::created::{SeriesBefore, created_of};
use crate::report::native::ended::{needs_end_marker, was_exported};
use crate::report::native::{DeltaBase, LastGoodReading, is_nan};
use std::collections::HashMap;

/// The number of series that are searched ahead where the two readings differ.
const LOOKAHEAD_MAX: usize = 8;
/// After this many failed searches in a row, the rest of a family is matched by hash: its order has changed.
const FAILED_SEARCHES_MAX: usize = 32;

impl<'a> Comparison<'a> {
    /// Compares a family that both readings have, series by series.
    pub(super) fn compare_family(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>, last_family: &SelectedFamily<'a>) {
        let Some(last) = self.last else { return };
        let is_same_series = |now: SamplePosition, before: SamplePosition| match (self.native.sample(now), last.native.sample(before)) {
            (Some(now), Some(before)) => now.has_labels_of(&before),
            _ => false,
        };
        let (mut now, mut before) = (family.positions().enumerate(), last_family.positions().enumerate());
        let (mut unmatched_now, mut unmatched_before) = (Vec::new(), Vec::new());
        let mut failed_searches = 0;
        loop {
            let (a, b) = match (now.next(), before.next()) {
                (Some(a), Some(b)) => (a, b),
                (a, b) => {
                    unmatched_now.extend(a);
                    unmatched_before.extend(b);
                    break;
                }
            };
            if is_same_series(a.1, b.1) {
                failed_searches = 0;
                self.compare_series(pair, last, family, a, b);
                continue;
            }
            if failed_searches < FAILED_SEARCHES_MAX {
                failed_searches += 1;
                if let Some(skip) = before.clone().take(LOOKAHEAD_MAX).position(|(_, later)| is_same_series(a.1, later)) {
                    unmatched_before.push(b);
                    unmatched_before.extend(before.by_ref().take(skip));
                    if let Some(b) = before.next() {
                        self.compare_series(pair, last, family, a, b);
                    }
                    continue;
                }
                if let Some(skip) = now.clone().take(LOOKAHEAD_MAX).position(|(_, later)| is_same_series(later, b.1)) {
                    unmatched_now.push(a);
                    unmatched_now.extend(now.by_ref().take(skip));
                    if let Some(a) = now.next() {
                        self.compare_series(pair, last, family, a, b);
                    }
                    continue;
                }
            }
            unmatched_now.push(a);
            unmatched_before.push(b);
        }
        unmatched_now.extend(now);
        unmatched_before.extend(before);
        self.match_by_identity(pair, last, (family, unmatched_now), (last_family, unmatched_before));
    }

    /// Matches the rest of a family by identity. What is still unmatched after that has returned, is new, or is missing.
    fn match_by_identity(
        &mut self,
        pair: &FamilyPair,
        last: &LastGoodReading,
        (family, mut now): (&SelectedFamily<'a>, Vec<IndexedSample>),
        (last_family, mut before): (&SelectedFamily<'a>, Vec<IndexedSample>),
    ) {
        if !now.is_empty() && !before.is_empty() {
            let identity = |native: &SelectedFamilies, position| native.sample(position).map(|sample| sample.identity());
            let mut by_identity = HashMap::with_capacity_and_hasher(before.len(), foldhash::fast::FixedState::default());
            by_identity.extend(before.drain(..).filter_map(|b| Some((identity(&last.native, b.1)?, b))));
            now.retain(|a| match identity(self.native, a.1).and_then(|identity| by_identity.remove(&identity)) {
                Some(b) => {
                    self.compare_series(pair, last, family, *a, b);
                    false
                }
                None => true,
            });
            before.extend(by_identity.into_values());
            before.sort_unstable();
        }
        self.new_series.extend(now.iter().map(|(_, position)| (pair.index, *position)));
        if pair.is_cumulative && !self.omitted.is_empty() {
            now.into_iter().for_each(|a| self.resume(pair, family, a));
        }
        if !last.ended {
            let ended = before.iter().map(|(_, position)| *position).filter(|position| was_exported(&last.native, *position));
            self.ended.extend(ended.map(|position| (pair.last_index as u32, position)));
        }
        self.remember_omitted(last, last_family, pair.first_last_start, before.into_iter());
    }

    /// Compares a series that both readings have.
    #[inline]
    fn compare_series(
        &mut self,
        pair: &FamilyPair,
        last: &LastGoodReading,
        family: &SelectedFamily<'a>,
        now: IndexedSample,
        before: IndexedSample,
    ) {
        let (Some(now_sample), Some(before_sample)) = (self.native.sample(now.1), last.native.sample(before.1)) else { return };
        let (now_value, before_value) = (now_sample.value(), before_sample.value());
        if !last.ended && needs_end_marker(&before_sample, &now_sample, pair.has_same_unit) {
            self.ended.push((pair.last_index as u32, before.1));
        }
        // A delta cannot be relative to the value of another server: the series is as new as those that the last reading lacked.
        if !pair.is_cumulative || !pair.transition.is_same_server() {
            return;
        }
        let change = Change::between(before_value, now_value);
        let created = |sample: &SampleRef<'_>| if self.has_created { created_of(sample) } else { None };
        let start_before = last.starts.get(pair.first_last_start + before.0).copied().flatten();
        let series_before = SeriesBefore { time: last.time, start: start_before, created: created(&before_sample) };
        let (start, began_anew) = series_before.continued(created(&now_sample), change.decreased, &pair.transition);
        let (has_timestamp, had_timestamp) = (now_sample.timestamp().is_some(), before_sample.timestamp().is_some());
        // A sample with a timestamp may not have been exported: `TimestampedSeries` has the base then. It also finds the resets of those.
        let base = match began_anew {
            _ if had_timestamp => DeltaBase::Unknown,
            true if !has_timestamp => DeltaBase::Zero,
            _ if change.is_difference_valid => DeltaBase::Previous(before.1),
            _ => DeltaBase::Unknown,
        };
        self.set(pair, now.0, start, base);
        // A NaN counter is not exported, as if the response had omitted it.
        if is_nan(now_value) && !is_nan(before_value) {
            self.remember_omitted(last, family, pair.first_last_start, std::iter::once(before));
        } else if is_nan(before_value) && !self.omitted.is_empty() {
            self.resume(pair, family, now);
        }
    }
}
