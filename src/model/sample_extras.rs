//! Exemplars, start times (`_created`) and exponential buckets of series. Most series have none of these, so they are stored in separate
//! lists, by sample index.

use super::families::Text;
use super::identity::identity_of_labels;
use super::{ExponentialBuckets, Families, FamiliesBuilder, Repair, Repairs, SampleRef, unix_nanos};
use std::collections::HashMap;
use std::ops::Range;
use std::time::SystemTime;

/// Exemplars of one response. Each needs 48 bytes in addition to its labels.
const EXEMPLARS_MAX: usize = 100_000;
/// Characters in the labels of an exemplar, as OpenMetrics specifies.
pub const EXEMPLAR_CHARS_MAX: usize = 128;

/// The exemplars and start times of one response.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    exemplars: Vec<StoredExemplar>,
    /// Label names and values of all exemplars.
    labels: Vec<(Text, Text)>,
    /// Sample indices, ascending, and the start time of the series in Unix nanoseconds.
    created: Vec<(u32, u64)>,
    /// Sample indices, ascending, and the exponential buckets of histograms that have both kinds of buckets.
    exponential: Vec<(u32, ExponentialBuckets)>,
    /// Start times that did not directly follow their series: the name of the family, the identity of the series, and the time.
    unplaced: Vec<(Text, u64, u64)>,
}

#[derive(Clone, Debug)]
struct StoredExemplar {
    sample: u32,
    labels: Range<u32>,
    value: f64,
    time: u64,
}

/// One observation that a counter or a histogram counted, usually with a trace id.
#[derive(Clone, Copy)]
pub struct Exemplar<'a> {
    of: &'a Families,
    stored: &'a StoredExemplar,
}

impl<'a> Exemplar<'a> {
    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (of, range) = (self.of, self.stored.labels.start as usize..self.stored.labels.end as usize);
        of.extras.labels.get(range).unwrap_or_default().iter().map(move |(name, value)| (of.text(*name), of.text(*value)))
    }

    /// The observed value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.stored.value
    }

    /// The time of the observation in Unix nanoseconds; 0 if the server does not report it.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.stored.time
    }
}

impl<'a> SampleRef<'a> {
    /// The start time of the series in Unix nanoseconds, if the server reports it.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        let created = &self.families().extras.created;
        let found = (!created.is_empty()).then(|| created.binary_search_by_key(&self.index(), |(sample, _)| *sample));
        created.get(found?.ok()?).map(|(_, nanos)| *nanos)
    }

    /// The exponential buckets of a histogram, if it has them beside its classic ones.
    #[must_use]
    pub fn exponential(&self) -> Option<&'a ExponentialBuckets> {
        let all = &self.families().extras.exponential;
        let found = (!all.is_empty()).then(|| all.binary_search_by_key(&self.index(), |(sample, _)| *sample));
        all.get(found?.ok()?).map(|(_, buckets)| buckets)
    }

    /// The exemplars of the series.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar<'a>> + Clone + use<'a> {
        let (of, index) = (self.families(), self.index());
        let all = &of.extras.exemplars;
        let first = if all.is_empty() { 0 } else { all.partition_point(|stored| stored.sample < index) };
        let of_sample = all.get(first..).unwrap_or_default().iter().take_while(move |stored| stored.sample == index);
        of_sample.map(move |stored| Exemplar { of, stored })
    }
}

impl Families {
    /// Returns true if the server reports start times of series.
    pub(super) fn has_created(&self) -> bool {
        !self.extras.created.is_empty()
    }

    /// Returns true if any series has an exemplar.
    pub(super) fn has_exemplars(&self) -> bool {
        !self.extras.exemplars.is_empty()
    }

    /// Assigns the start times that did not directly follow their series. Those without a series are counted as repairs.
    pub(super) fn place_created(&mut self) {
        let unplaced = std::mem::take(&mut self.extras.unplaced);
        if unplaced.is_empty() {
            return;
        }
        // The start time, and whether a series has it.
        let mut wanted: HashMap<&str, HashMap<u64, (u64, bool)>> = HashMap::new();
        let mut duplicates = 0;
        for (family, identity, nanos) in &unplaced {
            let times = wanted.entry(self.text(*family)).or_default();
            duplicates += u64::from(times.contains_key(identity));
            times.entry(*identity).or_insert((*nanos, false));
        }
        let mut found = Vec::new();
        for family in self.iter() {
            let Some(times) = wanted.get_mut(family.name()) else { continue };
            for sample in family.samples() {
                let Some((nanos, has_series)) = times.get_mut(&sample.identity()) else { continue };
                *has_series = true;
                found.push((sample.index(), *nanos));
            }
        }
        let unmatched = wanted.values().flat_map(HashMap::values).filter(|(_, has_series)| !has_series).count();
        self.extras.created.extend(found);
        self.extras.created.sort_by_key(|(sample, _)| *sample);
        let placed = self.extras.created.len();
        self.extras.created.dedup_by_key(|(sample, _)| *sample);
        duplicates += (placed - self.extras.created.len()) as u64;
        let mut repairs = Repairs::default();
        repairs.add(Repair::Unreadable, unmatched as u64);
        repairs.add(Repair::DuplicateSeries, duplicates);
        self.add_repairs(&repairs);
    }
}

impl Extras {
    /// Renames the last family in the start times that have no series yet.
    pub(super) fn rename_family(&mut self, before: Text, now: Text) {
        let of_family = self.unplaced.iter_mut().rev().take_while(|(family, ..)| *family == before);
        of_family.for_each(|(family, ..)| *family = now);
    }

    /// Adds the start time of a series. Must be called in ascending order of samples.
    pub(super) fn add_created(&mut self, sample: u32, nanos: u64) {
        self.created.push((sample, nanos));
    }

    /// Adds an exemplar of a series. Must be called in ascending order of samples.
    pub(super) fn add_exemplar(&mut self, sample: u32, labels: &[(Text, Text)], value: f64, time: u64) {
        let first = self.labels.len() as u32;
        self.labels.extend_from_slice(labels);
        self.exemplars.push(StoredExemplar { sample, labels: first..self.labels.len() as u32, value, time });
    }

    /// The positions of all texts.
    pub(super) fn texts(&mut self) -> impl Iterator<Item = &mut Text> {
        self.labels.iter_mut().flat_map(|(name, value)| [name, value]).chain(self.unplaced.iter_mut().map(|(family, ..)| family))
    }

    /// The memory of the lists in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.exemplars.capacity() * size_of::<StoredExemplar>()
            + self.labels.capacity() * size_of::<(Text, Text)>()
            + self.created.capacity() * size_of::<(u32, u64)>()
            + self.exponential.capacity() * size_of::<(u32, ExponentialBuckets)>()
            + self.exponential.iter().map(|(_, buckets)| buckets.counts.capacity() * size_of::<u64>()).sum::<usize>()
            + self.unplaced.capacity() * size_of::<(Text, u64, u64)>()
    }

    /// Frees memory that was allocated and is not used.
    pub(super) fn shrink(&mut self) {
        self.exemplars.shrink_to_fit();
        self.labels.shrink_to_fit();
        self.created.shrink_to_fit();
        self.exponential.shrink_to_fit();
        self.unplaced.shrink_to_fit();
    }
}

impl Families {
    /// The same families without start times after `time`: the server's clock is wrong.
    #[must_use]
    pub fn without_starts_after(mut self, time: SystemTime) -> Self {
        let nanos = unix_nanos(time);
        self.extras.created.retain(|(_, created)| *created <= nanos);
        self
    }
}

impl FamiliesBuilder<'_> {
    /// Sets the start time of the series with these labels, of the last family.
    pub fn created<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone, nanos: u64) {
        if self.last_has_labels(labels.clone()) {
            return self.created_of_last(nanos);
        }
        match self.family_name().filter(|_| self.out.extras.unplaced.len() < self.limits().series_max) {
            Some(family) => self.out.extras.unplaced.push((family, identity_of_labels(labels), nanos)),
            None => self.repair(Repair::Unreadable),
        }
    }

    /// Sets the start time of the last series.
    pub fn created_of_last(&mut self, nanos: u64) {
        let Some(last) = self.series().checked_sub(1).map(|last| last as u32) else { return };
        if self.out.extras.created.last().is_none_or(|(sample, _)| *sample < last) {
            self.out.extras.created.push((last, nanos));
        } else {
            self.repair(Repair::DuplicateSeries);
        }
    }

    /// Adds exponential buckets to the last series, a histogram with the same observations in classic buckets.
    pub fn exponential(&mut self, buckets: ExponentialBuckets) {
        if let Some(last) = self.series().checked_sub(1) {
            self.out.extras.exponential.push((last as u32, buckets));
        }
    }

    /// Adds an exemplar to the last series. `nanos` is 0 if its time is not known.
    pub fn exemplar<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone, value: f64, nanos: u64) {
        let chars: usize = labels.clone().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        let Some(last) = self.series().checked_sub(1) else { return };
        if chars > EXEMPLAR_CHARS_MAX || value.is_nan() || self.out.extras.exemplars.len() >= EXEMPLARS_MAX {
            return self.repair(Repair::ExemplarDropped);
        }
        let first = self.out.extras.labels.len() as u32;
        for (name, value) in labels {
            let label = (self.text(name), self.text(value));
            self.out.extras.labels.push(label);
        }
        let labels = first..self.out.extras.labels.len() as u32;
        self.out.extras.exemplars.push(StoredExemplar { sample: last as u32, labels, value, time: nanos });
    }
}
