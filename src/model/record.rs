//! One entry of a mail server's delivery log: what became of one message for one recipient, as of one moment.

use super::Attribute;
use std::fmt;

/// One entry of a delivery log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it happened, in Unix seconds, by the server's clock.
    pub at: u64,
    /// When the message was handed in, likewise.
    pub received: Option<u64>,
    /// How the attempt ended. None where the server has a word that we do not know.
    pub outcome: Option<Outcome>,
    /// Bytes of the message.
    pub size: Option<u64>,
    /// A value of `mail.message.source`: who handed it in.
    pub source: Option<&'static str>,
    /// What the server at the other end answered.
    pub reply: Reply,
    /// Whether it left the machine.
    pub remote: Option<bool>,
    /// What the spam filter gave it.
    pub spam_score: Option<f64>,
    /// Everything else that the server says of it, in the order of [`FIELDS`].
    pub fields: Vec<(Field, String)>,
}

/// One page of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPage {
    /// What could be read.
    pub records: Vec<Record>,
    /// Entries that could not be: a hash of each, by which it is known when it comes again.
    pub unreadable: Vec<u64>,
    /// The first record of the next page, counted from 1.
    pub next: Option<u64>,
    /// Pages that the whole answer has, where the server says so.
    pub pages: Option<u64>,
    /// Entries that the whole answer has, where the server says so.
    pub total: Option<u64>,
    /// The server says that it left records out: a limit of its own was reached.
    pub overflowed: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended.
    InProgress,
    /// Taken.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Given up.
    Failed,
}

impl Outcome {
    /// The value of `mail.delivery.outcome`. `in_progress` appears in log records only, never in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

/// What became of a record of a delivery log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It was read from the mail server.
    Read,
    /// It had been read before.
    Repeated,
    /// It could not be read.
    Unreadable,
    /// It was exported.
    Sent,
    /// The receiver rejected it permanently.
    Refused,
}

impl RecordState {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Read, Self::Repeated, Self::Unreadable, Self::Sent, Self::Refused];

    /// The value of `mail.record.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

/// Whether a failed delivery can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It is retried.
    Transient,
    /// It is not retried.
    Permanent,
    /// The server does not report it.
    Unknown,
}

impl FailureKind {
    /// The value of `mail.failure.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }
}

/// What an SMTP server answered, as far as it stands in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The reply code (RFC 5321): 250, 451, 550.
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463).
    pub status: Option<EnhancedStatus>,
    /// A value of `mail.delivery.stage`: after which command.
    pub stage: Option<&'static str>,
}

/// An enhanced status code: class, subject, detail (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// Up to three digits.
    pub subject: u16,
    /// Up to three digits.
    pub detail: u16,
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What of a field leaves the machine unless a target's configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// It does, as it is: names of the server's own parts.
    Open,
    /// A keyed hash of it, which tells equal ones from different ones and nothing else.
    Hashed,
    /// Nothing of it.
    Hidden,
}

/// What a mail server says of a delivery besides times and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Field {
    MessageId,
    Sender,
    Recipient,
    DeliveredTo,
    Account,
    User,
    Owner,
    Domain,
    DeliveryUser,
    DeliveryDomain,
    ClientIp,
    ClientHost,
    PeerIp,
    PeerHost,
    Method,
    Router,
    Transport,
    Message,
}

/// A row of the table of fields.
#[derive(Debug)]
pub struct FieldInfo {
    /// Which.
    pub field: Field,
    /// As in `messages.include`.
    pub name: &'static str,
    /// The attribute. The conventions' own name where they have one.
    pub attribute: Attribute,
    /// The attribute of its hash.
    pub hash: Attribute,
    /// What leaves the machine unless it is named.
    pub privacy: Privacy,
    /// Whether it tells one record from another.
    pub identifies: bool,
}

const fn row(field: Field, name: &'static str, key: &'static str, hash: &'static str, privacy: Privacy, identifies: bool) -> FieldInfo {
    FieldInfo { field, name, attribute: Attribute::open(key), hash: Attribute::open(hash), privacy, identifies }
}

/// All fields, in the order of their numbers.
pub static FIELDS: &[FieldInfo] = {
    use Privacy::{Hashed, Hidden, Open};
    &[
        row(Field::MessageId, "message_id", "mail.message.id", "mail.message.id_hash", Hashed, true),
        row(Field::Sender, "sender", "mail.sender.address", "mail.sender.address_hash", Hashed, true),
        row(Field::Recipient, "recipient", "mail.recipient.address", "mail.recipient.address_hash", Hashed, true),
        row(Field::DeliveredTo, "delivered_to", "mail.delivery.address", "mail.delivery.address_hash", Hidden, true),
        row(Field::Account, "account", "mail.account.address", "mail.account.address_hash", Hidden, false),
        row(Field::User, "user", "user.name", "user.hash", Hashed, false),
        row(Field::Owner, "owner", "mail.tenant.name", "mail.tenant.name_hash", Hidden, false),
        row(Field::Domain, "domain", "mail.sender.domain", "mail.sender.domain_hash", Hashed, false),
        row(Field::DeliveryUser, "delivery_user", "mail.delivery.user", "mail.delivery.user_hash", Hidden, false),
        row(Field::DeliveryDomain, "delivery_domain", "mail.destination.domain", "mail.destination.domain_hash", Hashed, false),
        row(Field::ClientIp, "client_ip", "client.address", "client.address_hash", Hashed, false),
        row(Field::ClientHost, "client_host", "mail.client.host", "mail.client.host_hash", Hidden, false),
        row(Field::PeerIp, "peer_ip", "network.peer.address", "network.peer.address_hash", Hashed, true),
        // Not `server.address`: that is the mail server itself, on the Resource, and some stores keep one value for both.
        row(Field::PeerHost, "peer_host", "mail.destination.host", "mail.destination.host_hash", Hidden, true),
        row(Field::Method, "method", "mail.authentication.method", "mail.authentication.method_hash", Open, false),
        row(Field::Router, "router", "mail.delivery.router", "mail.delivery.router_hash", Open, true),
        row(Field::Transport, "transport", "mail.delivery.transport", "mail.delivery.transport_hash", Open, true),
        // Becomes the body of the log record.
        row(Field::Message, "message", "", "", Hidden, true),
    ]
};

impl Field {
    /// Its row of the table.
    #[must_use]
    pub fn info(self) -> &'static FieldInfo {
        &FIELDS[self as usize]
    }

    /// The one of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        FIELDS.iter().find(|info| info.name == name).map(|info| info.field)
    }
}

impl Record {
    /// A field, where the server says it.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&str> {
        self.fields.iter().find(|(f, _)| *f == field).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_at_its_own_place() {
        for (i, info) in FIELDS.iter().enumerate() {
            assert_eq!(info.field as usize, i, "{}", info.name);
            assert_eq!(Field::by_name(info.name), Some(info.field));
        }
    }

    #[test]
    fn what_may_name_a_person_does_not_leave_as_it_is() {
        let open: Vec<_> = FIELDS.iter().filter(|info| info.privacy == Privacy::Open).map(|info| info.name).collect();
        assert_eq!(open, ["method", "router", "transport"]);
    }
}
