//! Decodes the section `hook`.

mod condition;
pub mod schema;
mod value;

use super::limits::VALUES_MAX;
use super::memory::Memory;
use crate::model::{BounceType, ComplaintType, FailureOrigin, Outcome, RecordEvent};
use crate::source::hook::signature::SCHEMES;
use crate::source::hook::{Fields, Hook, HookCredential, IdentityPart, LogFileFormat, NodePath, Row};
use crate::yaml::{Decoder, Item};
use schema::{CONDITIONS_MAX, HOOK, ROW, ROWS_MAX};

/// Declares a function with the names of an enum's values, and one that decodes a value.
macro_rules! names {
    ($($function:ident, $decode:ident, $type:ident;)*) => {
        $(
            fn $function() -> Vec<&'static str> {
                $type::ALL.iter().map(|value| value.as_str()).collect()
            }

            fn $decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<$type> {
                let choices: Vec<_> = $type::ALL.iter().map(|value| (value.as_str(), *value)).collect();
                decoder.choice(item, &choices)
            }
        )*
    };
}

names! {
    credential_names, decode_credential, HookCredential;
    log_file_names, decode_log_files, LogFileFormat;
    event_names, decode_event, RecordEvent;
    outcome_names, decode_outcome, Outcome;
    bounce_names, decode_bounce, BounceType;
    complaint_names, decode_complaint, ComplaintType;
    origin_names, decode_origin, FailureOrigin;
}

fn signature_names() -> Vec<&'static str> {
    SCHEMES.iter().map(|scheme| scheme.name).collect()
}

/// Decodes a hook. `None` while the definition is only checked, and if it has a problem.
pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<&'static Hook> {
    let mut map = decoder.map(item, HOOK)?;
    let location = map.location.clone();
    let authentication = map.take_required(decoder, "authentication").map(|item| {
        let items = decoder.bounded_list(&item, HookCredential::ALL.len());
        items.iter().filter_map(|item| decode_credential(decoder, item)).collect::<Vec<_>>()
    });
    let log_files = map.take("log_files").and_then(|item| decode_log_files(decoder, &item));
    if authentication.as_ref().is_some_and(Vec::is_empty) && log_files.is_none() {
        decoder.report(&location, "needs a credential in authentication, or log_files: otherwise there are no records");
    }
    let authentication = authentication.unwrap_or_default();
    let signature = map.take("signature").and_then(|item| {
        let choices: Vec<_> = SCHEMES.iter().map(|scheme| (scheme.name, scheme)).collect();
        decoder.choice(&item, &choices)
    });
    if signature.is_some() != authentication.contains(&HookCredential::SigningKey) {
        decoder.report(&location, "signature and the credential signing_key need each other");
    }
    let list = map.take("list").and_then(|item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, NodePath::parse(text))
    });
    let body_bytes_max = map.bytes_or_default(decoder, "body_bytes_max");
    let kind = map.take_required(decoder, "kind").map(|item| value::paths(decoder, &item)).unwrap_or_default();
    let ignore = map.take("ignore").map(|item| decoder.bounded_list(&item, CONDITIONS_MAX)).unwrap_or_default();
    let ignore = ignore.iter().map(|item| condition::decode(decoder, item)).filter(|conditions| !conditions.is_empty()).collect();
    let fields = value::fields(decoder, map.take("fields"));
    let identity = map.take_required(decoder, "identity").map(|item| value::identity(decoder, &item)).unwrap_or_default();
    let rows = map.take_required(decoder, "rows").map(|item| decoder.non_empty_list(&item, ROWS_MAX, "rows")).unwrap_or_default();
    let limits = map.take("limits").map(|item| decoder.bounded_list(&item, VALUES_MAX)).unwrap_or_default();
    let limits: Vec<String> = limits.iter().filter_map(|item| decoder.non_empty_text(item)).collect();
    decoder.finish(map);
    let rows = rows.iter().filter_map(|item| decode_row(decoder, item, &fields, &identity)).collect();
    let limits: Vec<&str> = limits.iter().map(String::as_str).collect();
    let (authentication, limits) = (memory.list(authentication), memory.texts(&limits));
    memory.list(vec![Hook { authentication, log_files, signature, body_bytes_max, list, kind, ignore, rows, limits }]).first()
}

/// Decodes a row. It has the fields and the identity of the hook that it does not replace.
fn decode_row(decoder: &mut Decoder<'_>, item: &Item<'_>, common: &Fields, identity: &[IdentityPart]) -> Option<Row> {
    let mut map = decoder.map(item, ROW)?;
    let location = map.location.clone();
    let when = condition::decode_optional(decoder, map.take("when"));
    let unless = condition::decode_optional(decoder, map.take("unless"));
    let event = map.take("event").map_or(Some(RecordEvent::Delivery), |item| decode_event(decoder, &item));
    let outcome = map.take("outcome").and_then(|item| decode_outcome(decoder, &item));
    let bounce = map.take("bounce_type").and_then(|item| decode_bounce(decoder, &item));
    let complaint = map.take("complaint_type").and_then(|item| decode_complaint(decoder, &item));
    let origin = map.take("origin").and_then(|item| decode_origin(decoder, &item));
    let mut fields = value::fields(decoder, map.take("fields"));
    let identity = map.take("identity").map_or_else(|| identity.to_vec(), |item| value::identity(decoder, &item));
    decoder.finish(map);
    let event = event?;
    if outcome.is_some() != (event == RecordEvent::Delivery) {
        decoder.report(&location, "outcome is for the event mail.delivery, which needs it");
    }
    fields.extend(common.iter().filter(|(slot, _)| !fields.iter().any(|(other, _)| other == slot)).cloned().collect::<Vec<_>>());
    Some(Row { when, unless, event, outcome, bounce, complaint, origin, fields, identity })
}

/// Decodes a finite number.
fn number(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<f64> {
    let text = decoder.raw_text(item)?;
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    decoder.ok_or_report_value(item, number.ok_or_else(|| format!("{text} is not a number")))
}
