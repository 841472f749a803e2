//! The position of a poll in a log, and the next window of time to read. Pure.
//!
//! # Pages are found by time
//!
//! Rows are added and removed while a log is read, so row numbers soon become invalid. The next page begins at the time of the last row
//! that was read, inclusive; repeated rows are recognised by their identity. A page that is not ordered by time has no such start: then
//! the window is halved until one response contains all of it.
//!
//! # A second with more rows than a page
//!
//! A larger page is requested, so that one response still contains the whole second. If the server does not serve larger pages, or does not
//! filter by time, the window is read page by page, in several rounds until nothing new is found ([`Rounds`]).
//!
//! # A window that times out is shortened
//!
//! A server may need so long to search a week that the request times out. Each attempt costs the whole timeout and a longer pause, so such
//! a window is quartered, and the following windows grow slowly.

use super::page_shape::PageShape;
use super::rounds::Rounds;

/// The end of an open window. It is far in the future, so that records with a later time are not hidden.
const NO_END: u64 = 9_999_999_999;
/// The divisor of a window that has too many records.
const LARGE_DIVISOR: u64 = 2;
/// The divisor of a window that took too long.
const SLOW_DIVISOR: u64 = 4;
/// After a window that took too long, each window is longer than the previous one by its length divided by this.
const SLOW_GROWTH_DIVISOR: u64 = 8;
/// The number of rows of a page.
pub(super) const PAGE_ROWS: u64 = 5000;
/// The number of rows of the largest page, for a single second.
const PAGE_ROWS_MAX: u64 = 80_000;
/// The factor by which a page grows for a second that has more rows.
const PAGE_GROWTH: u64 = 4;

/// The position of a poll in a log. If a poll fails, the next one continues here: otherwise a window of many pages might never complete on
/// a server that fails occasionally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SearchWindow {
    /// The start of the window in Unix seconds, included.
    pub start: u64,
    /// The end of the window in Unix seconds, included.
    pub end: u64,
    /// The time within the window at which the next page begins. Everything before it was read.
    pub page_start: u64,
    /// The number of rows of the next page.
    pub page_rows: u64,
    /// Reading by page number, if nothing else is possible.
    pub rounds: Option<Rounds>,
    /// The window is part of one from which the server has omitted records.
    pub is_part_of_overflowed: bool,
    /// The time of the newest record that was read and is not in the future.
    newest: Option<u64>,
    /// The time of the request for the first page, in Unix seconds. Records that were written since may be missing.
    requested: Option<u64>,
    /// An earlier window took too long.
    is_slow: bool,
}

/// The next step after a page that is not the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRead {
    /// Request the next page at the new position.
    Page,
    /// Divide the window.
    Divide,
}

impl SearchWindow {
    /// The window from `start` to the end of the log.
    pub const fn since(start: u64) -> Self {
        Self {
            start,
            end: NO_END,
            page_start: start,
            page_rows: PAGE_ROWS,
            rounds: None,
            is_part_of_overflowed: false,
            newest: None,
            requested: None,
            is_slow: false,
        }
    }

    /// Returns true if the window extends to the end of the log.
    pub const fn is_open(&self) -> bool {
        self.end == NO_END
    }

    /// Returns true if the rest of the window can be divided.
    pub const fn is_divisible(&self) -> bool {
        self.end > self.page_start
    }

    /// Returns true if the next page is larger than usual.
    pub const fn has_large_page(&self) -> bool {
        self.page_rows > PAGE_ROWS
    }

    /// Records a page that was requested at `requested`, with the times of its records. Records in the future are ignored: a record with a
    /// wrong date must not move the cursor.
    pub fn note_page(&mut self, requested: u64, times: impl Iterator<Item = u64>) {
        self.requested = self.requested.or(Some(requested));
        self.newest = self.newest.max(times.filter(|at| *at <= requested).max());
    }

    /// Advances past a page that is not the last one.
    pub fn advance(&mut self, page: &PageShape) -> NextRead {
        if let (Some(rounds), Some(next)) = (&mut self.rounds, page.next) {
            rounds.offset = next;
            return NextRead::Page;
        }
        if !page.is_filtered {
            self.rounds = Some(Rounds::from_second_page(page.next));
            return NextRead::Page;
        }
        match page.last_time {
            Some(last) if last > self.page_start => (self.page_start, self.page_rows) = (last, PAGE_ROWS),
            // This second alone fills a page.
            Some(_) => {
                self.end = self.page_start;
                self.enlarge(page);
            }
            None if self.is_divisible() => return NextRead::Divide,
            None => self.enlarge(page),
        }
        NextRead::Page
    }

    /// Requests a larger page, or starts rounds if the server does not serve one.
    fn enlarge(&mut self, page: &PageShape) {
        if page.rows >= self.page_rows && self.page_rows < PAGE_ROWS_MAX {
            self.page_rows = (self.page_rows * PAGE_GROWTH).min(PAGE_ROWS_MAX);
        } else {
            self.page_rows = PAGE_ROWS;
            self.rounds = Some(Rounds::from_second_page(page.next.filter(|_| page.rows <= PAGE_ROWS)));
        }
    }

    /// Reads this second in rounds, after the response to a large page exceeded the limit.
    pub fn read_in_rounds(&mut self) {
        self.page_rows = PAGE_ROWS;
        self.rounds = Some(Rounds::from_second_page(Some(1)));
    }

    /// The read position after the whole window was read. It is not after the newest record that was read, because nothing else shows the
    /// time of the server's clock, and not after the request for the first page, because later records have to be found behind it. Zero
    /// if no record was read.
    pub fn position(&self) -> u64 {
        self.newest.unwrap_or(0).min(self.end).min(self.requested.unwrap_or(0))
    }

    /// The next window. It is longer, and open if its end would be in the future. `overlap` is in seconds.
    pub fn next_window(&self, now: u64, overlap: u64) -> Self {
        let length = self.end.saturating_sub(self.start).saturating_add(1);
        let longer = length.saturating_add(if self.is_slow { length.div_ceil(SLOW_GROWTH_DIVISOR) } else { length });
        let end = self.end.saturating_add(longer);
        let end = if end > now { NO_END } else { end };
        // The server may still write records late into this window.
        let requested = self.requested.filter(|requested| self.end.saturating_add(overlap) >= *requested);
        Self { end, requested, newest: self.newest, is_slow: self.is_slow, ..Self::since(self.end.saturating_add(1)) }
    }

    /// The first half of a window that has too many records.
    pub fn first_half(&self, now: u64) -> Self {
        self.first_part(LARGE_DIVISOR, now)
    }

    /// The first quarter of a window that took too long.
    pub fn first_quarter(&self, now: u64) -> Self {
        Self { is_slow: true, ..self.first_part(SLOW_DIVISOR, now) }
    }

    /// The beginning of the window, with all that was read of it.
    fn first_part(&self, divisor: u64, now: u64) -> Self {
        let end = self.end.min(now.max(self.page_start.saturating_add(1)));
        let end = self.page_start + end.saturating_sub(self.page_start) / divisor;
        Self { end, page_rows: PAGE_ROWS, rounds: None, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::{empty, once};

    const WEEK: u64 = 7 * 86_400;
    const NOW: u64 = 1_800_000_000;
    const OVERLAP: u64 = 600;

    /// Reads a week from a server that responds in time for windows of up to `most` seconds. Returns the numbers of responses and timeouts.
    #[track_caller]
    fn read_week(most: u64) -> (u32, u32) {
        let (mut responses, mut timeouts) = (0, 0);
        let mut window = SearchWindow::since(NOW - WEEK);
        let mut next = window.start;
        for _ in 0..10_000 {
            assert_eq!(window.start, next, "windows follow one another without gaps and overlaps");
            if window.end.min(NOW) - window.start > most {
                timeouts += 1;
                window = window.first_quarter(NOW);
                continue;
            }
            responses += 1;
            window.note_page(NOW, empty());
            if window.is_open() {
                return (responses, timeouts);
            }
            next = window.end + 1;
            window = window.next_window(NOW, OVERLAP);
        }
        panic!("the end is never reached");
    }

    #[test]
    fn a_slow_server_is_read_in_shorter_windows() {
        assert_eq!(read_week(WEEK), (1, 0));
        for (most, responses_max, timeouts_max) in [(WEEK / 2, 4, 1), (86_400, 13, 3), (3600, 310, 30)] {
            let (responses, timeouts) = read_week(most);
            assert!(responses <= responses_max && timeouts <= timeouts_max, "{most}: {responses} responses, {timeouts} timeouts");
        }
    }

    #[test]
    fn a_second_is_the_smallest_window() {
        let mut window = SearchWindow::since(NOW - WEEK);
        for _ in 0..40 {
            window = window.first_quarter(NOW);
        }
        assert_eq!((window.end, window.is_divisible()), (window.start, false));
        // The clock is behind the log.
        assert_eq!(SearchWindow::since(NOW).first_half(NOW - 50).end, NOW);
        // A window that an outage has shortened is long again within one poll.
        let grown = (0..110).fold(window, |window, _| window.next_window(NOW + 1000 * WEEK, OVERLAP));
        assert!(grown.end - grown.start > 86_400);
    }

    #[test]
    fn the_position_is_not_after_the_first_request() {
        let mut window = SearchWindow::since(NOW - 100);
        window.note_page(NOW - 50, once(NOW - 60));
        window.note_page(NOW, once(NOW - 1));
        assert_eq!(window.position(), NOW - 50, "the second page was requested much later");
        let mut wrong = SearchWindow::since(NOW - 100);
        wrong.note_page(NOW, [NOW - 30, NOW + WEEK].into_iter());
        assert_eq!(wrong.position(), NOW - 30, "a record with a wrong date");
        let mut empty_window = SearchWindow::since(NOW - 100);
        empty_window.note_page(NOW, empty());
        assert_eq!(empty_window.position(), 0);
    }

    #[test]
    fn a_window_that_may_get_late_records_limits_the_position_of_the_next() {
        let mut near = SearchWindow { end: NOW - 100, ..SearchWindow::since(NOW - 200) };
        near.note_page(NOW, once(NOW - 130));
        let mut next = near.next_window(NOW, OVERLAP);
        next.note_page(NOW + 900, once(NOW + 890));
        assert_eq!((near.position(), next.is_open(), next.position()), (NOW - 130, true, NOW));
        let mut far = SearchWindow { end: NOW - OVERLAP - 1, ..SearchWindow::since(NOW - 2000) };
        far.note_page(NOW, empty());
        let mut next = far.next_window(NOW, OVERLAP);
        next.note_page(NOW + 900, once(NOW + 890));
        assert_eq!(next.position(), NOW + 890);
    }

    #[test]
    fn a_window_after_the_newest_record_does_not_count_as_read() {
        let mut window = SearchWindow { end: NOW - 1000, ..SearchWindow::since(NOW - 9000) };
        window.note_page(NOW, once(NOW - 4000));
        assert_eq!(window.position(), NOW - 4000, "the server may be an hour behind");
        let mut next = window.next_window(NOW, OVERLAP);
        next.note_page(NOW, empty());
        assert_eq!(next.position(), NOW - 4000);
    }

    const PAGE: PageShape = PageShape {
        rows: PAGE_ROWS,
        next: Some(PAGE_ROWS + 1),
        is_filtered: true,
        last_time: Some(NOW),
        outcome_records_max: 9,
        overflowed: false,
    };

    #[test]
    fn the_next_page_begins_at_the_last_record() {
        let mut window = SearchWindow::since(NOW - 100);
        assert_eq!((window.advance(&PAGE), window.page_start, window.start, window.rounds), (NextRead::Page, NOW, NOW - 100, None));
        assert_eq!(window.first_half(NOW + 100), SearchWindow { end: NOW + 50, ..window });
    }

    #[test]
    fn an_unordered_page_divides_the_window() {
        let unsorted = PageShape { last_time: None, ..PAGE };
        let mut window = SearchWindow::since(NOW - 100);
        assert_eq!((window.advance(&unsorted), window), (NextRead::Divide, SearchWindow::since(NOW - 100)));
        let mut second = SearchWindow { end: NOW, ..SearchWindow::since(NOW) };
        assert_eq!((second.advance(&unsorted), second.page_rows), (NextRead::Page, PAGE_ROWS * PAGE_GROWTH));
    }

    #[test]
    fn a_second_that_fills_a_page_gets_a_larger_page_or_is_read_in_rounds() {
        let mut window = SearchWindow::since(NOW);
        assert_eq!(window.advance(&PAGE), NextRead::Page);
        assert_eq!((window.end, window.page_rows, window.rounds), (NOW, 4 * PAGE_ROWS, None));
        let mut capped = window;
        capped.advance(&PAGE);
        assert_eq!((capped.page_rows, capped.rounds), (PAGE_ROWS, Some(Rounds::from_second_page(Some(PAGE_ROWS + 1)))));
        window.advance(&PageShape { rows: 4 * PAGE_ROWS, ..PAGE });
        assert_eq!((window.page_rows, window.rounds), (PAGE_ROWS_MAX, None));
        window.advance(&PageShape { rows: PAGE_ROWS_MAX, ..PAGE });
        assert_eq!((window.page_rows, window.rounds), (PAGE_ROWS, Some(Rounds::from_second_page(None))));
        assert_eq!(window.next_window(NOW + 1000, OVERLAP).page_rows, PAGE_ROWS);
    }

    #[test]
    fn a_server_that_does_not_filter_is_read_in_rounds() {
        let mut window = SearchWindow::since(NOW - 100);
        assert_eq!(window.advance(&PageShape { is_filtered: false, ..PAGE }), NextRead::Page);
        assert_eq!((window.page_start, window.rounds.map(|rounds| rounds.offset)), (NOW - 100, Some(PAGE_ROWS + 1)));
        window.advance(&PageShape { next: Some(10_001), ..PAGE });
        assert_eq!(window.rounds.map(|rounds| rounds.offset), Some(10_001));
    }
}
