//! The differences of the senders: the form of their requests, their signatures and their retries.

use super::Delivery;
use serde_json::Value;
use std::time::Duration;

/// A system that reports deliveries by requests.
#[derive(Debug)]
pub(super) struct HookFormat {
    pub name: &'static str,
    /// The item of a delivery.
    pub item: fn(&Delivery) -> Value,
    /// The system's own id of the message, as it is in the item.
    pub message_id: fn(&Delivery) -> String,
    pub body: BodyForm,
    pub content_type: &'static str,
    /// A header with the id of the request, if there is one.
    pub id_header: Option<&'static str>,
    pub signing: Signing,
    pub retries: Retries,
    /// Requests at the same time.
    pub parallel_max: usize,
}

/// The form of a body with several items.
#[derive(Clone, Copy, Debug)]
pub(super) enum BodyForm {
    /// One item.
    Single,
    /// At most so many items, one in each line.
    Lines(usize),
    /// A list of at most so many items, and a line break after it.
    Array(usize),
    /// `{"events": [...]}` with at most so many items.
    Events(usize),
    /// One item beside the signature: `{"signature": {...}, "event-data": {...}}`.
    BesideSignature,
}

/// The signature of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signing {
    None,
    /// HMAC-SHA-256 of the body in a header, in base64 for URLs without padding or in standard base64.
    Hmac {
        header: &'static str,
        is_url_safe: bool,
    },
    /// RSA (PKCS #1 v1.5, SHA-256) of the body in a header.
    Rsa {
        header: &'static str,
    },
    /// ECDSA (P-256, SHA-256) of a time in a header and the body.
    Ecdsa {
        header: &'static str,
        timestamp: &'static str,
    },
    /// HMAC-SHA-256 of a time and a token, all in the body.
    BodyToken,
}

/// When a request that was not acknowledged is sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    /// The pauses in seconds. The last one is repeated.
    pub pauses: &'static [u64],
    /// The attempts after which an item is dropped. `None`: it is never dropped.
    pub attempts_max: Option<u32>,
    /// The wait for a response.
    pub response_max: Duration,
    /// `true` if a newer item of a message replaces the one that waits.
    pub is_replaced: bool,
}

impl Retries {
    pub(super) const fn new(pauses: &'static [u64], attempts_max: Option<u32>, response_seconds: u64) -> Self {
        Self { pauses, attempts_max, response_max: Duration::from_secs(response_seconds), is_replaced: false }
    }

    /// The pause after this many failed attempts, if the first one takes `first`.
    pub(super) fn pause(&self, failed: u32, first: Duration) -> Duration {
        let at = (failed.max(1) as usize - 1).min(self.pauses.len().saturating_sub(1));
        let (Some(pause), Some(shortest)) = (self.pauses.get(at), self.pauses.first()) else { return first };
        first.mul_f64(*pause as f64 / *shortest as f64)
    }
}

impl BodyForm {
    /// The largest number of items of a body.
    pub(super) const fn items_max(self) -> usize {
        match self {
            Self::Single | Self::BesideSignature => 1,
            Self::Lines(max) | Self::Array(max) | Self::Events(max) => max,
        }
    }

    /// Builds a body.
    pub(super) fn body(self, items: &[&str]) -> String {
        match self {
            Self::Single | Self::BesideSignature => items.concat(),
            Self::Lines(_) => items.iter().flat_map(|item| [*item, "\n"]).collect(),
            Self::Array(_) => format!("[{}]\r\n", items.join(",")),
            Self::Events(_) => format!("{{\"events\":[{}]}}", items.join(",")),
        }
    }
}
