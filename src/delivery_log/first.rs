//! Where a first start begins: by what the log has already. Pure.
//!
//! "From now on" is a moment of the server's clock, which nobody here can see. So its newest record stands for it: all that the log has
//! at the first poll is known, and what it has not is new, even where its time is before ours.

use crate::model::{Record, RecordPage};

/// Where a log begins for us.
#[derive(Debug, PartialEq)]
pub(super) struct FirstRecords {
    /// Nothing before this is requested, in Unix seconds.
    pub floor: u64,
    /// Records of the log that are behind the floor and are not wanted.
    pub unwanted: Vec<Record>,
}

/// From the newest records of a log, in any order, of those since `looked_from`. Those from `wanted_from` on are wanted; `now` is by
/// our clock.
pub(super) fn first_records(page: RecordPage, looked_from: u64, wanted_from: u64, now: u64, overlap: u64) -> FirstRecords {
    let times = || page.records.iter().map(|record| record.at);
    let lowest = match times().filter(|at| *at <= now).max() {
        // Records of the last `overlap` before it may still be written late.
        Some(newest) => {
            // Of the oldest second of a page there may be more behind it.
            let complete_from = page.next.and(times().min()).map_or(0, |oldest| oldest + 1);
            newest.saturating_sub(overlap).max(complete_from).max(looked_from)
        }
        None => looked_from,
    };
    let floor = wanted_from.min(lowest);
    let unwanted = page.records.into_iter().filter(|record| (floor..wanted_from).contains(&record.at)).collect();
    FirstRecords { floor, unwanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reply;

    const NOW: u64 = 1_800_000_000;
    const OVERLAP: u64 = 600;

    fn page(times: &[u64], next: Option<u64>) -> RecordPage {
        let record = |at: &u64| Record {
            at: *at,
            received: None,
            outcome: None,
            size: None,
            source: None,
            reply: Reply::default(),
            remote: None,
            spam_score: None,
            fields: Vec::new(),
        };
        RecordPage { records: times.iter().map(record).collect(), next, ..RecordPage::default() }
    }

    #[track_caller]
    fn begins(times: &[u64], next: Option<u64>, wanted_from: u64) -> (u64, Vec<u64>) {
        let first = first_records(page(times, next), NOW - 86_400, wanted_from, NOW, OVERLAP);
        (NOW - first.floor, first.unwanted.iter().map(|record| NOW - record.at).collect())
    }

    #[test]
    fn what_is_there_is_known_and_what_comes_is_new() {
        for (what, times, next, wanted_from, expected) in [
            ("a server that is five minutes behind", &[NOW - 300, NOW - 310, NOW - 950][..], None, NOW, (900, vec![300, 310])),
            ("its records of the last hour are wanted", &[NOW - 300, NOW - 310], None, NOW - 3600, (3600, vec![])),
            ("it is two hours behind, and an hour is wanted", &[NOW - 7200], None, NOW - 3600, (7800, vec![7200])),
            ("a full page does not show all of its oldest second", &[NOW - 5, NOW - 9], Some(3), NOW, (8, vec![5])),
            ("a full page does not cut short what is wanted", &[NOW - 5, NOW - 9], Some(3), NOW - 3600, (3600, vec![])),
            ("a wrong date", &[NOW + 999, NOW - 20], None, NOW, (620, vec![20])),
            ("an empty log", &[], None, NOW, (86_400, vec![])),
        ] {
            assert_eq!(begins(times, next, wanted_from), expected, "{what}");
        }
    }
}
