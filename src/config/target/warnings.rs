//! Warnings about settings of a target that are valid but probably not intended.

use super::Target;
use crate::config::decode::Decoder;
use crate::config::map::{Item, Location};
use crate::config::request::{carries_credential, is_loopback};
use crate::config::text::show_duration;
use std::time::Duration;

/// The share of `min_interval` after which a reading is due. Without this tolerance, a scrape every 15 s of a target with
/// `min_interval: 15s` would get every second reading twice.
pub const DUE_SHARE: f64 = 0.9;

impl Target {
    /// Returns `true` if credentials leave the machine without encryption.
    #[must_use]
    pub fn sends_plain_credentials(&self) -> bool {
        let has_credentials =
            self.parts.iter().any(|part| !part.credentials.is_empty()) || self.headers.iter().any(|(name, _)| carries_credential(name));
        self.url.scheme() == "http" && has_credentials && !is_loopback(&self.url)
    }

    /// Adds the warnings. The items are the values of `min_interval` and `tls`, for their locations.
    pub(super) fn warn(&self, decoder: &mut Decoder<'_>, location: &Location, interval: Option<&Item<'_>>, tls: Option<&Item<'_>>) {
        if self.url.scheme() == "http" && !self.tls.is_default() && tls.is_some_and(|item| !item.inherited) {
            decoder.warn(location, "tls has no effect because the url is http");
        }
        if let Some(requests_max) = self.source.requests_per_minute_max {
            let (requests_max, parts) = (f64::from(requests_max), self.parts.len() as f64);
            let requests = 60.0 / (self.min_interval.as_secs_f64() * DUE_SHARE) * parts;
            if requests > requests_max {
                let interval_min = show_duration(Duration::from_secs((60.0 * parts / requests_max / DUE_SHARE).ceil() as u64));
                let title = self.source.title;
                let message = format!(
                    "too short: {title} allows {requests_max} requests per minute, and a poll sends {parts}; use at least {interval_min}"
                );
                decoder.warn(interval.map_or(location, |item| &item.location), message);
            }
        }
    }
}
