//! The state of native series: the reading before, and a start for each of its counters.
//!
//! # No second copy of labels
//!
//! What is remembered is the reading itself, shared, and eight bytes a counter in the order of the reading. A new reading is
//! compared with it in lock-step, because servers mostly say the same series in the same order; around a series that came or
//! went the two are found together again by looking a few series ahead, and only what is left over is told apart by hash.

use super::counted::{Change, CountedValue};
use super::created::apply_created;
use super::omitted::{OMITTED_SECONDS_MAX, OMITTED_SERIES_MAX, Retention};
use super::timestamped::{Timestamped, TimestampedSamples};
use super::{Transition, is_delta, rewind};
use crate::config::Temporality;
use crate::model::{FamilyType, SamplePosition, SamplePositions, SampleRef, SelectedFamilies, SelectedFamily, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How far ahead a series is looked for where lock-step breaks.
const AHEAD_MAX: usize = 8;
/// How often in a row it may be looked for in vain, before the rest of a family is taken to be in another order.
const MISSES_MAX: usize = 32;
/// What the families of a histogram are called whose type was not said.
const PIECES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// What is remembered of a target's native series.
#[derive(Debug, Default)]
pub(super) struct NativeStarts {
    known: Option<LastGoodReading>,
    omitted: OmittedSeries,
    timestamped: Timestamped,
}

/// The last good reading.
#[derive(Debug)]
struct LastGoodReading {
    native: Arc<SelectedFamilies>,
    time: u64,
    /// Of each series of the families that only rise, in their order; 0 is unset.
    starts: Arc<Vec<u64>>,
    /// The ends of its series were told; they are kept in case that they come back.
    ended: bool,
}

/// Counters and histograms that good readings omitted, by their identity.
#[derive(Debug, Default)]
struct OmittedSeries {
    series: HashMap<(u64, u64), Omitted, foldhash::fast::FixedState>,
    /// When the last one was forgotten because there were too many: what is new for a while may have been there before.
    forgotten_at: Option<u64>,
}

/// A series that was omitted, as it was last seen.
#[derive(Debug)]
struct Omitted {
    /// 0 is unset.
    start: u64,
    time: u64,
    value: CountedValue,
}

impl OmittedSeries {
    /// The identity of a series over all readings: counters and histograms of one name are different series.
    fn key(family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> (u64, u64) {
        (family.name_identity() ^ u64::from(family.kind() == FamilyType::Histogram), sample.identity())
    }

    /// Forgets what has not been seen for too long, or is too much.
    fn forget(&mut self, now: u64) {
        if self.series.is_empty() {
            return;
        }
        let mut retention = Retention::of(self.series.values().map(|omitted| omitted.time), now, OMITTED_SERIES_MAX);
        if retention.is_full {
            self.forgotten_at = Some(now);
        }
        self.series.retain(|_, omitted| retention.keeps(omitted.time));
    }

    /// Whether a series that appears now may have been forgotten.
    fn may_have_forgotten(&self, now: u64) -> bool {
        self.forgotten_at.is_some_and(|at| now.saturating_sub(at) <= OMITTED_SECONDS_MAX * 1_000_000_000)
    }
}

/// How the native families of a reading are told.
#[derive(Debug)]
pub struct NativeReport {
    /// The families.
    pub native: Arc<SelectedFamilies>,
    /// When they were read.
    pub time: u64,
    /// What points are: cumulative, or deltas.
    pub temporality: Temporality,
    /// When each series of the families that only rise began, in their order; 0 is unset.
    pub starts: Arc<Vec<u64>>,
    /// What each series of the families that are told as deltas is told from, in their order; `None` when all were told already.
    bases: Option<Vec<DeltaBase>>,
    /// The reading before, where something is told from it, and its time.
    before: Option<(Arc<SelectedFamilies>, u64)>,
    /// Series that came back, as they were before they were omitted.
    resumed: Vec<(CountedValue, u64)>,
    gone: EndedSeries,
    /// Samples that have a time of their own.
    pub timestamped: TimestampedSamples,
}

/// What a delta is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaBase {
    /// From nothing: it began anew, at its start.
    Zero,
    /// From the reading before.
    Before(SamplePosition),
    /// From what it was before it was omitted; its number among those that came back.
    Resumed(u32),
    /// There is nothing to tell it from.
    Unknown,
}

#[derive(Debug)]
enum EndedSeries {
    /// Series of the reading before, by the place of their family.
    Some(Vec<(u32, SamplePosition)>),
    /// All of the reading before.
    All,
}

impl EndedSeries {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(gone) if gone.is_empty())
    }
}

impl NativeReport {
    /// Whether points of this kind are deltas.
    #[must_use]
    pub fn is_delta(&self, kind: FamilyType) -> bool {
        is_delta(self.temporality, kind)
    }

    /// What the series at this place of all that are told as deltas is told from.
    #[must_use]
    pub fn base(&self, at: usize) -> DeltaBase {
        self.bases.as_ref().and_then(|bases| bases.get(at)).copied().unwrap_or(DeltaBase::Unknown)
    }

    /// The value that a delta is told from, and its time; nothing where it is told from zero or not at all.
    #[must_use]
    pub fn before(&self, base: DeltaBase) -> Option<(Value<'_>, u64)> {
        match base {
            DeltaBase::Before(place) => {
                let (native, time) = self.before.as_ref()?;
                Some((native.sample(place)?.value(), *time))
            }
            DeltaBase::Resumed(number) => self.resumed.get(number as usize).map(|(value, time)| (value.as_value(), *time)),
            DeltaBase::Zero | DeltaBase::Unknown => None,
        }
    }

    /// The same without the ends of series.
    #[must_use]
    pub fn without_ends(mut self) -> Self {
        self.gone = EndedSeries::Some(Vec::new());
        self
    }

    /// Series that are gone, by their family; each family's together.
    #[must_use]
    pub fn gone(&self) -> Option<EndedSamples<'_>> {
        let (native, _) = self.before.as_ref()?;
        Some(match &self.gone {
            EndedSeries::Some(gone) => EndedSamples { native, family: 0, places: None, listed: gone.iter() },
            EndedSeries::All => {
                EndedSamples { native, family: 0, places: (!native.is_empty()).then(|| native.at(0).places()), listed: [].iter() }
            }
        })
    }
}

/// Series that are gone, each with its family.
#[derive(Clone, Debug)]
pub struct EndedSamples<'a> {
    native: &'a SelectedFamilies,
    family: usize,
    places: Option<SamplePositions<'a>>,
    listed: std::slice::Iter<'a, (u32, SamplePosition)>,
}

impl<'a> EndedSamples<'a> {
    /// The reading that they stand in.
    #[must_use]
    pub fn native(&self) -> &'a SelectedFamilies {
        self.native
    }
}

impl Iterator for EndedSamples<'_> {
    type Item = (usize, SamplePosition);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(places) = &mut self.places {
            if let Some(place) = places.find(|place| is_told(self.native, *place)) {
                return Some((self.family, place));
            }
            self.family += 1;
            self.places = (self.family < self.native.len()).then(|| self.native.at(self.family).places());
        }
        self.listed.next().map(|(family, place)| (*family as usize, *place))
    }
}

impl NativeStarts {
    /// Takes a reading, and says how it is told.
    pub(super) fn read(&mut self, native: &Arc<SelectedFamilies>, step: &Transition, temporality: Temporality) -> NativeReport {
        let time = step.time;
        let told = |before: Option<(Arc<SelectedFamilies>, u64)>, gone| NativeReport {
            native: native.clone(),
            time,
            temporality,
            starts: Arc::default(),
            bases: None,
            before,
            resumed: Vec::new(),
            gone,
            timestamped: TimestampedSamples::default(),
        };
        if !step.moment.good {
            let ended = self.known.as_mut().is_none_or(|known| std::mem::replace(&mut known.ended, true));
            let known = self.known.as_ref().filter(|_| !ended);
            let timestamped = self.timestamped.between(step);
            return NativeReport { timestamped, ..told(known.map(|known| (known.native.clone(), known.time)), EndedSeries::All) };
        }
        let mut comparison = Comparison::new(self.known.as_ref(), &mut self.omitted, native, step, temporality);
        comparison.compare();
        let Comparison { mut starts, mut bases, resumed, gone, appeared, .. } = comparison;
        let timestamped = self.timestamped.read(native, &appeared, step, temporality);
        let before = self.known.as_ref().map(|known| known.time);
        apply_created(native, step, temporality, before, &resumed, (&mut starts, &mut bases));
        self.omitted.forget(time);
        let starts = Arc::new(starts);
        let known = self.known.replace(LastGoodReading { native: native.clone(), time, starts: starts.clone(), ended: false });
        // Another name is another series, of the same counter.
        let renamed = known.as_ref().is_some_and(|known| !known.ended && known.native.prefix() != native.prefix());
        let gone = if renamed { EndedSeries::All } else { EndedSeries::Some(gone) };
        // Otherwise nobody needs it any more, and it may be large.
        let needed = !gone.is_empty() || !bases.is_empty();
        let before = known.filter(|_| needed).map(|known| (known.native, known.time));
        NativeReport { starts, bases: Some(bases), resumed, timestamped, ..told(before, gone) }
    }

    /// Dates what is remembered no later than this.
    pub(super) fn rewind(&mut self, latest: u64) {
        if let Some(known) = &mut self.known {
            known.time = latest.min(known.time);
            if known.starts.iter().any(|start| *start > known.time) {
                Arc::make_mut(&mut known.starts).iter_mut().filter(|start| **start > known.time).for_each(|start| *start = 0);
            }
        }
        self.omitted.series.values_mut().for_each(|omitted| rewind(&mut omitted.start, &mut omitted.time, latest));
        self.timestamped.rewind(latest);
        self.omitted.forgotten_at.iter_mut().for_each(|time| *time = latest.min(*time));
    }
}

/// A value that is not a number is not exported, as if the series were gone.
pub(super) fn is_nan(value: Value<'_>) -> bool {
    matches!(value, Value::Number(n) if n.is_nan())
}

/// Whether a sample is exported with the time of the reading.
fn is_plain(sample: &SampleRef<'_>) -> bool {
    !is_nan(sample.value()) && sample.timestamp().is_none()
}

/// The identities of the series of a family that are told.
fn told_identities(family: &SelectedFamily<'_>) -> HashSet<u64> {
    family.samples().filter(|sample| !is_nan(sample.value())).map(|sample| sample.identity()).collect()
}

fn is_told(native: &SelectedFamilies, place: SamplePosition) -> bool {
    native.sample(place).is_none_or(|sample| is_plain(&sample))
}

pub(super) fn rises(kind: FamilyType) -> bool {
    matches!(kind, FamilyType::Counter | FamilyType::Histogram)
}

/// A reading against the one before.
struct Comparison<'a> {
    known: Option<&'a LastGoodReading>,
    omitted: &'a mut OmittedSeries,
    native: &'a SelectedFamilies,
    step: &'a Transition,
    temporality: Temporality,
    starts: Vec<u64>,
    bases: Vec<DeltaBase>,
    resumed: Vec<(CountedValue, u64)>,
    gone: Vec<(u32, SamplePosition)>,
    /// Places of families that were not there before, or as another type.
    appeared: Vec<usize>,
}

/// A family now and before.
struct FamilyPair {
    /// Its place before.
    at: usize,
    /// Places of its first start now, of its first base, and of its first start before.
    starts: usize,
    bases: usize,
    starts_before: usize,
    rises: bool,
    delta: bool,
    /// Readings as this family's counters see them. Those that a server calls gauges are another program's, which it asks itself
    /// (EmailEngine's Redis): they did not begin when the server did.
    step: Transition,
}

impl<'a> Comparison<'a> {
    fn new(
        known: Option<&'a LastGoodReading>,
        omitted: &'a mut OmittedSeries,
        native: &'a SelectedFamilies,
        step: &'a Transition,
        temporality: Temporality,
    ) -> Self {
        let rising = |delta: bool| {
            let counts = |family: &SelectedFamily<'_>| rises(family.kind()) && (!delta || is_delta(temporality, family.kind()));
            native.families().filter(counts).map(|family| family.series()).sum()
        };
        let (starts, bases) = (Vec::with_capacity(rising(false)), Vec::with_capacity(rising(true)));
        Self { known, omitted, native, step, temporality, starts, bases, resumed: Vec::new(), gone: Vec::new(), appeared: Vec::new() }
    }

    fn compare(&mut self) {
        // Both are sorted by scope and name.
        let (mut at, mut starts_before) = (0, 0);
        for (place, family) in self.native.families().enumerate() {
            let (mut found, mut retyped) = (None, false);
            while let Some(before) = self.before(at).filter(|before| before.key() <= family.key()) {
                let same = before.key() == family.key();
                if same && before.kind() == family.kind() {
                    found = Some((at, before, starts_before));
                } else {
                    retyped |= same;
                    self.all_gone(at, &before, starts_before, same.then_some(&family));
                }
                starts_before += if rises(before.kind()) { before.series() } else { 0 };
                at += 1;
            }
            let pair = self.begin(&family, retyped, found.as_ref().map(|(at, before, starts)| (*at, before, *starts)));
            match found {
                Some((_, before, _)) => self.family(&pair, &family, &before),
                None => {
                    self.appeared.push(place);
                    self.resume_all(&pair, &family);
                }
            }
        }
        while let Some(before) = self.before(at) {
            self.all_gone(at, &before, starts_before, None);
            starts_before += if rises(before.kind()) { before.series() } else { 0 };
            at += 1;
        }
    }

    fn before(&self, at: usize) -> Option<SelectedFamily<'a>> {
        let native = &self.known?.native;
        (at < native.len()).then(|| native.at(at))
    }

    /// A family that is gone, or that became one of another type.
    fn all_gone(&mut self, at: usize, before: &SelectedFamily<'a>, starts_before: usize, retyped: Option<&SelectedFamily<'a>>) {
        let Some(known) = self.known else { return };
        if !known.ended && !self.is_in_other_pieces(before) {
            let names: HashSet<u64> = retyped.map(told_identities).unwrap_or_default();
            let is_gone = |place: &SamplePosition| {
                let sample = known.native.sample(*place).filter(is_plain);
                sample.is_some_and(|sample| !names.contains(&sample.identity()))
            };
            self.gone.extend(before.places().filter(is_gone).map(|place| (at as u32, place)));
        }
        self.remember(known, before, starts_before, before.places().enumerate());
    }

    /// Whether the lines of a family have become families of their own, or one of their own has become a line of a distribution: its end
    /// would be one of the points that have its name now.
    fn is_in_other_pieces(&self, before: &SelectedFamily<'_>) -> bool {
        let name = before.own_name();
        if before.kind().is_number() {
            let of = |piece: &&str| name.strip_suffix(piece).and_then(|base| self.native.find(before.scope(), base));
            PIECES.iter().filter_map(of).any(|family| !family.kind().is_number())
        } else {
            PIECES.iter().any(|piece| self.native.find(before.scope(), &format!("{name}{piece}")).is_some())
        }
    }

    /// Remembers counters and histograms of the reading before that this one omits.
    fn remember(
        &mut self,
        known: &LastGoodReading,
        before: &SelectedFamily<'_>,
        starts: usize,
        omitted: impl Iterator<Item = (usize, SamplePosition)>,
    ) {
        let dropped = self.step.moment.drops_idle_series && self.step.moment.complete;
        if dropped || !rises(before.kind()) {
            return;
        }
        for (index, place) in omitted {
            let Some(sample) = known.native.sample(place).filter(is_plain) else { continue };
            let Some(value) = CountedValue::of(sample.value()) else { continue };
            let start = known.starts.get(starts + index).copied().unwrap_or(0);
            self.omitted.series.insert(OmittedSeries::key(before, &sample), Omitted { start, time: known.time, value });
        }
    }

    /// Resumes those series of a family that were omitted for a while.
    fn resume_all(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>) {
        if pair.rises && !self.omitted.series.is_empty() {
            family.places().enumerate().for_each(|now| self.resume(pair, family, now));
        }
    }

    fn resume(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>, (index, place): (usize, SamplePosition)) {
        let Some(sample) = self.native.sample(place).filter(|sample| !is_nan(sample.value())) else { return };
        let Some(omitted) = self.omitted.series.remove(&OmittedSeries::key(family, &sample)) else { return };
        let change = Change::between(omitted.value.as_value(), sample.value());
        let (start, base) = match pair.step.reset(change.fell, omitted.time) {
            Some(start) => (start, DeltaBase::Zero),
            None if change.comparable && pair.delta => (omitted.start, DeltaBase::Resumed(self.resumed.len() as u32)),
            None => (omitted.start, DeltaBase::Unknown),
        };
        if matches!(base, DeltaBase::Resumed(_)) {
            self.resumed.push((omitted.value, omitted.time));
        }
        self.set(pair, index, start, base);
    }

    /// Sets the start time and the base of a series of this reading.
    #[inline]
    fn set(&mut self, pair: &FamilyPair, index: usize, start: u64, base: DeltaBase) {
        if let Some(slot) = self.starts.get_mut(pair.starts + index) {
            *slot = start;
        }
        if pair.delta
            && let Some(slot) = self.bases.get_mut(pair.bases + index)
        {
            *slot = base;
        }
    }

    /// Whether a family that was not there before may have been left out, or may have stood there as something else.
    fn was_hidden(&self, family: &SelectedFamily<'_>) -> bool {
        let in_pieces = |known: &LastGoodReading| {
            PIECES.iter().any(|piece| known.native.find(family.scope(), &format!("{}{piece}", family.own_name())).is_some())
        };
        self.known.is_some_and(|known| known.native.dropped > 0 || family.kind() == FamilyType::Histogram && in_pieces(known))
    }

    /// Every series of the family as if it were new.
    fn begin(&mut self, family: &SelectedFamily<'_>, retyped: bool, before: Option<(usize, &SelectedFamily<'_>, usize)>) -> FamilyPair {
        let (at, starts_before) = before.map_or((0, 0), |(at, _, starts)| (at, starts));
        let thinned = before.map_or_else(|| retyped || self.was_hidden(family), |(_, before, _)| before.is_thinned());
        let (rises, delta) = (rises(family.kind()), is_delta(self.temporality, family.kind()));
        let forgotten = self.omitted.may_have_forgotten(self.step.time);
        let step = if thinned || forgotten { self.step.of_thinned() } else { *self.step };
        let step = if family.is_retyped() { step.of_others() } else { step };
        let new = step.start_of_new();
        let pair = FamilyPair { at, starts: self.starts.len(), bases: self.bases.len(), starts_before, rises, delta, step };
        if rises {
            self.starts.resize(pair.starts + family.series(), new);
        }
        if delta {
            let base = if step.is_untold(new) { DeltaBase::Zero } else { DeltaBase::Unknown };
            self.bases.resize(pair.bases + family.series(), base);
        }
        pair
    }

    fn family(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>, before: &SelectedFamily<'a>) {
        let Some(known) = self.known else { return };
        let same = |now: SamplePosition, was: SamplePosition| match (self.native.sample(now), known.native.sample(was)) {
            (Some(now), Some(was)) => now.has_labels_of(&was),
            _ => false,
        };
        let (mut now, mut was) = (family.places().enumerate(), before.places().enumerate());
        let (mut left_now, mut left_was) = (Vec::new(), Vec::new());
        let mut misses = 0;
        loop {
            let (a, b) = match (now.next(), was.next()) {
                (Some(a), Some(b)) => (a, b),
                (a, b) => {
                    left_now.extend(a);
                    left_was.extend(b);
                    break;
                }
            };
            if same(a.1, b.1) {
                misses = 0;
                self.matched(pair, known, family, a, b);
                continue;
            }
            if misses < MISSES_MAX {
                misses += 1;
                if let Some(skip) = was.clone().take(AHEAD_MAX).position(|(_, later)| same(a.1, later)) {
                    left_was.push(b);
                    left_was.extend(was.by_ref().take(skip));
                    if let Some(b) = was.next() {
                        self.matched(pair, known, family, a, b);
                    }
                    continue;
                }
                if let Some(skip) = now.clone().take(AHEAD_MAX).position(|(_, later)| same(later, b.1)) {
                    left_now.push(a);
                    left_now.extend(now.by_ref().take(skip));
                    if let Some(a) = now.next() {
                        self.matched(pair, known, family, a, b);
                    }
                    continue;
                }
            }
            left_now.push(a);
            left_was.push(b);
        }
        left_now.extend(now);
        left_was.extend(was);
        self.left_over(pair, known, (family, left_now), (before, left_was));
    }

    /// Finds together what lock-step did not. What is left after that has come back, is new, or is omitted.
    fn left_over(
        &mut self,
        pair: &FamilyPair,
        known: &LastGoodReading,
        (family, now): (&SelectedFamily<'a>, Vec<(usize, SamplePosition)>),
        (before, mut was): (&SelectedFamily<'a>, Vec<(usize, SamplePosition)>),
    ) {
        let mut appeared = now;
        if !appeared.is_empty() && !was.is_empty() {
            let identity = |native: &SelectedFamilies, place| native.sample(place).map(|sample| sample.identity());
            let mut by_identity = HashMap::with_capacity_and_hasher(was.len(), foldhash::fast::FixedState::default());
            by_identity.extend(was.drain(..).filter_map(|b| Some((identity(&known.native, b.1)?, b))));
            appeared.retain(|a| match identity(self.native, a.1).and_then(|identity| by_identity.remove(&identity)) {
                Some(b) => {
                    self.matched(pair, known, family, *a, b);
                    false
                }
                None => true,
            });
            was.extend(by_identity.into_values());
            was.sort_unstable();
        }
        if pair.rises && !self.omitted.series.is_empty() {
            appeared.into_iter().for_each(|a| self.resume(pair, family, a));
        }
        if !known.ended {
            let gone = was.iter().map(|(_, place)| *place).filter(|place| is_told(&known.native, *place));
            self.gone.extend(gone.map(|place| (pair.at as u32, place)));
        }
        self.remember(known, before, pair.starts_before, was.into_iter());
    }

    #[inline]
    fn matched(
        &mut self,
        pair: &FamilyPair,
        known: &LastGoodReading,
        family: &SelectedFamily<'a>,
        now: (usize, SamplePosition),
        was: (usize, SamplePosition),
    ) {
        let (Some(now_sample), Some(was_sample)) = (self.native.sample(now.1), known.native.sample(was.1)) else { return };
        let (now_value, was_value) = (now_sample.value(), was_sample.value());
        // One that has an explicit timestamp now goes on with that, and an end could be after it.
        if !known.ended && is_nan(now_value) && now_sample.timestamp().is_none() && is_plain(&was_sample) {
            self.gone.push((pair.at as u32, was.1));
        }
        if !pair.rises {
            return;
        }
        let change = Change::between(was_value, now_value);
        let (start, base) = match pair.step.reset(change.fell, known.time) {
            Some(start) => (start, DeltaBase::Zero),
            None => {
                let start = known.starts.get(pair.starts_before + was.0).copied().unwrap_or(0);
                (start, if change.comparable { DeltaBase::Before(was.1) } else { DeltaBase::Unknown })
            }
        };
        self.set(pair, now.0, start, base);
        // A counter that is not a number is not exported, as if it were omitted.
        if is_nan(now_value) && !is_nan(was_value) {
            self.remember(known, family, pair.starts_before, std::iter::once(was));
        } else if is_nan(was_value) && !self.omitted.series.is_empty() {
            self.resume(pair, family, now);
        }
    }
}
