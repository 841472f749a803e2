//! The last values of the series of a counter, in the order of the response.
//!
//! A server sends its series in the same order in nearly every poll. So they are found one after the other, and an index is built only in a
//! poll in which that fails. A map needs twice the memory, and for a million series nearly every access of it misses the cache.

use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// A vector with more unused capacity than one n-th is shrunk.
const UNUSED_SHARE: usize = 4;

/// The last values. No series occurs twice.
#[derive(Clone, Debug, Default)]
pub(super) struct LastValues(Vec<(u64, f64)>);

impl LastValues {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Begins a search for series in the order of a response.
    pub(super) fn search(&self) -> LastValueSearch<'_> {
        LastValueSearch { values: &self.0, next: 0, index: None }
    }

    /// Replaces all values. If `keeps_others`, series without a new value keep their last one.
    pub(super) fn replace(&mut self, mut new: Vec<(u64, f64)>, keeps_others: bool) {
        if keeps_others {
            let present: HashSet<u64, RandomState> = new.iter().map(|(series, _)| *series).collect();
            new.extend(self.0.iter().filter(|(series, _)| !present.contains(series)));
        }
        if new.capacity() - new.len() > new.len() / UNUSED_SHARE {
            new.shrink_to_fit();
        }
        self.0 = new;
    }
}

/// A search for series, in the order of a response.
#[derive(Debug)]
pub(super) struct LastValueSearch<'a> {
    values: &'a [(u64, f64)],
    /// The position of the series that is expected next.
    next: usize,
    /// The positions of the series, once one was not at the expected position.
    index: Option<HashMap<u64, usize, RandomState>>,
}

impl LastValueSearch<'_> {
    /// Returns the last value of a series.
    pub(super) fn find(&mut self, series: u64) -> Option<f64> {
        let mut at = self.next;
        if self.values.get(at).is_none_or(|(expected, _)| *expected != series) {
            let positions = || self.values.iter().zip(0..).map(|((series, _), at)| (*series, at)).collect();
            at = *self.index.get_or_insert_with(positions).get(&series)?;
        }
        self.next = at + 1;
        self.values.get(at).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_in_any_order() {
        let mut values = LastValues::default();
        assert_eq!(values.search().find(1), None);
        values.replace(vec![(1, 10.0), (2, 20.0), (3, 30.0), (4, 40.0)], false);
        for order in [&[1, 2, 3, 4][..], &[4, 3, 2, 1], &[2, 4], &[9, 1, 8, 2, 7, 4, 3], &[3, 3, 1, 1], &[4, 5]] {
            let mut search = values.search();
            for series in order {
                assert_eq!(search.find(*series), (*series <= 4).then_some(*series as f64 * 10.0), "{series} of {order:?}");
            }
        }
    }

    #[test]
    fn values_are_replaced_and_others_are_kept_on_request() {
        let mut values = LastValues::default();
        values.replace(vec![(1, 10.0), (2, 20.0)], false);
        values.replace(vec![(3, 30.0), (2, 21.0)], true);
        assert_eq!(values.0, [(3, 30.0), (2, 21.0), (1, 10.0)]);
        let mut new = Vec::with_capacity(100);
        new.push((2, 22.0));
        values.replace(new, false);
        assert_eq!((values.len(), values.0.capacity()), (1, 1));
    }
}
