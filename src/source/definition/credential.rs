//! Decodes the credential of a part.

use super::memory::Memory;
use super::schema::{CREDENTIAL, TICKET};
use crate::source::{Credential, JsonPath, Placeholders, Ticket};
use crate::yaml::schema::names;
use crate::yaml::{Decoder, Item, Value};

pub(super) const KINDS: &[(&str, Credential)] = &[
    ("optional", Credential::Optional),
    ("none", Credential::None),
    ("bearer", Credential::Bearer),
    ("basic", Credential::Basic),
    ("bearer_or_basic", Credential::BearerOrBasic),
    ("whm", Credential::Whm),
];

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Credential> {
    if !matches!(item.node.value, Value::Map(_)) {
        return decoder.choice(item, KINDS);
    }
    let mut map = decoder.map(item, CREDENTIAL)?;
    let (header, ticket) = (map.take("header"), map.take("ticket"));
    let location = map.location.clone();
    decoder.finish(map);
    match (header, ticket) {
        (Some(header), None) => header_name(decoder, &header).map(|name| Credential::Header(memory.text(name))),
        (None, Some(ticket)) => {
            let ticket = memory.list(vec![decode_ticket(decoder, memory, &ticket)?]).first();
            // Nothing is kept while the definition is only checked.
            Some(ticket.map_or(Credential::Optional, Credential::Ticket))
        }
        (Some(_), Some(_)) => {
            decoder.report(&location, "header and ticket exclude each other; remove one of them");
            None
        }
        (None, None) => {
            decoder.report(&location, format!("expected {{header: NAME}}, {{ticket: ...}}, or one of: {}", names(KINDS).join(", ")));
            None
        }
    }
}

/// Decodes the name of a header or a cookie.
fn header_name<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let name = decoder.raw_text(item)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        decoder.report_value(item, format!("{name:?} is not the name of a header"));
        return None;
    }
    Some(name)
}

fn decode_ticket(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Ticket> {
    let mut map = decoder.map(item, TICKET)?;
    let path = map.take_required(decoder, "path").and_then(|item| super::request::decode_path(decoder, &item, Placeholders::None));
    let username = map.take("username").map_or(Some("username"), |item| header_name(decoder, &item));
    let password = map.take("password").map_or(Some("password"), |item| header_name(decoder, &item));
    let value = map.take_required(decoder, "value").and_then(|item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, JsonPath::parse_single(text).map(|_| text))
    });
    let cookie = map.take_required(decoder, "cookie").and_then(|item| header_name(decoder, &item));
    let limits = map.duration_limits("lifetime");
    let lifetime = map.take_required(decoder, "lifetime").and_then(|item| decoder.duration(&item, limits));
    decoder.finish(map);
    Some(Ticket {
        path: memory.text(path?),
        username_field: memory.text(username?),
        password_field: memory.text(password?),
        value: memory.text(value?),
        cookie: memory.text(cookie?),
        lifetime: lifetime?,
    })
}
