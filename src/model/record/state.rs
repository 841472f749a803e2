//! The states by which Postmeter counts records.

/// The state of a delivery record in Postmeter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It was read from the mail server.
    Read,
    /// It had been read before.
    Repeated,
    /// It could not be read.
    Unreadable,
    /// It reports something else than a record does, such as a click.
    Ignored,
    /// It was read, but not the earlier lines of its message. It is also counted in another state.
    Unjoined,
    /// It was exported.
    Sent,
    /// The receiver rejected it permanently.
    Refused,
}

impl RecordState {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 7] = [Self::Read, Self::Repeated, Self::Unreadable, Self::Ignored, Self::Unjoined, Self::Sent, Self::Refused];

    /// The value of `postmeter.record.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
            Self::Ignored => "ignored",
            Self::Unjoined => "unjoined",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}
