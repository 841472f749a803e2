//! Reading by page number, for a window that cannot be narrowed by time: in several rounds, until no new records are found.
//!
//! Removed rows or a changed order move rows between pages, so a round may miss some. A round without new records is the last one if as
//! many records are known as the server reports rows. If that number is never reached, because rows are equal or the server does not
//! report it, several rounds without new records are needed.

/// The largest number of rounds over one window. If the last one still finds new records, the window counts as incomplete.
const ROUNDS_MAX: u32 = 30;
/// Rounds without new records that are needed if the number of rows does not prove that all are known.
const QUIET_ROUNDS_MIN: u32 = 4;

/// The position of reading by page number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// The first row of the next page, counted from 1.
    pub offset: u64,
    /// This round has found new records.
    pub found: bool,
    number: u32,
    /// The number of rounds without new records right before this one.
    quiet: u32,
}

/// The result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Another round is needed.
    Again,
    /// All records were read.
    Complete,
    /// The last allowed round still found new records.
    Incomplete,
}

impl Rounds {
    /// Starts the first round after its first page, which had new records.
    pub fn from_second_page(next: Option<u64>) -> Self {
        Self { offset: next.unwrap_or(1), found: true, number: 1, quiet: 0 }
    }

    /// Ends a round after its last page. `is_all_known` is true if as many records are known as there are rows.
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
    fn rounds_end_when_nothing_new_is_found_and_all_rows_are_known() {
        let mut rounds = Rounds::from_second_page(Some(11));
        assert_eq!((rounds.offset, rounds.end_round(true), rounds.offset), (11, RoundEnd::Again, 1));
        rounds.found = true;
        assert_eq!(
            (rounds.end_round(false), rounds.end_round(false), rounds.end_round(true)),
            (RoundEnd::Again, RoundEnd::Again, RoundEnd::Complete)
        );
    }

    #[test]
    fn rounds_end_when_nothing_new_is_found_several_times() {
        let mut rounds = Rounds::from_second_page(Some(11));
        rounds.end_round(false);
        for _ in 1..QUIET_ROUNDS_MIN {
            assert_eq!(rounds.end_round(false), RoundEnd::Again);
        }
        assert_eq!(rounds.end_round(false), RoundEnd::Complete);
    }

    #[test]
    fn the_number_of_rounds_is_limited() {
        let mut rounds = Rounds::from_second_page(None);
        for _ in 1..ROUNDS_MAX {
            assert_eq!(rounds.end_round(true), RoundEnd::Again);
            rounds.found = true;
        }
        assert_eq!(rounds.end_round(true), RoundEnd::Incomplete);
    }
}
