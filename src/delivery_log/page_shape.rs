//! The shape of a page of a log without its records: how the next page is found, and whether the server reports omissions.

use crate::model::{Outcome, Record, RecordPage};

/// The shape of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageShape {
    /// The number of rows, including unreadable ones.
    pub rows: u64,
    /// The first row of the next page, counted from 1.
    pub next: Option<u64>,
    /// All records are within the requested window.
    pub is_filtered: bool,
    /// The time of the last record, if the records are ordered by time.
    pub last_time: Option<u64>,
    /// The number of records of the most frequent outcome.
    pub outcome_records_max: usize,
    /// The server reports that it has omitted records.
    pub overflowed: bool,
}

impl PageShape {
    /// The shape of a page that was requested for this window, both ends included.
    pub fn of(page: &RecordPage, from: u64, end: u64) -> Self {
        let times = || page.records.iter().map(|record| record.at);
        let outcomes = [Some(Outcome::InProgress), Some(Outcome::Delivered), Some(Outcome::Deferred), Some(Outcome::Failed), None];
        let records_of = |outcome| page.records.iter().filter(|record: &&Record| record.outcome == outcome).count();
        Self {
            rows: (page.records.len() + page.unreadable.len()) as u64,
            next: page.next,
            is_filtered: times().all(|at| (from..=end).contains(&at)),
            last_time: times().next_back().filter(|_| times().is_sorted()),
            outcome_records_max: outcomes.into_iter().map(records_of).max().unwrap_or(0),
            overflowed: page.overflowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(times: &[u64]) -> RecordPage {
        let record = |at: &u64| Record {
            at: *at,
            outcome: [Some(Outcome::Delivered), Some(Outcome::Failed)][usize::from(at.is_multiple_of(10))],
            ..Record::default()
        };
        RecordPage { records: times.iter().map(record).collect(), unreadable: vec![7], next: Some(5), ..RecordPage::default() }
    }

    #[test]
    fn order_and_filter_are_verified() {
        for (times, is_filtered, last_time, most) in [
            (&[101, 101, 105][..], true, Some(105), 3),
            (&[101, 105, 104], true, None, 3),
            (&[99, 101, 110], false, Some(110), 2),
            (&[101, 111], false, Some(111), 2),
            (&[], true, None, 0),
        ] {
            let shape = PageShape::of(&page(times), 100, 110);
            let found = (shape.is_filtered, shape.last_time, shape.outcome_records_max, shape.rows, shape.next);
            assert_eq!(found, (is_filtered, last_time, most, times.len() as u64 + 1, Some(5)), "{times:?}");
        }
    }
}
