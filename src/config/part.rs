//! The parts of a target that are requested: `parts:`.

use super::credentials;
use super::decode::Decoder;
use super::map::{Item, Location};
use super::schema::CREDENTIALS;
use super::text::suggestion;
use super::{Credentials, DeliveryLog};
use crate::source::{Part, Source};

/// A part to request.
#[derive(Clone, Debug)]
pub struct TargetPart {
    /// The part of the mail system.
    pub part: &'static Part,
    /// The part's own credentials (`parts: {queue: {token: ...}}`), or else those of the target; never a mixture.
    pub credentials: Credentials,
}

/// Returns the names of all parts of a mail system, including the delivery log.
pub(super) fn names(source: &Source) -> impl Iterator<Item = &'static str> {
    source.parts.iter().chain(source.delivery_log.map(|records| &records.part)).map(|part| part.name)
}

/// Decodes the parts: the required part, then the optional ones, each with its credentials; and the delivery log, which is read
/// independently of polls. `own_keys` are the credentials that the target does not inherit.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    location: &Location,
    item: Option<&Item<'_>>,
    source: &'static Source,
    target: &Credentials,
    own_keys: &[&str],
) -> (Vec<TargetPart>, Option<DeliveryLog>) {
    let mut found = vec![(location.clone(), TargetPart { part: source.required(), credentials: target.clone() })];
    let entries = item.map(|item| decoder.names_or_map(item)).unwrap_or_default();
    let mut delivery_log = None;
    for (name, item) in entries {
        if let Some(records) = source.delivery_log.filter(|records| records.part.name == name) {
            if let Some((log, has_own)) = DeliveryLog::decode(decoder, &item, records, target) {
                found.push((if has_own { item.location } else { location.clone() }, log.part.clone()));
                delivery_log = Some(log);
            }
            continue;
        }
        let Some(part) = source.part(name) else {
            if !item.inherited {
                decoder.report(&item.location, format!("{} has no part {name}; {}", source.name, suggest_part(name, source)));
            }
            continue;
        };
        let Some(mut map) = decoder.map(&item, CREDENTIALS) else { continue };
        let own = credentials::decode(decoder, &mut map);
        let has_own = !own.is_empty();
        decoder.finish(map);
        let credentials = if has_own { own } else { target.clone() };
        let location = if has_own { item.location } else { location.clone() };
        let part = (location, TargetPart { part, credentials });
        if part.1.part.name == source.required().name { found[0] = part } else { found.push(part) }
    }
    for (i, (location, part)) in found.iter().enumerate() {
        if let Some(missing) = part.credentials.missing_keys(part.part.credential) {
            let subject = if i > 0 { format!("part {} of {}", part.part.name, source.name) } else { source.name.to_owned() };
            decoder.report(location, format!("{subject} needs {missing}"));
        }
        if let Some(scheme) = part.credentials.repeated_scheme(part.part.credential) {
            decoder.report(location, format!("the token begins with {scheme}, which Postmeter adds itself; remove the word"));
        }
    }
    for key in own_keys {
        let is_used = |(_, part): &(Location, TargetPart)| part.part.credential.keys().contains(&key.trim_end_matches("_file"));
        if !found.iter().any(is_used) {
            decoder.warn(location, format!("{key} is not used by {}", source.name));
        }
    }
    // The delivery log is not part of a poll.
    let polled = |(_, part): (Location, TargetPart)| source.part(part.part.name).is_some().then_some(part);
    (found.into_iter().filter_map(polled).collect(), delivery_log)
}

fn suggest_part(name: &str, source: &Source) -> String {
    let optional: Vec<&str> = names(source).skip(1).collect();
    if optional.is_empty() { "it has no optional parts".to_owned() } else { suggestion(name, &optional) }
}
