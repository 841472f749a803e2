//! Decodes the parts of a definition.

use super::consistency::{self, PartLocations};
use super::limits::{REQUESTS_MAX, RULES_MAX, VALUES_MAX};
use super::memory::Memory;
use super::schema::{HINTS, PART};
use super::{credential, pattern, request, rule, system, window};
use crate::source::part::CLIENT_LIBRARY_FAMILIES;
use crate::source::pattern::is_match;
use crate::source::{Credential, Part, Request, WindowRule};
use crate::yaml::{Decoder, Item, Location, Value};

/// The value of `identity` that accepts a response without any family of the server.
const OPTIONAL: &str = "optional";
/// The advice for status 401 and 403 if the definition has none.
const UNAUTHORIZED_HINT: &str = "set the credential of the target (token, or username and password) to one that the server accepts";
/// The advice for status 404 if the definition has none.
const NOT_FOUND_HINT: &str = "the server has nothing at this address; check the url, and whether the server's metrics are enabled";

/// Decodes a part. The first value is its name. `windowed`: the system reports sums over windows even if the part has no window of its own.
pub(super) fn decode<'n>(
    decoder: &mut Decoder<'_>,
    memory: Memory,
    item: &Item<'n>,
    (is_required, windowed): (bool, bool),
    window_rule: &mut Option<WindowRule>,
) -> (Option<(&'n str, Location)>, Option<Part>) {
    let Some(mut map) = decoder.map(item, PART) else { return (None, None) };
    let name_item = map.take_required(decoder, "name");
    let name = name_item.as_ref().and_then(|item| system::decode_name(decoder, item, &['_', '-']));
    let help = map.take("help").and_then(|item| decoder.non_empty_text(&item));
    let requests_item = map.take_required(decoder, "requests");
    let body_bytes_max = map.bytes_or_default(decoder, "body_bytes_max");
    let credential = map.take("credential").map_or(Some(Credential::Optional), |item| credential::decode(decoder, memory, &item));
    let identity = map.take("identity");
    let misnaming = map.take("misnaming_families").map(|item| pattern::families(decoder, &item, VALUES_MAX)).unwrap_or_default();
    let interval_item = map.take("interval");
    let interval = interval_item.as_ref().and_then(|item| decoder.duration(item, map.duration_limits("interval")));
    if let Some(item) = interval_item.filter(|_| is_required) {
        decoder.report(&item.location, "is for optional parts; for the required part, set min_interval of the system");
    }
    if let Some(item) = map.take("window") {
        if is_required {
            *window_rule = window::decode(decoder, memory, &item);
        } else {
            decoder.report(&item.location, "is for the first part, which is the required one");
        }
    }
    let hints = map.take("hints");
    let mut hints = decoder.map_or_empty(hints.as_ref(), HINTS);
    let mut hint = |decoder: &mut Decoder<'_>, name| hints.take(name).and_then(|item| decoder.non_empty_text(&item));
    let (unauthorized, not_found) = (hint(decoder, "unauthorized"), hint(decoder, "not_found"));
    decoder.finish(hints);
    let rule_items = map.take("rules").map(|item| decoder.bounded_list(&item, RULES_MAX)).unwrap_or_default();
    decoder.finish(map);

    let windowed = windowed || window_rule.is_some();
    let request_items = requests_item.map(|item| decoder.non_empty_list(&item, REQUESTS_MAX, "requests")).unwrap_or_default();
    let requests = decode_requests(decoder, memory, &request_items, windowed);
    let mut rule_families = Vec::new();
    let rules = rule_items.iter().filter_map(|item| rule::decode(decoder, memory, item, windowed, &mut rule_families)).collect();
    // A document contains only what the paths select, so each of its families identifies the server.
    if !rule_families.is_empty() {
        rule_families.extend(requests.iter().flat_map(|request| request.reader.declared_series()).map(|series| series.family));
    }
    let (families, is_optional) = decode_identity(decoder, identity.as_ref(), rule_families);
    let name = name.zip(name_item.map(|item| decoder.value_location(&item)));
    let part = name.as_ref().zip(credential).map(|((name, _), credential)| Part {
        name: memory.text(name),
        help: memory.text(help.as_deref().unwrap_or(name)),
        requests: memory.list(requests),
        body_bytes_max,
        credential,
        rules: memory.list(rules),
        identifying_families: memory.texts(&families),
        identity_is_optional: is_optional,
        misnaming_families: memory.texts(&misnaming),
        interval,
        unauthorized_hint: unauthorized.map_or(UNAUTHORIZED_HINT, |hint| memory.text(&hint)),
        not_found_hint: not_found.map_or(NOT_FOUND_HINT, |hint| memory.text(&hint)),
    });
    if let Some(part) = part.as_ref().filter(|_| memory == Memory::Keep) {
        let locations = |items: &[Item<'_>]| items.iter().map(|item| item.location.clone()).collect();
        let locations = PartLocations { part: item.location.clone(), requests: locations(&request_items), rules: locations(&rule_items) };
        consistency::check(decoder, part, &locations, (is_required && windowed).then_some(*window_rule));
    }
    (name, part)
}

fn decode_requests(decoder: &mut Decoder<'_>, memory: Memory, items: &[Item<'_>], windowed: bool) -> Vec<Request> {
    let (mut requests, mut formats) = (Vec::new(), Vec::new());
    for item in items {
        let (format, request) = request::decode(decoder, memory, item, windowed);
        requests.extend(request);
        let Some(format) = format else { continue };
        if formats.contains(&format) {
            decoder.report(
                &item.location,
                format!(
                    "{format} is also the format of another request, and only one request of a part is sent; put this one into a part of its own, or set `format` of an alternative"
                ),
            );
        }
        formats.push(format);
    }
    requests
}

/// Decodes the families that identify the server, and whether a response without any is accepted.
fn decode_identity<'n>(decoder: &mut Decoder<'_>, item: Option<&Item<'n>>, rule_families: Vec<&'n str>) -> (Vec<&'n str>, bool) {
    let is_of_library = |family: &&&str| CLIENT_LIBRARY_FAMILIES.iter().any(|pattern| is_match(pattern, family));
    let of_rules = || rule_families.iter().filter(|family| !is_of_library(family)).copied().collect();
    let Some(item) = item else { return (of_rules(), false) };
    match &item.node.value {
        Value::Scalar(text) if text == OPTIONAL => (of_rules(), true),
        Value::Scalar(_) => {
            decoder.report_value(item, format!("expected a list of families, or {OPTIONAL}"));
            (Vec::new(), false)
        }
        _ => (pattern::families(decoder, item, VALUES_MAX), false),
    }
}
