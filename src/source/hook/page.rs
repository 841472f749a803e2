//! The result of reading a request of a mail system.

use crate::model::Record;

/// The contents of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookPage {
    /// The records, in the order of the body.
    pub records: Vec<HookRecord>,
    /// The number of items that report something else than the outcome of a delivery.
    pub ignored: u64,
    /// The number of items, and of recipients of an item, that could not be read.
    pub unreadable: u64,
    /// The first problem of an unreadable item, without personal data.
    pub problem: Option<String>,
    /// The line of that problem in the text, counted from 1, if the text is a log.
    pub problem_line: Option<u64>,
}

/// A record with what identifies it.
#[derive(Clone, Debug, PartialEq)]
pub struct HookRecord {
    /// The identity of the record: the same whenever the system sends the record again, and different from that of any other record.
    pub identity: Vec<u8>,
    /// The record.
    pub record: Record,
}

impl HookPage {
    /// Counts an unreadable item. The first problem is kept.
    pub(super) fn report_unreadable(&mut self, problem: impl FnOnce() -> String) {
        self.unreadable += 1;
        self.problem.get_or_insert_with(problem);
    }

    /// Adds the content of another page, which follows this one.
    pub fn append(&mut self, other: Self) {
        self.records.extend(other.records);
        self.ignored += other.ignored;
        self.unreadable += other.unreadable;
        if self.problem.is_none() {
            (self.problem, self.problem_line) = (other.problem, other.problem_line);
        }
    }
}
