//! The families of a part that its rules need, and the series that a rule takes.

use super::selector::LabelConditions;
use crate::model::{Families, FamilyRef, FamilyType, Repair, SampleRef};
use crate::source::pattern::{is_pattern, matches};
use crate::source::{Part, Rule, Transform};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// The families of a part that its rules need.
pub(super) struct PartFamilies<'a> {
    /// The part.
    pub(super) part: &'static Part,
    /// By the name or the pattern in a rule.
    families: HashMap<&'static str, Vec<FamilyRef<'a>>, RandomState>,
    /// Families from which an inconsistent histogram was dropped, and those whose count was read as a family of its own.
    contradicted: HashSet<&'a str>,
    /// The inconsistent histograms whose labels are known, each with its family.
    lost: Vec<(&'a str, SampleRef<'a>)>,
    /// The labels of which a series has an unknown value, each with its family. Without a label, any is unknown; without a family, it may
    /// be one of any family.
    unknown_series: Vec<(Option<&'a str>, Option<&'static str>)>,
    /// `true` if something could not be read, and its family is unknown.
    has_unreadable: bool,
    /// `true` if the value NaN stands for one that the reader has counted as unreadable.
    has_counted_nan: bool,
    /// The part has one page, and no series is in it twice.
    are_series_unique: bool,
}

/// A series that a rule takes.
#[derive(Clone, Copy)]
pub(super) struct TakenSeries<'a> {
    /// The identity of the name of its family.
    family: u64,
    pub(super) sample: SampleRef<'a>,
}

impl TakenSeries<'_> {
    /// The identity of the series among all series of its part. An empty label is equal to a missing one.
    pub(super) fn identity(&self) -> u64 {
        self.family ^ self.sample.prometheus_identity()
    }
}

impl<'a> PartFamilies<'a> {
    pub(super) fn new(part: &'static Part, read: &'a [(&'static Part, Families)]) -> Self {
        // A response may have millions of families, so this looks at each family once, not once for each rule.
        let names = part.rules.iter().flat_map(Rule::needed_families);
        let mut families: HashMap<_, Vec<FamilyRef<'a>>, _> = names.map(|name| (name, Vec::new())).collect();
        let patterns: Vec<&'static str> = families.keys().copied().filter(|name| is_pattern(name)).collect();
        let (mut contradicted, mut lost, mut has_unreadable) = (HashSet::new(), Vec::new(), false);
        let (mut unknown_series, mut counts) = (Vec::new(), Vec::new());
        let (mut pages, mut has_counted_nan) = (0, false);
        let mut are_series_unique = true;
        for (_, page) in read.iter().filter(|(other, _)| other.name == part.name) {
            pages += 1;
            are_series_unique &= pages == 1 && page.are_series_unique();
            unknown_series.extend(page.unknown_series());
            has_unreadable |=
                [Repair::Unreadable, Repair::TooManyLabels, Repair::Forged].iter().any(|repair| page.repairs().get(*repair) > 0);
            has_counted_nan |= page.has_unknown_values();
            contradicted.extend(page.inconsistent_histograms());
            let is_needed = |family: &str| families.contains_key(family) || patterns.iter().any(|pattern| matches(pattern, family));
            lost.extend(page.unreadable_histograms().filter(|(family, _)| is_needed(family)));
            for family in page.iter() {
                let name = family.name();
                let is_untyped = family.kind() == FamilyType::Unknown && !families.contains_key(name);
                counts.extend(name.strip_suffix("_count").filter(|base| is_untyped && families.contains_key(*base)));
                if let Some(with_name) = families.get_mut(name).filter(|_| !patterns.contains(&name)) {
                    with_name.push(family);
                }
                for pattern in patterns.iter().filter(|pattern| matches(pattern, name)) {
                    families.entry(pattern).or_default().push(family);
                }
            }
        }
        // Without its TYPE line, a histogram is not read as one.
        contradicted.extend(counts.into_iter().filter(|base| families.get(*base).is_some_and(Vec::is_empty)));
        Self { part, families, contradicted, lost, unknown_series, has_unreadable, has_counted_nan, are_series_unique }
    }

    /// Returns `true` if the reader of the response has counted the values that are NaN.
    pub(super) fn has_counted_nan(&self) -> bool {
        self.has_counted_nan
    }

    /// Returns `true` if a series that the rule does not find may be in the response, but unreadable.
    pub(super) fn may_lack(&self, rule: &Rule) -> bool {
        self.has_unreadable || self.contradicted.iter().any(|name| rule.reads(name))
    }

    /// Returns `true` if a series that was not readable may belong to any point of the rule, because the rule depends on a label of which
    /// it has an unknown value, or because none of its labels is known.
    pub(super) fn has_unknown_series_of(&self, rule: &Rule) -> bool {
        let is_unknown = |(family, label): &(Option<&str>, Option<&str>)| {
            family.is_none_or(|family| rule.reads(family)) && label.is_none_or(|label| rule.depends_on(label))
        };
        self.unknown_series.iter().any(is_unknown)
    }

    /// Returns `true` if an inconsistent histogram that the rule may take was dropped, and its labels are unknown.
    pub(super) fn lacks_unknown_histogram(&self, rule: &Rule) -> bool {
        let is_known = |name: &str| self.lost.iter().any(|(family, _)| *family == name);
        self.contradicted.iter().any(|name| rule.reads(name) && !is_known(name))
    }

    /// Returns the inconsistent histograms that a rule would take.
    pub(super) fn lost_series_of(&self, rule: &'static Rule) -> impl Iterator<Item = SampleRef<'a>> {
        let takes = taken_by(rule);
        self.lost.iter().filter(move |(family, sample)| rule.reads(family) && takes(sample)).map(|(_, sample)| *sample)
    }

    /// Returns all series of the families with this name, or that match this pattern.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = SampleRef<'a>> {
        self.families.get(name).into_iter().flatten().flat_map(|family| family.samples())
    }

    /// Returns the families that a rule reads, each once even if several of the rule's names match it.
    fn read_by(&self, rule: &'static Rule) -> impl Iterator<Item = FamilyRef<'a>> {
        let all = rule.families.iter().enumerate();
        all.flat_map(move |(index, name)| {
            let is_earlier = move |family: &FamilyRef<'_>| rule.families.iter().take(index).any(|other| matches(other, family.name()));
            let families = self.families.get(name).into_iter().flatten();
            families.filter(move |family| !is_pattern_among(rule.families) || !is_earlier(family)).copied()
        })
    }

    /// Returns true if it is known that no rule takes two series of the same family with the same labels.
    pub(super) fn are_series_unique(&self) -> bool {
        self.are_series_unique
    }

    /// Returns the number of series in the families that a rule reads.
    pub(super) fn series_read_by(&self, rule: &'static Rule) -> usize {
        self.read_by(rule).map(|family| family.samples().len()).sum()
    }

    /// Returns the series that a rule takes.
    pub(super) fn taken_by(&self, rule: &'static Rule) -> impl Iterator<Item = TakenSeries<'a>> {
        let takes = taken_by(rule);
        let all = self.read_by(rule).flat_map(|family| {
            let name = family.name_identity();
            family.samples().map(move |sample| TakenSeries { family: name, sample })
        });
        all.filter(move |series| takes(&series.sample))
    }
}

/// Returns a function that returns `true` for the samples that a rule takes, of the families that it reads.
fn taken_by(rule: &'static Rule) -> impl Fn(&SampleRef<'_>) -> bool {
    let conditions = LabelConditions::new(rule.when, rule.unless);
    let has_label = |sample: &SampleRef<'_>| sample.labels().any(|(_, value)| !value.is_empty());
    move |sample| conditions.accept(sample) && !(rule.unlabelled && has_label(sample))
}

fn is_pattern_among(families: &[&str]) -> bool {
    families.iter().any(|name| is_pattern(name))
}

impl Rule {
    /// The families that the rule reads.
    fn needed_families(&self) -> impl Iterator<Item = &'static str> + use<> {
        let whole = if let Transform::OneMinusShareOf(whole) = self.transform { Some(whole) } else { None };
        self.families.iter().copied().chain(whole)
    }
}
