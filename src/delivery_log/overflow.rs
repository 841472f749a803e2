//! Verification of `overflowed` marks: the server reports that it has omitted records from a response.
//!
//! # Unfounded marks
//!
//! WHM limits the records of each outcome. If a limit was reached, one outcome has exactly that many records, and no response has more of
//! any outcome. So the mark of an empty response is unfounded. The same holds for a response to a part of an earlier window if it has no
//! new records, and fewer records of each outcome than another response. Without this check, a server that always sets the mark would be
//! read second by second.

use super::page_shape::PageShape;

/// The marks of one server.
#[derive(Debug, Default)]
pub(super) struct OverflowMarks {
    /// The most records of one outcome in any response. The limit of the server is not lower.
    outcome_records_max: usize,
    /// A mark in this poll was unfounded.
    unfounded: bool,
}

impl OverflowMarks {
    /// Starts a poll. Each poll checks the marks again, because the server may have been updated.
    pub fn start_poll(&mut self) {
        self.unfounded = false;
    }

    /// Returns true if a mark in this poll was unfounded.
    pub const fn are_unfounded(&self) -> bool {
        self.unfounded
    }

    /// Checks a page. Returns true if records were omitted from it. `is_part` is true if the page belongs to a part of a window that was
    /// marked before; `new` is the number of its records that were not known.
    pub fn has_omissions(&mut self, page: &PageShape, is_part: bool, new: u64) -> bool {
        self.outcome_records_max = self.outcome_records_max.max(page.outcome_records_max);
        if !page.overflowed || self.unfounded {
            return false;
        }
        let is_refuted = is_part && new == 0 && page.outcome_records_max < self.outcome_records_max;
        self.unfounded = page.next.is_none() && (page.rows == 0 || is_refuted);
        !self.unfounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(outcome_records_max: usize) -> PageShape {
        let rows = outcome_records_max as u64;
        PageShape { rows, next: None, is_filtered: true, last_time: None, outcome_records_max, overflowed: true }
    }

    #[test]
    fn a_mark_is_accepted_if_a_limit_was_reached() {
        let mut marks = OverflowMarks::default();
        assert!(marks.has_omissions(&page(400), false, 407));
        // All records of the older half are known; the newer half has no deliveries.
        assert!(marks.has_omissions(&page(400), true, 0));
        assert!(marks.has_omissions(&page(400), true, 90));
        assert!(marks.has_omissions(&page(3), true, 3), "a server may limit something else");
        assert!(!marks.has_omissions(&PageShape { overflowed: false, ..page(30) }, true, 0));
    }

    #[test]
    fn an_unfounded_mark_is_ignored_until_the_next_poll() {
        let mut marks = OverflowMarks::default();
        assert!(marks.has_omissions(&page(400), false, 407));
        assert!(!marks.has_omissions(&page(90), true, 0));
        assert!(marks.are_unfounded() && !marks.has_omissions(&page(400), false, 407));
        marks.start_poll();
        assert!(marks.has_omissions(&page(400), false, 407));
        assert!(!marks.has_omissions(&page(0), false, 0), "an empty response has no omissions");
    }
}
