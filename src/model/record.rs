//! A delivery record: one entry of a mail server's delivery log, about one message and one recipient.

use super::Attribute;
use std::fmt;

/// A delivery record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The time of the entry, in Unix seconds by the server's clock.
    pub at: u64,
    /// The time at which the server received the message, in Unix seconds by its clock.
    pub received: Option<u64>,
    /// The outcome of the delivery attempt. `None` if the server reports an unknown one.
    pub outcome: Option<Outcome>,
    /// The size of the message in bytes.
    pub size: Option<u64>,
    /// The source of the message: a value of `mail.message.source`.
    pub source: Option<&'static str>,
    /// The response of the receiving server.
    pub reply: Reply,
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

/// The outcome of a delivery attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The attempt has not ended.
    InProgress,
    /// The message was accepted.
    Delivered,
    /// The delivery will be retried.
    Deferred,
    /// The delivery failed permanently.
    Failed,
}

impl Outcome {
    /// The value of `mail.delivery.outcome`. `in_progress` is used in log records only.
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

/// The state of a delivery record in Postmeter.
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

    /// The value of `postmeter.record.state`.
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

/// The kind of a delivery failure: `Transient` if a retry can succeed.
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

/// The response of an SMTP server, as far as a text contains it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The reply code (RFC 5321), such as 250, 451 or 550.
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463).
    pub status: Option<EnhancedStatus>,
    /// The SMTP command that it responds to: a value of `mail.delivery.stage`.
    pub stage: Option<&'static str>,
}

/// An enhanced status code: class, subject, detail (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnhancedStatus {
    /// The class: 2, 4 or 5.
    pub class: u8,
    /// The subject, up to three digits.
    pub subject: u16,
    /// The detail, up to three digits.
    pub detail: u16,
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// The export of a field that the target's configuration does not include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Unchanged: names of the server's components.
    Open,
    /// As a keyed hash, which shows only whether two values are equal.
    Hashed,
    /// Not at all.
    Hidden,
}

/// A text field of a delivery record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the table below describes them")]
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

/// The description of a field.
#[derive(Debug)]
pub struct FieldInfo {
    /// The field.
    pub field: Field,
    /// Its name in `messages.include`.
    pub name: &'static str,
    /// Its attribute, with the name of the semantic conventions if they have one.
    pub attribute: Attribute,
    /// The attribute for its hash.
    pub hash: Attribute,
    /// Its export, unless the configuration includes it.
    pub privacy: Privacy,
    /// The field is part of the identity of a record.
    pub identifies: bool,
}

const fn row(field: Field, name: &'static str, key: &'static str, hash: &'static str, privacy: Privacy, identifies: bool) -> FieldInfo {
    FieldInfo { field, name, attribute: Attribute::open(key), hash: Attribute::open(hash), privacy, identifies }
}

/// All fields, in the order of [`Field`].
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
        row(Field::ClientIp, "client_ip", "client.address", "mail.client.address_hash", Hashed, false),
        row(Field::ClientHost, "client_host", "mail.client.host", "mail.client.host_hash", Hidden, false),
        row(Field::PeerIp, "peer_ip", "network.peer.address", "mail.peer.address_hash", Hashed, true),
        // Not `server.address`: that is the mail server, on the resource, and some backends merge both.
        row(Field::PeerHost, "peer_host", "mail.destination.host", "mail.destination.host_hash", Hidden, true),
        row(Field::Method, "method", "mail.authentication.method", "mail.authentication.method_hash", Open, false),
        row(Field::Router, "router", "mail.delivery.router", "mail.delivery.router_hash", Open, true),
        row(Field::Transport, "transport", "mail.delivery.transport", "mail.delivery.transport_hash", Open, true),
        // Becomes the body of the log record.
        row(Field::Message, "message", "", "", Hidden, true),
    ]
};

impl Field {
    /// The description of the field.
    #[must_use]
    pub fn info(self) -> &'static FieldInfo {
        &FIELDS[self as usize]
    }

    /// The field with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        FIELDS.iter().find(|info| info.name == name).map(|info| info.field)
    }
}

impl Record {
    /// The value of a field, if the server reports it.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&str> {
        self.fields.iter().find(|(f, _)| *f == field).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_the_order_of_their_numbers() {
        for (i, info) in FIELDS.iter().enumerate() {
            assert_eq!(info.field as usize, i, "{}", info.name);
            assert_eq!(Field::by_name(info.name), Some(info.field));
        }
    }

    #[test]
    fn only_names_of_server_components_are_exported_unchanged() {
        let open: Vec<_> = FIELDS.iter().filter(|info| info.privacy == Privacy::Open).map(|info| info.name).collect();
        assert_eq!(open, ["method", "router", "transport"]);
    }
}
