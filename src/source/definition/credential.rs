//! Decodes the credential of a part.

use super::memory::Memory;
use super::schema::CREDENTIAL;
use crate::source::Credential;
use crate::yaml::{Decoder, Item, Value};

const KINDS: &[(&str, Credential)] = &[
    ("optional", Credential::Optional),
    ("bearer", Credential::Bearer),
    ("basic", Credential::Basic),
    ("bearer_or_basic", Credential::BearerOrBasic),
    ("whm", Credential::Whm),
];

pub(super) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Credential> {
    if !matches!(item.node.value, Value::Map(_)) {
        return decoder.choice(item, KINDS);
    }
    let mut map = decoder.map(item, CREDENTIAL)?;
    let header = map.take("header");
    if header.is_none() {
        decoder.report(&map.location, format!("expected {{header: NAME}}, or one of: {}", names().join(", ")));
    }
    decoder.finish(map);
    let item = header?;
    let name = decoder.raw_text(&item)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        decoder.report_value(&item, format!("{name:?} is not the name of a header"));
        return None;
    }
    Some(Credential::Header(memory.text(name)))
}
