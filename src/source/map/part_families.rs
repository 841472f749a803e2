//! The families of a part that its rules need, the series that a rule takes, and the attributes of their points.

use crate::model::{Attribute, Attributes, Families, FamilyRef, Point, Repair, SampleRef};
use crate::source::{AttributeSource, Part, Rule, Transform};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The families of a part that its rules need.
pub(super) struct PartFamilies<'a> {
    families: HashMap<&'static str, Vec<FamilyRef<'a>>, RandomState>,
    /// Families from which an inconsistent histogram was dropped.
    contradicted: HashSet<&'a str>,
    /// The inconsistent histograms whose labels are known, each with its family.
    lost: Vec<(&'a str, SampleRef<'a>)>,
    /// `true` if something could not be read, and its family is unknown.
    has_unreadable: bool,
}

impl<'a> PartFamilies<'a> {
    pub(super) fn new(part: &Part, read: &'a [(&'static Part, Families)]) -> Self {
        // A response may have millions of families, so this looks at each family once, not once for each rule.
        let names = part.rules.iter().flat_map(Rule::needed_families);
        let mut families: HashMap<_, Vec<FamilyRef<'a>>, _> = names.map(|name| (name, Vec::new())).collect();
        let (mut contradicted, mut lost, mut has_unreadable) = (HashSet::new(), Vec::new(), false);
        for (_, page) in read.iter().filter(|(other, _)| other.name == part.name) {
            has_unreadable |= [Repair::Unreadable, Repair::Forged].iter().any(|repair| page.repairs().get(*repair) > 0);
            contradicted.extend(page.inconsistent_histograms());
            lost.extend(page.unreadable_histograms().filter(|(family, _)| families.contains_key(family)));
            for family in page.iter() {
                if let Some(with_name) = families.get_mut(family.name()) {
                    with_name.push(family);
                }
            }
        }
        Self { families, contradicted, lost, has_unreadable }
    }

    /// Returns `true` if a series that the rule does not find may be in the response, but unreadable.
    pub(super) fn may_lack(&self, rule: &Rule) -> bool {
        self.has_unreadable || rule.families.iter().any(|name| self.contradicted.contains(name))
    }

    /// Returns the inconsistent histograms that a rule would take.
    pub(super) fn lost_series_of(&self, rule: &'static Rule) -> impl Iterator<Item = SampleRef<'a>> {
        self.lost.iter().filter(|(family, sample)| rule.families.contains(family) && rule.takes(sample)).map(|(_, sample)| *sample)
    }

    /// Returns all series of the families with this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = SampleRef<'a>> {
        self.families.get(name).into_iter().flatten().flat_map(|family| family.samples())
    }

    /// Returns the series that a rule takes, each with the name of its family.
    pub(super) fn taken_by(&self, rule: &'static Rule) -> impl Iterator<Item = (&'static str, SampleRef<'a>)> {
        let all = rule.families.iter().flat_map(|name| self.named(name).map(|sample| (*name, sample)));
        all.filter(|(_, sample)| rule.takes(sample))
    }
}

impl Rule {
    /// The families that the rule reads.
    fn needed_families(&self) -> impl Iterator<Item = &'static str> + use<> {
        let whole = if let Transform::OneMinusShareOf(whole) = self.transform { Some(whole) } else { None };
        self.families.iter().copied().chain(whole)
    }

    fn takes(&self, sample: &SampleRef<'_>) -> bool {
        self.when.iter().all(|(name, value)| sample.label(name) == Some(value))
            && !self.unless.iter().any(|(name, value)| sample.label(name) == Some(value))
    }

    /// The attributes that every point of the rule has.
    pub(super) fn fixed_attributes(&self) -> Attributes {
        self.with.iter().map(|(attribute, value)| (*attribute, Cow::Borrowed(*value))).collect()
    }

    /// Returns the attributes of the point for this series, or `None` if a label is missing or its value is not mapped.
    pub(super) fn attributes_of(&self, sample: &SampleRef<'_>) -> Option<Attributes> {
        let mut attributes = self.fixed_attributes();
        for from in self.from {
            attributes.push((from.attribute, from.value(sample.label(from.labels.first()?)?)?));
        }
        Some(attributes)
    }

    /// Returns every set of attributes that a point of the rule can have. All its labels must be mapped by tables.
    pub(super) fn possible_attributes(&self) -> Vec<Attributes> {
        self.from.iter().fold(vec![self.fixed_attributes()], |sets, from| {
            sets.iter().flat_map(|set| from.values.iter().map(move |(_, value)| with_attribute(set, from.attribute, *value))).collect()
        })
    }

    /// Returns `true` if the rule can produce a point with this metric and these attributes.
    pub(super) fn may_produce(&self, point: &Point) -> bool {
        let has = |attribute: &Attribute, value: &str| point.attributes.iter().any(|(other, v)| *other == attribute && v == value);
        self.metric == point.metric && self.with.iter().all(|(attribute, value)| has(attribute, value))
    }
}

impl AttributeSource {
    /// Returns the canonical value for a native one, or `None` if it is not mapped.
    fn value(&self, native: &str) -> Option<Cow<'static, str>> {
        if self.values.is_empty() {
            return Some(Cow::Owned(native.to_owned()));
        }
        let canonical = self.values.iter().find(|(known, _)| *known == native).map(|(_, canonical)| *canonical);
        canonical.or(self.other).map(Cow::Borrowed)
    }
}

/// Returns these attributes and one more.
pub(super) fn with_attribute(attributes: &Attributes, attribute: &'static Attribute, value: impl Into<Cow<'static, str>>) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.push((attribute, value.into()));
    attributes
}
