//! The native metric families of one response: series with values, stored as positions in the response body.
//!
//! # Positions, not copies
//!
//! A poll can return a million series. Names, labels and help texts are positions in the body, which is kept once, without what no family
//! uses; repaired text is appended in a second buffer. A reading therefore costs 8 bytes per label and 16 bytes per sample in addition to
//! its body, and it can be kept, shared and sent without a lifetime.
//!
//! # Limits for every format
//!
//! The builder enforces the limits, not the readers of the formats: beyond a limit it stores nothing more, and [`Families::read`] fails.

mod body;
mod builder;
mod compact;
mod compact_body;
mod label;
mod page_edge;
mod repeated;
mod sample;
mod text;
mod unknown_series;
mod unreadable_reason;

pub use builder::{FamiliesBuilder, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX};
pub use label::is_plain_label_name;
pub use page_edge::PageEdge;
pub use sample::{FamilyRef, SampleRef, Value};
pub use text::Text;
pub use unreadable_reason::label_text;

pub(crate) use body::buffer_with_capacity;
pub(super) use compact::CompactCopy;
pub(super) use label::{Label, LabelName};

use super::sample_extras::Extras;
use super::scope::{SCOPE_LABEL, is_scope_label};
use super::{Histogram, LimitExceeded, READING_LIMITS, ReadingLimits, Repair, Repairs, Summary};
use body::Body;
use sample::Sample;
use std::ops::Range;
use unknown_series::UnknownSeries;
use unreadable_reason::UnreadableReason;

/// The type of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FamilyType {
    /// A value that only rises, except for resets.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// Quantiles.
    Summary,
    /// Always 1, with labels that describe something.
    Info,
    /// 1 for the states that something is in, 0 for the others.
    StateSet,
    /// The server sends no type, or one that no format has.
    #[default]
    Unknown,
}

impl FamilyType {
    /// Returns true if the values of its series are numbers, and not histograms or summaries.
    #[must_use]
    pub fn is_number(self) -> bool {
        match self {
            Self::Counter | Self::Gauge | Self::Info | Self::StateSet | Self::Unknown => true,
            Self::Histogram | Self::Summary => false,
        }
    }

    /// Returns the name of the type in Prometheus' formats. They have different ones for [`Unknown`](Self::Unknown).
    #[must_use]
    pub const fn name(self, unknown: &'static str) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => unknown,
        }
    }

    /// Returns the type with this name, or [`Unknown`](Self::Unknown).
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        use FamilyType::{Counter, Gauge, Histogram, Info, StateSet, Summary, Unknown};
        let kinds = [Counter, Gauge, Histogram, Summary, Info, StateSet];
        kinds.into_iter().find(|kind| kind.name("") == name).unwrap_or(Unknown)
    }
}

/// A family: its texts, and the range of its samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: Text,
    help: Text,
    unit: Text,
    pub(super) kind: FamilyType,
    pub(super) first: u32,
    pub(super) end: u32,
}

/// The families of one response.
#[derive(Clone, Debug, Default)]
pub struct Families {
    body: Body,
    /// Text that is not part of the body: repaired, unescaped or generated.
    added_text: String,
    pub(super) families: Vec<Family>,
    samples: Vec<Sample>,
    pub(super) labels: Vec<Label>,
    /// The label names, each stored once.
    pub(super) names: Vec<LabelName>,
    /// A name is not supported by every version of Prometheus.
    has_special_names: bool,
    histograms: Vec<Histogram>,
    summaries: Vec<Summary>,
    repairs: Repairs,
    /// Explicit timestamps in Unix milliseconds by the index of their sample, ascending. Few samples have one.
    timestamps: Vec<(u32, i64)>,
    /// The names of families that lack a histogram which was inconsistent.
    inconsistent: Vec<Text>,
    /// Histograms that could not be read, each with the name of its family.
    unreadable: Vec<(Text, Sample)>,
    /// The labels of those histograms, while the response is being read.
    unreadable_labels: Vec<Label>,
    /// The reasons why values of families are not known.
    unreadable_reasons: Vec<UnreadableReason>,
    /// The labels of which a series has an unknown value.
    unknown_series: Vec<UnknownSeries>,
    /// No family has two series with the same labels. If false, it may have.
    are_series_unique: bool,
    /// Exemplars and start times, which few series have.
    pub(super) extras: Extras,
    /// The position in a longer list, if the response is a page of one.
    pub edge: Option<PageEdge>,
}

impl Families {
    /// Parses a body: `reader` adds its families to a builder. The result keeps the body.
    ///
    /// # Errors
    /// The reader fails, or the response exceeds a limit.
    pub fn read<E: From<LimitExceeded>>(body: String, reader: impl FnOnce(&mut FamiliesBuilder<'_>) -> Result<(), E>) -> Result<Self, E> {
        Self::read_within(READING_LIMITS, body, reader)
    }

    /// The same as [`read`](Self::read) with other limits.
    ///
    /// # Errors
    /// The reader fails, or the response exceeds a limit.
    pub fn read_within<E: From<LimitExceeded>>(
        limits: ReadingLimits,
        body: String,
        reader: impl FnOnce(&mut FamiliesBuilder<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut builder = FamiliesBuilder::new(&body, limits);
        let result = reader(&mut builder);
        // Checked first: the reader may have stopped with another error because of it.
        if let Some(exceeded) = builder.exceeded_limit() {
            return Err(exceeded.into());
        }
        result?;
        let mut families = builder.finish();
        families.body = Body(body);
        families.place_created();
        families.compact_body();
        Ok(families)
    }

    /// All families, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = FamilyRef<'_>> {
        self.families.iter().map(|family| FamilyRef { of: self, family })
    }

    /// The family with this index.
    #[must_use]
    pub fn nth(&self, index: usize) -> Option<FamilyRef<'_>> {
        self.families.get(index).map(|family| FamilyRef { of: self, family })
    }

    /// The families of this name. A valid response has at most one.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = FamilyRef<'a>> {
        self.iter().filter(move |family| family.name() == name)
    }

    /// The number of series.
    #[must_use]
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// The repairs that were made while the response was read.
    #[must_use]
    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// The names of all labels, each once.
    pub(super) fn label_names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| self.bytes(name.text))
    }

    /// The names of families that lack a histogram because it was inconsistent. A server may send such a histogram permanently.
    pub fn inconsistent_histograms(&self) -> impl Iterator<Item = &str> {
        self.inconsistent.iter().map(|name| self.text(*name))
    }

    /// Histograms that could not be read, each with the name of its family.
    pub fn unreadable_histograms(&self) -> impl Iterator<Item = (&str, SampleRef<'_>)> {
        self.unreadable.iter().map(|(family, sample)| (self.text(*family), SampleRef { of: self, sample }))
    }

    /// Counts a repair that was made before reading.
    pub fn repair(&mut self, repair: Repair) {
        self.repairs.count(repair);
    }

    /// Counts repairs that were made before reading.
    pub fn add_repairs(&mut self, repairs: &Repairs) {
        self.repairs.add_all(repairs);
    }

    /// The length of the body in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Returns true if it is known that no family has two series with the same labels.
    pub(crate) fn are_series_unique(&self) -> bool {
        self.are_series_unique
    }

    /// Notes that no family has two series with the same labels.
    pub(super) fn note_unique_series(&mut self) {
        self.are_series_unique = true;
    }

    /// Notes that labels were changed, so that two series may have the same.
    pub(super) fn series_may_repeat(&mut self) {
        self.are_series_unique = false;
    }

    /// The sample with this index among those of all families.
    pub(super) fn sample(&self, index: u32) -> Option<SampleRef<'_>> {
        self.samples.get(index as usize).map(|sample| SampleRef { of: self, sample })
    }

    /// Returns true if any sample has an explicit timestamp.
    pub(super) fn has_timestamps(&self) -> bool {
        !self.timestamps.is_empty()
    }

    fn timestamp(&self, sample: u32) -> Option<i64> {
        let found = self.timestamps.binary_search_by_key(&sample, |(index, _)| *index).ok()?;
        self.timestamps.get(found).map(|(_, timestamp)| *timestamp)
    }

    /// Returns true if a label of any series describes its instrumentation scope.
    pub(super) fn has_scope_labels(&self) -> bool {
        self.names.iter().any(|name| name.text.len() > SCOPE_LABEL.len() && is_scope_label(self.bytes(name.text)))
    }

    /// The range of a sample's labels among all labels.
    pub(super) fn labels_of(&self, sample: u32) -> Range<usize> {
        self.samples.get(sample as usize).map_or(0..0, |sample| {
            let first = sample.labels as usize;
            first..first + usize::from(sample.labels_len)
        })
    }

    /// Adds text that is not part of the body, after the response was read.
    pub(super) fn add_text(&mut self, text: &str) -> Text {
        let start = self.body.len() + self.added_text.len();
        self.added_text.push_str(text);
        Text::new(start, text.len())
    }

    /// The bytes of a text. Faster than [`text`](Self::text), which checks for character boundaries.
    pub(super) fn bytes(&self, text: Text) -> &[u8] {
        let (start, len) = (text.start(), text.len());
        let found = match start.checked_sub(self.body.len()) {
            Some(start) => self.added_text.as_bytes().get(start..start + len),
            None => self.body.as_bytes().get(start..start + len),
        };
        found.unwrap_or_default()
    }

    pub(super) fn text(&self, text: Text) -> &str {
        let (start, len) = (text.start(), text.len());
        let found = match start.checked_sub(self.body.len()) {
            Some(start) => self.added_text.get(start..start + len),
            None => self.body.get(start..start + len),
        };
        found.unwrap_or_default()
    }
}
