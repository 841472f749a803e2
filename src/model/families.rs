//! What a mail server said, in its own words: families of series over the body that they were read from.
//!
//! # Positions, not copies
//!
//! A poll can bring a million series. Names, labels and help texts are positions in the body, kept once; what had to be
//! repaired stands in a second text behind it. So a reading costs 16 bytes a label and 16 a sample beyond its body,
//! and it can be kept, shared and sent without a lifetime.
//!
//! # Bounds that every reader has
//!
//! The builder holds them, not the readers: beyond one it keeps nothing more, and [`Families::read`] refuses the answer.

mod compact;
mod repeated;

pub(super) use compact::CompactCopy;

use super::exemplar::Extras;
use super::scope::{SCOPE_LABEL, is_scope_label};
use super::{BOUNDS, Histogram, LimitExceeded, ReadingLimits, Repair, Repairs, Summary, cut};
use std::ops::Range;

/// A piece of text of a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    start: u32,
    len: u32,
}

impl Text {
    /// Its length in bytes.
    #[must_use]
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }

    /// A part of it.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let start = range.start.min(self.len as usize) as u32;
        let end = range.end.min(self.len as usize) as u32;
        Self { start: self.start + start, len: end.saturating_sub(start) }
    }
}

/// What a family says that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyType {
    /// Only rises.
    Counter,
    /// A reading.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// Quantiles.
    Summary,
    /// 1, with labels that describe something.
    Info,
    /// 1 for the states that something is in, 0 for the others.
    StateSet,
    /// Not said, or a word that no format knows.
    #[default]
    Unknown,
}

impl FamilyType {
    /// Whether its series are numbers, and not distributions.
    #[must_use]
    pub fn is_number(self) -> bool {
        match self {
            Self::Counter | Self::Gauge | Self::Info | Self::StateSet | Self::Unknown => true,
            Self::Histogram | Self::Summary => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: Text,
    help: Text,
    unit: Text,
    pub(super) kind: FamilyType,
    pub(super) first: u32,
    pub(super) end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    labels: u32,
    labels_len: u16,
    shape: Shape,
    /// The bits of the number, or the place of the distribution.
    bits: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    Histogram,
    Summary,
}

/// A value of a native series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A counter, a gauge, or something untyped.
    Number(f64),
    /// A distribution in buckets.
    Histogram(&'a Histogram),
    /// A distribution in quantiles.
    Summary(&'a Summary),
}

/// How a page of a list joins the next, so that a list that changed between two requests is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageEdge {
    /// The first row of the next page, counted from 1, where there is one.
    pub next: Option<u64>,
    /// Rows of the whole list, where the server reports them.
    pub rows: Option<u64>,
    /// A hash of what the page begins with; never 0.
    pub first: u64,
    /// A hash of what the next page must begin with; 0 where that is not known.
    pub last: u64,
}

impl PageEdge {
    /// Whether the page behind this one is of the same list.
    #[must_use]
    pub fn joins(&self, next: &Self) -> bool {
        self.rows == next.rows && (self.last == 0 || self.last == next.first)
    }
}

/// Families of series, as one answer gave them.
#[derive(Clone, Debug, Default)]
pub struct Families {
    body: String,
    mended: String,
    pub(super) families: Vec<Family>,
    samples: Vec<Sample>,
    pub(super) labels: Vec<(Text, Text)>,
    histograms: Vec<Histogram>,
    summaries: Vec<Summary>,
    repairs: Repairs,
    /// Explicit timestamps in Unix milliseconds by the place of their series, rising; few series have one.
    timestamps: Vec<(u32, i64)>,
    /// Families that lack a histogram which contradicts itself.
    contradicted: Vec<Text>,
    /// Distributions that could not be read, each with the name of its family.
    lost: Vec<(Text, Sample)>,
    /// The labels of those, while the response is read.
    lost_labels: Vec<(Text, Text)>,
    /// Exemplars and start times, which few series have.
    pub(super) extras: Extras,
    /// What these families are of, where the response is a page of a longer list.
    pub edge: Option<PageEdge>,
}

impl Families {
    /// All families, in the order in which the server sent them.
    pub fn iter(&self) -> impl Iterator<Item = FamilyRef<'_>> {
        self.families.iter().map(|family| FamilyRef { of: self, family })
    }

    /// The family at this place.
    #[must_use]
    pub fn nth(&self, at: usize) -> Option<FamilyRef<'_>> {
        self.families.get(at).map(|family| FamilyRef { of: self, family })
    }

    /// The families of this name: one in a sound answer.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = FamilyRef<'a>> {
        self.iter().filter(move |family| family.name() == name)
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// What had to be mended while reading.
    #[must_use]
    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// The names of families that lack a histogram because it contradicted itself. A server may send such a one for good.
    pub fn contradicted(&self) -> impl Iterator<Item = &str> {
        self.contradicted.iter().map(|name| self.text(*name))
    }

    /// Distributions that could not be read, each with the name of its family.
    pub fn lost(&self) -> impl Iterator<Item = (&str, SampleRef<'_>)> {
        self.lost.iter().map(|(family, sample)| (self.text(*family), SampleRef { of: self, sample }))
    }

    /// Counts a repair that was made before reading.
    pub fn repair(&mut self, repair: Repair) {
        self.repairs.count(repair);
    }

    /// Counts repairs that were made before reading.
    pub fn add_repairs(&mut self, repairs: &Repairs) {
        self.repairs.add_all(repairs);
    }

    /// How long the body is.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The series at this place, counted over all families.
    pub(super) fn sample(&self, at: u32) -> Option<SampleRef<'_>> {
        self.samples.get(at as usize).map(|sample| SampleRef { of: self, sample })
    }

    /// Whether any series has an explicit timestamp.
    pub(super) fn has_timestamps(&self) -> bool {
        !self.timestamps.is_empty()
    }

    fn timestamp(&self, at: u32) -> Option<i64> {
        let found = self.timestamps.binary_search_by_key(&at, |(at, _)| *at).ok()?;
        self.timestamps.get(found).map(|(_, timestamp)| *timestamp)
    }

    /// Whether a label of any series describes its instrumentation scope.
    pub(super) fn has_scope_labels(&self) -> bool {
        self.labels.iter().any(|(name, _)| name.len() > SCOPE_LABEL.len() && is_scope_label(self.bytes(*name)))
    }

    /// The places of a series' labels among all labels.
    pub(super) fn labels_of(&self, sample: u32) -> Range<usize> {
        self.samples.get(sample as usize).map_or(0..0, |sample| {
            let first = sample.labels as usize;
            first..first + usize::from(sample.labels_len)
        })
    }

    /// Keeps a piece of text that does not stand in the body, once it has been read.
    pub(super) fn keep(&mut self, piece: &str) -> Text {
        let start = self.body.len() + self.mended.len();
        self.mended.push_str(piece);
        Text { start: start as u32, len: piece.len() as u32 }
    }

    /// The same bytes as [`text`](Self::text), without a look for characters that are cut.
    pub(super) fn bytes(&self, text: Text) -> &[u8] {
        let (start, len) = (text.start as usize, text.len as usize);
        let whole = match start.checked_sub(self.body.len()) {
            Some(behind) => self.mended.as_bytes().get(behind..behind + len),
            None => self.body.as_bytes().get(start..start + len),
        };
        whole.unwrap_or_default()
    }

    pub(super) fn text(&self, text: Text) -> &str {
        let (start, len) = (text.start as usize, text.len as usize);
        let whole = match start.checked_sub(self.body.len()) {
            Some(behind) => self.mended.get(behind..behind + len),
            None => self.body.get(start..start + len),
        };
        whole.unwrap_or_default()
    }
}

/// One family of a reading.
#[derive(Clone, Copy)]
pub struct FamilyRef<'a> {
    of: &'a Families,
    family: &'a Family,
}

impl<'a> FamilyRef<'a> {
    /// Its name, as the server wrote it.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.of.text(self.family.name)
    }

    /// Its help text; empty when there was none.
    #[must_use]
    pub fn help(&self) -> &'a str {
        self.of.text(self.family.help)
    }

    /// Its unit in the terms of Prometheus; empty when there was none.
    #[must_use]
    pub fn unit(&self) -> &'a str {
        self.of.text(self.family.unit)
    }

    /// What it says that it is.
    #[must_use]
    pub fn kind(&self) -> FamilyType {
        self.family.kind
    }

    /// The places of its series among all of the answer.
    pub(super) fn range(&self) -> std::ops::Range<u32> {
        self.family.first..self.family.end
    }

    /// Its series.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'a>> + use<'a> {
        let of = self.of;
        let range = self.family.first as usize..self.family.end as usize;
        of.samples.get(range).unwrap_or_default().iter().map(move |sample| SampleRef { of, sample })
    }
}

/// One series of a family, with its value.
#[derive(Clone, Copy)]
pub struct SampleRef<'a> {
    of: &'a Families,
    sample: &'a Sample,
}

impl<'a> SampleRef<'a> {
    /// The response that it stands in.
    pub(super) const fn families(&self) -> &'a Families {
        self.of
    }

    /// Its position among all series of the response.
    pub(super) fn position(&self) -> u32 {
        let offset = std::ptr::from_ref(self.sample).addr().wrapping_sub(self.of.samples.as_ptr().addr());
        (offset / size_of::<Sample>()) as u32
    }

    /// Label names and values, in the server's order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let of = self.of;
        self.places().iter().map(move |(name, value)| (of.text(*name), of.text(*value)))
    }

    /// The same by position.
    pub(super) fn places(&self) -> &'a [(Text, Text)] {
        let first = self.sample.labels as usize;
        self.of.labels.get(first..first + usize::from(self.sample.labels_len)).unwrap_or_default()
    }

    /// The bytes at a position.
    pub(super) fn bytes(&self, text: Text) -> &'a [u8] {
        self.of.bytes(text)
    }

    /// The same as bytes, which is faster: for what only copies or compares.
    pub fn label_bytes(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let of = self.of;
        self.places().iter().map(move |(name, value)| (of.bytes(*name), of.bytes(*value)))
    }

    /// Whether both have the same labels in the same order.
    #[must_use]
    pub fn has_labels_of(&self, other: &SampleRef<'_>) -> bool {
        let mut pairs = self.label_bytes().zip(other.label_bytes());
        // Values first: within a family it is they that differ.
        self.sample.labels_len == other.sample.labels_len && pairs.all(|(a, b)| a.1 == b.1 && a.0 == b.0)
    }

    /// The value of this label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let place = usize::try_from(self.sample.bits).unwrap_or(usize::MAX);
        let distribution = match self.sample.shape {
            Shape::Number => None,
            Shape::Histogram => self.of.histograms.get(place).map(Value::Histogram),
            Shape::Summary => self.of.summaries.get(place).map(Value::Summary),
        };
        distribution.unwrap_or(Value::Number(f64::from_bits(self.sample.bits)))
    }

    /// Whether its value is what a family of this type has.
    #[must_use]
    pub fn fits(&self, kind: FamilyType) -> bool {
        match kind {
            FamilyType::Histogram => self.sample.shape == Shape::Histogram,
            FamilyType::Summary => self.sample.shape == Shape::Summary,
            _ => self.sample.shape == Shape::Number,
        }
    }

    /// The explicit timestamp of the sample, in Unix milliseconds.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> Option<i64> {
        if self.of.has_timestamps() { self.of.timestamp(self.position()) } else { None }
    }

    /// The value of a scalar series.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value() {
            Value::Number(n) => Some(n),
            Value::Histogram(_) | Value::Summary(_) => None,
        }
    }
}

/// Builds [`Families`] while a reader walks over the body.
#[derive(Debug)]
pub struct FamiliesBuilder<'a> {
    body: &'a str,
    pub(super) out: Families,
    bounds: ReadingLimits,
    too_much: Option<LimitExceeded>,
    /// The explicit timestamp of the series that is added next.
    timestamp: Option<i64>,
}

/// A label value is cut behind this many bytes, as Prometheus servers with a limit commonly are set to refuse more.
pub const LABEL_VALUE_BYTES_MAX: usize = 2048;
/// A help text is cut behind this many bytes: it stands in every request that has a point of its family.
pub const HELP_BYTES_MAX: usize = 2048;
/// A unit is cut behind this many bytes.
const UNIT_BYTES_MAX: usize = 64;
/// Labels of one series beyond this are a fault of the answer.
pub const LABELS_PER_SERIES_MAX: usize = 64;

impl<'a> FamiliesBuilder<'a> {
    /// Starts over a body. Its length must fit into 32 bits; body limits see to that.
    #[must_use]
    pub fn new(body: &'a str, bounds: ReadingLimits) -> Self {
        Self { body, out: Families::default(), bounds, too_much: None, timestamp: None }
    }

    /// How much the answer may be.
    #[must_use]
    pub fn bounds(&self) -> &ReadingLimits {
        &self.bounds
    }

    /// Says that the answer is beyond a bound: what is added from here on is not kept, and reading it fails.
    pub fn refuse(&mut self, too_much: LimitExceeded) {
        self.too_much.get_or_insert(too_much);
    }

    /// The bound that the answer is beyond: a reader may stop there.
    #[must_use]
    pub fn too_much(&self) -> Option<LimitExceeded> {
        self.too_much
    }

    /// The body that is read.
    #[must_use]
    pub fn body(&self) -> &'a str {
        self.body
    }

    /// The position of `piece`, which must be a part of the body, or is kept beside it.
    pub fn text(&mut self, piece: &str) -> Text {
        let start = (piece.as_ptr() as usize).wrapping_sub(self.body.as_ptr() as usize);
        if start < self.body.len() && start + piece.len() <= self.body.len() {
            return Text { start: start as u32, len: piece.len() as u32 };
        }
        self.own(piece)
    }

    /// Keeps a piece of text that does not stand in the body as it is.
    pub fn own(&mut self, piece: &str) -> Text {
        let start = self.body.len() + self.out.mended.len();
        self.out.mended.push_str(piece);
        Text { start: start as u32, len: piece.len() as u32 }
    }

    /// Begins a family; series added from here on belong to it.
    pub fn family(&mut self, name: Text, help: Text, kind: FamilyType) {
        let at = self.out.samples.len() as u32;
        let help = self.cut(help, HELP_BYTES_MAX);
        // One without series says nothing, and an answer of nothing else would cost several times its bytes.
        if self.out.families.last().is_some_and(|last| last.first == last.end) {
            self.out.families.pop();
        }
        self.out.families.push(Family { name, help, unit: Text::default(), kind, first: at, end: at });
    }

    /// Says more of the family that was begun last.
    pub fn describe(&mut self, help: Option<Text>, kind: Option<FamilyType>) {
        let help = help.map(|help| self.cut(help, HELP_BYTES_MAX));
        if let Some(family) = self.out.families.last_mut() {
            family.help = help.unwrap_or(family.help);
            family.kind = kind.unwrap_or(family.kind);
        }
    }

    /// Sets the unit of the family that was begun last.
    pub fn unit(&mut self, unit: Text) {
        if let Some(family) = self.out.families.last_mut() {
            family.unit = unit.part(0..UNIT_BYTES_MAX);
        }
    }

    /// Gives the family that was begun last another name.
    pub fn rename(&mut self, name: Text) {
        if let Some(family) = self.out.families.last_mut() {
            family.name = name;
        }
    }

    /// How many series the family has that was begun last.
    #[must_use]
    pub fn series_of_family(&self) -> usize {
        self.out.families.last().map_or(0, |family| (family.end - family.first) as usize)
    }

    /// Adds a label to the series that is added next.
    pub fn label(&mut self, name: Text, value: Text) {
        let value = self.cut(value, LABEL_VALUE_BYTES_MAX);
        self.out.labels.push((name, value));
    }

    /// Sets the explicit timestamp of the series that is added next, in Unix milliseconds.
    pub fn timestamp(&mut self, milliseconds: Option<i64>) {
        self.timestamp = milliseconds;
    }

    fn cut(&mut self, mut text: Text, bytes_max: usize) -> Text {
        if text.len as usize > bytes_max {
            text.len = cut(self.read(text), bytes_max).len() as u32;
            self.out.repairs.count(Repair::LabelTooLong);
        }
        text
    }

    /// Forgets labels that were added for a series that turned out to be broken.
    pub fn forget_labels(&mut self) {
        let kept = self.end_of_labels();
        self.out.labels.truncate(kept);
        self.timestamp = None;
    }

    /// Where the labels of the last series end.
    fn end_of_labels(&self) -> usize {
        self.out.samples.last().map_or(0, |s| s.labels as usize + usize::from(s.labels_len))
    }

    /// Adds a scalar series with the labels since the last one.
    pub fn number(&mut self, value: f64) {
        self.push(Shape::Number, value.to_bits());
    }

    /// Adds a distribution with the labels since the last series.
    pub fn histogram(&mut self, histogram: Histogram) {
        if !self.has_room_for_a_distribution() {
            return self.forget_labels();
        }
        let index = self.out.histograms.len() as u64;
        self.out.histograms.push(histogram);
        self.push(Shape::Histogram, index);
    }

    /// The same in quantiles; one that says nothing is no series.
    pub fn summary(&mut self, summary: Summary) {
        if !summary.says_anything() || !self.has_room_for_a_distribution() {
            return self.forget_labels();
        }
        let index = self.out.summaries.len() as u64;
        self.out.summaries.push(summary);
        self.push(Shape::Summary, index);
    }

    /// Sets where the page begins and ends.
    pub fn page_edge(&mut self, edge: PageEdge) {
        self.out.edge = Some(edge);
    }

    /// Counts a repair, of the family that was begun last.
    pub fn repair(&mut self, repair: Repair) {
        self.out.repairs.count(repair);
        let family = self
            .out
            .families
            .last()
            .filter(|_| matches!(repair, Repair::InconsistentHistogram | Repair::MissingCount))
            .map(|family| family.name);
        self.out.contradicted.extend(family.filter(|name| self.out.contradicted.last() != Some(name)));
    }

    /// Counts a repair that was made so often.
    pub fn count(&mut self, repair: Repair, times: u64) {
        self.out.repairs.add(repair, times);
    }

    /// Counts a distribution, with the labels since the last series, that cannot be read: sums that it belongs to are not known.
    pub fn lose_distribution(&mut self, repair: Repair) {
        let from = self.end_of_labels();
        let labels = self.out.labels.get(from..).unwrap_or_default();
        if let Some(family) = self.out.families.last().filter(|_| labels.len() <= LABELS_PER_SERIES_MAX) {
            let first = self.out.lost_labels.len() as u32;
            self.out.lost_labels.extend_from_slice(labels);
            let sample = Sample { labels: first, labels_len: labels.len() as u16, shape: Shape::Histogram, bits: u64::MAX };
            self.out.lost.push((family.name, sample));
        }
        self.out.labels.truncate(from);
        self.timestamp = None;
        self.repair(repair);
    }

    /// Counts all of these.
    pub fn repairs(&mut self, repairs: &Repairs) {
        self.out.repairs.add_all(repairs);
    }

    /// Whether anything had to be mended or left out so far.
    #[must_use]
    pub fn has_repairs(&self) -> bool {
        self.out.repairs.iter().next().is_some()
    }

    /// How many series there are so far.
    #[must_use]
    pub fn series(&self) -> usize {
        self.out.samples.len()
    }

    /// How many histograms and summaries there are so far.
    #[must_use]
    pub fn distributions(&self) -> usize {
        self.out.histograms.len() + self.out.summaries.len()
    }

    fn has_room_for_a_distribution(&mut self) -> bool {
        let room = self.distributions() < self.bounds.distributions_max;
        if !room {
            self.refuse(self.bounds.distributions());
        }
        room
    }

    /// The name of the family that was begun last.
    pub(super) fn family_name(&self) -> Option<Text> {
        self.out.families.last().map(|family| family.name)
    }

    /// Whether the series that was added last, of the family that was begun last, has these labels in this order.
    pub(super) fn last_has_labels<'l>(&self, labels: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
        let (Some(last), true) = (self.out.samples.len().checked_sub(1), self.series_of_family() > 0) else { return false };
        let its = self.out.labels.get(self.out.labels_of(last as u32)).unwrap_or_default();
        let mut its = its.iter();
        let mut same = |(name, value)| its.next().is_some_and(|its| self.read(its.1) == value && self.read(its.0) == name);
        let mut labels = labels;
        labels.all(&mut same) && its.next().is_none()
    }

    /// A part of the body, by its position.
    #[must_use]
    pub fn read_body(&self, text: Text) -> &'a str {
        let start = text.start as usize;
        self.body.get(start..start + text.len as usize).unwrap_or_default()
    }

    /// Whether one more series can be kept, in the family that was begun last.
    fn has_room(&mut self) -> bool {
        let (series, families) = (self.out.samples.len() < self.bounds.series_max, self.out.families.len() <= self.bounds.families_max);
        if !series {
            self.refuse(self.bounds.series());
        } else if !families {
            self.refuse(self.bounds.families());
        }
        series && families
    }

    /// A piece of text that was added before.
    #[must_use]
    pub fn read(&self, text: Text) -> &str {
        let (start, len) = (text.start as usize, text.len as usize);
        match start.checked_sub(self.body.len()) {
            Some(behind) => self.out.mended.get(behind..behind + len).unwrap_or_default(),
            None => self.body.get(start..start + len).unwrap_or_default(),
        }
    }

    /// What was built, still without the body.
    #[must_use]
    pub fn finish(mut self) -> Families {
        // Behind the labels of all series, so that both are read in the same way.
        self.forget_labels();
        let behind = self.out.labels.len() as u32;
        self.out.lost.iter_mut().for_each(|(_, sample)| sample.labels += behind);
        let mut lost = std::mem::take(&mut self.out.lost_labels);
        self.out.labels.append(&mut lost);
        self.out
    }

    fn push(&mut self, shape: Shape, bits: u64) {
        let timestamp = self.timestamp.take();
        let labels = self.out.samples.last().map_or(0, |s| s.labels + u32::from(s.labels_len));
        let labels_len = self.out.labels.len() - labels as usize;
        if labels_len > LABELS_PER_SERIES_MAX || self.has_name_twice(labels as usize) {
            self.out.labels.truncate(labels as usize);
            self.repair(Repair::Unreadable);
            return;
        }
        if !self.has_room() {
            self.out.labels.truncate(labels as usize);
            return;
        }
        self.out.timestamps.extend(timestamp.map(|timestamp| (self.out.samples.len() as u32, timestamp)));
        self.out.samples.push(Sample { labels, labels_len: labels_len as u16, shape, bits });
        if let Some(family) = self.out.families.last_mut() {
            family.end = self.out.samples.len() as u32;
        }
    }

    /// Whether one of the labels from here on has the name of another: Prometheus refuses a whole page for that.
    fn has_name_twice(&self, from: usize) -> bool {
        let labels = self.out.labels.get(from..).unwrap_or_default();
        labels.iter().enumerate().any(|(at, (name, _))| {
            let same = |other: &Text| other == name || (other.len == name.len && self.read(*other) == self.read(*name));
            labels[..at].iter().any(|(other, _)| same(other))
        })
    }
}

impl Families {
    /// Reads a body: `reader` walks over it, and the result keeps it.
    ///
    /// # Errors
    /// What the reader says, or that it is beyond a bound.
    pub fn read<E: From<LimitExceeded>>(body: String, reader: impl FnOnce(&mut FamiliesBuilder<'_>) -> Result<(), E>) -> Result<Self, E> {
        Self::read_within(BOUNDS, body, reader)
    }

    /// The same with bounds of one's own.
    ///
    /// # Errors
    /// As those of [`read`](Self::read).
    pub fn read_within<E: From<LimitExceeded>>(
        bounds: ReadingLimits,
        body: String,
        reader: impl FnOnce(&mut FamiliesBuilder<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut builder = FamiliesBuilder::new(&body, bounds);
        let read = reader(&mut builder);
        // Before what the reader says: it may have stopped there.
        if let Some(too_much) = builder.too_much {
            return Err(too_much.into());
        }
        read?;
        let mut families = builder.finish();
        families.body = body;
        families.place_created();
        Ok(families)
    }
}
