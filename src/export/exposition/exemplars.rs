//! The exemplars of a series on a page. The formats have room for one per counter and one per bucket: the latest.

use super::names::{Escaping, label_name};
use crate::model::{EXEMPLAR_CHARS_MAX, Exemplar, SampleRef};

/// Returns the latest exemplar of a counter.
pub(super) fn of_counter<'a>(sample: &SampleRef<'a>, escaping: Escaping) -> Option<Exemplar<'a>> {
    latest(sample, escaping, |_| true)
}

/// Returns the latest exemplar of the bucket above one bound, up to another.
pub(super) fn of_bucket<'a>(sample: &SampleRef<'a>, escaping: Escaping, above: f64, bound: f64) -> Option<Exemplar<'a>> {
    latest(sample, escaping, |value| value > above && value <= bound)
}

fn latest<'a>(sample: &SampleRef<'a>, escaping: Escaping, is_in: impl Fn(f64) -> bool) -> Option<Exemplar<'a>> {
    sample.exemplars().filter(|exemplar| is_in(exemplar.value()) && fits(exemplar, escaping)).max_by_key(Exemplar::time)
}

/// Returns true if the labels of an exemplar are short enough for the formats. Escaping can make them longer.
pub(super) fn fits(exemplar: &Exemplar<'_>, escaping: Escaping) -> bool {
    let chars = exemplar.labels().map(|(name, value)| label_name(name, escaping).chars().count() + value.chars().count());
    chars.sum::<usize>() <= EXEMPLAR_CHARS_MAX
}
