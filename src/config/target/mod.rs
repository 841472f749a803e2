//! A mail server to poll: an item of `targets:`, with the keys that it inherits from `defaults:`.

mod values;
mod warnings;

use super::credentials;
use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::request::{carries_credential, headers};
use super::schema::TARGET;
use super::text::closest;
use super::{Credentials, Deliveries, DeliveryLog, Origin, Passthrough, RecordDetail, Secret, TargetPart, Tls, Window, fingerprint, part};
use crate::model::Attribute;
use crate::model::vocabulary::{DESTINATION_DOMAIN, PROVIDER_NAME, QUEUE_NAME, TENANT_NAME};
use crate::source::{Detail, Source};
use reqwest::Url;
use std::time::Duration;

pub use warnings::DUE_SHARE;

/// The largest length of a target's name.
pub const NAME_CHARS_MAX: usize = 100;
/// The default of `backoff_max`: the longest time until the recovery of a server is noticed.
pub const BACKOFF_MAX_DEFAULT: Duration = Duration::from_secs(120);
/// The default of `detail.top`.
pub const DETAIL_TOP_DEFAULT: usize = 20;

/// A mail server to poll.
///
/// `defaults` may contain every key that is not required. A target's own key replaces the default as a whole: headers, resource,
/// parts, tls and relay are not merged. A default of `format`, `window`, `detail` or a part is ignored for mail systems that do not
/// support it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Key `name`: the unique name, which becomes the label `instance` and `service.instance.id`.
    pub name: String,
    /// Key `system`: the mail system.
    pub source: &'static Source,
    /// Key `url`: the base URL, to which the path of each part is appended. For the system `prometheus` it is the whole URL. A target that
    /// is not polled has the URL `about:blank`.
    pub url: Url,
    /// Keys `username`, `password`, `password_file`, `token` and `token_file`.
    pub credentials: Credentials,
    /// Key `parts`: the required part first, then the optional parts that the key names. Empty for a target without `url`, which is not
    /// polled: the mail system sends records only.
    pub parts: Vec<TargetPart>,
    /// Key `parts.messages`: how the delivery log is read; `None` if it is not read.
    pub delivery_log: Option<DeliveryLog>,
    /// Key `parts.deliveries`: how records that the mail system sends are authenticated; `None` if none are accepted.
    pub deliveries: Option<Deliveries>,
    /// Key `format`: the format to request; `None` is the first format of the mail system.
    pub format: Option<String>,
    /// Key `timeout`: the longest duration of a poll, all parts together.
    pub timeout: Duration,
    /// Key `min_interval`: the age that a reading must have before it is replaced.
    pub min_interval: Duration,
    /// Key `backoff_max`: the longest pause between polls of a server that keeps failing. From the third consecutive failure on, the
    /// pause doubles, starting at twice `min_interval`.
    pub backoff_max: Duration,
    /// Key `window`: the time window of totals.
    pub window: Window,
    /// Key `tls`: how the server's certificate is verified.
    pub tls: Tls,
    /// Key `headers`: headers to send with each request.
    pub headers: Vec<(String, Secret)>,
    /// Key `proxy`: the URL of an HTTP proxy.
    pub proxy: Option<String>,
    /// Key `resource`: additional attributes of the target's resource.
    pub resource: Vec<(String, String)>,
    /// Key `detail`: how queue totals are split; `None` reports totals only.
    pub detail: Option<Detail>,
    /// Key `body_bytes_max`: the limit of a response body after decompression; `None` is the limit of each part.
    pub body_bytes_max: Option<usize>,
    /// Key `relay`: the native metrics to forward.
    pub passthrough: Passthrough,
    /// The file and line of the target.
    pub origin: Origin,
    /// A hash that differs if the configuration of the target differs; see the module `fingerprint`.
    pub fingerprint: u64,
}

impl Target {
    /// Returns `true` if Postmeter gets delivery records of the target.
    #[must_use]
    pub const fn has_records(&self) -> bool {
        self.delivery_log.is_some() || self.deliveries.is_some()
    }

    /// The headers that may select what the server reports, such as an account: those that do not carry credentials.
    pub fn selecting_headers(&self) -> impl Iterator<Item = &(String, Secret)> {
        self.headers.iter().filter(|(name, _)| !carries_credential(name))
    }

    /// The attributes by which metrics that are counted from the records are split.
    #[must_use]
    pub fn record_detail(&self) -> RecordDetail {
        let of_log = self.delivery_log.as_ref().map(|log| &log.detail);
        of_log.or(self.deliveries.as_ref().map(|deliveries| &deliveries.detail)).cloned().unwrap_or_default()
    }
}
/// The URL of a target that is not polled.
pub const NO_URL: &str = "about:blank";

/// The keys of credentials.
pub(super) const CREDENTIAL_KEYS: &[&str] = &["username", "password", "password_file", "token", "token_file"];
/// Keys that replace each other.
const ALTERNATIVES: &[&[&str]] = &[&["password", "password_file"], &["token", "token_file"]];

/// The values of `detail.by`.
pub(super) static DETAILS: &[(&str, &Attribute)] =
    &[("domain", &DESTINATION_DOMAIN), ("tenant", &TENANT_NAME), ("queue", &QUEUE_NAME), ("provider", &PROVIDER_NAME)];

/// Checks the keys of `defaults` once, independently of the targets.
pub(super) fn check_defaults(decoder: &mut Decoder<'_>, item: &Item<'_>) {
    let known: Vec<&str> = TARGET.iter().filter(|key| key.is_inheritable()).map(|key| key.name).collect();
    for (name, item) in decoder.user_map(item) {
        if TARGET.iter().any(|key| key.name == name && !key.is_inheritable()) {
            decoder.report(&item.location, "is a key of each target and not allowed in defaults");
        } else if !known.contains(&name) {
            decoder.report_unknown_key(name, &item.location, &known);
        } else if name == "parts" {
            check_default_parts(decoder, &item);
        }
    }
}

/// Reports parts in `defaults` that no mail system has. Parts that only some mail systems have are ignored for the others.
fn check_default_parts(decoder: &mut Decoder<'_>, item: &Item<'_>) {
    let names: Vec<&str> = decoder.systems.all().into_iter().flat_map(part::names).collect();
    for (name, item) in decoder.names_or_map(item) {
        if !names.contains(&name) {
            let similar = closest(name, names.iter().copied()).map(|similar| format!("; did you mean {similar}?"));
            decoder.report(&item.location, format!("no mail system has a part {name}{}", similar.unwrap_or_default()));
        }
    }
}

/// Decodes a target. The name is returned even if the target is invalid, so that duplicate names can be reported.
pub(super) fn decode<'n>(
    decoder: &mut Decoder<'_>,
    mut map: Map<'n>,
    defaults: Option<&Map<'n>>,
) -> (Option<(String, Location)>, Option<Target>) {
    let name = map.take_required(decoder, "name").and_then(|item| Some((values::name(decoder, &item)?, item.location)));
    let target_name = name.as_ref().map_or_else(String::new, |(name, _)| name.clone());
    (name, decode_named(decoder, map, target_name, defaults))
}

/// Decodes the keys of a target except its name. Returns `None` if the mail system or the URL is invalid.
fn decode_named<'n>(decoder: &mut Decoder<'_>, mut map: Map<'n>, name: String, defaults: Option<&Map<'n>>) -> Option<Target> {
    if let Some(defaults) = defaults {
        map.inherit(defaults, ALTERNATIVES);
    }
    let location = map.location.clone();
    let origin = decoder.origin(&location);
    let fingerprint = fingerprint::of(&map, decoder.environment);
    let source = map.take_required(decoder, "system").and_then(|item| values::system(decoder, &item));
    let url_item = map.take("url");
    let url = url_item.as_ref().and_then(|item| values::url(decoder, item, source));

    let own_credentials: Vec<&str> = CREDENTIAL_KEYS.iter().copied().filter(|key| map.has_own(key)).collect();
    let credentials = credentials::decode(decoder, &mut map);
    let parts_item = map.take("parts");
    let format = map.take("format");
    let timeout = map.duration(decoder, "timeout");
    let interval_limits = map.duration_limits("min_interval");
    let interval_item = map.take("min_interval");
    let min_interval = interval_item.as_ref().and_then(|item| decoder.duration(item, interval_limits));
    let backoff_max = map.duration_or_default(decoder, "backoff_max");
    let window = map.take("window");
    let tls_item = map.take("tls");
    let tls = tls_item.as_ref().map(|item| Tls::decode(decoder, item)).unwrap_or_default();
    let headers = map.take("headers").map(|item| headers(decoder, &item)).unwrap_or_default();
    let proxy = map.take("proxy").and_then(|item| values::proxy(decoder, &item));
    let resource = map.take("resource").map(|item| values::resource(decoder, &item)).unwrap_or_default();
    let detail = map.take("detail");
    let body_bytes_max = map.bytes(decoder, "body_bytes_max");
    let passthrough = map.take("relay").map(|item| Passthrough::decode(decoder, &item)).unwrap_or_default();
    let is_polled = url_item.is_some() || !part::has_deliveries(decoder, parts_item.as_ref());
    if is_polled && url_item.is_none() {
        decoder.report(&location, "url is missing");
    }
    decoder.finish(map);

    let source = source?;
    let fingerprint = fingerprint::with_system(fingerprint, source);
    let parts = part::decode(decoder, &location, parts_item.as_ref(), source, &credentials, &own_credentials, is_polled);
    let url = if is_polled { url } else { Url::parse(NO_URL).ok() };
    let target = Target {
        name,
        source,
        url: url?,
        credentials,
        parts: parts.polled,
        delivery_log: parts.delivery_log,
        deliveries: parts.deliveries,
        format: format.and_then(|item| values::format(decoder, &item, source)),
        timeout: timeout.unwrap_or(source.timeout),
        min_interval: min_interval.unwrap_or(source.min_interval),
        backoff_max,
        window: window.and_then(|item| Window::decode(decoder, &item, source)).unwrap_or_else(|| Window::of(source)),
        tls,
        headers,
        proxy,
        resource,
        detail: detail.and_then(|item| values::detail(decoder, &item, source)),
        body_bytes_max,
        passthrough,
        origin,
        fingerprint,
    };
    target.warn(decoder, &location, interval_item.as_ref(), tls_item.as_ref());
    Some(target)
}

impl Target {
    /// Returns `true` if the server is polled. Otherwise it sends records only.
    #[must_use]
    pub const fn is_polled(&self) -> bool {
        !self.parts.is_empty()
    }
}

/// Returns `true` if a target may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
