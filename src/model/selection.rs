//! What of a reading is passed on in the server's own words: the relay's view of its [`Families`].
//!
//! Families stand sorted by name, each once however many pages or parts it came in, and a series that is not passed on is a bit.
//!
//! # What is copied
//!
//! Usually nothing: the response body is kept, and series are positions in it. A body of which only a small share is used is
//! replaced by a copy of that share, so that the memory of a reading follows the series that are passed on, and not the size of the
//! responses.

use super::families::CompactCopy;
use super::identity::{Identities, repeated};
use super::reserved::rename_reserved_labels;
use super::scope::{Scope, is_scope_info, is_scope_label};
use super::target_info::{TARGET_INFO, TargetInfo};
use super::translation::{NameCollision, NameCollisions};
use super::unit::otlp_unit;
use super::{Families, FamilyRef, FamilyType, MemoryBudget, MemoryReservation, Repair, Repairs, SampleRef};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem::size_of;

/// An unsigned gauge that went below zero: with a sign it would be negative. 2^63 to 2^64.
const UNDERFLOWN: std::ops::RangeInclusive<f64> = 9_223_372_036_854_775_808.0..=18_446_744_073_709_551_616.0;
/// Instrumentation scopes of one reading; the labels of a series whose scope is beyond that stay labels.
const SCOPES_MAX: usize = 100;
/// Limits that Prometheus' client libraries report of their process: where there is none, it is 2^64 less one.
const LIMITS: [&str; 2] = ["process_max_fds", "process_virtual_memory_max_bytes"];

/// A response that keeps less memory than this is never copied.
const COPIED_BYTES_MIN: usize = 16 * 1024;
/// A response that keeps less memory than this for each series that is passed on is never copied: most of it is used.
const COPIED_BYTES_PER_SERIES_MIN: usize = 256;
/// A response is replaced by a copy that needs at most one of so many parts of its memory.
const COPY_SHARE: usize = 2;

/// Families of a reading, chosen and sorted.
#[derive(Debug, Default)]
pub struct SelectedFamilies {
    pages: Vec<Families>,
    families: Vec<ChosenFamily>,
    prefix: String,
    /// Series that are passed on.
    pub kept: u64,
    /// Series that are not: excluded, below a smallest value, of a value or kind that their family cannot have, or over the bound.
    pub dropped: u64,
    /// What was mended while choosing.
    pub repairs: Repairs,
    /// Families are missing that there was no memory for.
    pub memory_exceeded: bool,
    /// Bytes of the budget that all readings share.
    _memory: Option<MemoryReservation>,
    /// Labels that were renamed because a Prometheus needs their names for itself.
    pub labels_renamed: u64,
    /// Instrumentation scopes that labels name, each once.
    scopes: Vec<Scope>,
    target_info: TargetInfo,
    name_collisions: Vec<NameCollision>,
}

#[derive(Clone, Debug)]
struct ChosenFamily {
    kind: FamilyType,
    retyped: bool,
    /// Series of it were left out.
    thinned: bool,
    /// Its instrumentation scope among those of the reading, where labels name one.
    scope: Option<usize>,
    pieces: Vec<FamilySlice>,
    kept: usize,
}

/// The pieces of one page: the places of their families, and their own places in these.
type PiecesOfPage = Vec<(usize, usize)>;

/// A family as it stands in one page.
#[derive(Clone, Debug)]
struct FamilySlice {
    page: usize,
    family: usize,
    series: usize,
    /// A bit for each series that is left out; empty when none is.
    skipped: Vec<u64>,
}

/// What becomes of a family.
#[derive(Clone, Copy, Debug, Default)]
pub struct FamilySelection {
    /// What it is, where it says something else of itself.
    pub kind: Option<FamilyType>,
    /// The smallest value that is worth keeping.
    pub min_value: Option<f64>,
    /// Whether a rule reads it too, and counts what is no value of it.
    pub ruled: bool,
    /// Whether the system has unsigned gauges that go below zero.
    pub may_underflow: bool,
}

impl SelectedFamilies {
    /// A mail server's families for which `choose` gives a choice, up to `series_max` series, under names with `prefix`. Labels whose
    /// names a Prometheus needs for itself are renamed, and `target_info` becomes attributes of the resource.
    pub fn choose(mut pages: Vec<Families>, prefix: &str, series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> Self {
        let labels_renamed = pages.iter_mut().map(rename_reserved_labels).sum();
        let target_info = TargetInfo::of(&pages, |name| choose(name).is_some());
        let mut native = Self::select(pages, prefix, series_max, |name| (name != TARGET_INFO).then(|| choose(name)).flatten());
        (native.labels_renamed, native.target_info) = (labels_renamed, target_info);
        native.repairs.add(Repair::AmbiguousTargetInfo, u64::from(native.target_info.is_ambiguous()));
        // Its series are exported, as attributes.
        native.dropped -= native.target_info.taken();
        native.assign_scopes();
        let collisions = NameCollisions::among((0..native.len()).map(|at| native.at(at)));
        native.repairs.add(Repair::NameCollision, collisions.count);
        native.name_collisions = collisions.named;
        // Last: scopes are described by families that are not passed on.
        native.release_unused_memory();
        native
    }

    /// All of these families as they are: Postmeter's own, whose labels `job` and `instance` are its own, too.
    #[must_use]
    pub fn own(families: Families) -> Self {
        let mut native = Self::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        native.release_unused_memory();
        native
    }

    fn select(pages: Vec<Families>, prefix: &str, series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> Self {
        let mut native = Self { prefix: prefix.to_owned(), ..Self::default() };
        let mut places: Vec<(&str, usize, usize)> = Vec::new();
        for (page, families) in pages.iter().enumerate() {
            places.extend(families.iter().enumerate().map(|(at, family)| (family.name(), page, at)));
        }
        places.sort_by_key(|(name, ..)| *name);
        for group in places.chunk_by(|a, b| a.0 == b.0) {
            native.family(&pages, group, choose(group[0].0), series_max);
        }
        native.pages = pages;
        native
    }

    /// Responses are kept until the next reading for the series of them that are passed on. One without such series is released, one
    /// of which little is used is replaced by a copy of that, and the rest is kept without unused capacity.
    fn release_unused_memory(&mut self) {
        for family in self.families.iter_mut().filter(|family| family.pieces.iter().any(|piece| piece.kept() == 0)) {
            family.pieces.retain(|piece| piece.kept() > 0);
        }
        let mut kept = vec![0; self.pages.len()];
        self.families.iter().flat_map(|family| &family.pieces).for_each(|piece| kept[piece.page] += piece.kept());
        let may_be_copied =
            |page: usize, memory: usize| memory >= COPIED_BYTES_MIN && memory / kept[page].max(1) >= COPIED_BYTES_PER_SERIES_MIN;
        let mut copied: Vec<Option<PiecesOfPage>> = Vec::with_capacity(self.pages.len());
        for (page, families) in self.pages.iter_mut().enumerate() {
            if kept[page] == 0 {
                *families = Families::default();
            }
            families.shrink();
            copied.push(may_be_copied(page, families.memory_bytes()).then(Vec::new));
        }
        for (at, family) in self.families.iter().enumerate() {
            for (nth, piece) in family.pieces.iter().enumerate() {
                copied[piece.page].iter_mut().for_each(|pieces| pieces.push((at, nth)));
            }
        }
        for (page, pieces) in copied.into_iter().enumerate() {
            if let Some(pieces) = pieces.filter(|pieces| self.is_mostly_unused(page, pieces)) {
                self.copy_used(page, &pieces);
            }
        }
    }

    fn is_mostly_unused(&self, page: usize, pieces: &[(usize, usize)]) -> bool {
        let families = &self.pages[page];
        let (limit, mut copy) = (families.memory_bytes() / COPY_SHARE, 0);
        for (at, nth) in pieces {
            let piece = &self.families[*at].pieces[*nth];
            let Some(family) = families.nth(piece.family) else { continue };
            copy += family.name().len() + family.help().len() + family.unit().len();
            for (_, sample) in family.samples().enumerate().filter(|(index, _)| !piece.skips(*index)) {
                copy += sample.copy_bytes();
                if copy > limit {
                    return false;
                }
            }
        }
        true
    }

    fn copy_used(&mut self, page: usize, pieces: &[(usize, usize)]) {
        let (mut copy, from) = (CompactCopy::default(), std::mem::take(&mut self.pages[page]));
        for (at, nth) in pieces {
            let family = &mut self.families[*at];
            let piece = &mut family.pieces[*nth];
            let Some(of) = from.nth(piece.family) else { continue };
            let series = piece.kept();
            piece.family = copy.add(of, |index| !piece.skips(index));
            (piece.series, piece.skipped) = (series, Vec::new());
        }
        self.pages[page] = copy.finish();
    }

    /// The memory that is kept, without that of allocations themselves.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(Families::memory_bytes).sum();
        let piece = |piece: &FamilySlice| size_of::<FamilySlice>() + piece.skipped.capacity() * 8;
        let family = |family: &ChosenFamily| size_of::<ChosenFamily>() + family.pieces.iter().map(piece).sum::<usize>();
        pages + self.families.iter().map(family).sum::<usize>()
    }

    /// Takes the memory that is kept from this budget, until this is dropped. Where there is not so much, all families are left out
    /// and counted as dropped.
    #[must_use]
    pub fn within(self, budget: &MemoryBudget) -> Self {
        match budget.reserve(self.memory_bytes()) {
            Some(memory) => Self { _memory: Some(memory), ..self },
            None => Self {
                pages: Vec::new(),
                families: Vec::new(),
                scopes: Vec::new(),
                name_collisions: Vec::new(),
                dropped: self.dropped + self.kept,
                kept: 0,
                memory_exceeded: true,
                ..self
            },
        }
    }

    fn family(&mut self, pages: &[Families], group: &[(&str, usize, usize)], choice: Option<FamilySelection>, series_max: usize) {
        let Some(choice) = choice else {
            let series = group.iter().filter_map(|(_, page, at)| pages[*page].nth(*at)).map(|family| family.samples().len());
            self.dropped += series.sum::<usize>() as u64;
            return;
        };
        let mut chosen =
            ChosenFamily { kind: FamilyType::Unknown, retyped: false, thinned: false, scope: None, pieces: Vec::new(), kept: 0 };
        // The same series may stand in several pieces, or twice in one.
        let mut identities = Vec::new();
        for (_, page, at) in group {
            let Some(family) = pages[*page].nth(*at) else { continue };
            let kind = choice.kind.unwrap_or(family.kind());
            if !chosen.pieces.is_empty() && kind != chosen.kind {
                self.dropped += family.samples().len() as u64;
                chosen.thinned = true;
                continue;
            }
            let mut piece = FamilySlice { page: *page, family: *at, series: family.samples().len(), skipped: Vec::new() };
            let before = identities.len();
            identities.reserve(piece.series);
            let mut numbers = Identities::new();
            let may_underflow = choice.may_underflow && kind == FamilyType::Gauge && !LIMITS.contains(&family.name());
            for (index, sample) in family.samples().enumerate() {
                if !sample.fits(kind) {
                    // No format can say a distribution of a gauge, or a number of a histogram.
                    self.repairs.count(Repair::Unreadable);
                    self.dropped += 1;
                    piece.skip(index);
                    continue;
                }
                let wrong = sample.number().and_then(|n| wrong_value(kind, n, may_underflow));
                if let Some(repair) = wrong.filter(|_| !choice.ruled) {
                    self.repairs.count(repair);
                }
                if wrong.is_some() || choice.min_value.is_some_and(|min| sample.number().is_some_and(|n| n < min)) {
                    self.dropped += 1;
                    piece.skip(index);
                } else {
                    identities.push(numbers.of(&sample));
                }
            }
            if identities.len() > before {
                if chosen.pieces.is_empty() && kind != family.kind() {
                    self.repairs.count(Repair::MistypedCounter);
                }
                chosen.kind = kind;
                chosen.retyped = kind != family.kind();
                chosen.pieces.push(piece);
            }
        }
        chosen.kept = identities.len();
        let repeated = Self::outdated(pages, &chosen, &identities, repeated(&identities));
        let room = series_max.saturating_sub(self.kept as usize);
        if !repeated.is_empty() || chosen.kept > room {
            self.thin(&mut chosen, &repeated, room);
        }
        chosen.thinned |= chosen.pieces.iter().any(|piece| !piece.skipped.is_empty());
        if chosen.kept > 0 {
            self.kept += chosen.kept as u64;
            self.families.push(chosen);
        }
    }

    /// The places of samples, among those that are kept so far, that are not the newest of their series; of the same time all but the first.
    /// One without an explicit timestamp is of now.
    fn outdated(pages: &[Families], chosen: &ChosenFamily, identities: &[u64], repeated: Vec<usize>) -> Vec<usize> {
        if repeated.is_empty() || !pages.iter().any(Families::has_timestamps) {
            return repeated;
        }
        let samples = chosen.pieces.iter().flat_map(|piece| {
            let family = pages[piece.page].nth(piece.family);
            let kept = family.into_iter().flat_map(|family| family.samples()).enumerate().filter(|(index, _)| !piece.skips(*index));
            kept.map(|(_, sample)| sample.timestamp().unwrap_or(i64::MAX))
        });
        let (timestamps, mut newest, mut outdated) = (samples.collect::<Vec<_>>(), HashMap::new(), Vec::with_capacity(repeated.len()));
        for (place, (identity, timestamp)) in identities.iter().zip(&timestamps).enumerate() {
            match newest.entry(identity) {
                Entry::Vacant(entry) => drop(entry.insert(place)),
                Entry::Occupied(mut entry) if timestamps[*entry.get()] < *timestamp => outdated.push(entry.insert(place)),
                Entry::Occupied(_) => outdated.push(place),
            }
        }
        outdated.sort_unstable();
        outdated
    }

    /// Parts each family by the scopes that the labels of its series name, and sorts families by scope, then by name.
    fn assign_scopes(&mut self) {
        if !self.pages.iter().any(Families::has_scope_labels) {
            return;
        }
        let families = std::mem::take(&mut self.families);
        for family in families {
            self.part_by_scope(family);
        }
        self.describe_scopes();
        // By what tells scopes apart, so that the order is the same at each reading; without one first.
        let mut families = std::mem::take(&mut self.families);
        families.sort_by(|a, b| self.sort_key(a).cmp(&self.sort_key(b)));
        self.families = families;
    }

    fn part_by_scope(&mut self, family: ChosenFamily) {
        let mut parts: Vec<ChosenFamily> = Vec::new();
        // The scope labels of the series before, which the next one nearly always repeats, and the part that it is in.
        let mut last: Option<(Vec<(&str, &str)>, usize)> = None;
        for (at, piece) in family.pieces.iter().enumerate() {
            let Some(of_page) = self.pages[piece.page].nth(piece.family) else { continue };
            let describes = is_scope_info(of_page.name());
            for (index, sample) in of_page.samples().enumerate().filter(|(index, _)| !piece.skips(*index)) {
                let labels = || sample.labels().filter(|(name, _)| !describes && is_scope_label(name.as_bytes()));
                let part = match last.as_ref().filter(|(last, _)| labels().eq(last.iter().copied())) {
                    Some((_, part)) => *part,
                    None => {
                        let scope = Scope::of_labels(labels()).and_then(|scope| number_of(&mut self.scopes, scope));
                        let part = parts.iter().position(|part| part.scope == scope).unwrap_or_else(|| {
                            let pieces = family.pieces.iter().map(FamilySlice::without_series).collect();
                            parts.push(ChosenFamily { scope, kept: 0, pieces, ..family.clone() });
                            parts.len() - 1
                        });
                        last = Some((labels().collect(), part));
                        part
                    }
                };
                parts[part].kept += 1;
                parts[part].pieces[at].unskip(index);
            }
        }
        self.families.extend(parts);
    }

    /// Adds the attributes of `otel_scope_info` to the scopes that it describes.
    fn describe_scopes(&mut self) {
        for page in &self.pages {
            for sample in page.iter().filter(|family| is_scope_info(family.name())).flat_map(|family| family.samples()) {
                let described = Scope::of_labels(sample.labels()).unwrap_or_default();
                for scope in self.scopes.iter_mut().filter(|scope| scope.has_name_of(&described)) {
                    scope.add_info(sample.labels());
                }
            }
        }
    }

    fn sort_key<'a>(&'a self, chosen: &'a ChosenFamily) -> (Option<&'a Scope>, &'a str) {
        let family = SelectedFamily { native: self, chosen };
        (family.scope(), family.own_name())
    }

    /// Leaves out what stands twice, and what there is no room for.
    fn thin(&mut self, chosen: &mut ChosenFamily, repeated: &[usize], room: usize) {
        let (mut repeated, mut at) = (repeated.iter().copied().peekable(), 0);
        chosen.kept = 0;
        for piece in &mut chosen.pieces {
            for index in 0..piece.series {
                if piece.skips(index) {
                    continue;
                }
                let stands_twice = repeated.next_if_eq(&at).is_some();
                at += 1;
                if chosen.kept == room {
                    self.dropped += 1;
                } else if stands_twice {
                    self.repairs.count(Repair::DuplicateSeries);
                } else {
                    chosen.kept += 1;
                    continue;
                }
                piece.skip(index);
            }
        }
    }

    /// The families that are passed on, by name.
    pub fn families(&self) -> impl ExactSizeIterator<Item = SelectedFamily<'_>> {
        (0..self.families.len()).map(|at| self.at(at))
    }

    /// Whether any series of the pages has an explicit timestamp.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.pages.iter().any(Families::has_timestamps)
    }

    /// How many families there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len()
    }

    /// What stands before all their names.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The family of this name, as the server sent it, in this scope.
    #[must_use]
    pub fn find(&self, scope: Option<&Scope>, own_name: &str) -> Option<SelectedFamily<'_>> {
        let key = (scope, own_name);
        let at = self.families.partition_point(|chosen| self.sort_key(chosen) < key);
        (at < self.families.len()).then(|| self.at(at)).filter(|family| family.key() == key)
    }

    /// The first of the families that are one metric with another in Prometheus after OTLP.
    #[must_use]
    pub fn name_collisions(&self) -> &[NameCollision] {
        &self.name_collisions
    }

    /// Whether the server reports when series began.
    #[must_use]
    pub fn has_created(&self) -> bool {
        self.pages.iter().any(Families::has_created)
    }

    /// Whether any series has an exemplar.
    #[must_use]
    pub fn has_exemplars(&self) -> bool {
        self.pages.iter().any(Families::has_exemplars)
    }

    /// The attributes that `target_info` gives the resource, under the names that its labels have.
    pub fn resource_attributes(&self) -> &[(String, String)] {
        self.target_info.attributes()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The series at a place that [`SelectedFamily::places`] gave.
    #[must_use]
    pub fn sample(&self, place: SamplePosition) -> Option<SampleRef<'_>> {
        self.pages.get(place.page as usize)?.sample(place.sample)
    }

    /// One of them, by its place. Panics beyond [`len`](Self::len), as an index does.
    #[must_use]
    pub fn at(&self, at: usize) -> SelectedFamily<'_> {
        SelectedFamily { native: self, chosen: &self.families[at] }
    }
}

/// The place of a scope among these, where it is added unless there are too many.
fn number_of(scopes: &mut Vec<Scope>, scope: Scope) -> Option<usize> {
    let known = scopes.iter().position(|known| *known == scope);
    known.or_else(|| {
        (scopes.len() < SCOPES_MAX).then(|| {
            scopes.push(scope);
            scopes.len() - 1
        })
    })
}

/// Why a number cannot be a value of a family of this type.
fn wrong_value(kind: FamilyType, n: f64, may_underflow: bool) -> Option<Repair> {
    match kind {
        FamilyType::Counter if !n.is_finite() => Some(Repair::NonFinite),
        FamilyType::Counter if n < 0.0 => Some(Repair::OutOfRange),
        FamilyType::Gauge if may_underflow && UNDERFLOWN.contains(&n) => Some(Repair::Underflow),
        _ => None,
    }
}

impl FamilySlice {
    fn skip(&mut self, index: usize) {
        if self.skipped.is_empty() {
            self.skipped = vec![0; self.series.div_ceil(64)];
        }
        self.skipped[index / 64] |= 1 << (index % 64);
    }

    /// How many series are passed on.
    fn kept(&self) -> usize {
        if self.skipped.is_empty() { self.series } else { (0..self.series).filter(|index| !self.skips(*index)).count() }
    }

    /// The same with every series left out.
    fn without_series(&self) -> Self {
        Self { skipped: vec![u64::MAX; self.series.div_ceil(64)], ..*self }
    }

    fn unskip(&mut self, index: usize) {
        if let Some(bits) = self.skipped.get_mut(index / 64) {
            *bits &= !(1 << (index % 64));
        }
    }

    fn skips(&self, index: usize) -> bool {
        self.skipped.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}

/// Where a series stands in a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SamplePosition {
    page: u32,
    sample: u32,
}

/// The places of a family's series, in the server's order.
#[derive(Clone, Debug)]
pub struct SamplePositions<'a> {
    native: &'a SelectedFamilies,
    pieces: std::slice::Iter<'a, FamilySlice>,
    page: u32,
    left: std::ops::Range<u32>,
    first: u32,
    piece: Option<&'a FamilySlice>,
}

impl Iterator for SamplePositions<'_> {
    type Item = SamplePosition;

    fn next(&mut self) -> Option<SamplePosition> {
        loop {
            for sample in self.left.by_ref() {
                if !self.piece.is_some_and(|piece| piece.skips((sample - self.first) as usize)) {
                    return Some(SamplePosition { page: self.page, sample });
                }
            }
            let piece = self.pieces.next()?;
            let family = self.native.pages.get(piece.page)?.nth(piece.family)?;
            (self.page, self.left, self.first) = (piece.page as u32, family.range(), family.range().start);
            self.piece = Some(piece).filter(|piece| !piece.skipped.is_empty());
        }
    }
}

/// A family that is passed on.
#[derive(Clone, Copy)]
pub struct SelectedFamily<'a> {
    native: &'a SelectedFamilies,
    chosen: &'a ChosenFamily,
}

impl<'a> SelectedFamily<'a> {
    /// Its name: the server's, behind the prefix if one is configured.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        let own = self.own_name();
        if self.native.prefix.is_empty() { Cow::Borrowed(own) } else { Cow::Owned(format!("{}{own}", self.native.prefix)) }
    }

    /// Its help text; empty when there was none.
    #[must_use]
    pub fn help(&self) -> &'a str {
        self.first().map_or("", |family| family.help())
    }

    /// Its unit in the terms of OTLP; empty when the server reports none.
    #[must_use]
    pub fn unit(&self) -> Cow<'a, str> {
        otlp_unit(self.first().map_or("", |family| family.unit()))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FamilyType {
        self.chosen.kind
    }

    /// Whether it says something else of itself.
    #[must_use]
    pub fn is_retyped(&self) -> bool {
        self.chosen.retyped
    }

    /// Whether series of it were left out.
    #[must_use]
    pub fn is_thinned(&self) -> bool {
        self.chosen.thinned
    }

    /// The instrumentation scope that its labels name.
    #[must_use]
    pub fn scope(&self) -> Option<&'a Scope> {
        self.native.scopes.get(self.chosen.scope?)
    }

    /// What families are sorted by: their scope, then their name as the server sent it.
    #[must_use]
    pub fn key(&self) -> (Option<&'a Scope>, &'a str) {
        self.native.sort_key(self.chosen)
    }

    /// How many series it has.
    #[must_use]
    pub fn series(&self) -> usize {
        self.chosen.kept
    }

    /// Its series, in the server's order.
    pub fn samples(&self) -> impl Iterator<Item = SampleRef<'a>> + use<'a> {
        let native = self.native;
        self.chosen.pieces.iter().flat_map(move |piece| {
            let family = native.pages[piece.page].nth(piece.family);
            let samples = family.into_iter().flat_map(|family| family.samples()).enumerate();
            samples.filter(move |(index, _)| piece.skipped.is_empty() || !piece.skips(*index)).map(|(_, sample)| sample)
        })
    }

    /// Where its series stand, in the server's order.
    #[must_use]
    pub fn places(&self) -> SamplePositions<'a> {
        SamplePositions { native: self.native, pieces: self.chosen.pieces.iter(), page: 0, left: 0..0, first: 0, piece: None }
    }

    /// Its name as the server sent it.
    #[must_use]
    pub fn own_name(&self) -> &'a str {
        self.first().map_or("", |family| family.name())
    }

    fn first(&self) -> Option<FamilyRef<'a>> {
        let piece = self.chosen.pieces.first()?;
        self.native.pages[piece.page].nth(piece.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;

    fn native(pages: &[&str], series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> (Vec<String>, SelectedFamilies) {
        let pages = pages.iter().map(|page| prometheus::read_unterminated((*page).to_owned()).unwrap()).collect();
        let native = SelectedFamilies::choose(pages, "", series_max, choose);
        let lines = native.families().flat_map(|family| {
            let line = move |sample: SampleRef<'_>| {
                let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}} {}", family.name(), labels.join(","), sample.number().unwrap_or(f64::NAN))
            };
            family.samples().map(line).collect::<Vec<_>>()
        });
        (lines.collect(), native)
    }

    fn all(_: &str) -> Option<FamilySelection> {
        Some(FamilySelection::default())
    }

    #[test]
    fn families_are_sorted_and_stand_once_however_many_pages_they_came_in() {
        let (lines, native) = native(&["b{l=\"1\"} 1\na 2\n", "b{l=\"2\"} 3\n"], 100, all);
        assert_eq!(lines, ["a{} 2", "b{l=1} 1", "b{l=2} 3"]);
        assert_eq!((native.len(), native.kept, native.dropped), (2, 3, 0));
    }

    #[test]
    fn a_series_that_stands_twice_is_kept_once_and_counted() {
        let (lines, native) = native(&["a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"2\",y=\"1\"} 3\n"], 100, all);
        assert_eq!(lines, ["a{x=1,y=2} 1", "a{x=2,y=1} 3"]);
        assert_eq!(native.repairs.get(Repair::DuplicateSeries), 1);
    }

    #[test]
    fn of_two_samples_of_one_series_the_newest_is_kept() {
        let page = "a{r=\"eu\"} 5 1000\na{r=\"eu\"} 9 2000\na{r=\"us\"} 9 2000\na{r=\"us\"} 5 1000\na{r=\"x\"} 1\na{r=\"x\"} 2 3000\na{r=\"y\"} 1 7\na{r=\"y\"} 2 7\n";
        let (lines, native) = native(&[page], 100, all);
        assert_eq!(lines, ["a{r=eu} 9", "a{r=us} 9", "a{r=x} 1", "a{r=y} 1"]);
        assert!(native.has_timestamps());
        let timestamps: Vec<_> = native.at(0).samples().map(|sample| sample.timestamp()).collect();
        assert_eq!(timestamps, [Some(2000), Some(2000), None, Some(7)]);
        assert_eq!(native.repairs.get(Repair::DuplicateSeries), 4);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let page = "a{l=\"1\"} 1\na{l=\"2\"} 20\nb 3\nc 4\n";
        let (lines, native) = native(&[page], 100, |name| {
            (name != "b").then(|| FamilySelection { min_value: (name == "a").then_some(10.0), ..FamilySelection::default() })
        });
        assert_eq!(lines, ["a{l=2} 20", "c{} 4"]);
        assert_eq!((native.kept, native.dropped), (2, 2));
    }

    #[test]
    fn the_bound_holds() {
        let (lines, native) = native(&["a{l=\"1\"} 1\na{l=\"2\"} 2\nb 3\n"], 2, all);
        assert_eq!(lines, ["a{l=1} 1", "a{l=2} 2"]);
        assert_eq!((native.kept, native.dropped), (2, 1));
    }

    #[test]
    fn what_is_left_out_for_its_value_does_not_shift_what_stands_twice() {
        let page = "a{l=\"1\"} 1\na{l=\"2\"} 20\na{l=\"1\"} 30\na{l=\"2\"} 40\na{l=\"3\"} 50\na{l=\"4\"} 60\n";
        let (lines, native) = native(&[page, page], 3, |_| Some(FamilySelection { min_value: Some(10.0), ..FamilySelection::default() }));
        assert_eq!(lines, ["a{l=2} 20", "a{l=1} 30", "a{l=3} 50"]);
        assert_eq!((native.kept, native.dropped, native.repairs.get(Repair::DuplicateSeries)), (3, 8, 1));
    }

    #[test]
    fn a_gauge_below_zero_is_left_out_and_counted_once() {
        // -1, -4096, -2^62, -2^63, and what is only large.
        let page = "# TYPE a gauge\na{l=\"1\"} 18446744073709551615\na{l=\"2\"} 18446744073709547520\na{l=\"3\"} 13835058055282163712\n\
                    a{l=\"4\"} 9223372036854775808\na{l=\"5\"} 9223372036854771712\na{l=\"6\"} 36893488147419103232\n";
        for (ruled, counted) in [(false, 4), (true, 0)] {
            let (lines, native) =
                native(&[page], 100, |_| Some(FamilySelection { ruled, may_underflow: true, ..FamilySelection::default() }));
            assert_eq!(lines, ["a{l=5} 9223372036854772000", "a{l=6} 36893488147419103000"]);
            assert_eq!((native.dropped, native.repairs.get(Repair::Underflow)), (4, counted), "{ruled}");
        }
    }

    #[test]
    fn a_limit_that_is_none_and_what_is_no_gauge_did_not_go_below_zero() {
        let page = "# TYPE c counter\nc 18446744073709551615\n# TYPE process_virtual_memory_max_bytes gauge\n\
                    process_virtual_memory_max_bytes 1.8446744073709552e+19\n# TYPE u untyped\nu 18446744073709551615\n";
        let (lines, native) = native(&[page], 100, |_| Some(FamilySelection { may_underflow: true, ..FamilySelection::default() }));
        assert_eq!(
            lines,
            ["c{} 18446744073709552000", "process_virtual_memory_max_bytes{} 18446744073709552000", "u{} 18446744073709552000"]
        );
        assert_eq!((native.dropped, native.repairs.get(Repair::Underflow)), (0, 0));
    }

    #[test]
    fn gauges_near_2_to_the_64_are_readings_of_a_system_that_is_not_known_to_underflow() {
        let page = "# TYPE limit gauge\nlimit{l=\"1\"} 18446744073709551615\nlimit{l=\"2\"} 18446744073709550616\nlimit{l=\"3\"} 9223372036854775808\n";
        let (lines, native) = native(&[page], 100, all);
        assert_eq!((lines.len(), native.dropped, native.repairs.iter().count()), (3, 0, 0));
    }

    #[test]
    fn a_counter_is_a_number_from_zero_on() {
        let values = "{l=\"1\"} -3\nx{l=\"2\"} NaN\nx{l=\"3\"} +Inf\nx{l=\"4\"} 0\nx{l=\"5\"} -0\nx{l=\"6\"} 1e300\n";
        for (kind, ruled, kept, counted) in
            [("counter", false, 3, (1, 2)), ("counter", true, 3, (0, 0)), ("gauge", false, 6, (0, 0)), ("untyped", false, 6, (0, 0))]
        {
            let page = format!("# TYPE x {kind}\nx{values}");
            let (lines, native) = native(&[&page], 100, |_| Some(FamilySelection { ruled, ..FamilySelection::default() }));
            let repairs = (native.repairs.get(Repair::OutOfRange), native.repairs.get(Repair::NonFinite));
            assert_eq!((lines.len(), native.dropped, repairs), (kept, 6 - kept as u64, counted), "{kind}");
        }
    }

    #[test]
    fn series_that_differ_in_labels_of_nothing_are_one() {
        let (lines, native) = native(&["a{l=\"\"} 1\na 2\na{m=\"\",k=\"x\"} 3\na{k=\"x\",l=\"\"} 4\na{k=\"\",m=\"x\"} 5\n"], 100, all);
        assert_eq!(lines, ["a{l=} 1", "a{m=,k=x} 3", "a{k=,m=x} 5"]);
        assert_eq!(native.repairs.get(Repair::DuplicateSeries), 2);
    }

    #[test]
    fn a_value_that_is_not_what_its_family_is_is_left_out() {
        let page = "# TYPE a histogram\na_count 1\n# TYPE b gauge\nb 2\n";
        let (lines, native) =
            native(&[page], 100, |_| Some(FamilySelection { kind: Some(FamilyType::Gauge), ..FamilySelection::default() }));
        assert_eq!(lines, ["b{} 2"]);
        assert_eq!((native.kept, native.dropped, native.repairs.get(Repair::Unreadable)), (1, 1, 1));
    }

    #[test]
    fn an_answer_of_which_nothing_is_passed_on_is_not_kept() {
        let (pages, held) = (["a 1\n", "b 2\n", "a{l=\"1\"} 3\n"], |native: &SelectedFamilies| {
            native.pages.iter().map(Families::body_len).collect::<Vec<_>>()
        });
        let (lines, of_a) = native(&pages, 100, |name| (name == "a").then(FamilySelection::default));
        assert_eq!(lines, ["a{} 1", "a{l=1} 3"]);
        assert_eq!(held(&of_a), [4, 0, 11]);
        let (lines, of_none) = native(&pages, 100, |_| None);
        assert_eq!((lines.len(), of_none.dropped, held(&of_none)), (0, 3, vec![0; 3]));
        let (_, of_one) = native(&pages, 1, all);
        assert_eq!(held(&of_one), [4, 0, 0], "nor one of series that are over the bound");
    }

    #[test]
    fn two_types_under_one_name_are_one() {
        let (lines, native) = native(&["# TYPE a counter\na{l=\"1\"} 1\n", "# TYPE a gauge\na{l=\"2\"} 2\n"], 100, all);
        assert_eq!(lines, ["a{l=1} 1"]);
        assert_eq!((native.kept, native.dropped), (1, 1));
    }

    /// What of these pages is passed on, as text.
    fn lines(native: &SelectedFamilies) -> Vec<String> {
        let line = |family: SelectedFamily<'_>, sample: SampleRef<'_>| {
            let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {:?} {} {{{}}} {:?}", family.name(), family.kind(), family.help(), labels.join(","), sample.value())
        };
        native.families().flat_map(|family| family.samples().map(|sample| line(family, sample)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn a_body_of_which_little_is_used_is_not_kept() {
        let series = "# HELP a Help\\nof a.\n# TYPE a counter\na{l=\"x\",m=\"\\\"y\"} 1\na{l=\"x\",m=\"z\"} 2\n";
        let histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n";
        let summary = "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 4\ns_count 3\n";
        let small = format!("{series}{histogram}{summary}");
        let (_, expected) = native(&[&small], 100, all);
        let comments = series.to_owned() + &"# nothing but a comment of some length\n".repeat(10_000) + histogram + summary;
        let others: String = (0..10_000).map(|n| format!("other{{l=\"{n}\"}} {n}\n")).collect();
        for (what, page, expected_dropped) in [("comments", comments, 0), ("other series", format!("{others}{small}"), 10_000)] {
            let (_, kept) = native(&[&page], 100, |name| (name != "other").then(FamilySelection::default));
            assert_eq!(lines(&kept), lines(&expected), "{what}");
            assert_eq!((kept.kept, kept.dropped), (expected.kept, expected_dropped), "{what}");
            assert!(kept.memory_bytes() < 4096, "{what}: {} bytes of a body of {}", kept.memory_bytes(), page.len());
            let places =
                |native: &SelectedFamilies| native.families().flat_map(|family| family.places().collect::<Vec<_>>()).collect::<Vec<_>>();
            assert!(places(&kept).iter().all(|place| kept.sample(*place).is_some()) && places(&kept).len() == 4, "{what}");
        }
    }

    #[test]
    fn a_copy_has_units_exemplars_start_times_and_scopes() {
        let wanted = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{otel_scope_name=\"s\",job=\"j\"} 7 # {trace_id=\"t\"} 5 1.5\n\
                      a_seconds_created{otel_scope_name=\"s\",job=\"j\"} 3\n";
        let others: String = (0..10_000).map(|n| format!("# TYPE other{n} gauge\nother{n} {n}\n")).collect();
        let read = |page: String| {
            let families = prometheus::read(page + "# EOF\n").unwrap();
            SelectedFamilies::choose(vec![families], "", 100, |name| (!name.starts_with("other")).then(FamilySelection::default))
        };
        let describe = |native: &SelectedFamilies| {
            let family = native.at(0);
            let sample = family.samples().next().unwrap();
            let exemplar = sample.exemplars().next().unwrap();
            let exemplar = (exemplar.value(), exemplar.time(), exemplar.labels().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>());
            format!("{:?} {:?} {:?} {:?} {exemplar:?}", lines(native), family.unit(), family.scope(), sample.created())
        };
        let (kept, copied) = (read(wanted.to_owned()), read(format!("{others}{wanted}")));
        assert_eq!(describe(&copied), describe(&kept));
        assert!(copied.memory_bytes() < 4096, "{}", copied.memory_bytes());
    }

    #[test]
    fn a_series_left_out_of_a_copy_still_counts_as_left_out() {
        let page: String = (0..10_000).map(|n| format!("a{{l=\"{n}\"}} {n}\n")).collect();
        let (lines, native) =
            native(&[&page], 100_000, |_| Some(FamilySelection { min_value: Some(9_999.0), ..FamilySelection::default() }));
        assert_eq!((lines.as_slice(), native.kept, native.dropped), (&["a{l=9999} 9999".to_owned()][..], 1, 9_999));
        assert!(native.at(0).is_thinned() && native.memory_bytes() < 4096, "{}", native.memory_bytes());
    }

    #[test]
    fn a_body_that_is_used_is_kept_as_it_is() {
        let page: String = (0..1_000).map(|n| format!("a{{label=\"value-{n}\",other=\"value\"}} {n}\n")).collect();
        let (_, native) = native(&[&page], 10_000, all);
        assert_eq!(native.pages[0].body_len(), page.len());
    }

    #[test]
    fn families_that_exceed_the_memory_of_all_readings_are_left_out_and_counted() {
        let page: String = (0..1_000).map(|n| format!("a{{l=\"{n}\"}} {n}\n")).collect();
        let read = || native(&[&page], 10_000, all).1;
        let budget = MemoryBudget::new(read().memory_bytes() * 2);
        let (first, second) = (read().within(&budget), read().within(&budget));
        assert!(!first.memory_exceeded && !second.memory_exceeded && budget.used_bytes() == budget.bytes_max());
        let third = read().within(&budget);
        assert_eq!((third.memory_exceeded, third.len(), third.kept, third.dropped, budget.refusals()), (true, 0, 0, 1_000, 1));
        drop(first);
        assert_eq!(read().within(&budget).kept, 1_000, "memory comes back with the reading");
    }
}
