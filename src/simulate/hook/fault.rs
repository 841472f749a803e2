//! The faults of a sender.

use super::HookSystem;
use super::format::Signing;
use std::time::Duration;

/// The age of the deliveries of a sender that was down.
pub(super) const LATE: Duration = Duration::from_secs(20 * 3600);
/// The age of a request that was recorded and is sent again: longer than the time for which signatures are accepted.
pub(super) const REPLAYED: Duration = Duration::from_secs(27 * 3600);

/// A fault of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFault {
    /// Each request is sent twice, although the first one was acknowledged.
    Duplicates,
    /// The deliveries are 20 hours old, as after an outage.
    Late,
    /// The newest records are sent first.
    OutOfOrder,
    /// Each request is sent first without its body, as the HTTP client of EmailEngine repeats a request whose connection broke.
    MissingBody,
    /// Requests are sent again and again, a hundred at a time, whatever the response.
    Flood,
    /// The credentials and the signature are wrong.
    WrongCredential,
    /// The credentials and the signature are missing.
    MissingCredential,
    /// Each request is sent a second time with the signature of the first and another body.
    ChangedBody,
    /// The time in a request was changed after it was signed.
    ChangedTime,
    /// The requests were signed 27 hours ago.
    Replayed,
}

impl HookFault {
    /// Every fault.
    pub const ALL: [Self; 10] = [
        Self::Duplicates,
        Self::Late,
        Self::OutOfOrder,
        Self::MissingBody,
        Self::Flood,
        Self::WrongCredential,
        Self::MissingCredential,
        Self::ChangedBody,
        Self::ChangedTime,
        Self::Replayed,
    ];

    /// Returns `true` if requests of the system can have the fault: one without a signature covers neither its body nor a time.
    #[must_use]
    pub fn applies_to(self, system: HookSystem) -> bool {
        let is_signed = !matches!(system.format().signing, Signing::None);
        is_signed || !matches!(self, Self::ChangedBody | Self::ChangedTime | Self::Replayed)
    }

    /// Returns `true` if the receiver must reject the sender's requests. Of [`Self::ChangedBody`], it must reject each second one.
    #[must_use]
    pub fn is_forgery(self) -> bool {
        matches!(self, Self::WrongCredential | Self::MissingCredential | Self::ChangedBody | Self::ChangedTime | Self::Replayed)
    }

    /// The age of the deliveries when they are reported.
    pub(super) fn age(self) -> Duration {
        match self {
            Self::Late => LATE,
            Self::Replayed => REPLAYED,
            _ => Duration::ZERO,
        }
    }
}
