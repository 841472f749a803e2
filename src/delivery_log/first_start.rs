//! The start position of a log that has never been read, derived from the records that it already has. Pure.
//!
//! "From now on" is a time of the server's clock, which is not known. The newest record of the log takes its place: records that the log
//! has at the first poll are known, and all others are new, even if their time is before the present time of Postmeter's clock.

use crate::model::{CLOCK_SECONDS_MIN, Record, RecordPage};

/// A saved start before this time, 2001 in Unix seconds, comes from a clock that was not set: no log is wanted from so long ago.
const SAVED_SECONDS_MIN: u64 = 1_000_000_000;

/// The time at which a log was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// In Unix seconds, by Postmeter's clock at that time.
    pub at: u64,
    /// The seconds that have passed since, by a clock that nobody sets, but that may stand still while the machine is suspended.
    pub elapsed: u64,
}

/// Returns the start of a log that has never been read if `saved` comes from a wrong clock, which has been corrected since: the time of the
/// opening by the present clock, less `since`. All times are in Unix seconds.
pub(super) fn corrected_start(saved: u64, since: u64, opening: Opening, now: u64) -> Option<u64> {
    let is_unset = opening.at < CLOCK_SECONDS_MIN || saved < SAVED_SECONDS_MIN;
    (is_unset || saved > now).then(|| now.saturating_sub(opening.elapsed).saturating_sub(since))
}

/// The start position of a log.
#[derive(Debug, PartialEq)]
pub(super) struct FirstStart {
    /// The earliest time that is ever requested, in Unix seconds.
    pub floor: u64,
    /// Records after the floor that the log already has, and that are not to be sent.
    pub unwanted: Vec<Record>,
}

/// Computes the start position from a page of the newest records, in any order, of those since `searched_from`. Records from `wanted_from`
/// on are to be sent. `now` is the present time by Postmeter's clock. All times are in Unix seconds, `overlap` in seconds.
pub(super) fn first_start(page: RecordPage, searched_from: u64, wanted_from: u64, now: u64, overlap: u64) -> FirstStart {
    let times = || page.records.iter().map(|record| record.at);
    let earliest = match times().filter(|at| *at <= now).max() {
        // Records of the last `overlap` before the newest one may still be written late.
        Some(newest) => {
            // The oldest second of a page may have more records on the next page.
            let complete_from = page.next.and(times().min()).map_or(0, |oldest| oldest + 1);
            newest.saturating_sub(overlap).max(complete_from).max(searched_from)
        }
        None => searched_from,
    };
    let floor = wanted_from.min(earliest);
    let unwanted = page.records.into_iter().filter(|record| (floor..wanted_from).contains(&record.at)).collect();
    FirstStart { floor, unwanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const OVERLAP: u64 = 600;

    fn page(times: &[u64], next: Option<u64>) -> RecordPage {
        let record = |at: &u64| Record { at: *at, ..Record::default() };
        RecordPage { records: times.iter().map(record).collect(), next, ..RecordPage::default() }
    }

    #[track_caller]
    fn start_of(times: &[u64], next: Option<u64>, wanted_from: u64) -> (u64, Vec<u64>) {
        let first = first_start(page(times, next), NOW - 86_400, wanted_from, NOW, OVERLAP);
        (NOW - first.floor, first.unwanted.iter().map(|record| NOW - record.at).collect())
    }

    #[test]
    fn a_start_by_a_wrong_clock_is_corrected() {
        let month = 30 * 86_400;
        let opening = |at| Opening { at, elapsed: 60 };
        for (what, saved, since, opened_at, expected) in [
            ("a right clock", NOW - 60, 0, NOW - 60, None),
            ("a right clock, after a restart", NOW - month, 0, NOW - 60, None),
            ("a right clock, with since", NOW - 60 - month, month, NOW - 60, None),
            ("a clock that is corrected by an hour", NOW - 3660, 0, NOW - 3660, None),
            ("a clock in 1970", 5, 0, 5, Some(NOW - 60)),
            ("a clock in 1970, with since", 0, 3600, 5, Some(NOW - 3660)),
            ("a clock in 1970, and a restart after its correction", 5, 0, NOW - 60, Some(NOW - 60)),
            ("a clock that is a month behind, or a machine that was suspended for a month", NOW - month, 0, NOW - month, None),
            ("a right clock, with a since that was longer at the first start", NOW - 40 * month, 0, NOW - 60, None),
            ("a clock that is a month ahead", NOW + month, 0, NOW + month, Some(NOW - 60)),
            ("a clock that is a month ahead, and a restart", NOW + month - 86_400, 3600, NOW - 60, Some(NOW - 3660)),
        ] {
            assert_eq!(corrected_start(saved, since, opening(opened_at), NOW), expected, "{what}");
        }
    }

    #[test]
    fn existing_records_are_known_and_later_ones_are_new() {
        for (what, times, next, wanted_from, expected) in [
            ("a server that is five minutes behind", &[NOW - 300, NOW - 310, NOW - 950][..], None, NOW, (900, vec![300, 310])),
            ("its records of the last hour are wanted", &[NOW - 300, NOW - 310], None, NOW - 3600, (3600, vec![])),
            ("it is two hours behind, and an hour is wanted", &[NOW - 7200], None, NOW - 3600, (7800, vec![7200])),
            ("the oldest second of a full page may be incomplete", &[NOW - 5, NOW - 9], Some(3), NOW, (8, vec![5])),
            ("a full page does not limit the wanted records", &[NOW - 5, NOW - 9], Some(3), NOW - 3600, (3600, vec![])),
            ("a wrong date", &[NOW + 999, NOW - 20], None, NOW, (620, vec![20])),
            ("an empty log", &[], None, NOW, (86_400, vec![])),
        ] {
            assert_eq!(start_of(times, next, wanted_from), expected, "{what}");
        }
    }
}
