//! The result of reading a request of a mail system.

use crate::model::Record;

/// What a request contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookPage {
    /// The records, in the order of the body.
    pub records: Vec<HookRecord>,
    /// The number of items that report something else than the outcome of a delivery.
    pub ignored: u64,
    /// The number of items that could not be read.
    pub unreadable: u64,
    /// The first problem of an unreadable item, without personal data.
    pub problem: Option<String>,
}

/// A record with what identifies it.
#[derive(Clone, Debug, PartialEq)]
pub struct HookRecord {
    /// The identity of the record: the same whenever the system sends the record again, and different from that of any other record.
    pub identity: Vec<u8>,
    /// The record.
    pub record: Record,
}
