//! Requests by which mail systems report deliveries: from the body of a request to records, without I/O.
//!
//! The mapping is data: the section `hook` of a system's definition. A body has one or more items. The first row whose conditions an item
//! fulfils decides what the item reports; fields are found by their paths. An item without a row reports something else than the
//! outcome of a delivery and is ignored.

mod address;
mod assemble;
mod condition;
mod identity;
mod items;
mod log_files;
mod node_path;
mod page;
mod page_reader;
pub mod postfix;
mod repair;
mod reply_text;
mod row;
pub mod segments;
pub mod signature;
mod slot;
mod text_readers;
mod timestamp;
mod value_source;

pub use condition::{Condition, Test};
pub use identity::IdentityPart;
pub use items::{ITEM_BYTES_MAX, ITEMS_MAX, NESTING_MAX};
pub use log_files::LogFileFormat;
pub use node_path::NodePath;
pub use page::{HookPage, HookRecord};
pub use page_reader::{HookReader, RECORDS_BYTES_MAX};
pub use row::{Fields, Row};
pub use signature::{SignatureError, SignatureScheme, VerificationKey};
pub use slot::{STAGES, Slot, TYPED as TYPED_FIELDS};
pub(super) use text_readers::reader_names;
pub use text_readers::{READERS, TextReader};
pub use value_source::ValueSource;

use crate::model::vocabulary::{
    BOUNCES, COMPLAINTS, DELIVERY_ATTEMPTS, DELIVERY_DURATION, DELIVERY_FAILURES, MESSAGE_SIZE, RECEIVED_MESSAGES, REJECTED_MESSAGES,
};
use crate::model::{Metric, Outcome, RecordEvent};
use serde_json::Value;
use std::time::SystemTime;

/// The requests by which a mail system reports deliveries to Postmeter.
#[derive(Debug)]
pub struct Hook {
    /// The credentials that a target can use, the recommended one first. Empty: the system sends no requests and only writes log files.
    pub authentication: &'static [HookCredential],
    /// The format of the log files that have the same items, if the system writes any.
    pub log_files: Option<LogFileFormat>,
    /// The signature of its requests, if the system signs them.
    pub signature: Option<&'static SignatureScheme>,
    /// The largest body of a request, after decompression.
    pub body_bytes_max: usize,
    /// The path of the list of items in each value of a body. `None`: a value is an item.
    pub list: Option<NodePath>,
    /// The paths of which an item has one. An item without any of them is not an item of this system.
    pub kind: Vec<NodePath>,
    /// Conditions of items that are ignored whatever they report.
    pub ignore: Vec<Vec<Condition>>,
    /// The meanings of items, in order: the first row that fits applies.
    pub rows: Vec<Row>,
    /// The facts that records of this system lack, one sentence each, for the documentation.
    pub limits: &'static [&'static str],
}

/// A credential of the requests that a mail system sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookCredential {
    /// A bearer token: `token` or `token_file`.
    Token,
    /// A user name and a password.
    Basic,
    /// The key that verifies the system's signatures: `signing_key` or `signing_key_file`.
    SigningKey,
}

impl HookCredential {
    /// Every credential, in the order of declaration.
    pub const ALL: &'static [Self] = &[Self::Token, Self::Basic, Self::SigningKey];

    /// The name in a definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Basic => "basic",
            Self::SigningKey => "signing_key",
        }
    }
}

impl Hook {
    /// Returns `true` if records can have what a metric is counted from. The metrics of others remain those of the polls.
    #[must_use]
    pub fn has_facts_of(&self, metric: &Metric) -> bool {
        let has_event = |event: RecordEvent| self.rows.iter().any(|row| row.event == event);
        let deliveries = || self.rows.iter().filter(|row| row.event == RecordEvent::Delivery);
        let has_outcome = |outcomes: &[Outcome]| deliveries().any(|row| row.outcome.is_some_and(|outcome| outcomes.contains(&outcome)));
        // Durations and sizes are recorded with the final outcome of an attempt.
        let has_final_slot = |slots: &[Slot]| {
            let is_final = |row: &&Row| matches!(row.outcome, Some(Outcome::Delivered | Outcome::Failed));
            deliveries().filter(is_final).flat_map(|row| &row.fields).any(|(slot, values)| slots.contains(slot) && !values.is_empty())
        };
        match metric {
            _ if *metric == DELIVERY_ATTEMPTS => has_outcome(&[Outcome::Delivered, Outcome::Deferred, Outcome::Failed]),
            _ if *metric == DELIVERY_FAILURES => has_outcome(&[Outcome::Deferred, Outcome::Failed]),
            _ if *metric == DELIVERY_DURATION => has_final_slot(&[Slot::Duration, Slot::Received]),
            _ if *metric == MESSAGE_SIZE => has_final_slot(&[Slot::Size]),
            _ if *metric == BOUNCES => has_event(RecordEvent::Bounce),
            _ if *metric == COMPLAINTS => has_event(RecordEvent::Complaint),
            _ if *metric == RECEIVED_MESSAGES => has_event(RecordEvent::Received),
            _ if *metric == REJECTED_MESSAGES => has_event(RecordEvent::Rejection),
            _ => false,
        }
    }

    /// Reads the records of a body. It never fails: what cannot be read is counted.
    #[must_use]
    pub fn read(&self, body: &[u8], received_at: SystemTime) -> HookPage {
        self.reader(body, received_at).into_page()
    }

    /// Reads the records of items that were made from something else than JSON.
    #[must_use]
    pub fn read_values(&self, items: &[Value], received_at: SystemTime) -> HookPage {
        self.reader(&[], received_at).read_values(items)
    }

    /// Reads a body page by page, so that the memory of all its records is not needed at a time.
    #[must_use]
    pub fn reader<'b>(&'b self, body: &'b [u8], received_at: SystemTime) -> HookReader<'b> {
        HookReader::new(self, body, received_at)
    }
}
