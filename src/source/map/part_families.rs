//! What a part said, by the families that its rules look for: which series a rule takes, and the attributes that they give.

use crate::model::{Attribute, Attributes, Families, FamilyRef, Point, Repair, SampleRef};
use crate::source::{AttributeSource, Part, Rule, Transform};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The families of a part that its rules look for.
pub(super) struct PartFamilies<'a> {
    families: HashMap<&'static str, Vec<FamilyRef<'a>>, RandomState>,
    /// Families that lack a histogram which could not be read.
    contradicted: HashSet<&'a str>,
    /// The series of those, where their labels are known.
    lost: Vec<(&'a str, SampleRef<'a>)>,
    /// Something could not be read, and of which family is not known.
    unreadable: bool,
}

impl<'a> PartFamilies<'a> {
    pub(super) fn of(part: &Part, read: &'a [(&'static Part, Families)]) -> Self {
        // A server may have millions of families, so they are gone through once, and not for each rule.
        let names = part.rules.iter().flat_map(Rule::looks_for);
        let mut families: HashMap<_, Vec<FamilyRef<'a>>, _> = names.map(|name| (name, Vec::new())).collect();
        let (mut contradicted, mut lost, mut unreadable) = (HashSet::new(), Vec::new(), false);
        for (_, page) in read.iter().filter(|(of, _)| of.name == part.name) {
            unreadable |= [Repair::Unreadable, Repair::Forged].iter().any(|repair| page.repairs().get(*repair) > 0);
            contradicted.extend(page.inconsistent_histograms());
            lost.extend(page.unreadable_histograms().filter(|(family, _)| families.contains_key(family)));
            for family in page.iter() {
                if let Some(of_name) = families.get_mut(family.name()) {
                    of_name.push(family);
                }
            }
        }
        Self { families, contradicted, lost, unreadable }
    }

    /// Whether a series that is absent may be what could not be read.
    pub(super) fn may_lack(&self, rule: &Rule) -> bool {
        self.unreadable || rule.families.iter().any(|name| self.contradicted.contains(name))
    }

    /// The series that a rule would take, had they been readable.
    pub(super) fn lost_of(&self, rule: &'static Rule) -> impl Iterator<Item = SampleRef<'a>> {
        self.lost.iter().filter(|(family, sample)| rule.families.contains(family) && rule.takes(sample)).map(|(_, sample)| *sample)
    }

    /// All series of this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = SampleRef<'a>> {
        self.families.get(name).into_iter().flatten().flat_map(|family| family.samples())
    }

    /// The series that a rule takes, with their family.
    pub(super) fn taken_by(&self, rule: &'static Rule) -> impl Iterator<Item = (&'static str, SampleRef<'a>)> {
        let all = rule.families.iter().flat_map(|name| self.named(name).map(|sample| (*name, sample)));
        all.filter(|(_, sample)| rule.takes(sample))
    }
}

impl Rule {
    fn looks_for(&self) -> impl Iterator<Item = &'static str> + use<> {
        let whole = if let Transform::OneMinusShareOf(whole) = self.step { Some(whole) } else { None };
        self.families.iter().copied().chain(whole)
    }

    fn takes(&self, sample: &SampleRef<'_>) -> bool {
        self.when.iter().all(|(name, value)| sample.label(name) == Some(value))
            && !self.unless.iter().any(|(name, value)| sample.label(name) == Some(value))
    }

    /// The attributes that it gives to every series.
    pub(super) fn fixed_attributes(&self) -> Attributes {
        self.with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect()
    }

    /// Those of this series; none where a table does not have its label.
    pub(super) fn attributes_of(&self, sample: &SampleRef<'_>) -> Option<Attributes> {
        let mut attributes = self.fixed_attributes();
        for from in self.from {
            attributes.push((from.attribute, from.value(sample.label(from.label)?)?));
        }
        Some(attributes)
    }

    /// The attribute sets that it gives whatever the server says.
    pub(super) fn closed_attributes(&self) -> Vec<Attributes> {
        self.from.iter().fold(vec![self.fixed_attributes()], |sets, from| {
            sets.iter().flat_map(|set| from.values.iter().map(move |(_, ours)| with(set, from.attribute, *ours))).collect()
        })
    }

    /// Whether a point may come from it.
    pub(super) fn may_give(&self, point: &Point) -> bool {
        let has = |key: &Attribute, value: &str| point.attributes.iter().any(|(k, v)| *k == key && v == value);
        self.metric == point.metric && self.with.iter().all(|(key, value)| has(key, value))
    }
}

impl AttributeSource {
    fn value(&self, theirs: &str) -> Option<Cow<'static, str>> {
        if self.values.is_empty() {
            return Some(Cow::Owned(theirs.to_owned()));
        }
        let ours = self.values.iter().find(|(t, _)| *t == theirs).map(|(_, ours)| *ours);
        ours.or(self.other).map(Cow::Borrowed)
    }
}

/// These attributes and one more.
pub(super) fn with(attributes: &Attributes, key: &'static Attribute, value: impl Into<Cow<'static, str>>) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.push((key, value.into()));
    attributes
}
