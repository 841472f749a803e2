//! The state of native series: the reading before, and a start for each of its counters.
//!
//! # No second copy of labels
//!
//! What is remembered is the reading itself, shared, and eight bytes a counter in the order of the reading. A new reading is
//! compared with it in lock-step, because servers mostly say the same series in the same order; around a series that came or
//! went the two are found together again by looking a few series ahead, and only what is left over is told apart by hash.

use super::histograms::fell;
use super::{Step, end_after, is_delta};
use crate::config::Temporality;
use crate::model::{FamilyType, Native, NativeFamily, Place, Places, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// How far ahead a series is looked for where lock-step breaks.
const AHEAD_MAX: usize = 8;
/// How often in a row it may be looked for in vain, before the rest of a family is taken to be in another order.
const MISSES_MAX: usize = 32;
/// What the families of a histogram are called whose type was not said.
const PIECES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// What is remembered of a target's native series.
#[derive(Debug, Default)]
pub(super) struct Relay {
    known: Option<Known>,
}

/// The last good reading.
#[derive(Debug)]
struct Known {
    native: Arc<Native>,
    time: u64,
    /// Of each series of the families that only rise, in their order; 0 is unset.
    starts: Arc<Vec<u64>>,
    /// The ends of its series were told; they are kept in case that they come back.
    ended: bool,
    /// A later reading was not kept in its place, because the clock was set back.
    behind: bool,
}

impl Known {
    /// From now on it was read at this time, which is earlier: nothing can have begun later.
    fn set_back(&mut self, time: u64) {
        self.time = time;
        if self.starts.iter().any(|start| *start > time) {
            Arc::make_mut(&mut self.starts).iter_mut().filter(|start| **start > time).for_each(|start| *start = 0);
        }
    }
}

/// How the native families of a reading are told.
#[derive(Debug)]
pub struct Relayed {
    /// The families.
    pub native: Arc<Native>,
    /// When they were read.
    pub time: u64,
    /// What points are: cumulative, or deltas.
    pub temporality: Temporality,
    /// When each series of the families that only rise began, in their order; 0 is unset.
    pub starts: Arc<Vec<u64>>,
    /// What each series of the families that are told as deltas is told from, in their order; `None` when all were told already.
    bases: Option<Vec<Base>>,
    /// The reading before, where something is told from it, and its time.
    before: Option<(Arc<Native>, u64)>,
    gone: Gone,
    /// When series that are gone ended; where there are any.
    pub ended: u64,
}

/// What a delta is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// From nothing: it began anew, at its start.
    Zero,
    /// From the reading before.
    Before(Place),
    /// There is nothing to tell it from.
    Unknown,
}

#[derive(Debug)]
enum Gone {
    /// Series of the reading before, by the place of their family.
    Some(Vec<(u32, Place)>),
    /// All of the reading before.
    All,
}

impl Gone {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(gone) if gone.is_empty())
    }
}

impl Relayed {
    /// Whether points of this kind are deltas.
    #[must_use]
    pub fn is_delta(&self, kind: FamilyType) -> bool {
        is_delta(self.temporality, kind)
    }

    /// What the series at this place of all that are told as deltas is told from.
    #[must_use]
    pub fn base(&self, at: usize) -> Base {
        self.bases.as_ref().and_then(|bases| bases.get(at)).copied().unwrap_or(Base::Unknown)
    }

    /// The value of a series in the reading before.
    #[must_use]
    pub fn before(&self, place: Place) -> Option<Value<'_>> {
        Some(self.before.as_ref()?.0.sample(place)?.value())
    }

    /// When the reading before was read.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.before.as_ref().map_or(0, |(_, time)| *time)
    }

    /// The same without the ends of series.
    #[must_use]
    pub fn without_ends(mut self) -> Self {
        self.gone = Gone::Some(Vec::new());
        self
    }

    /// Series that are gone, by their family; each family's together.
    #[must_use]
    pub fn gone(&self) -> Option<Ends<'_>> {
        let (native, _) = self.before.as_ref()?;
        Some(match &self.gone {
            Gone::Some(gone) => Ends { native, family: 0, places: None, listed: gone.iter() },
            Gone::All => Ends { native, family: 0, places: (!native.is_empty()).then(|| native.at(0).places()), listed: [].iter() },
        })
    }
}

/// Series that are gone, each with its family.
#[derive(Clone, Debug)]
pub struct Ends<'a> {
    native: &'a Native,
    family: usize,
    places: Option<Places<'a>>,
    listed: std::slice::Iter<'a, (u32, Place)>,
}

impl<'a> Ends<'a> {
    /// The reading that they stand in.
    #[must_use]
    pub fn native(&self) -> &'a Native {
        self.native
    }
}

impl Iterator for Ends<'_> {
    type Item = (usize, Place);

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

impl Relay {
    /// Takes a reading, and says how it is told.
    pub(super) fn read(&mut self, native: &Arc<Native>, step: &Step, temporality: Temporality) -> Relayed {
        let told = |before: Option<(Arc<Native>, u64)>, gone| Relayed {
            native: native.clone(),
            time: step.moment.reading,
            temporality,
            starts: Arc::default(),
            bases: None,
            ended: end_after(before.as_ref().map_or(0, |(_, time)| *time)),
            before,
            gone,
        };
        match &mut self.known {
            Some(known) if !step.moment.good => {
                let first = !std::mem::replace(&mut known.ended, true);
                told(first.then(|| (known.native.clone(), known.time)), Gone::All)
            }
            None if !step.moment.good => told(None, Gone::All),
            Some(known) if Arc::ptr_eq(&known.native, native) => {
                known.ended = false;
                Relayed { starts: known.starts.clone(), ..told(None, Gone::Some(Vec::new())) }
            }
            known => {
                let time = step.moment.reading;
                let behind = known.as_ref().is_some_and(|known| time <= known.time);
                if let Some(known) = known.as_mut().filter(|_| behind) {
                    known.set_back(time);
                }
                let mut comparison = Comparison::new(known.as_ref(), native, step, temporality);
                comparison.compare();
                let Comparison { starts, bases, gone, .. } = comparison;
                let starts = Arc::new(starts);
                if let Some(known) = known.as_mut().filter(|_| behind && temporality != Temporality::Cumulative) {
                    // A delta cannot span no time or less: the next reading tells it.
                    known.behind = true;
                    return Relayed { starts, ..told(None, Gone::Some(Vec::new())) };
                }
                let now = Known { native: native.clone(), time, starts: starts.clone(), ended: false, behind: false };
                let known = known.replace(now);
                // Another name is another series, of the same counter.
                let renamed = known.as_ref().is_some_and(|known| !known.ended && known.native.prefix() != native.prefix());
                let gone = if renamed { Gone::All } else { Gone::Some(gone) };
                // Otherwise nobody needs it any more, and it may be large.
                let needed = !gone.is_empty() || !bases.is_empty();
                let before = known.filter(|_| needed).map(|known| (known.native, known.time));
                Relayed { starts, bases: Some(bases), ..told(before, gone) }
            }
        }
    }
}

/// What is no number is not told, as if the series were gone.
fn is_nan(value: Value<'_>) -> bool {
    matches!(value, Value::Number(n) if n.is_nan())
}

fn is_told(native: &Native, place: Place) -> bool {
    native.sample(place).is_none_or(|sample| !is_nan(sample.value()))
}

fn rises(kind: FamilyType) -> bool {
    matches!(kind, FamilyType::Counter | FamilyType::Histogram)
}

/// A reading against the one before.
struct Comparison<'a> {
    known: Option<&'a Known>,
    native: &'a Native,
    step: &'a Step,
    temporality: Temporality,
    starts: Vec<u64>,
    bases: Vec<Base>,
    gone: Vec<(u32, Place)>,
}

/// A family now and before.
struct Pair {
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
    step: Step,
}

impl<'a> Comparison<'a> {
    fn new(known: Option<&'a Known>, native: &'a Native, step: &'a Step, temporality: Temporality) -> Self {
        let rising = |delta: bool| {
            let counts = |family: &NativeFamily<'_>| rises(family.kind()) && (!delta || is_delta(temporality, family.kind()));
            native.families().filter(counts).map(|family| family.series()).sum()
        };
        let (starts, bases) = (Vec::with_capacity(rising(false)), Vec::with_capacity(rising(true)));
        Self { known, native, step, temporality, starts, bases, gone: Vec::new() }
    }

    fn compare(&mut self) {
        // Both are sorted by scope and name.
        let (mut at, mut starts_before) = (0, 0);
        for family in self.native.families() {
            let (mut found, mut retyped) = (None, false);
            while let Some(before) = self.before(at).filter(|before| before.key() <= family.key()) {
                let same = before.key() == family.key();
                if same && before.kind() == family.kind() {
                    found = Some((at, before, starts_before));
                } else {
                    retyped |= same;
                    self.all_gone(at, &before);
                }
                starts_before += if rises(before.kind()) { before.series() } else { 0 };
                at += 1;
            }
            let pair = self.begin(&family, retyped, found.as_ref().map(|(at, before, starts)| (*at, before, *starts)));
            if let Some((_, before, _)) = found {
                self.family(&pair, &family, &before);
            }
        }
        while let Some(before) = self.before(at) {
            self.all_gone(at, &before);
            at += 1;
        }
    }

    fn before(&self, at: usize) -> Option<NativeFamily<'a>> {
        let native = &self.known?.native;
        (at < native.len()).then(|| native.at(at))
    }

    fn all_gone(&mut self, at: usize, before: &NativeFamily<'_>) {
        if let Some(known) = self.known.filter(|known| !known.ended) {
            self.gone.extend(before.places().filter(|place| is_told(&known.native, *place)).map(|place| (at as u32, place)));
        }
    }

    /// Whether a family that was not there before may have been left out, or may have stood there as something else.
    fn was_hidden(&self, family: &NativeFamily<'_>) -> bool {
        let in_pieces =
            |known: &Known| PIECES.iter().any(|piece| known.native.has(family.scope(), &format!("{}{piece}", family.own_name())));
        self.known.is_some_and(|known| known.native.dropped > 0 || family.kind() == FamilyType::Histogram && in_pieces(known))
    }

    /// Every series of the family as if it were new.
    fn begin(&mut self, family: &NativeFamily<'_>, retyped: bool, before: Option<(usize, &NativeFamily<'_>, usize)>) -> Pair {
        let (at, starts_before) = before.map_or((0, 0), |(at, _, starts)| (at, starts));
        let thinned = before.map_or_else(|| retyped || self.was_hidden(family), |(_, before, _)| before.is_thinned());
        let (rises, delta) = (rises(family.kind()), is_delta(self.temporality, family.kind()));
        // One that is told as a delta was not told of the readings that were not kept, so it begins with all that it has counted.
        let seen_since = self.known.is_some_and(|known| known.behind) && !delta;
        let step = if thinned || seen_since { self.step.of_thinned() } else { *self.step };
        let step = if family.is_retyped() { step.of_others() } else { step };
        let new = step.start_of_new();
        let pair = Pair { at, starts: self.starts.len(), bases: self.bases.len(), starts_before, rises, delta, step };
        if rises {
            self.starts.resize(pair.starts + family.series(), new);
        }
        if delta {
            let base = if step.is_untold(new) { Base::Zero } else { Base::Unknown };
            self.bases.resize(pair.bases + family.series(), base);
        }
        pair
    }

    fn family(&mut self, pair: &Pair, family: &NativeFamily<'a>, before: &NativeFamily<'a>) {
        let Some(known) = self.known else { return };
        let same = |now: Place, was: Place| match (self.native.sample(now), known.native.sample(was)) {
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
                self.matched(pair, known, a, b);
                continue;
            }
            if misses < MISSES_MAX {
                misses += 1;
                if let Some(skip) = was.clone().take(AHEAD_MAX).position(|(_, later)| same(a.1, later)) {
                    left_was.push(b);
                    left_was.extend(was.by_ref().take(skip));
                    if let Some(b) = was.next() {
                        self.matched(pair, known, a, b);
                    }
                    continue;
                }
                if let Some(skip) = now.clone().take(AHEAD_MAX).position(|(_, later)| same(later, b.1)) {
                    left_now.push(a);
                    left_now.extend(now.by_ref().take(skip));
                    if let Some(a) = now.next() {
                        self.matched(pair, known, a, b);
                    }
                    continue;
                }
            }
            left_now.push(a);
            left_was.push(b);
        }
        left_now.extend(now);
        left_was.extend(was);
        self.left_over(pair, known, left_now, left_was);
    }

    /// Finds together what lock-step did not.
    fn left_over(&mut self, pair: &Pair, known: &Known, now: Vec<(usize, Place)>, mut was: Vec<(usize, Place)>) {
        if !now.is_empty() && !was.is_empty() {
            let identity = |native: &Native, place| native.sample(place).map(|sample| sample.identity());
            let mut by_identity = HashMap::with_capacity_and_hasher(was.len(), foldhash::fast::FixedState::default());
            by_identity.extend(was.drain(..).filter_map(|b| Some((identity(&known.native, b.1)?, b))));
            for a in now {
                if let Some(b) = identity(self.native, a.1).and_then(|identity| by_identity.remove(&identity)) {
                    self.matched(pair, known, a, b);
                }
            }
            was.extend(by_identity.into_values());
            was.sort_unstable();
        }
        if !known.ended {
            let gone = was.into_iter().map(|(_, place)| place).filter(|place| is_told(&known.native, *place));
            self.gone.extend(gone.map(|place| (pair.at as u32, place)));
        }
    }

    #[inline]
    fn matched(&mut self, pair: &Pair, known: &Known, now: (usize, Place), was: (usize, Place)) {
        let (Some(now_value), Some(was_value)) = (self.native.sample(now.1), known.native.sample(was.1)) else { return };
        if !known.ended && is_nan(now_value.value()) && !is_nan(was_value.value()) {
            self.gone.push((pair.at as u32, was.1));
        }
        if !pair.rises {
            return;
        }
        let (fell, comparable) = match (was_value.value(), now_value.value()) {
            (Value::Number(before), Value::Number(now)) => (now < before, !before.is_nan()),
            (Value::Histogram(before), Value::Histogram(now)) => (fell(before, now), before.bounds == now.bounds),
            _ => (false, false),
        };
        let (start, base) = match pair.step.reset(fell, known.time) {
            Some(start) => (start, Base::Zero),
            None => {
                let start = known.starts.get(pair.starts_before + was.0).copied().unwrap_or(0);
                (start, if comparable { Base::Before(was.1) } else { Base::Unknown })
            }
        };
        if let Some(slot) = self.starts.get_mut(pair.starts + now.0) {
            *slot = start;
        }
        if pair.delta
            && let Some(slot) = self.bases.get_mut(pair.bases + now.0)
        {
            *slot = base;
        }
    }
}
