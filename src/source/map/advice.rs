//! Advice to the operator: evaluates the diagnoses of a mail system.

use super::mapping::is_counter_value;
use super::selector::LabelConditions;
use crate::format::quote;
use crate::model::{Families, FamilyRef, SampleRef, Value, cut};
use crate::source::pattern::is_match;
use crate::source::{Condition, Diagnosis, Part, Source};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// The largest number of advice texts of a reading.
pub const ADVICE_MAX: usize = 10;
/// The largest size of an advice text, in bytes.
pub const ADVICE_BYTES_MAX: usize = 1000;
/// The time for which advice about a change stays after the last change.
const CHANGE_AGE_MAX: Duration = Duration::from_secs(3600);
/// The largest number of series whose values are compared. Changes of further ones are not noticed.
const SERIES_MAX: usize = 10_000;

/// The values that diagnoses compare from one poll to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct AdviceMemory {
    /// The last values, by the address of the diagnosis, the name of the part and the identity of the series.
    values: HashMap<(usize, &'static str, u64), f64>,
    /// The parts that the last poll read. A series that they did not have began at 0.
    parts: Vec<&'static str>,
    /// The start of the server's counters at the last poll.
    counters_since: Option<SystemTime>,
    /// Advice about changes, with the time of the last change.
    changed: Vec<(String, SystemTime)>,
}

/// Returns the advice that would follow from these responses if each value had been 0 before.
pub(super) fn if_rising(source: &Source, read: &[(&'static Part, Families)]) -> Vec<String> {
    let mut memory = AdviceMemory { parts: read.iter().map(|(part, _)| part.name).collect(), ..AdviceMemory::default() };
    memory.evaluate(source, read, (None, false), SystemTime::UNIX_EPOCH)
}

impl AdviceMemory {
    /// Returns the advice that follows from the responses of a poll, and stores their values for the next. `has_returned`: an earlier poll
    /// reported this start, and a later one another.
    pub(super) fn evaluate(
        &mut self,
        source: &Source,
        read: &[(&'static Part, Families)],
        (counters_since, has_returned): (Option<SystemTime>, bool),
        now: SystemTime,
    ) -> Vec<String> {
        if source.diagnoses.is_empty() {
            return Vec::new();
        }
        let is_comparable = !self.parts.is_empty() && read.iter().all(|(part, _)| self.parts.contains(&part.name));
        // If the start is unknown, a fall may be a restart. A start that was reported before is not one.
        let is_same_start = counters_since.is_some() && (has_returned || self.counters_since == counters_since);
        self.counters_since = counters_since;
        self.parts = read.iter().map(|(part, _)| part.name).collect();
        self.changed.retain(|(_, at)| now.duration_since(*at).unwrap_or_default() <= CHANGE_AGE_MAX);
        let mut advice = Vec::new();
        for diagnosis in source.diagnoses {
            let conditions = LabelConditions::new(diagnosis.when, &[]);
            // The values of the others are stored in any case, so that a family that disappears does not turn an old change into a new one.
            let applies = !has_series(read, diagnosis.without);
            let mut is_absent = true;
            for (part, family) in named(read, diagnosis.families) {
                for sample in family.samples().filter(|sample| conditions.accept(sample)) {
                    is_absent = false;
                    let series = family.name_identity() ^ sample.identity();
                    if !self.is_fulfilled(diagnosis, (part, series), &sample, is_comparable, is_same_start) || !applies {
                        continue;
                    }
                    let text = filled(diagnosis.advice, |label| sample.label(label));
                    match diagnosis.condition {
                        Condition::Rises | Condition::Falls => add_change(&mut self.changed, text, now),
                        Condition::Present | Condition::Positive | Condition::Absent => add(&mut advice, text),
                    }
                }
            }
            if is_absent && applies && diagnosis.condition == Condition::Absent {
                add(&mut advice, filled(diagnosis.advice, |_| None));
            }
        }
        self.changed.iter().for_each(|(text, _)| add(&mut advice, text.clone()));
        advice
    }

    fn is_fulfilled(
        &mut self,
        diagnosis: &'static Diagnosis,
        (part, series): (&'static str, u64),
        sample: &SampleRef<'_>,
        is_comparable: bool,
        is_same_start: bool,
    ) -> bool {
        match diagnosis.condition {
            Condition::Present => return true,
            Condition::Absent => return false,
            Condition::Rises | Condition::Falls | Condition::Positive => {}
        }
        let value = match sample.value() {
            Value::Number(n) => n,
            Value::Histogram(histogram) => histogram.count as f64,
            Value::Summary(summary) => summary.count.unwrap_or_default() as f64,
        };
        if diagnosis.condition == Condition::Positive {
            return value > 0.0;
        }
        let key = (std::ptr::from_ref(diagnosis).addr(), part, series);
        if !is_counter_value(value) || (self.values.len() >= SERIES_MAX && !self.values.contains_key(&key)) {
            return false;
        }
        let before = self.values.insert(key, value).or(is_comparable.then_some(0.0));
        match diagnosis.condition {
            Condition::Falls => is_same_start && before.is_some_and(|before| value < before),
            _ => before.is_some_and(|before| value > before),
        }
    }
}

/// Returns the families that have one of the names, or match one of the patterns, each with the name of its part.
fn named<'a>(read: &'a [(&'static Part, Families)], names: &'static [&'static str]) -> impl Iterator<Item = (&'static str, FamilyRef<'a>)> {
    let families = read.iter().flat_map(|(part, families)| families.iter().map(|family| (part.name, family)));
    families.filter(move |(_, family)| names.iter().any(|name| is_match(name, family.name())))
}

fn has_series(read: &[(&'static Part, Families)], names: &'static [&'static str]) -> bool {
    !names.is_empty() && named(read, names).any(|(_, family)| family.samples().len() > 0)
}

fn add(advice: &mut Vec<String>, text: String) {
    if advice.len() < ADVICE_MAX && !advice.contains(&text) {
        advice.push(text);
    }
}

fn add_change(changed: &mut Vec<(String, SystemTime)>, text: String, now: SystemTime) {
    let known = changed.iter().position(|(other, _)| *other == text);
    match known {
        Some(index) => changed[index].1 = now,
        None if changed.len() < ADVICE_MAX => changed.push((text, now)),
        None => {}
    }
}

/// Returns the advice with the values of the series' labels, which are not trusted: on one line and not too long.
fn filled<'a>(advice: &str, label: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut text = String::with_capacity(advice.len());
    let mut rest = advice;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?))) {
        text.push_str(before);
        text.push_str(&quote(label(name).unwrap_or_default()));
        rest = after;
    }
    text.push_str(rest);
    cut(&text, ADVICE_BYTES_MAX).to_owned()
}
