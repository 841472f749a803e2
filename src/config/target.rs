//! A mail server to poll: `targets:` and `defaults:`.

use super::decode::{Decoder, Item, KeyPath, Map, closest, instead, show};
use super::request::{headers, http_url, is_loopback};
use super::{Credentials, Messages, Origin, Relay, Secret, TargetPart, Tls, Window, credentials, fingerprint, part};
use crate::model::Attribute;
use crate::model::vocabulary::{DESTINATION_DOMAIN, PROVIDER_NAME, QUEUE_NAME, TENANT_NAME};
use crate::source::{Detail, Source};
use reqwest::Url;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The length of a target's name.
pub const NAME_CHARS_MAX: usize = 100;
/// A reading this close to `min_interval` counts as due, or a 15 s scrape of a 15 s reading would get every second one twice.
pub const DUE_SHARE: f64 = 0.9;
/// The shortest and longest `min_interval`.
pub const MIN_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// The shortest and longest `timeout`.
pub const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// The smallest and largest `body_bytes_max`.
pub const BODY_BYTES_MAX_RANGE: RangeInclusive<usize> = 1024..=1024 * 1024 * 1024;
/// The path of a url that is used as it stands and has none.
pub const PATH_DEFAULT: &str = "/metrics";
/// `backoff_max` where it is left out: so late may it be seen at worst that a server answers again.
pub const BACKOFF_MAX_DEFAULT: Duration = Duration::from_secs(120);
/// The shortest and longest `backoff_max`.
pub const BACKOFF_MAX_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// `detail: {top}` without a number.
pub const DETAIL_TOP_DEFAULT: usize = 20;
/// The smallest and largest `top`: a metric has up to 1000 points, and one is for all the rest. Its other points take their room first.
pub const DETAIL_TOP_RANGE: RangeInclusive<usize> = 1..=999;

/// A mail server to poll.
///
/// `defaults:` may hold every key of a target except `name`, `system` and `url`. A key that the target has itself hides the
/// default's as a whole: headers, resource, parts, tls and relay are not merged. A default of `format`, `window`, `detail` or a part
/// is passed over for systems that have no such thing.
#[derive(Clone, Debug)]
pub struct Target {
    /// `name:` required: letters, digits, `.`, `_`, `-`; the label `instance` and `service.instance.id`. Each target has its own.
    pub name: String,
    /// `system:` required: which mail system answers there.
    pub source: &'static Source,
    /// `url:` required: scheme, host, and a port if it is not the scheme's. The path of each part is appended; of the system
    /// `prometheus` it is all there is, query included, and `/metrics` where it has no path.
    pub url: Url,
    /// `username:`, `password:` or `password_file:`, `token:` or `token_file:`, as the system needs them. Left out: none.
    pub credentials: Credentials,
    /// The required part first, then those named in `parts:`. Left out: the required part alone.
    pub parts: Vec<TargetPart>,
    /// `parts: {messages: {...}}` follows the delivery log, for systems that have one. Left out: it is not.
    pub messages: Option<Messages>,
    /// `format:` which of several formats to ask for. Left out: the system's first.
    pub format: Option<String>,
    /// `timeout:` how long a poll may take, all parts together. Left out: the system's own.
    pub timeout: Duration,
    /// `min_interval:` how old a reading must be to be replaced. Left out: the system's own.
    pub min_interval: Duration,
    /// `backoff_max:` the longest pause between polls of a server that keeps failing: from the third failure in a row pauses double,
    /// beginning at twice `min_interval`. One no longer than `min_interval` is none. Left out: 2m.
    pub backoff_max: Duration,
    /// `window:` for systems that report sums of a window of time. Left out: `{today: UTC}`.
    pub window: Window,
    /// `tls:` Left out: the system's certificate authorities, no certificate of our own.
    pub tls: Tls,
    /// `headers:` sent with each request. Left out: none.
    pub headers: Vec<(String, Secret)>,
    /// `proxy:` an HTTP proxy. Left out: none, whatever the environment says.
    pub proxy: Option<String>,
    /// `resource:` attributes of the target's resource besides those that Postmeter finds. Left out: none.
    pub resource: Vec<(String, String)>,
    /// `detail:` `{by: domain|tenant|queue|provider, top: 20}` splits queue totals. Left out: totals only.
    pub detail: Option<Detail>,
    /// `body_bytes_max:` bytes of an answer after decompression, also as `16MiB`. Left out: each part's own.
    pub body_bytes_max: Option<usize>,
    /// `relay:` what of the server's own families is passed on; `relay: false` is nothing. Left out: everything.
    pub relay: Relay,
    /// Where it stands.
    pub origin: Origin,
    /// Tells whether two configurations of one name are the same: see the module `fingerprint`.
    pub fingerprint: u64,
}

/// The keys that `defaults` may hold.
const SHARED_KEYS: &[&str] = &[
    "username",
    "password",
    "password_file",
    "token",
    "token_file",
    "parts",
    "format",
    "timeout",
    "min_interval",
    "backoff_max",
    "window",
    "tls",
    "headers",
    "proxy",
    "resource",
    "detail",
    "body_bytes_max",
    "relay",
];
/// The keys that it may not.
const OWN_KEYS: &[&str] = &["name", "system", "url"];
/// Those of them that are credentials.
const CREDENTIAL_KEYS: &[&str] = &["username", "password", "password_file", "token", "token_file"];
/// Keys that stand for the same.
const ALTERNATIVES: &[&[&str]] = &[&["password", "password_file"], &["token", "token_file"]];
/// What says who a target is: Postmeter's to say.
const IDENTITY_KEYS: &[&str] = &["service.name", "service.instance.id"];

pub(super) static DETAILS: &[(&str, &Attribute)] =
    &[("domain", &DESTINATION_DOMAIN), ("tenant", &TENANT_NAME), ("queue", &QUEUE_NAME), ("provider", &PROVIDER_NAME)];

/// `defaults:` once, by itself.
pub(super) fn check_defaults(decoder: &mut Decoder<'_>, defaults: &Map<'_>) {
    for (name, item) in defaults.clone().rest() {
        if OWN_KEYS.contains(&name) {
            decoder.problem(&item.place, "belongs to each target, not to defaults");
        } else if !SHARED_KEYS.contains(&name) {
            decoder.unknown_key(name, &item.place, SHARED_KEYS);
        } else if name == "parts" {
            check_default_parts(decoder, &item);
        }
    }
}

/// A part that one system has is passed over for the others; one that none has is a mistake.
fn check_default_parts(decoder: &mut Decoder<'_>, item: &Item<'_>) {
    let names: Vec<&str> = decoder
        .systems
        .iter()
        .flat_map(|source| source.parts.iter().chain(source.delivery_log.map(|records| &records.part)))
        .map(|part| part.name)
        .collect();
    for (name, item) in decoder.map(item).map(Map::rest).unwrap_or_default() {
        if !names.contains(&name) {
            let near = closest(name, names.iter().copied()).map(|near| format!("; did you mean {near}?"));
            decoder.problem(&item.place, format!("no system has a part {name}{}", near.unwrap_or_default()));
        }
    }
}

/// One target. What it calls itself comes also where the rest is wrong, so that the names can be compared.
pub(super) fn decode<'n>(
    decoder: &mut Decoder<'_>,
    item: &Item<'n>,
    defaults: Option<&Map<'n>>,
) -> (Option<(String, KeyPath)>, Option<Target>) {
    let Some(mut map) = decoder.map(item) else { return (None, None) };
    let name = required(decoder, &mut map, "name").and_then(|item| Some((name(decoder, &item)?, item.place)));
    let target = name.as_ref().map_or_else(String::new, |(name, _)| name.clone());
    (name, decode_named(decoder, map, target, defaults))
}

/// The rest of a target; nothing where it has too little to be one.
fn decode_named<'n>(decoder: &mut Decoder<'_>, mut map: Map<'n>, name: String, defaults: Option<&Map<'n>>) -> Option<Target> {
    if let Some(defaults) = defaults {
        map.inherit(defaults, SHARED_KEYS, ALTERNATIVES);
    }
    let place = map.place.clone();
    let origin = decoder.origin(&place);
    let fingerprint = fingerprint::of(&map, decoder.environment);
    let source = required(decoder, &mut map, "system").and_then(|item| system(decoder, &item));
    let url_item = required(decoder, &mut map, "url");
    let url = url_item.as_ref().and_then(|item| url(decoder, item, source));

    let own: Vec<&str> = CREDENTIAL_KEYS.iter().copied().filter(|key| map.has_own(key)).collect();
    let credentials = credentials::decode(decoder, &mut map);
    let parts_item = map.take("parts");
    let format = map.take("format");
    let timeout = map.take("timeout").and_then(|item| decoder.duration(&item, &TIMEOUT_RANGE));
    let interval_item = map.take("min_interval");
    let min_interval = interval_item.as_ref().and_then(|item| decoder.duration(item, &MIN_INTERVAL_RANGE));
    let backoff_max = map.take("backoff_max").and_then(|item| decoder.duration(&item, &BACKOFF_MAX_RANGE));
    let window = map.take("window");
    let tls_item = map.take("tls");
    let tls = tls_item.as_ref().map(|item| Tls::decode(decoder, item)).unwrap_or_default();
    let headers = map.take("headers").map(|item| headers(decoder, &item)).unwrap_or_default();
    let proxy = map.take("proxy").and_then(|item| proxy(decoder, &item));
    let resource = map.take("resource").map(|item| resource(decoder, &item)).unwrap_or_default();
    let detail = map.take("detail");
    let body_bytes_max = map.take("body_bytes_max").and_then(|item| decoder.bytes(&item, &BODY_BYTES_MAX_RANGE));
    let relay = map.take("relay").map(|item| Relay::decode(decoder, &item)).unwrap_or_default();
    decoder.finish(map);

    let source = source?;
    let (parts, messages) = part::decode(decoder, &place, parts_item.as_ref(), source, &credentials, &own);
    let target = Target {
        name,
        source,
        url: url?,
        credentials,
        parts,
        messages,
        format: format.and_then(|item| format_of(decoder, &item, source)),
        timeout: timeout.unwrap_or(source.timeout),
        min_interval: min_interval.unwrap_or(source.min_interval),
        backoff_max: backoff_max.unwrap_or(BACKOFF_MAX_DEFAULT),
        window: window.and_then(|item| Window::decode(decoder, &item, source)).unwrap_or_default(),
        tls,
        headers,
        proxy,
        resource,
        detail: detail.and_then(|item| detail_of(decoder, &item, source)),
        body_bytes_max,
        relay,
        origin,
        fingerprint,
    };
    target.warn(decoder, &place, url_item.as_ref(), interval_item.as_ref(), tls_item.as_ref());
    Some(target)
}

impl Target {
    /// What works, and is not meant.
    fn warn(
        &self,
        decoder: &mut Decoder<'_>,
        place: &KeyPath,
        url: Option<&Item<'_>>,
        interval: Option<&Item<'_>>,
        tls: Option<&Item<'_>>,
    ) {
        let secret = self.parts.iter().any(|part| !part.credentials.is_empty());
        if self.url.scheme() == "http" && secret && !is_loopback(&self.url) {
            let place = url.map_or(place, |item| &item.place);
            decoder.warn(place, "credentials go over the network without encryption; use https if the server can");
        }
        if self.url.scheme() == "http" && !self.tls.is_default() && tls.is_some_and(|item| !item.inherited) {
            decoder.warn(place, "tls has no effect: the url is http");
        }
        if let Some(budget) = self.source.requests_per_minute_max {
            let budget = f64::from(budget);
            let per_minute = 60.0 / (self.min_interval.as_secs_f64() * DUE_SHARE) * self.parts.len() as f64;
            if per_minute > budget {
                let enough = show(Duration::from_secs((60.0 * self.parts.len() as f64 / budget / DUE_SHARE).ceil() as u64));
                let (title, parts) = (self.source.title, self.parts.len());
                let message =
                    format!("too often: {title} allows {budget} requests a minute, and a poll makes {parts}; use at least {enough}");
                decoder.warn(interval.map_or(place, |item| &item.place), message);
            }
        }
    }
}

fn required<'n>(decoder: &mut Decoder<'_>, map: &mut Map<'n>, key: &'static str) -> Option<Item<'n>> {
    let item = map.take(key);
    if item.is_none() {
        decoder.problem(&map.place, format!("{key} is missing"));
    }
    item
}

fn name(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let name = decoder.word(item)?;
    if !is_name(&name) {
        decoder.problem(&item.place, format!("{name:?} is no name; use up to {NAME_CHARS_MAX} letters, digits, '.', '_' and '-'"));
    }
    Some(name)
}

/// Whether a target may be called so.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn system(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<&'static Source> {
    let name = decoder.word(item)?;
    let systems = decoder.systems;
    let names: Vec<&str> = systems.iter().map(|source| source.name).collect();
    let found = systems.iter().copied().find(|source| source.name == name);
    decoder.noted(&item.place, found.ok_or_else(|| format!("unknown system {name:?}; {}", instead(&name, &names))))
}

fn url(decoder: &mut Decoder<'_>, item: &Item<'_>, source: Option<&Source>) -> Option<Url> {
    let text = decoder.word(item)?;
    let parsed = http_url(&text, "write the credentials as username and password or token");
    let mut url = decoder.noted(&item.place, parsed)?;
    if source.is_some_and(Source::uses_target_url) {
        if url.fragment().is_some() {
            decoder.problem(&item.place, "a fragment (#) is not sent to a server; leave it out");
        }
        if url.path() == "/" {
            url.set_path(PATH_DEFAULT);
        }
    } else if url.query().is_some() || url.fragment().is_some() {
        decoder.problem(&item.place, "only scheme, host, port and path belong here; Postmeter adds the query itself");
    }
    Some(url)
}

fn proxy(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let text = decoder.word(item)?;
    let parsed = http_url(&text, "a proxy that wants them is not supported");
    decoder.noted(&item.place, parsed).map(|_| text)
}

fn format_of(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<String> {
    let formats: Vec<&str> = source.required().requests.iter().map(|request| request.format).collect();
    let has_choice = formats.len() > 1;
    if !has_choice {
        if !item.inherited {
            decoder.problem(&item.place, format!("{} has one format only; leave the key out", source.name));
        }
        return None;
    }
    let text = decoder.word(item)?;
    if !formats.contains(&text.as_str()) {
        decoder.problem(&item.place, format!("{} has no format {text}; {}", source.name, instead(&text, &formats)));
        return None;
    }
    Some(text)
}

fn detail_of(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<Detail> {
    let offered = |attribute: &Attribute| source.rules().any(|(_, rule)| rule.detail.is_some_and(|(_, by)| by == attribute));
    let offers: Vec<&str> = DETAILS.iter().filter(|(_, attribute)| offered(attribute)).map(|(name, _)| *name).collect();
    if offers.is_empty() {
        if !item.inherited {
            decoder.problem(&item.place, format!("{} offers no detail; leave the key out", source.name));
        }
        return None;
    }
    let mut map = decoder.map(item)?;
    let by_item = required(decoder, &mut map, "by");
    let by = by_item.and_then(|by| Some((decoder.word(&by)?, by)));
    let top = map.take("top").and_then(|item| decoder.integer(&item, &DETAIL_TOP_RANGE)).unwrap_or(DETAIL_TOP_DEFAULT);
    decoder.finish(map);
    let (by, by_item) = by?;
    match DETAILS.iter().find(|(name, _)| *name == by && offers.contains(name)) {
        Some((_, by)) => Some(Detail { by, top }),
        None if item.inherited && DETAILS.iter().any(|(name, _)| *name == by) => None,
        None => {
            let near = closest(&by, offers.iter().copied()).map(|near| format!("did you mean {near}?"));
            let message = near.unwrap_or_else(|| format!("it offers {}", offers.join(", ")));
            decoder.problem(&by_item.place, format!("{} offers no detail by {by}; {message}", source.name));
            None
        }
    }
}

fn resource(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for (name, item) in decoder.map(item).map(Map::rest).unwrap_or_default() {
        if IDENTITY_KEYS.contains(&name) {
            decoder.problem(&item.place, "is who the target is: the system and the target's name; choose another attribute");
        } else if !is_attribute(name) {
            decoder.problem(&item.place, format!("{name:?} is no attribute; use letters, digits, '.', '_', '-' and '/'"));
        } else if let Some(value) = decoder.text(&item) {
            attributes.push((name.to_owned(), value));
        }
    }
    attributes
}

fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_shows_every_key_of_a_target() {
        let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/postmeter.yaml"));
        for key in SHARED_KEYS.iter().chain(OWN_KEYS) {
            assert!(reference.contains(key), "{key}");
        }
    }
}
