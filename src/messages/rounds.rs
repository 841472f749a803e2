//! Reading by page number, for what cannot be narrowed by time: again and again, until one round finds nothing new.
//!
//! A row that is removed moves all behind it, so one round may pass over rows. The next round finds them unless rows are removed
//! just as unluckily once more; one that finds nothing new has most likely passed over nothing.

/// Rounds over one window. What is still new after these is reported as incomplete.
const ROUNDS_MAX: u32 = 10;

/// Where reading by page number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// The first row of the next page, counted from 1.
    pub offset: u64,
    /// This round has found records that were not known.
    pub found: bool,
    number: u32,
}

/// What follows a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Another round.
    Again,
    /// All was read.
    Complete,
    /// The last round still found something new.
    Incomplete,
}

impl Rounds {
    /// The first page was read, and had records that were new.
    pub fn from_second_page(next: Option<u64>) -> Self {
        Self { offset: next.unwrap_or(1), found: true, number: 1 }
    }

    /// The last page of a round was read.
    pub fn end_round(&mut self) -> RoundEnd {
        if !self.found {
            return RoundEnd::Complete;
        }
        if self.number == ROUNDS_MAX {
            return RoundEnd::Incomplete;
        }
        *self = Self { offset: 1, found: false, number: self.number + 1 };
        RoundEnd::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_end_with_one_that_finds_nothing_new() {
        let mut rounds = Rounds::from_second_page(Some(11));
        assert_eq!((rounds.offset, rounds.end_round(), rounds.offset), (11, RoundEnd::Again, 1));
        rounds.found = true;
        assert_eq!((rounds.end_round(), rounds.end_round()), (RoundEnd::Again, RoundEnd::Complete));
    }

    #[test]
    fn there_is_a_limit() {
        let mut rounds = Rounds::from_second_page(None);
        for _ in 1..ROUNDS_MAX {
            assert_eq!(rounds.end_round(), RoundEnd::Again);
            rounds.found = true;
        }
        assert_eq!(rounds.end_round(), RoundEnd::Incomplete);
    }
}
