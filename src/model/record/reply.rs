//! The response of an SMTP server.

use std::fmt;

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
