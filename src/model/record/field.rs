//! The text fields of a record, and which of them leave the machine.

use crate::model::Attribute;

/// The export of a field that the target's configuration does not include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Unchanged: terms and names of the server's components.
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
    Provider,
    SourceIp,
    Pool,
    SendingSource,
    Campaign,
    Queue,
    FailureClass,
    TlsProtocol,
    TlsCipher,
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
        row(Field::Provider, "provider", "mail.provider.name", "mail.provider.name_hash", Hidden, false),
        row(Field::SourceIp, "source_ip", "network.local.address", "mail.local.address_hash", Hashed, false),
        row(Field::Pool, "pool", "mail.sending.pool", "mail.sending.pool_hash", Hidden, false),
        row(Field::SendingSource, "sending_source", "mail.sending.source", "mail.sending.source_hash", Hidden, false),
        row(Field::Campaign, "campaign", "mail.campaign.name", "mail.campaign.name_hash", Hidden, false),
        row(Field::Queue, "queue", "mail.queue.name", "mail.queue.name_hash", Hidden, false),
        row(Field::FailureClass, "failure_class", "mail.failure.class", "mail.failure.class_hash", Open, false),
        row(Field::TlsProtocol, "tls_protocol", "tls.protocol.version", "mail.tls.protocol_hash", Open, false),
        row(Field::TlsCipher, "tls_cipher", "tls.cipher", "mail.tls.cipher_hash", Open, false),
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
    fn only_terms_of_the_server_are_exported_unchanged() {
        let open: Vec<_> = FIELDS.iter().filter(|info| info.privacy == Privacy::Open).map(|info| info.name).collect();
        assert_eq!(open, ["method", "router", "transport", "failure_class", "tls_protocol", "tls_cipher"]);
    }
}
