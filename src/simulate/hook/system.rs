//! The systems whose senders can be simulated: one row each.

use super::format::{HookFormat, Signing};
use super::request::{HookRequest, Item};
use super::{Delivery, Hook, emailengine, kumomta, mailgun, mox, postal, postmark, sendgrid, stalwart};
use crate::simulate::System;

/// A system that reports its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of the systems")]
pub enum HookSystem {
    Kumomta,
    Emailengine,
    Stalwart,
    Postal,
    Mox,
    Sendgrid,
    Mailgun,
    Postmark,
}

impl HookSystem {
    /// Every system.
    pub const ALL: [Self; 8] =
        [Self::Kumomta, Self::Emailengine, Self::Stalwart, Self::Postal, Self::Mox, Self::Sendgrid, Self::Mailgun, Self::Postmark];

    pub(super) fn format(self) -> &'static HookFormat {
        match self {
            Self::Kumomta => &kumomta::FORMAT,
            Self::Emailengine => &emailengine::FORMAT,
            Self::Stalwart => &stalwart::FORMAT,
            Self::Postal => &postal::FORMAT,
            Self::Mox => &mox::FORMAT,
            Self::Sendgrid => &sendgrid::FORMAT,
            Self::Mailgun => &mailgun::FORMAT,
            Self::Postmark => &postmark::FORMAT,
        }
    }

    /// The name of the system in configuration files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.format().name
    }

    /// Returns the system with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The system's own id of the message, as it is in a request.
    #[must_use]
    pub fn message_id(self, delivery: &Delivery) -> String {
        (self.format().message_id)(delivery)
    }

    /// The requests that report deliveries, each as large as the system sends it.
    #[must_use]
    pub fn requests(self, hook: &Hook, deliveries: &[Delivery]) -> Vec<HookRequest> {
        let format = self.format();
        let items: Vec<Item> = deliveries.iter().map(|delivery| Item::new(format, hook, delivery)).collect();
        let requests = items.chunks(format.body.items_max());
        requests.map(|items| HookRequest::new(format, hook, &items.iter().collect::<Vec<_>>())).collect()
    }

    /// Returns `true` if the system signs its requests with a shared secret.
    #[must_use]
    pub fn signs_with_secret(self) -> bool {
        matches!(self.format().signing, Signing::Hmac { .. } | Signing::BodyToken)
    }

    /// Returns `true` if the system never drops an item that is not acknowledged.
    #[must_use]
    pub fn never_gives_up(self) -> bool {
        self.format().retries.attempts_max.is_none()
    }
}

impl System {
    /// The sender of the system's deliveries, if it can be simulated.
    #[must_use]
    pub fn hook_system(self) -> Option<HookSystem> {
        HookSystem::from_name(self.name())
    }
}
