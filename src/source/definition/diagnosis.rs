//! Decodes diagnoses.

use super::limits::VALUES_MAX;
use super::memory::Memory;
use super::pattern;
use super::schema::DIAGNOSIS;
use crate::source::{Condition, Diagnosis};
use crate::yaml::{Decoder, Item};

pub(super) const CONDITIONS: &[(&str, Condition)] = &[
    ("rises", Condition::Rises),
    ("falls", Condition::Falls),
    ("present", Condition::Present),
    ("positive", Condition::Positive),
    ("absent", Condition::Absent),
];

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Diagnosis> {
    let mut map = decoder.map(item, DIAGNOSIS)?;
    let families = pattern::family_or_families(decoder, &mut map);
    let when = map.take("when").map(|item| pattern::labels(decoder, &item)).unwrap_or_default();
    let without = map.take("without").map(|item| pattern::families(decoder, &item, VALUES_MAX)).unwrap_or_default();
    let condition = map.choice_or_default(decoder, "condition", CONDITIONS);
    let advice = map.take_required(decoder, "advice").and_then(|item| decoder.non_empty_text(&item));
    decoder.finish(map);
    Some(Diagnosis {
        families: memory.texts(&families),
        when: memory.pairs(&when),
        without: memory.texts(&without),
        condition,
        advice: memory.text(&advice?),
    })
}
