//! Advice to the operator: evaluates the diagnoses of a mail system.

use super::selector::LabelConditions;
use crate::format::quote;
use crate::model::{Families, SampleRef, Value, cut};
use crate::source::pattern::is_match;
use crate::source::{Condition, Diagnosis, Part, Source};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// The largest number of advice texts of a reading.
pub const ADVICE_MAX: usize = 10;
/// The largest size of an advice text, in bytes.
pub const ADVICE_BYTES_MAX: usize = 1000;
/// The time for which advice about a rise stays after the last rise.
const RISE_AGE_MAX: Duration = Duration::from_secs(3600);
/// The largest number of series whose values are compared. Rises of further ones are not noticed.
const SERIES_MAX: usize = 10_000;

/// The values that diagnoses compare from one poll to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct AdviceMemory {
    /// The last values, by the address of the diagnosis and the identity of the series.
    values: HashMap<(usize, u64), f64>,
    /// The parts that the last poll read. A series that they did not have began at 0.
    parts: Vec<&'static str>,
    /// Advice about rises, with the time of the last rise.
    risen: Vec<(String, SystemTime)>,
}

impl AdviceMemory {
    /// Returns the advice that follows from the responses of a poll, and stores their values for the next.
    pub(super) fn evaluate(&mut self, source: &Source, read: &[(&'static Part, Families)], now: SystemTime) -> Vec<String> {
        if source.diagnoses.is_empty() {
            return Vec::new();
        }
        let is_comparable = !self.parts.is_empty() && read.iter().all(|(part, _)| self.parts.contains(&part.name));
        self.parts = read.iter().map(|(part, _)| part.name).collect();
        self.risen.retain(|(_, at)| now.duration_since(*at).unwrap_or_default() <= RISE_AGE_MAX);
        let mut advice = Vec::new();
        for diagnosis in source.diagnoses {
            let conditions = LabelConditions::new(diagnosis.when, &[]);
            let families = read.iter().flat_map(|(_, families)| families.iter()).filter(|family| is_match(diagnosis.family, family.name()));
            for family in families {
                for sample in family.samples().filter(|sample| conditions.accept(sample)) {
                    let series = family.name_identity() ^ sample.identity();
                    if !self.is_fulfilled(diagnosis, series, &sample, is_comparable) {
                        continue;
                    }
                    let text = filled(diagnosis.advice, &sample);
                    match diagnosis.condition {
                        Condition::Rises => add_rise(&mut self.risen, text, now),
                        Condition::Present | Condition::Positive => add(&mut advice, text),
                    }
                }
            }
        }
        self.risen.iter().for_each(|(text, _)| add(&mut advice, text.clone()));
        advice
    }

    fn is_fulfilled(&mut self, diagnosis: &'static Diagnosis, series: u64, sample: &SampleRef<'_>, is_comparable: bool) -> bool {
        if diagnosis.condition == Condition::Present {
            return true;
        }
        let value = match sample.value() {
            Value::Number(n) => n,
            Value::Histogram(histogram) => histogram.count as f64,
            Value::Summary(summary) => summary.count.unwrap_or_default() as f64,
        };
        if diagnosis.condition == Condition::Positive {
            return value > 0.0;
        }
        let key = (std::ptr::from_ref(diagnosis).addr(), series);
        if value.is_nan() || (self.values.len() >= SERIES_MAX && !self.values.contains_key(&key)) {
            return false;
        }
        let before = self.values.insert(key, value).or(is_comparable.then_some(0.0));
        before.is_some_and(|before| value > before)
    }
}

fn add(advice: &mut Vec<String>, text: String) {
    if advice.len() < ADVICE_MAX && !advice.contains(&text) {
        advice.push(text);
    }
}

fn add_rise(risen: &mut Vec<(String, SystemTime)>, text: String, now: SystemTime) {
    let known = risen.iter().position(|(other, _)| *other == text);
    match known {
        Some(index) => risen[index].1 = now,
        None if risen.len() < ADVICE_MAX => risen.push((text, now)),
        None => {}
    }
}

/// Returns the advice with the values of the series' labels, which are not trusted: on one line and not too long.
fn filled(advice: &str, sample: &SampleRef<'_>) -> String {
    let mut text = String::with_capacity(advice.len());
    let mut rest = advice;
    while let Some((before, (label, after))) = rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?))) {
        text.push_str(before);
        text.push_str(&quote(sample.label(label).unwrap_or_default()));
        rest = after;
    }
    text.push_str(rest);
    cut(&text, ADVICE_BYTES_MAX).to_owned()
}
