//! Where in a log a poll is, and which window of time comes next. Pure.
//!
//! # A window that is too slow is a shorter one the next time
//!
//! A server may search so long in a week that no answer comes in time. It costs the whole timeout and a longer wait each
//! time, so such a window is quartered, and those behind it grow by little.

/// The end of a window that has none: a clock that is ahead must not hide records.
const NO_END: u64 = 9_999_999_999;
/// What becomes of a window that has too many records.
const PARTS_OF_LARGE: u64 = 2;
/// What becomes of a window that took too long.
const PARTS_OF_SLOW: u64 = 4;
/// By what part of its length a window is longer than the one before, where one took too long.
const SLOW_GROWTH: u64 = 8;

/// Where in the log a poll is, so that the next one goes on there when it fails: a window of many pages would otherwise
/// never end on a server that fails now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The window, both ends included, in Unix seconds.
    pub start: u64,
    pub end: u64,
    /// The next page's first record.
    pub offset: u64,
    /// The newest record of the pages before.
    pub newest: Option<u64>,
    /// When the first of the pages was asked for, in Unix seconds: what the server has written since may be missing from it.
    asked: Option<u64>,
    /// A window before took too long.
    slow: bool,
}

impl Place {
    /// From there to the end of the log.
    pub const fn from(start: u64) -> Self {
        Self { start, end: NO_END, offset: 1, newest: None, asked: None, slow: false }
    }

    /// Whether the window goes to the end of the log.
    pub const fn is_open(&self) -> bool {
        self.end == NO_END
    }

    /// Whether the window can be parted.
    pub const fn has_parts(&self) -> bool {
        self.end > self.start
    }

    /// A page was read that was asked for then, and its newest record is this.
    pub fn page(&mut self, asked: u64, newest: Option<u64>) {
        self.asked = self.asked.or(Some(asked));
        self.newest = self.newest.max(newest);
    }

    /// How far the log was taken when all of the window was read. Records that were written since its first page was read
    /// must still be found behind it, however long the others took; and one with a wrong date must not take it into the future.
    pub fn reached(&self) -> u64 {
        let end = if self.is_open() { self.newest.unwrap_or(0) } else { self.end };
        end.min(self.asked.unwrap_or(0))
    }

    /// The window behind: longer, and open when that goes beyond now. `overlap` in seconds.
    pub fn after(&self, now: u64, overlap: u64) -> Self {
        let length = self.end.saturating_sub(self.start).saturating_add(1);
        let longer = length.saturating_add(if self.slow { length.div_ceil(SLOW_GROWTH) } else { length });
        let end = self.end.saturating_add(longer);
        let end = if end > now { NO_END } else { end };
        // This window may still get late records, too.
        let asked = self.asked.filter(|asked| self.end.saturating_add(overlap) >= *asked);
        Self { end, asked, slow: self.slow, ..Self::from(self.end.saturating_add(1)) }
    }

    /// The first part of a window that has too many records.
    pub fn smaller(&self, now: u64) -> Self {
        self.first_of(PARTS_OF_LARGE, now)
    }

    /// The first part of a window that took too long.
    pub fn quicker(&self, now: u64) -> Self {
        Self { slow: true, ..self.first_of(PARTS_OF_SLOW, now) }
    }

    fn first_of(&self, parts: u64, now: u64) -> Self {
        let end = self.end.min(now.max(self.start.saturating_add(1)));
        let end = self.start + end.saturating_sub(self.start) / parts;
        Self { end, asked: self.asked, slow: self.slow, ..Self::from(self.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: u64 = 7 * 86_400;
    const NOW: u64 = 1_800_000_000;
    const OVERLAP: u64 = 600;

    /// Reads from a week ago on a server that answers for windows up to `most` seconds: how many answers, how many timeouts.
    #[track_caller]
    fn catches_up(most: u64) -> (u32, u32) {
        let (mut answers, mut timeouts) = (0, 0);
        let mut place = Place::from(NOW - WEEK);
        let mut next = place.start;
        for _ in 0..10_000 {
            assert_eq!(place.start, next, "nothing is left out, and nothing asked for that is done");
            if place.end.min(NOW) - place.start > most {
                timeouts += 1;
                place = place.quicker(NOW);
                continue;
            }
            answers += 1;
            place.page(NOW, None);
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
        let mut place = Place::from(NOW - WEEK);
        for _ in 0..40 {
            place = place.quicker(NOW);
        }
        assert_eq!((place.end, place.has_parts()), (place.start, false));
        // A clock that is behind the log.
        assert_eq!(Place::from(NOW).smaller(NOW - 50).end, NOW);
        // What an outage has made small is long again within a poll.
        let grown = (0..110).fold(place, |place, _| place.after(NOW + 1000 * WEEK, OVERLAP));
        assert!(grown.end - grown.start > 86_400);
    }

    #[test]
    fn what_is_reached_is_not_behind_the_first_page() {
        let mut place = Place::from(NOW - 100);
        place.page(NOW - 50, Some(NOW - 60));
        place.page(NOW, Some(NOW - 1));
        assert_eq!(place.reached(), NOW - 50, "the second page was asked for much later");
        let mut wrong = Place::from(NOW - 100);
        wrong.page(NOW, Some(NOW + WEEK));
        assert_eq!(wrong.reached(), NOW, "a record with a wrong date");
        let mut nothing = Place::from(NOW - 100);
        nothing.page(NOW, None);
        assert_eq!(nothing.reached(), 0);
    }

    #[test]
    fn a_window_that_may_get_late_records_holds_those_behind_it() {
        let mut near = Place { end: NOW - 100, ..Place::from(NOW - 200) };
        near.page(NOW, None);
        let mut behind = near.after(NOW, OVERLAP);
        behind.page(NOW + 900, Some(NOW + 890));
        assert_eq!((near.reached(), behind.is_open(), behind.reached()), (NOW - 100, true, NOW));
        let mut far = Place { end: NOW - OVERLAP - 1, ..Place::from(NOW - 2000) };
        far.page(NOW, None);
        let mut behind = far.after(NOW, OVERLAP);
        behind.page(NOW + 900, Some(NOW + 890));
        assert_eq!(behind.reached(), NOW + 890);
    }
}
