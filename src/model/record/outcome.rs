//! The event of a record, the outcome of a delivery, and the kinds of failures, bounces and complaints.

/// Declares an enum whose variants have the values of an attribute, in the order of declaration.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value of the attribute.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            /// The variant with this value.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }
    };
}

values! {
    /// The event that a record reports: the `event_name` of its log record.
    #[derive(Default)]
    RecordEvent {
        /// An attempt to deliver a message to one recipient, or the end of a message without one.
        #[default]
        Delivery = "mail.delivery",
        /// A report that arrived after the next hop had accepted the message: it was not delivered after all.
        Bounce = "mail.bounce",
        /// A recipient complained about the message, or a feedback loop reported it.
        Complaint = "mail.complaint",
        /// The mail system rejected a message.
        Rejection = "mail.rejection",
        /// The mail system accepted a message.
        Received = "mail.received",
    }
}

values! {
    /// The outcome of a delivery: a value of `mail.delivery.outcome`.
    Outcome {
        /// The attempt has not ended. Log records only.
        InProgress = "in_progress",
        /// The message was accepted.
        Delivered = "delivered",
        /// The delivery will be retried.
        Deferred = "deferred",
        /// The delivery failed permanently.
        Failed = "failed",
        /// The mail system gave up, because the message was too old or was attempted too often. Log records only: no attempt.
        Expired = "expired",
        /// An operator or the sender removed the message. Log records only: no attempt.
        Canceled = "canceled",
        /// The mail system did not try, because the recipient is on a list of addresses that it does not send to. Log records only.
        Suppressed = "suppressed",
        /// The message waits for a decision of a person. Log records only.
        Held = "held",
    }
}

impl Outcome {
    /// Returns `true` for the outcome of an attempt, which `mail.delivery.attempts` counts. The others are in log records only.
    #[must_use]
    pub const fn is_attempt(self) -> bool {
        matches!(self, Self::Delivered | Self::Deferred | Self::Failed)
    }
}

values! {
    /// The kind of a delivery failure: a value of `mail.failure.kind`.
    FailureKind {
        /// It is retried.
        Transient = "transient",
        /// It is not retried.
        Permanent = "permanent",
        /// The server does not report it.
        Unknown = "unknown",
    }
}

values! {
    /// The system in which a failure arose: a value of `mail.failure.origin`.
    FailureOrigin {
        /// Another server replied.
        Remote = "remote",
        /// The sending system itself, such as its limits, its name resolution or its suppression list.
        Local = "local",
    }
}

values! {
    /// The kind of a bounce: a value of `mail.bounce.type`.
    BounceType {
        /// Permanent: the address cannot receive mail.
        Hard = "hard",
        /// Temporary, such as a full mailbox.
        Soft = "soft",
        /// The mail system does not report it.
        Unknown = "unknown",
    }
}

values! {
    /// The kind of a complaint (RFC 5965 and RFC 6430): a value of `mail.complaint.type`.
    ComplaintType {
        /// Unsolicited mail.
        Abuse = "abuse",
        /// Fraud or phishing.
        Fraud = "fraud",
        /// A virus.
        Virus = "virus",
        /// The recipient corrects an earlier classification.
        NotSpam = "not_spam",
        /// The message failed authentication.
        AuthFailure = "auth_failure",
        /// Any other kind.
        Other = "other",
    }
}
