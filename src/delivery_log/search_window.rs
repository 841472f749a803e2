//! Where in a log a poll is, and which window of time comes next. Pure.
//!
//! # Pages are found by key
//!
//! Rows are added and removed while a log is read, so the number of a row means nothing a moment later. The next page begins at
//! the time of the last row that was read, inclusive; rows that come again are recognised by their identity. A page that is not
//! in the order of time gives no key: then the window is halved until one response holds all of it.
//!
//! # A second with more rows than a page
//!
//! A larger page is requested, so that one response still holds all of it. A server that does not serve larger pages, or that
//! does not filter by time, is read page by page, again and again until nothing new is found ([`Rounds`]).
//!
//! # A window that is too slow is a shorter one the next time
//!
//! A server may search so long in a week that no answer comes in time. It costs the whole timeout and a longer wait each
//! time, so such a window is quartered, and those behind it grow by little.

use super::page_shape::PageShape;
use super::rounds::Rounds;

/// The end of a window that has none: a clock that is ahead must not hide records.
const NO_END: u64 = 9_999_999_999;
/// What becomes of a window that has too many records.
const PARTS_OF_LARGE: u64 = 2;
/// What becomes of a window that took too long.
const PARTS_OF_SLOW: u64 = 4;
/// By what part of its length a window is longer than the one before, where one took too long.
const SLOW_GROWTH: u64 = 8;
/// Rows of a page.
pub(super) const PAGE_ROWS: u64 = 5000;
/// Rows of the largest page that is requested, for a single second.
const PAGE_ROWS_MAX: u64 = 80_000;
/// By how much a page grows for a second that has more rows.
const PAGE_GROWTH: u64 = 4;

/// Where in the log a poll is, so that the next one goes on there when it fails: a window of many pages would otherwise
/// never end on a server that fails now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SearchWindow {
    /// The window, both ends included, in Unix seconds.
    pub start: u64,
    pub end: u64,
    /// The time at which the next page begins, within the window: all before it was read.
    pub from: u64,
    /// Rows of the next page.
    pub page_rows: u64,
    /// Reading by page number, where nothing else is possible.
    pub rounds: Option<Rounds>,
    /// It is part of a window of which the server reported that records were left out.
    pub is_part_of_overflowed: bool,
    /// The newest record that was read, of those that are not in the future.
    newest: Option<u64>,
    /// When the first of the pages was asked for, in Unix seconds: what the server has written since may be missing from it.
    asked: Option<u64>,
    /// A window before took too long.
    slow: bool,
}

/// What to read after a page that has another page behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The place has moved: request the next page there.
    Page,
    /// The window has to be divided.
    Divide,
}

impl SearchWindow {
    /// From there to the end of the log.
    pub const fn from(start: u64) -> Self {
        Self {
            start,
            end: NO_END,
            from: start,
            page_rows: PAGE_ROWS,
            rounds: None,
            is_part_of_overflowed: false,
            newest: None,
            asked: None,
            slow: false,
        }
    }

    /// Whether the window goes to the end of the log.
    pub const fn is_open(&self) -> bool {
        self.end == NO_END
    }

    /// Whether what is left of the window can be parted.
    pub const fn has_parts(&self) -> bool {
        self.end > self.from
    }

    /// Whether a larger page than usual was requested.
    pub const fn has_large_page(&self) -> bool {
        self.page_rows > PAGE_ROWS
    }

    /// Takes note of a page that was requested at `asked`, and of the times of its records. The newest counts that is not in the
    /// future: a record with a wrong date must not take the cursor along.
    pub fn note_page(&mut self, asked: u64, times: impl Iterator<Item = u64>) {
        self.asked = self.asked.or(Some(asked));
        self.newest = self.newest.max(times.filter(|at| *at <= asked).max());
    }

    /// Moves on behind a page that has another page behind it.
    pub fn advance(&mut self, page: &PageShape) -> Next {
        if let (Some(rounds), Some(next)) = (&mut self.rounds, page.next) {
            rounds.offset = next;
            return Next::Page;
        }
        if !page.is_filtered {
            self.rounds = Some(Rounds::from_second_page(page.next));
            return Next::Page;
        }
        match page.last_time {
            Some(last) if last > self.from => (self.from, self.page_rows) = (last, PAGE_ROWS),
            // This second alone fills the page.
            Some(_) => {
                self.end = self.from;
                self.enlarge(page);
            }
            None if self.has_parts() => return Next::Divide,
            None => self.enlarge(page),
        }
        Next::Page
    }

    /// A larger page, or rounds where the server does not serve one.
    fn enlarge(&mut self, page: &PageShape) {
        if page.rows >= self.page_rows && self.page_rows < PAGE_ROWS_MAX {
            self.page_rows = (self.page_rows * PAGE_GROWTH).min(PAGE_ROWS_MAX);
        } else {
            self.page_rows = PAGE_ROWS;
            self.rounds = Some(Rounds::from_second_page(page.next.filter(|_| page.rows <= PAGE_ROWS)));
        }
    }

    /// The response for a large page was too large: this second is read in rounds.
    pub fn read_in_rounds(&mut self) {
        self.page_rows = PAGE_ROWS;
        self.rounds = Some(Rounds::from_second_page(Some(1)));
    }

    /// How far the log was taken when all of the window was read: never beyond the newest record that was seen, because nothing else
    /// shows how far the server's clock is. Records that were written since its first page was read must still be found behind it,
    /// however long the others took. Zero where no record was seen.
    pub fn reached(&self) -> u64 {
        self.newest.unwrap_or(0).min(self.end).min(self.asked.unwrap_or(0))
    }

    /// The window behind: longer, and open when that goes beyond now. `overlap` in seconds.
    pub fn after(&self, now: u64, overlap: u64) -> Self {
        let length = self.end.saturating_sub(self.start).saturating_add(1);
        let longer = length.saturating_add(if self.slow { length.div_ceil(SLOW_GROWTH) } else { length });
        let end = self.end.saturating_add(longer);
        let end = if end > now { NO_END } else { end };
        // This window may still get late records, too.
        let asked = self.asked.filter(|asked| self.end.saturating_add(overlap) >= *asked);
        Self { end, asked, newest: self.newest, slow: self.slow, ..Self::from(self.end.saturating_add(1)) }
    }

    /// The first part of a window that has too many records.
    pub fn smaller(&self, now: u64) -> Self {
        self.first_of(PARTS_OF_LARGE, now)
    }

    /// The first part of a window that took too long.
    pub fn quicker(&self, now: u64) -> Self {
        Self { slow: true, ..self.first_of(PARTS_OF_SLOW, now) }
    }

    /// What was read of the window stays part of it.
    fn first_of(&self, parts: u64, now: u64) -> Self {
        let end = self.end.min(now.max(self.from.saturating_add(1)));
        let end = self.from + end.saturating_sub(self.from) / parts;
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

    /// Reads from a week ago on a server that answers for windows up to `most` seconds: how many answers, how many timeouts.
    #[track_caller]
    fn catches_up(most: u64) -> (u32, u32) {
        let (mut answers, mut timeouts) = (0, 0);
        let mut place = SearchWindow::from(NOW - WEEK);
        let mut next = place.start;
        for _ in 0..10_000 {
            assert_eq!(place.start, next, "nothing is left out, and nothing asked for that is done");
            if place.end.min(NOW) - place.start > most {
                timeouts += 1;
                place = place.quicker(NOW);
                continue;
            }
            answers += 1;
            place.note_page(NOW, empty());
            if place.is_open() {
                return (answers, timeouts);
            }
            next = place.end + 1;
            place = place.after(NOW, OVERLAP);
        }
        panic!("it never ends");
    }

    #[test]
    fn it_catches_up_on_a_slow_server() {
        assert_eq!(catches_up(WEEK), (1, 0));
        for (most, answers_max, timeouts_max) in [(WEEK / 2, 4, 1), (86_400, 13, 3), (3600, 310, 30)] {
            let (answers, timeouts) = catches_up(most);
            assert!(answers <= answers_max && timeouts <= timeouts_max, "{most}: {answers} answers, {timeouts} timeouts");
        }
    }

    #[test]
    fn a_second_is_the_smallest_window() {
        let mut place = SearchWindow::from(NOW - WEEK);
        for _ in 0..40 {
            place = place.quicker(NOW);
        }
        assert_eq!((place.end, place.has_parts()), (place.start, false));
        // A clock that is behind the log.
        assert_eq!(SearchWindow::from(NOW).smaller(NOW - 50).end, NOW);
        // What an outage has made small is long again within a poll.
        let grown = (0..110).fold(place, |place, _| place.after(NOW + 1000 * WEEK, OVERLAP));
        assert!(grown.end - grown.start > 86_400);
    }

    #[test]
    fn what_is_reached_is_not_behind_the_first_page() {
        let mut place = SearchWindow::from(NOW - 100);
        place.note_page(NOW - 50, once(NOW - 60));
        place.note_page(NOW, once(NOW - 1));
        assert_eq!(place.reached(), NOW - 50, "the second page was asked for much later");
        let mut wrong = SearchWindow::from(NOW - 100);
        wrong.note_page(NOW, [NOW - 30, NOW + WEEK].into_iter());
        assert_eq!(wrong.reached(), NOW - 30, "a record with a wrong date");
        let mut nothing = SearchWindow::from(NOW - 100);
        nothing.note_page(NOW, empty());
        assert_eq!(nothing.reached(), 0);
    }

    #[test]
    fn a_window_that_may_get_late_records_holds_those_behind_it() {
        let mut near = SearchWindow { end: NOW - 100, ..SearchWindow::from(NOW - 200) };
        near.note_page(NOW, once(NOW - 130));
        let mut behind = near.after(NOW, OVERLAP);
        behind.note_page(NOW + 900, once(NOW + 890));
        assert_eq!((near.reached(), behind.is_open(), behind.reached()), (NOW - 130, true, NOW));
        let mut far = SearchWindow { end: NOW - OVERLAP - 1, ..SearchWindow::from(NOW - 2000) };
        far.note_page(NOW, empty());
        let mut behind = far.after(NOW, OVERLAP);
        behind.note_page(NOW + 900, once(NOW + 890));
        assert_eq!(behind.reached(), NOW + 890);
    }

    #[test]
    fn a_window_that_is_ahead_of_the_servers_clock_does_not_count_as_read() {
        let mut place = SearchWindow { end: NOW - 1000, ..SearchWindow::from(NOW - 9000) };
        place.note_page(NOW, once(NOW - 4000));
        assert_eq!(place.reached(), NOW - 4000, "the server may be an hour behind");
        let mut next = place.after(NOW, OVERLAP);
        next.note_page(NOW, empty());
        assert_eq!(next.reached(), NOW - 4000);
    }

    const PAGE: PageShape = PageShape {
        rows: PAGE_ROWS,
        next: Some(PAGE_ROWS + 1),
        is_filtered: true,
        last_time: Some(NOW),
        most_of_one_outcome: 9,
        overflowed: false,
    };

    #[test]
    fn the_next_page_begins_at_the_last_record() {
        let mut place = SearchWindow::from(NOW - 100);
        assert_eq!((place.advance(&PAGE), place.from, place.start, place.rounds), (Next::Page, NOW, NOW - 100, None));
        assert_eq!(place.smaller(NOW + 100), SearchWindow { end: NOW + 50, ..place });
    }

    #[test]
    fn without_an_order_the_window_is_divided() {
        let unsorted = PageShape { last_time: None, ..PAGE };
        let mut place = SearchWindow::from(NOW - 100);
        assert_eq!((place.advance(&unsorted), place), (Next::Divide, SearchWindow::from(NOW - 100)));
        let mut second = SearchWindow { end: NOW, ..SearchWindow::from(NOW) };
        assert_eq!((second.advance(&unsorted), second.page_rows), (Next::Page, PAGE_ROWS * PAGE_GROWTH));
    }

    #[test]
    fn a_second_that_fills_a_page_gets_a_larger_one_and_rounds_if_that_is_not_served() {
        let mut place = SearchWindow::from(NOW);
        assert_eq!(place.advance(&PAGE), Next::Page);
        assert_eq!((place.end, place.page_rows, place.rounds), (NOW, 4 * PAGE_ROWS, None));
        let mut capped = place;
        capped.advance(&PAGE);
        assert_eq!((capped.page_rows, capped.rounds), (PAGE_ROWS, Some(Rounds::from_second_page(Some(PAGE_ROWS + 1)))));
        place.advance(&PageShape { rows: 4 * PAGE_ROWS, ..PAGE });
        assert_eq!((place.page_rows, place.rounds), (PAGE_ROWS_MAX, None));
        place.advance(&PageShape { rows: PAGE_ROWS_MAX, ..PAGE });
        assert_eq!((place.page_rows, place.rounds), (PAGE_ROWS, Some(Rounds::from_second_page(None))));
        assert_eq!(place.after(NOW + 1000, OVERLAP).page_rows, PAGE_ROWS);
    }

    #[test]
    fn a_server_that_does_not_filter_is_read_in_rounds() {
        let mut place = SearchWindow::from(NOW - 100);
        assert_eq!(place.advance(&PageShape { is_filtered: false, ..PAGE }), Next::Page);
        assert_eq!((place.from, place.rounds.map(|rounds| rounds.offset)), (NOW - 100, Some(PAGE_ROWS + 1)));
        place.advance(&PageShape { next: Some(10_001), ..PAGE });
        assert_eq!(place.rounds.map(|rounds| rounds.offset), Some(10_001));
    }
}
