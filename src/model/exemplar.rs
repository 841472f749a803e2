//! What a few series have besides a value: exemplars, and the time when they were created. Most have neither, so both stand in lists of
//! their own, by the position of the series.

use super::families::Text;
use super::identity::of_labels;
use super::{Families, FamiliesBuilder, Repair, SampleRef};
use std::collections::HashMap;
use std::ops::Range;

/// Exemplars of one response; each takes 48 bytes beside its labels.
const EXEMPLARS_MAX: usize = 100_000;
/// Characters in the labels of an exemplar, as OpenMetrics has it.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// The lists of one response.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    exemplars: Vec<Kept>,
    /// Label names and values of all exemplars.
    labels: Vec<(Text, Text)>,
    /// Positions of series, rising, and when they were created in Unix nanoseconds.
    created: Vec<(u32, u64)>,
    /// The same by the name of the family and the identity of the series, where that is not the series before.
    unplaced: Vec<(Text, u64, u64)>,
}

#[derive(Clone, Debug)]
struct Kept {
    sample: u32,
    labels: Range<u32>,
    value: f64,
    time: u64,
}

/// One observation that a counter or a bucket counts, with a trace most of the time.
#[derive(Clone, Copy)]
pub struct Exemplar<'a> {
    of: &'a Families,
    kept: &'a Kept,
}

impl<'a> Exemplar<'a> {
    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (of, range) = (self.of, self.kept.labels.start as usize..self.kept.labels.end as usize);
        of.extras.labels.get(range).unwrap_or_default().iter().map(move |(name, value)| (of.text(*name), of.text(*value)))
    }

    /// The observed value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.kept.value
    }

    /// When it was observed in Unix nanoseconds; 0 where the server does not report it.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.kept.time
    }
}

impl<'a> SampleRef<'a> {
    /// When the series began, in Unix nanoseconds, where the server reports it.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        let created = &self.families().extras.created;
        let at = (!created.is_empty()).then(|| created.binary_search_by_key(&self.position(), |(sample, _)| *sample));
        created.get(at?.ok()?).map(|(_, nanos)| *nanos)
    }

    /// The exemplars of the series.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar<'a>> + Clone + use<'a> {
        let (of, position) = (self.families(), self.position());
        let all = &of.extras.exemplars;
        let first = if all.is_empty() { 0 } else { all.partition_point(|kept| kept.sample < position) };
        all.get(first..).unwrap_or_default().iter().take_while(move |kept| kept.sample == position).map(move |kept| Exemplar { of, kept })
    }
}

impl Families {
    /// Whether the server reports when series began.
    pub(super) fn has_created(&self) -> bool {
        !self.extras.created.is_empty()
    }

    /// Whether any series has an exemplar.
    pub(super) fn has_exemplars(&self) -> bool {
        !self.extras.exemplars.is_empty()
    }

    /// Finds the series whose times did not follow them.
    pub(super) fn place_created(&mut self) {
        let unplaced = std::mem::take(&mut self.extras.unplaced);
        if unplaced.is_empty() {
            return;
        }
        let mut wanted: HashMap<&str, HashMap<u64, u64>> = HashMap::new();
        for (family, identity, nanos) in &unplaced {
            wanted.entry(self.text(*family)).or_default().insert(*identity, *nanos);
        }
        let mut found = Vec::new();
        for family in self.iter() {
            let Some(wanted) = wanted.get(family.name()) else { continue };
            found.extend(family.samples().filter_map(|sample| Some((sample.position(), *wanted.get(&sample.identity())?))));
        }
        self.extras.created.extend(found);
        self.extras.created.sort_unstable();
        self.extras.created.dedup_by_key(|(sample, _)| *sample);
    }
}

impl Extras {
    /// Adds when a series was created. Positions rise.
    pub(super) fn add_created(&mut self, sample: u32, nanos: u64) {
        self.created.push((sample, nanos));
    }

    /// Adds an exemplar of a series. Positions rise.
    pub(super) fn add_exemplar(&mut self, sample: u32, labels: &[(Text, Text)], value: f64, time: u64) {
        let first = self.labels.len() as u32;
        self.labels.extend_from_slice(labels);
        self.exemplars.push(Kept { sample, labels: first..self.labels.len() as u32, value, time });
    }

    /// The memory that they keep.
    pub(super) fn memory_bytes(&self) -> usize {
        self.exemplars.capacity() * size_of::<Kept>()
            + self.labels.capacity() * size_of::<(Text, Text)>()
            + self.created.capacity() * size_of::<(u32, u64)>()
            + self.unplaced.capacity() * size_of::<(Text, u64, u64)>()
    }

    /// Returns memory that was allocated and is not used.
    pub(super) fn shrink(&mut self) {
        self.exemplars.shrink_to_fit();
        self.labels.shrink_to_fit();
        self.created.shrink_to_fit();
        self.unplaced.shrink_to_fit();
    }
}

impl FamiliesBuilder<'_> {
    /// Sets when the series with these labels began, of the family that was begun last.
    pub fn created<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone, nanos: u64) {
        if self.last_has_labels(labels.clone()) {
            self.created_of_last(nanos);
        } else if let Some(family) = self.family_name().filter(|_| self.out.extras.unplaced.len() < self.bounds().series_max) {
            self.out.extras.unplaced.push((family, of_labels(labels), nanos));
        }
    }

    /// Sets when the series that was added last began.
    pub fn created_of_last(&mut self, nanos: u64) {
        if let Some(last) = self.series().checked_sub(1).map(|last| last as u32)
            && self.out.extras.created.last().is_none_or(|(sample, _)| *sample < last)
        {
            self.out.extras.created.push((last, nanos));
        }
    }

    /// Adds an exemplar to the series that was added last. `nanos` is 0 where its time is not known.
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
        self.out.extras.exemplars.push(Kept { sample: last as u32, labels, value, time: nanos });
    }
}
