//! Decodes diagnoses.

use super::memory::Memory;
use super::pattern;
use super::schema::DIAGNOSIS;
use crate::source::{Condition, Diagnosis};
use crate::yaml::{Decoder, Item};

const CONDITIONS: &[(&str, Condition)] = &[("rises", Condition::Rises), ("present", Condition::Present), ("positive", Condition::Positive)];

pub(super) fn condition_names() -> Vec<&'static str> {
    CONDITIONS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Diagnosis> {
    let mut map = decoder.map(item, DIAGNOSIS)?;
    let family = map.take_required(decoder, "family").and_then(|item| pattern::family_pattern(decoder, &item));
    let when = map.take("when").map(|item| pattern::labels(decoder, &item)).unwrap_or_default();
    let condition = map.choice_or_default(decoder, "condition", CONDITIONS);
    let advice = map.take_required(decoder, "advice").and_then(|item| decoder.non_empty_text(&item));
    decoder.finish(map);
    Some(Diagnosis { family: memory.text(family?), when: memory.pairs(&when), condition, advice: memory.text(&advice?) })
}
