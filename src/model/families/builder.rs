//! The builder with which the readers of all formats create families.

mod repairs;

use super::sample::{Sample, Shape};
use super::{Families, Family, FamilyType, Label, PageEdge, Text};
use crate::model::{Histogram, LimitExceeded, ReadingLimits, Repair, Summary, cut};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Longer label values are cut, in bytes. Prometheus servers with a limit commonly reject more.
pub const LABEL_VALUE_BYTES_MAX: usize = 2048;
/// Longer help texts are cut, in bytes: every request with a point of the family contains the text.
pub const HELP_BYTES_MAX: usize = 2048;
/// Longer units are cut, in bytes.
const UNIT_BYTES_MAX: usize = 64;
/// A series with more labels is unreadable.
pub const LABELS_PER_SERIES_MAX: usize = 64;
/// The bytes of a body for which room for one series is reserved: less than most series have.
const BYTES_PER_SERIES: usize = 64;
/// The series for which room is reserved at most. Longer lists grow.
const RESERVED_SERIES_MAX: usize = 128;

/// Builds [`Families`] while a reader goes through the body.
#[derive(Debug)]
pub struct FamiliesBuilder<'a> {
    body: &'a str,
    pub(in crate::model) out: Families,
    limits: ReadingLimits,
    exceeded: Option<LimitExceeded>,
    /// The explicit timestamp of the next series.
    timestamp: Option<i64>,
    /// The indices of the label names, by their hashes.
    pub(super) name_indices: HashMap<u64, u16, RandomState>,
    /// The next series has a label whose name cannot be stored.
    has_unstored_name: bool,
}

impl<'a> FamiliesBuilder<'a> {
    /// A builder for a body, whose length must fit into 32 bits. The limits of response bodies ensure that.
    #[must_use]
    pub fn new(body: &'a str, limits: ReadingLimits) -> Self {
        let (out, name_indices) = (Families::default(), HashMap::default());
        let mut builder = Self { body, out, limits, exceeded: None, timestamp: None, name_indices, has_unstored_name: false };
        builder.reserve_series(body.len() / BYTES_PER_SERIES);
        builder
    }

    /// Reserves room for this number of series, so that short lists need not grow.
    pub fn reserve_series(&mut self, series: usize) {
        let series = series.min(RESERVED_SERIES_MAX);
        self.out.families.reserve(series);
        self.out.samples.reserve(series);
        self.out.labels.reserve(series);
    }

    /// Reserves room for text that is not a part of the body.
    pub fn reserve_text(&mut self, bytes: usize) {
        self.out.added_text.reserve(bytes);
    }

    /// The limits of the response.
    #[must_use]
    pub fn limits(&self) -> &ReadingLimits {
        &self.limits
    }

    /// Notes that the response exceeds a limit: further series are not stored, and reading the response fails.
    pub fn exceed(&mut self, limit: LimitExceeded) {
        self.exceeded.get_or_insert(limit);
    }

    /// The limit that the response exceeds. A reader may stop there.
    #[must_use]
    pub fn exceeded_limit(&self) -> Option<LimitExceeded> {
        self.exceeded
    }

    /// The body that is read.
    #[must_use]
    pub fn body(&self) -> &'a str {
        self.body
    }

    /// The position of a text, which is added unless it is a part of the body.
    pub fn text(&mut self, text: &str) -> Text {
        let start = (text.as_ptr() as usize).wrapping_sub(self.body.as_ptr() as usize);
        if start < self.body.len() && start + text.len() <= self.body.len() {
            return Text::new(start, text.len());
        }
        self.add_text(text)
    }

    /// Adds a text that is not a part of the body.
    pub fn add_text(&mut self, text: &str) -> Text {
        let start = self.body.len() + self.out.added_text.len();
        self.out.added_text.push_str(text);
        Text::new(start, text.len())
    }

    /// A text that was added or is part of the body.
    #[must_use]
    pub fn read(&self, text: Text) -> &str {
        let (start, len) = (text.start(), text.len());
        match start.checked_sub(self.body.len()) {
            Some(start) => self.out.added_text.get(start..start + len).unwrap_or_default(),
            None => self.body.get(start..start + len).unwrap_or_default(),
        }
    }

    /// A text that is part of the body.
    #[must_use]
    pub fn read_body(&self, text: Text) -> &'a str {
        self.body.get(text.start()..text.start() + text.len()).unwrap_or_default()
    }

    fn cut(&mut self, text: Text, bytes_max: usize) -> Text {
        if text.len() <= bytes_max {
            return text;
        }
        self.out.repairs.count(Repair::LabelTooLong);
        text.part(0..cut(self.read(text), bytes_max).len())
    }

    /// Begins a family. The series that are added next belong to it.
    pub fn family(&mut self, name: Text, help: Text, kind: FamilyType) {
        let first = self.out.samples.len() as u32;
        let help = self.cut(help, HELP_BYTES_MAX);
        // A family without series is useless, and a response of nothing else would need several times its own memory.
        if self.out.families.last().is_some_and(|last| last.first == last.end) {
            self.out.families.pop();
        }
        self.out.families.push(Family { name, help, unit: Text::default(), kind, first, end: first });
    }

    /// Sets the help text or the type of the last family.
    pub fn describe(&mut self, help: Option<Text>, kind: Option<FamilyType>) {
        let help = help.map(|help| self.cut(help, HELP_BYTES_MAX));
        if let Some(family) = self.out.families.last_mut() {
            family.help = help.unwrap_or(family.help);
            family.kind = kind.unwrap_or(family.kind);
        }
    }

    /// Sets the unit of the last family.
    pub fn unit(&mut self, unit: Text) {
        if let Some(family) = self.out.families.last_mut() {
            family.unit = unit.part(0..UNIT_BYTES_MAX);
        }
    }

    /// Changes the name of the last family.
    pub fn rename(&mut self, name: Text) {
        if let Some(family) = self.out.families.last_mut() {
            self.out.extras.rename_family(family.name, name);
            family.name = name;
        }
    }

    /// The name of the last family.
    pub(in crate::model) fn family_name(&self) -> Option<Text> {
        self.out.families.last().map(|family| family.name)
    }

    /// The number of series of the last family.
    #[must_use]
    pub fn series_of_family(&self) -> usize {
        self.out.families.last().map_or(0, |family| (family.end - family.first) as usize)
    }

    /// The number of series of all families.
    #[must_use]
    pub fn series(&self) -> usize {
        self.out.samples.len()
    }

    /// The number of histograms and summaries of all families.
    #[must_use]
    pub fn distributions(&self) -> usize {
        self.out.histograms.len() + self.out.summaries.len()
    }

    /// Adds a label to the next series.
    pub fn label(&mut self, name: Text, value: Text) {
        let value = self.cut(value, LABEL_VALUE_BYTES_MAX);
        let index = self.name_index(name);
        self.has_unstored_name |= index.is_none();
        self.out.labels.push(Label::new(index.unwrap_or_default(), value));
    }

    /// The bytes of a text that was added or is part of the body.
    pub(super) fn bytes(&self, text: Text) -> &[u8] {
        let (start, len) = (text.start(), text.len());
        let found = match start.checked_sub(self.body.len()) {
            Some(start) => self.out.added_text.as_bytes().get(start..start + len),
            None => self.body.as_bytes().get(start..start + len),
        };
        found.unwrap_or_default()
    }

    /// Sets the explicit timestamp of the next series, in Unix milliseconds.
    pub fn timestamp(&mut self, milliseconds: Option<i64>) {
        self.timestamp = milliseconds;
    }

    /// Removes the labels and the timestamp of the next series, because the series is unreadable.
    pub fn discard_labels(&mut self) {
        let end = self.end_of_labels();
        self.out.labels.truncate(end);
        self.timestamp = None;
        self.has_unstored_name = false;
    }

    /// The end of the labels of the last series.
    pub(super) fn end_of_labels(&self) -> usize {
        self.out.samples.last().map_or(0, |last| last.labels as usize + usize::from(last.labels_len))
    }

    /// Adds a series with a number and the current labels.
    pub fn number(&mut self, value: f64) {
        self.push(Shape::Number, value.to_bits());
    }

    /// Adds a series with a histogram and the current labels.
    pub fn histogram(&mut self, histogram: Histogram) {
        if !self.can_add_distribution() {
            return self.discard_labels();
        }
        let index = self.out.histograms.len() as u64;
        self.out.histograms.push(histogram);
        self.push(Shape::Histogram, index);
    }

    /// Adds a series with a summary and the current labels, unless the summary is empty.
    pub fn summary(&mut self, summary: Summary) {
        if summary.is_empty() || !self.can_add_distribution() {
            return self.discard_labels();
        }
        let index = self.out.summaries.len() as u64;
        self.out.summaries.push(summary);
        self.push(Shape::Summary, index);
    }

    fn push(&mut self, shape: Shape, bits: u64) {
        let timestamp = self.timestamp.take();
        let labels = self.end_of_labels();
        let labels_len = self.out.labels.len() - labels;
        let exceeds_limit = std::mem::take(&mut self.has_unstored_name) || labels_len > LABELS_PER_SERIES_MAX;
        if exceeds_limit || self.has_duplicate_name(labels) {
            self.out.labels.truncate(labels);
            self.repair(if exceeds_limit { Repair::TooManyLabels } else { Repair::Unreadable });
            self.note_unreadable_in_family();
            return;
        }
        if !self.can_add_series() {
            self.out.labels.truncate(labels);
            return;
        }
        self.out.timestamps.extend(timestamp.map(|timestamp| (self.out.samples.len() as u32, timestamp)));
        self.out.samples.push(Sample { labels: labels as u32, labels_len: labels_len as u16, shape, bits });
        if let Some(family) = self.out.families.last_mut() {
            family.end = self.out.samples.len() as u32;
        }
    }

    /// Returns true if two labels from this index on have the same name: Prometheus rejects a whole page for that.
    fn has_duplicate_name(&self, from: usize) -> bool {
        let labels = self.out.labels.get(from..).unwrap_or_default();
        labels.iter().enumerate().any(|(index, label)| labels[..index].iter().any(|other| other.name == label.name))
    }

    /// Returns true if the limits allow one more series in the last family.
    fn can_add_series(&mut self) -> bool {
        let series = self.out.samples.len() < self.limits.series_max;
        let families = self.out.families.len() <= self.limits.families_max;
        if !series {
            self.exceed(self.limits.series());
        } else if !families {
            self.exceed(self.limits.families());
        }
        series && families
    }

    /// Returns true if the limits allow one more histogram or summary.
    fn can_add_distribution(&mut self) -> bool {
        let is_within_limit = self.distributions() < self.limits.distributions_max;
        if !is_within_limit {
            self.exceed(self.limits.distributions());
        }
        is_within_limit
    }

    /// Returns true if the last series, of the last family, has these labels in this order.
    pub(in crate::model) fn last_has_labels<'l>(&self, mut labels: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
        let (Some(last), true) = (self.out.samples.len().checked_sub(1), self.series_of_family() > 0) else { return false };
        let mut stored = self.out.labels.get(self.out.labels_of(last as u32)).unwrap_or_default().iter();
        let is_same = |label: &Label, name, value| self.read(label.value()) == value && self.read(self.out.label_name(*label)) == name;
        labels.all(|(name, value)| stored.next().is_some_and(|label| is_same(label, name, value))) && stored.next().is_none()
    }

    /// Sets where the page begins and ends.
    pub fn page_edge(&mut self, edge: PageEdge) {
        self.out.edge = Some(edge);
    }

    /// The families, still without their body.
    #[must_use]
    pub fn finish(mut self) -> Families {
        self.discard_labels();
        // The labels of unreadable histograms follow those of all series, so that all labels are in one list.
        let offset = self.out.labels.len() as u32;
        self.out.unreadable.iter_mut().for_each(|(_, sample)| sample.labels += offset);
        let mut labels = std::mem::take(&mut self.out.unreadable_labels);
        self.out.labels.append(&mut labels);
        self.out
    }
}
