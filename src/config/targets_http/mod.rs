//! A list of more targets, which is requested over HTTP: `targets_http:`.
//!
//! The list has the form of Prometheus' HTTP service discovery, so that OpenTelemetry's Target Allocator can distribute targets.
//!
//! # The list is accepted or rejected as a whole
//!
//! A response that is invalid, or no response, keeps the targets of the last valid list. An empty list is valid and has no targets.

mod group;
mod label;

use super::credentials;
use super::decode::Decoder;
use super::load::{decode_maps, is_within_limit};
use super::map::{Item, Location};
use super::request::{headers, http_url};
use super::schema::TARGETS_HTTP;
use super::target_context::TargetListContext;
use super::{Credentials, Problem, Problems, Secret, Target, Tls};
use crate::net::masked_url;
use crate::source::Credential;
use group::{TargetGroup, TargetMap};
use reqwest::Url;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The default of `interval`.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(30);
/// The default of `timeout`.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The default of `body_bytes_max`: 10,000 targets with 1.6 KiB of labels each.
pub const BODY_BYTES_DEFAULT: usize = 16 * 1024 * 1024;
/// The credential that is sent if one is configured: a token, or else username and password.
const CREDENTIAL: Credential = Credential::Optional;

/// The request for the list, and the context for decoding it.
#[derive(Clone)]
pub struct TargetsHttp {
    /// Key `url`: the URL of the list.
    pub url: Url,
    /// Key `interval`: the time between two requests.
    pub interval: Duration,
    /// Key `timeout`: the longest time that a request may take.
    pub timeout: Duration,
    /// Keys `username`, `password`, `password_file`, `token` and `token_file`.
    pub credentials: Credentials,
    /// Key `headers`: headers to send with the request.
    pub headers: Vec<(String, Secret)>,
    /// Key `tls`: how the server's certificate is verified.
    pub tls: Tls,
    /// Key `body_bytes_max`: the largest response.
    pub body_bytes_max: usize,
    context: Arc<TargetListContext>,
}

/// Prints the URL only, without secrets.
impl fmt::Debug for TargetsHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TargetsHttp").field(&self.name()).finish()
    }
}

impl TargetsHttp {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, defaults: Option<&Item<'_>>) -> Option<Self> {
        let mut map = decoder.map(item, TARGETS_HTTP)?;
        let url = map.take_required(decoder, "url").and_then(|item| {
            let text = decoder.non_empty_text(&item)?;
            decoder.ok_or_report(&item.location, http_url(&text, "write them as username and password or token"))
        });
        let credentials = credentials::decode(decoder, &mut map);
        let list = Self {
            interval: map.duration_or_default(decoder, "interval"),
            timeout: map.duration_or_default(decoder, "timeout"),
            headers: map.take("headers").map(|item| headers(decoder, &item)).unwrap_or_default(),
            tls: map.take("tls").map(|item| Tls::decode(decoder, &item)).unwrap_or_default(),
            body_bytes_max: map.bytes_or_default(decoder, "body_bytes_max"),
            context: TargetListContext::new(decoder, defaults),
            credentials,
            url: url?,
        };
        if let Some(keys) = list.credentials.missing_keys(CREDENTIAL) {
            decoder.report(&item.location, format!("needs {keys}"));
        }
        if list.credentials.token.is_some() && list.credentials.username.is_some() {
            decoder.report(&item.location, "has a token and a username; remove one of them");
        }
        decoder.finish(map);
        Some(list)
    }

    /// The URL without secrets. It is the file of the list's targets and problems.
    #[must_use]
    pub fn name(&self) -> String {
        masked_url(self.url.as_str())
    }

    /// Reads the credentials and returns the value of the header `Authorization`. `None` if no credentials are configured.
    ///
    /// # Errors
    /// A secret cannot be read.
    pub fn authorization(&self) -> Result<Option<String>, String> {
        let read = |key: &str, secret: &Option<Secret>| {
            secret.as_ref().map(|secret| secret.read().map_err(|error| format!("{key}: {error}"))).transpose()
        };
        let Credentials { username, password, token } = &self.credentials;
        let (password, token) = (read("password", password)?, read("token", token)?);
        Ok(CREDENTIAL.header_value(username.as_deref(), password.as_deref(), token.as_deref()))
    }

    /// Returns true if both send the same request at the same interval.
    #[must_use]
    pub fn is_same_request(&self, other: &Self) -> bool {
        let Self { url, interval, timeout, credentials, headers, tls, body_bytes_max, context: _ } = self;
        (url, credentials, headers, tls) == (&other.url, &other.credentials, &other.headers, &other.tls)
            && (interval, timeout, body_bytes_max) == (&other.interval, &other.timeout, &other.body_bytes_max)
    }

    /// Decodes a response. The second value is the warnings.
    ///
    /// # Errors
    /// Returns every problem of the list.
    pub(super) fn parse(&self, response: &str) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        self.context.decode(&self.name(), |decoder, context| decode_targets(decoder, context, response))
    }

    /// A problem of the list as a whole.
    pub(super) fn problem(&self, message: String) -> Problems {
        Problems::of_file(&self.name(), None, message)
    }
}

fn decode_targets(decoder: &mut Decoder<'_>, context: &TargetListContext, response: &str) -> Option<Vec<Target>> {
    let groups: Vec<TargetGroup> = decoder.ok_or_report(&Location::default(), group::parse(response))?;
    let targets = groups.iter().map(|group| group.targets.len()).sum();
    if !is_within_limit(decoder, &Location::default(), targets) {
        return None;
    }
    let maps: Vec<TargetMap> = groups.iter().enumerate().flat_map(|(index, group)| group.target_maps(decoder, index)).collect();
    let defaults = context.defaults(decoder);
    let mut targets = decode_maps(decoder, maps.iter().map(TargetMap::as_map).collect(), defaults.as_ref());
    // A Target Allocator lists its targets in a different order each time.
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Some(targets)
}
