//! A delivery record: one event about one message and one recipient.

mod field;
mod metrics;
mod outcome;
mod reply;
mod state;
mod uid;

pub use field::{FIELDS, Field, FieldInfo, Privacy};
pub use metrics::RecordMetrics;
pub use outcome::{BounceType, ComplaintType, FailureKind, FailureOrigin, Outcome, RecordEvent};
pub use reply::{EnhancedStatus, Reply};
pub use state::RecordState;
pub use uid::{RecordUid, UID_BYTES, hex};

/// A delivery record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The event that the record reports.
    pub event: RecordEvent,
    /// The time of the event, in Unix seconds by the server's clock.
    pub at: u64,
    /// The nanoseconds after `at`, less than a second; 0 if the server reports whole seconds.
    pub at_nanos: u32,
    /// The time at which the server received the message, in Unix seconds by its clock.
    pub received: Option<u64>,
    /// The outcome of the delivery. `None` if the server reports an unknown one, and for other events.
    pub outcome: Option<Outcome>,
    /// The number of the attempt, counted from 1.
    pub attempt: Option<u32>,
    /// The time from the receipt of the message to the event, in seconds.
    pub duration: Option<f64>,
    /// The duration of the attempt alone, in seconds.
    pub attempt_duration: Option<f64>,
    /// The size of the message in bytes.
    pub size: Option<u64>,
    /// The source of the message: a value of `mail.message.source`.
    pub source: Option<&'static str>,
    /// The response of the receiving server.
    pub reply: Reply,
    /// The system in which a failure arose.
    pub origin: Option<FailureOrigin>,
    /// The reason of a failure without an enhanced status code: a value of `error.type`.
    pub error_type: Option<&'static str>,
    /// The kind of a bounce.
    pub bounce: Option<BounceType>,
    /// The kind of a complaint.
    pub complaint: Option<ComplaintType>,
    /// The protocol of the delivery: a value of `network.protocol.name`.
    pub protocol: Option<&'static str>,
    /// `true` if the connection of the delivery was encrypted.
    pub tls: Option<bool>,
    /// `true` for a delivery to another host, `false` for a local one. `None` if the server does not report it.
    pub remote: Option<bool>,
    /// The score of the spam filter.
    pub spam_score: Option<f64>,
    /// All other fields, in the order of [`FIELDS`].
    pub fields: Vec<(Field, String)>,
}

/// One page of a delivery log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPage {
    /// The readable entries.
    pub records: Vec<Record>,
    /// A hash of each unreadable entry, which identifies the entry when it is read again.
    pub unreadable: Vec<u64>,
    /// The first entry of the next page, counted from 1.
    pub next: Option<u64>,
    /// The number of pages of the whole result, if the server reports it.
    pub pages: Option<u64>,
    /// The number of entries of the whole result, if the server reports it.
    pub total: Option<u64>,
    /// The server reports that it omitted entries because of a limit of its own.
    pub overflowed: bool,
}

impl Record {
    /// The value of a field, if the server reports it.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&str> {
        self.fields.iter().find(|(f, _)| *f == field).map(|(_, value)| value.as_str())
    }
}
