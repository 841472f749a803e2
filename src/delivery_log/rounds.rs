//! Reading by page number, for what cannot be narrowed by time: again and again, until nothing new is found.
//!
//! A row that is removed, or an order that changes, moves rows between two pages, so one round may pass over some. A round that finds
//! nothing new is the last if as many records are known as the server reports rows. Where that number is never reached, because
//! rows are equal or the server does not report it, several such rounds are needed.

/// Rounds over one window. Where these still find something new, it is reported as incomplete.
const ROUNDS_MAX: u32 = 30;
/// Rounds in a row that find nothing new, where the number of rows does not prove that all are known.
const QUIET_ROUNDS_MIN: u32 = 4;

/// Where reading by page number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// The first row of the next page, counted from 1.
    pub offset: u64,
    /// This round has found records that were not known.
    pub found: bool,
    number: u32,
    /// Rounds in a row before this one that found nothing new.
    quiet: u32,
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
        Self { offset: next.unwrap_or(1), found: true, number: 1, quiet: 0 }
    }

    /// The last page of a round was read. `is_all_known`: as many records are known as there are rows.
    pub fn end_round(&mut self, is_all_known: bool) -> RoundEnd {
        let quiet = if self.found { 0 } else { self.quiet + 1 };
        if quiet > 0 && (is_all_known || quiet == QUIET_ROUNDS_MIN) {
            return RoundEnd::Complete;
        }
        if self.number >= ROUNDS_MAX {
            return RoundEnd::Incomplete;
        }
        *self = Self { offset: 1, found: false, number: self.number + 1, quiet };
        RoundEnd::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_end_when_nothing_new_is_found_and_all_is_known() {
        let mut rounds = Rounds::from_second_page(Some(11));
        assert_eq!((rounds.offset, rounds.end_round(true), rounds.offset), (11, RoundEnd::Again, 1));
        rounds.found = true;
        assert_eq!(
            (rounds.end_round(false), rounds.end_round(false), rounds.end_round(true)),
            (RoundEnd::Again, RoundEnd::Again, RoundEnd::Complete)
        );
    }

    #[test]
    fn they_end_when_nothing_new_is_found_several_times() {
        let mut rounds = Rounds::from_second_page(Some(11));
        rounds.end_round(false);
        for _ in 1..QUIET_ROUNDS_MIN {
            assert_eq!(rounds.end_round(false), RoundEnd::Again);
        }
        assert_eq!(rounds.end_round(false), RoundEnd::Complete);
    }

    #[test]
    fn there_is_a_limit() {
        let mut rounds = Rounds::from_second_page(None);
        for _ in 1..ROUNDS_MAX {
            assert_eq!(rounds.end_round(true), RoundEnd::Again);
            rounds.found = true;
        }
        assert_eq!(rounds.end_round(true), RoundEnd::Incomplete);
    }
}
