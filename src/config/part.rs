//! The parts of a target that are asked for: `parts:`.

use super::credentials;
use super::decode::{Decoder, Item, KeyPath, Map, instead};
use super::{Credentials, Messages};
use crate::source::{Part, Source};

/// A part to ask for.
#[derive(Clone, Debug)]
pub struct TargetPart {
    /// Which.
    pub part: &'static Part,
    /// Its own (`parts: {queue: {token: ...}}`), or else the target's; never a mixture.
    pub credentials: Credentials,
}

/// The required part, then the optional ones, each with its credentials; and the delivery log, which is followed apart from them.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    place: &KeyPath,
    item: Option<&Item<'_>>,
    source: &'static Source,
    target: &Credentials,
    own: &[&str],
) -> (Vec<TargetPart>, Option<Messages>) {
    let mut found = vec![(place.clone(), TargetPart { part: source.required(), credentials: target.clone() })];
    let named = item.and_then(|item| decoder.map(item)).map(Map::rest).unwrap_or_default();
    let mut messages = None;
    for (name, item) in named {
        if let Some(records) = source.delivery_log.filter(|records| records.part.name == name) {
            if let Some((log, has_own)) = Messages::decode(decoder, &item, records, target) {
                found.push((if has_own { item.place } else { place.clone() }, log.part.clone()));
                messages = Some(log);
            }
            continue;
        }
        let Some(part) = source.part(name) else {
            if !item.inherited {
                decoder.problem(&item.place, format!("{} has no part {name}; {}", source.name, no_part(name, source)));
            }
            continue;
        };
        let Some(mut map) = decoder.map(&item) else { continue };
        let its = credentials::decode(decoder, &mut map);
        let has_own = !its.is_empty();
        decoder.finish(map);
        let credentials = if has_own { its } else { target.clone() };
        let place = if has_own { item.place } else { place.clone() };
        let part = (place, TargetPart { part, credentials });
        if part.1.part.name == source.required().name { found[0] = part } else { found.push(part) }
    }
    for (i, (place, part)) in found.iter().enumerate() {
        if let Some(missing) = part.credentials.missing_keys(part.part.credential) {
            let whose = if i > 0 { format!("part {} of {}", part.part.name, source.name) } else { source.name.to_owned() };
            decoder.problem(place, format!("{whose} needs {missing}"));
        }
    }
    for key in own {
        let is_used = |(_, part): &(KeyPath, TargetPart)| part.part.credential.keys().contains(&key.trim_end_matches("_file"));
        if !found.iter().any(is_used) {
            decoder.warn(place, format!("{key} is not used by {}", source.name));
        }
    }
    // It is asked for on a timer of its own.
    let polled = |(_, part): (KeyPath, TargetPart)| source.part(part.part.name).is_some().then_some(part);
    (found.into_iter().filter_map(polled).collect(), messages)
}

fn no_part(name: &str, source: &Source) -> String {
    let polled = source.parts.iter().skip(1).map(|part| part.name);
    let optional: Vec<&str> = polled.chain(source.delivery_log.map(|records| records.part.name)).collect();
    if optional.is_empty() { "it has no optional parts".to_owned() } else { instead(name, &optional) }
}
