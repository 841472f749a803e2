//! Whether a server that reports `overflowed` has really left records out of its response.
//!
//! # How it is found out
//!
//! WHM limits the records of each outcome. Where such a limit was reached, one outcome has exactly as many records as the limit,
//! and in no response is there an outcome with more. So the report is unfounded for a response that is empty; and for one that is part of
//! another, has nothing new, and has fewer records of each outcome than another response had. Without this, a server that always sets
//! the mark would be read second by second.

use super::page_shape::PageShape;

/// What is known of the marks of one server.
#[derive(Debug, Default)]
pub(super) struct OverflowMarks {
    /// The most records of one outcome in any response: no limit is below it.
    of_one_outcome: usize,
    /// In this poll a mark was found to be unfounded.
    unfounded: bool,
}

impl OverflowMarks {
    /// A poll begins: what was found out is found out anew, because a server may be changed.
    pub fn begin_poll(&mut self) {
        self.unfounded = false;
    }

    /// Whether marks were found to be unfounded in this poll.
    pub const fn are_unfounded(&self) -> bool {
        self.unfounded
    }

    /// Takes note of a page. Returns whether records were left out of it. `is_part`: the page belongs to a part of a window that was
    /// marked before. `new`: how many of its records were not known.
    pub fn are_left_out(&mut self, page: &PageShape, is_part: bool, new: u64) -> bool {
        self.of_one_outcome = self.of_one_outcome.max(page.most_of_one_outcome);
        if !page.overflowed || self.unfounded {
            return false;
        }
        let is_refuted = is_part && new == 0 && page.most_of_one_outcome < self.of_one_outcome;
        self.unfounded = page.next.is_none() && (page.rows == 0 || is_refuted);
        !self.unfounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(most_of_one_outcome: usize) -> PageShape {
        let rows = most_of_one_outcome as u64;
        PageShape { rows, next: None, is_filtered: true, last_time: None, most_of_one_outcome, overflowed: true }
    }

    #[test]
    fn a_limit_that_was_reached_is_believed() {
        let mut marks = OverflowMarks::default();
        assert!(marks.are_left_out(&page(400), false, 407));
        // All of the older half was known already: the newer half has no deliveries at all.
        assert!(marks.are_left_out(&page(400), true, 0));
        assert!(marks.are_left_out(&page(400), true, 90));
        assert!(marks.are_left_out(&page(3), true, 3), "a server may limit something else");
        assert!(!marks.are_left_out(&PageShape { overflowed: false, ..page(30) }, true, 0));
    }

    #[test]
    fn a_mark_without_reason_is_found_out_and_looked_at_again_by_the_next_poll() {
        let mut marks = OverflowMarks::default();
        assert!(marks.are_left_out(&page(400), false, 407));
        assert!(!marks.are_left_out(&page(90), true, 0));
        assert!(marks.are_unfounded() && !marks.are_left_out(&page(400), false, 407));
        marks.begin_poll();
        assert!(marks.are_left_out(&page(400), false, 407));
        assert!(!marks.are_left_out(&page(0), false, 0), "nothing is not too much");
    }
}
