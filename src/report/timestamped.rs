//! Samples with explicit timestamps, each of which is sent once with its own time.
//!
//! # No sample that a receiver rejects
//!
//! A receiver may reject a whole request, with the samples of all targets, for one that is older than the last of its series. So a sample
//! is sent only if it is newer than everything that was sent of its series: the last sample with a timestamp, and where samples of its
//! family have been sent without one, the last reading. A sample without a timestamp is not sent as long as one of its series is ahead of
//! the reading.
//!
//! # No ends
//!
//! A series with explicit timestamps has no end marker, as in Prometheus: its last sample is of the time that the server reports.

use super::counted::{Change, CountedValue};
use super::native::{is_nan, rises};
use super::omitted::{OMITTED_SERIES_MAX, Retention};
use super::{Transition, is_delta, rewind};
use crate::config::Temporality;
use crate::model::{SamplePosition, SampleRef, SelectedFamilies, SelectedFamily, Value};
use std::collections::{HashMap, HashSet};

/// An older sample is not sent.
const SAMPLE_AGE_SECONDS_MAX: u64 = 3600;
/// Nor is one that is further ahead of the reading. Prometheus rejects what is ten minutes ahead of its own clock.
const SAMPLE_AHEAD_SECONDS_MAX: u64 = 300;
/// Families that are remembered because samples of them were sent without timestamps; beyond this, all are taken to be among them.
const PLAIN_FAMILIES_MAX: usize = 100_000;

/// A series, whatever its type: to Prometheus, its name and its labels.
type Key = (u64, u64);

fn key(family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> Key {
    (family.name_identity(), sample.identity())
}

/// What is remembered of a target's samples with explicit timestamps.
#[derive(Debug, Default)]
pub(super) struct Timestamped {
    sent: HashMap<Key, SentSample, foldhash::fast::FixedState>,
    /// Families of which samples were sent without timestamps, by the number of their name.
    plain: HashSet<u64, foldhash::fast::FixedState>,
    /// All families are taken to be among those.
    all_plain: bool,
}

/// The last sample of a series.
#[derive(Debug)]
struct SentSample {
    time: u64,
    /// 0 is unset.
    start: u64,
    /// Its value, where it only rises.
    value: Option<CountedValue>,
}

/// The samples of a reading that have a time of their own.
#[derive(Debug, Default)]
pub struct TimestampedSamples {
    /// Those that are sent, by family.
    pub samples: Vec<TimestampedSample>,
    /// Samples that are older than an hour.
    pub too_old: u64,
    /// Samples that are minutes ahead of the reading.
    pub too_new: u64,
    /// Samples that are older than what was sent of their series.
    pub out_of_order: u64,
    /// Series of which a sample was sent that is ahead of the reading.
    ahead: HashSet<Key>,
}

/// A sample that is sent with its own time.
#[derive(Debug)]
pub struct TimestampedSample {
    /// The place of its family among all.
    pub family: usize,
    pub place: SamplePosition,
    pub time: u64,
    /// 0 is unset.
    pub start: u64,
    before: Option<CountedValue>,
}

impl TimestampedSample {
    /// What is taken away from its value.
    #[must_use]
    pub fn before(&self) -> Option<Value<'_>> {
        self.before.as_ref().map(CountedValue::as_value)
    }
}

impl TimestampedSamples {
    /// Whether a sample of this series was sent that is ahead of the reading.
    #[must_use]
    #[inline]
    pub fn is_ahead(&self, family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> bool {
        !self.ahead.is_empty() && self.ahead.contains(&key(family, sample))
    }
}

/// Unix nanoseconds of a timestamp in milliseconds; what is before 1970 is of its beginning.
fn nanoseconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or(0).saturating_mul(1_000_000)
}

impl Timestamped {
    /// Takes a good reading in which the families at these places are new.
    pub(super) fn read(
        &mut self,
        native: &SelectedFamilies,
        appeared: &[usize],
        step: &Transition,
        temporality: Temporality,
    ) -> TimestampedSamples {
        let mut found = TimestampedSamples::default();
        if !native.has_timestamps() {
            appeared.iter().for_each(|family| self.add_plain(&native.at(*family)));
            return TimestampedSamples { ahead: self.ahead(step), ..found };
        }
        for (at, family) in native.families().enumerate() {
            let after = if self.is_plain(&family) { step.last } else { None };
            let mut plain = false;
            for (place, sample) in family.places().filter_map(|place| Some((place, native.sample(place)?))) {
                let Some(timestamp) = sample.timestamp() else {
                    plain = true;
                    continue;
                };
                if is_nan(sample.value()) {
                    continue;
                }
                let time = nanoseconds(timestamp);
                if time < step.time.saturating_sub(SAMPLE_AGE_SECONDS_MAX * 1_000_000_000) {
                    found.too_old += 1;
                } else if time > step.time.saturating_add(SAMPLE_AHEAD_SECONDS_MAX * 1_000_000_000) {
                    found.too_new += 1;
                } else {
                    self.sample(&mut found, (at, &family), (place, &sample, time), after, temporality);
                }
            }
            if plain {
                self.add_plain(&family);
            }
        }
        self.forget(native, step);
        TimestampedSamples { ahead: self.ahead(step), ..found }
    }

    /// What holds while a poll fails.
    pub(super) fn between(&self, step: &Transition) -> TimestampedSamples {
        TimestampedSamples { ahead: self.ahead(step), ..TimestampedSamples::default() }
    }

    fn sample(
        &mut self,
        found: &mut TimestampedSamples,
        (family_at, family): (usize, &SelectedFamily<'_>),
        (place, sample, time): (SamplePosition, &SampleRef<'_>, u64),
        after: Option<u64>,
        temporality: Temporality,
    ) {
        let key = key(family, sample);
        let last = self.sent.get(&key);
        if last.map(|last| last.time).max(after).is_some_and(|sent| time <= sent) {
            // The same sample again is not out of order.
            found.out_of_order += u64::from(last.is_none_or(|last| last.time != time));
            return;
        }
        let counts = rises(family.kind());
        let last = self.sent.remove(&key);
        let value = if counts { CountedValue::of(sample.value()) } else { None };
        let before = last.as_ref().and_then(|last| Some((last.value.as_ref()?, last)));
        let change = before.map(|(value, _)| Change::between(value.as_value(), sample.value()));
        let start = match (&change, &last) {
            (Some(change), Some(last)) if change.fell => last.time,
            (_, Some(last)) => last.start,
            _ => 0,
        };
        let (fell, comparable) = change.map_or((false, false), |change| (change.fell, change.comparable));
        let mut out = TimestampedSample { family: family_at, place, time, start, before: None };
        let mut is_sent = true;
        if is_delta(temporality, family.kind()) && !fell {
            is_sent = comparable;
            if let Some(last) = last.filter(|_| comparable) {
                (out.before, out.start) = (last.value, last.time);
            }
        }
        if is_sent {
            found.samples.push(out);
        }
        self.sent.insert(key, SentSample { time, start, value });
    }

    /// The series of which a sample was sent that is not older than a reading.
    fn ahead(&self, step: &Transition) -> HashSet<Key> {
        self.sent.iter().filter(|(_, sent)| sent.time >= step.time).map(|(key, _)| *key).collect()
    }

    fn is_plain(&self, family: &SelectedFamily<'_>) -> bool {
        self.all_plain || self.plain.contains(&family.name_identity())
    }

    fn add_plain(&mut self, family: &SelectedFamily<'_>) {
        if !self.all_plain {
            self.plain.insert(family.name_identity());
            self.all_plain = self.plain.len() > PLAIN_FAMILIES_MAX;
        }
        if self.all_plain {
            self.plain = HashSet::default();
        }
    }

    /// Forgets series of which no sample could be sent any more that is older than the last, and those that are too many.
    fn forget(&mut self, native: &SelectedFamilies, step: &Transition) {
        let mut retention =
            Retention::of(self.sent.values().map(|sent| sent.time), step.time, OMITTED_SERIES_MAX.max(native.kept as usize));
        self.all_plain |= retention.is_full;
        self.sent.retain(|_, sent| retention.keeps(sent.time));
    }

    /// Dates what is remembered no later than this.
    pub(super) fn rewind(&mut self, latest: u64) {
        self.sent.values_mut().for_each(|sent| rewind(&mut sent.start, &mut sent.time, latest));
    }
}
