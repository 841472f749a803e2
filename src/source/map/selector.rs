//! The series that a rule takes, and the attributes of their points.

use super::points::POINTS_PER_METRIC_MAX;
use crate::model::{Attribute, Attributes, Point, SampleRef};
use crate::source::pattern::{is_match, is_pattern, matches};
use crate::source::{AttributeSource, Part, Piece, Rule};
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

static RULE_SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Conditions on labels, prepared once for all series of a poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelConditions {
    when: &'static [(&'static str, &'static str)],
    unless: &'static [(&'static str, &'static str)],
    /// No value is a pattern, and no label has several values.
    is_plain: bool,
}

impl LabelConditions {
    pub(super) fn new(when: &'static [(&'static str, &'static str)], unless: &'static [(&'static str, &'static str)]) -> Self {
        let has_pattern = when.iter().chain(unless).any(|(_, value)| is_pattern(value));
        let is_repeated = |index: usize, label: &str| when.iter().take(index).any(|(other, _)| *other == label);
        let has_repeated = when.iter().enumerate().any(|(index, (label, _))| is_repeated(index, label));
        Self { when, unless, is_plain: !has_pattern && !has_repeated }
    }

    /// Returns true if a series fulfils the conditions. A label that it does not have is equal to an empty one.
    pub(super) fn accept(&self, sample: &SampleRef<'_>) -> bool {
        let value_of = |name: &str| sample.label(name).unwrap_or_default();
        if self.is_plain {
            return self.when.iter().all(|(name, value)| value_of(name) == *value)
                && !self.unless.iter().any(|(name, value)| value_of(name) == *value);
        }
        let has_one_of = |name: &str| {
            let found = value_of(name);
            self.when.iter().any(|(other, value)| *other == name && is_match(value, found))
        };
        self.when.iter().all(|(name, _)| has_one_of(name)) && !self.unless.iter().any(|(name, value)| is_match(value, value_of(name)))
    }
}

impl Rule {
    /// A hash of what the rule counts in a part: the same if the definition is loaded again, and constant for the lifetime of the process.
    pub(super) fn key(&self, part: &Part) -> u64 {
        let keys: Vec<_> = self.with.iter().map(|(attribute, value)| (attribute.key, *value)).collect();
        let from: Vec<_> = self.from.iter().map(|from| (from.attribute.key, from.labels, from.template, from.values, from.other)).collect();
        let series = (part.name, self.families, self.when, self.unless, self.unlabelled);
        RULE_SEED.hash_one((series, self.metric.name, self.take, self.detail.is_some(), keys, from))
    }

    /// Returns true if the rule reads the family with this name.
    pub(crate) fn reads(&self, family: &str) -> bool {
        self.families.iter().any(|name| is_match(name, family))
    }

    /// Returns true if the rule selects series, or sets attributes, by the value of this label.
    pub(super) fn depends_on(&self, label: &str) -> bool {
        let is_in_template = |from: &AttributeSource| {
            from.template.iter().any(|piece| matches!(piece, Piece::Label(name) | Piece::Char(name, _) if *name == label))
        };
        self.when.iter().chain(self.unless).any(|(name, _)| *name == label)
            || self.from.iter().any(|from| from.labels.contains(&label) || is_in_template(from))
            || self.detail.is_some_and(|(name, _)| name == label)
    }

    /// Returns true if a table of the rule has a pattern, so that [`attributes_of`](Self::attributes_of) must compare with it.
    pub(super) fn has_patterns_in_tables(&self) -> bool {
        self.from.iter().flat_map(|from| from.values).any(|(native, _)| is_pattern(native))
    }

    /// The attributes that every point of the rule has.
    pub(super) fn fixed_attributes(&self) -> Attributes {
        self.with.iter().map(|(attribute, value)| (*attribute, Cow::Borrowed(*value))).collect()
    }

    /// Returns the attributes of the point for this series, or `None` if a label is missing or its value is not mapped.
    pub(super) fn attributes_of(&self, sample: &SampleRef<'_>, has_patterns: bool) -> Option<Attributes> {
        let mut attributes = self.fixed_attributes();
        for from in self.from {
            attributes.push((from.attribute, from.value_of(sample, has_patterns)?));
        }
        Some(attributes)
    }

    /// Returns `true` if a series of another family fulfils the conditions on those labels that it has.
    pub(super) fn accepts_labels_of(&self, sample: &SampleRef<'_>) -> bool {
        let has = |(label, value): &(&str, &str)| sample.label(label).is_some_and(|found| is_match(value, found));
        let has_none_of = |label: &str| !self.when.iter().any(|condition| condition.0 == label && has(condition));
        let is_other = |(label, _): &(&str, &str)| sample.label(label).is_some() && has_none_of(label);
        !self.when.iter().any(is_other) && !self.unless.iter().any(has)
    }

    /// Returns the sets of attributes that a point of the rule can have, at most [`POINTS_PER_METRIC_MAX`]. All its labels must be mapped
    /// by tables.
    pub(super) fn possible_attributes(&self) -> Vec<Attributes> {
        self.from.iter().fold(vec![self.fixed_attributes()], |sets, from| {
            let values = || from.values.iter().map(|(_, value)| *value).chain(from.other);
            let each_once = || values().enumerate().filter(|(index, value)| !values().take(*index).any(|earlier| earlier == *value));
            let products = sets.iter().flat_map(|set| each_once().map(move |(_, value)| with_attribute(set, from.attribute, value)));
            products.take(POINTS_PER_METRIC_MAX).collect()
        })
    }

    /// Returns `true` if the rule can produce a point with this metric and these attributes. A rule with a detail produces others.
    pub(super) fn may_produce(&self, point: &Point) -> bool {
        let value_of = |attribute: &Attribute| point.attributes.iter().find(|(other, _)| *other == attribute).map(|(_, value)| &**value);
        self.metric == point.metric
            && self.with.len() + self.from.len() == point.attributes.len()
            && self.with.iter().all(|(attribute, value)| value_of(attribute) == Some(*value))
            && self.from.iter().all(|from| value_of(from.attribute).is_some_and(|value| from.may_have(value)))
    }
}

impl AttributeSource {
    /// Returns `true` if a series can have this canonical value.
    fn may_have(&self, value: &str) -> bool {
        self.values.is_empty() || self.values.iter().any(|(_, canonical)| *canonical == value) || self.other == Some(value)
    }

    /// Returns the canonical value for a series, or `None` if it is not mapped.
    fn value_of(&self, sample: &SampleRef<'_>, has_patterns: bool) -> Option<Cow<'static, str>> {
        let native = self.native_value(sample)?;
        if self.values.is_empty() {
            return Some(native).filter(|native| !native.is_empty()).map(|native| Cow::Owned(native.into_owned()));
        }
        let equal = self.values.iter().find(|(known, _)| *known == native);
        let found = match equal {
            None if has_patterns => self.values.iter().find(|(known, _)| matches(known, &native)),
            equal => equal,
        };
        found.map(|(_, canonical)| *canonical).or(self.other).map(Cow::Borrowed)
    }

    /// Returns the native value, or `None` if the series does not have it.
    fn native_value<'a>(&self, sample: &SampleRef<'a>) -> Option<Cow<'a, str>> {
        if !self.template.is_empty() {
            return compose(self.template, sample).map(Cow::Owned);
        }
        let value = match self.labels {
            // A label that the series does not have is equal to an empty one.
            [label] => Some(sample.label(label).unwrap_or_default()),
            labels => labels.iter().filter_map(|label| sample.label(label)).find(|value| !value.is_empty()),
        };
        // A table can have a value for series without the label.
        let maps_missing = || self.values.iter().any(|(known, _)| known.is_empty());
        value.or_else(|| maps_missing().then_some("")).map(Cow::Borrowed)
    }
}

/// Composes a text of labels. Returns `None` if a label is missing, empty, or shorter than needed.
fn compose(template: &[Piece], sample: &SampleRef<'_>) -> Option<String> {
    let mut text = String::new();
    for piece in template {
        match piece {
            Piece::Text(fixed) => text.push_str(fixed),
            Piece::Label(label) => text.push_str(sample.label(label).filter(|value| !value.is_empty())?),
            Piece::Char(label, index) => text.push(sample.label(label)?.chars().nth(*index)?),
        }
    }
    Some(text)
}

/// Compares the values of the attributes of two points of a rule, which have the same attributes.
pub(super) fn compare_values(a: &Attributes, b: &Attributes) -> std::cmp::Ordering {
    a.iter().map(|(_, value)| value).cmp(b.iter().map(|(_, value)| value))
}

/// Returns these attributes and one more.
pub(super) fn with_attribute(attributes: &Attributes, attribute: &'static Attribute, value: impl Into<Cow<'static, str>>) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.push((attribute, value.into()));
    attributes
}
