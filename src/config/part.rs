//! The parts of a target that are requested: `parts:`.

use super::credentials;
use super::decode::Decoder;
use super::map::{Item, Location};
use super::schema::CREDENTIALS;
use super::text::suggestion;
use super::{Credentials, Deliveries, DeliveryLog, deliveries};
use crate::source::{Part, Source};

/// A part to request.
#[derive(Clone, Debug)]
pub struct TargetPart {
    /// The part of the mail system.
    pub part: &'static Part,
    /// The part's own credentials (`parts: {queue: {token: ...}}`), or else those of the target; never a mixture.
    pub credentials: Credentials,
}

/// The contents of `parts` of a target.
#[derive(Debug, Default)]
pub(super) struct TargetParts {
    /// The parts of a poll, the required one first.
    pub polled: Vec<TargetPart>,
    /// The delivery log, which is read independently of polls.
    pub delivery_log: Option<DeliveryLog>,
    /// The delivery records that the mail system sends.
    pub deliveries: Option<Deliveries>,
}

/// Returns the names of all parts of a mail system, including those that are not polled.
pub(super) fn names(source: &Source) -> impl Iterator<Item = &'static str> {
    let parts = source.parts.iter().chain(source.delivery_log.map(|records| &records.part)).map(|part| part.name);
    parts.chain(source.hook.map(|_| deliveries::PART))
}

/// Decodes the parts: the required part, then the optional ones, each with its credentials; and those that are not polled. `own_keys` are
/// the credentials that the target does not inherit.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    location: &Location,
    item: Option<&Item<'_>>,
    source: &'static Source,
    target: &Credentials,
    own_keys: &[&str],
    is_polled: bool,
) -> TargetParts {
    let mut found = vec![(location.clone(), TargetPart { part: source.required(), credentials: target.clone() })];
    let entries = item.map(|item| decoder.names_or_map(item)).unwrap_or_default();
    let mut parts = TargetParts::default();
    for (name, item) in entries {
        if let Some(records) = source.delivery_log.filter(|records| records.part.name == name) {
            if let Some((log, has_own)) = DeliveryLog::decode(decoder, &item, records, target) {
                found.push((if has_own { item.location } else { location.clone() }, log.part.clone()));
                parts.delivery_log = Some(log);
            }
            continue;
        }
        if let Some(hook) = source.hook.filter(|_| name == deliveries::PART) {
            parts.deliveries = Deliveries::decode(decoder, &item, source, hook);
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
    if !is_polled {
        if let [_, (location, part), ..] = found.as_slice() {
            decoder.report(&location.clone(), format!("part {} needs url at the target: it is polled", part.part.name));
        }
        for key in own_keys {
            decoder.warn(location, format!("{key} is not used by a target without url; set it in parts.deliveries"));
        }
        return parts;
    }
    check_credentials(decoder, &found, source, own_keys, location);
    // The delivery log is not part of a poll.
    let polled = |(_, part): (Location, TargetPart)| source.part(part.part.name).is_some().then_some(part);
    TargetParts { polled: found.into_iter().filter_map(polled).collect(), ..parts }
}

/// Checks that each part has the credentials that it needs, and that a part uses those of the target.
fn check_credentials(decoder: &mut Decoder<'_>, found: &[(Location, TargetPart)], source: &Source, own_keys: &[&str], location: &Location) {
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
}

/// Returns `true` if the target itself, and not `defaults`, has the part of the records that the mail system sends.
pub(super) fn has_deliveries(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> bool {
    // Problems are reported when the parts are decoded.
    let entries = item.map(|item| decoder.without_problems(|decoder| decoder.names_or_map(item))).unwrap_or_default();
    entries.iter().any(|(name, item)| *name == deliveries::PART && !item.inherited)
}

fn suggest_part(name: &str, source: &Source) -> String {
    let optional: Vec<&str> = names(source).skip(1).collect();
    if optional.is_empty() { "it has no optional parts".to_owned() } else { suggestion(name, &optional) }
}
