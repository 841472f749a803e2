//! The families of a page: those of all sections, merged by name.

use super::format::{Format, type_name};
use super::names::{is_unchanged, metric_name};
use super::omitted::OmittedFamilies;
use super::reserved_families::is_reserved;
use super::section::Section;
use super::settings::PageSettings;
use crate::model::{FamilyType, SelectedFamily};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The number of lines that a histogram or a summary is expected to have.
const LINES_PER_DISTRIBUTION: usize = 16;

/// The family of one section.
pub(super) type OfSection<'a> = (&'a Section, SelectedFamily<'a>);

/// A family of a page: the families with this name of all sections, in the order of the sections. There is at least one.
pub(super) struct PageFamily<'a> {
    /// The name on the page.
    pub(super) name: Cow<'a, str>,
    /// The type of all of them, or [`FamilyType::Unknown`] if they have different ones.
    pub(super) kind: FamilyType,
    /// The first help text. Empty if there is none.
    pub(super) help: &'a str,
    /// The first Prometheus unit. Empty if there is none.
    pub(super) unit: &'a str,
    /// About how many lines its series have.
    pub(super) lines: usize,
    pub(super) of_sections: Vec<OfSection<'a>>,
    /// A name was escaped, so a section can have several families with this name.
    has_escaped_name: bool,
    has_several_types: bool,
    has_postmeters: bool,
}

impl<'a> PageFamily<'a> {
    /// Merges the families of these sections, sorted by name.
    ///
    /// Everything that requires a look at all families is collected here, section by section: the families of a section are close
    /// together in memory, and those of a thousand sections with the same name are not.
    pub(super) fn merge(sections: &'a [Section], settings: PageSettings, omitted: &mut OmittedFamilies) -> Vec<Self> {
        let escaping = settings.format.escaping();
        let mut families: HashMap<Cow<'a, str>, Self, RandomState> = HashMap::default();
        for section in sections {
            omitted.labels_renamed += section.native.labels_renamed;
            for family in section.native.families() {
                let native_name = family.name();
                if native_name.is_empty() {
                    omitted.add(|| format!("a family of {} has no name", section.target()));
                    continue;
                }
                let is_escaped = !is_unchanged(&native_name, escaping);
                let name = if is_escaped { metric_name(native_name, escaping) } else { native_name };
                let entry = families.entry(name);
                // The names of most families are those of every target.
                let is_known = matches!(&entry, Entry::Occupied(known) if !is_escaped && known.get().was_checked_with(family.kind()));
                if !is_known && !section.is_postmeters && is_reserved(settings, &family.name(), family.kind()) {
                    let name = family.name();
                    omitted.add(|| format!("{name} of {} has a name that is reserved for Postmeter or Prometheus", section.target()));
                    continue;
                }
                entry.or_insert_with_key(|name| Self::new(name.clone(), family.kind())).add(section, family, is_escaped);
            }
        }
        let mut families: Vec<_> = families.into_values().collect();
        families.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        families.iter_mut().for_each(|family| family.resolve_conflicts(omitted));
        families
    }

    fn new(name: Cow<'a, str>, kind: FamilyType) -> Self {
        let (has_escaped_name, has_several_types, has_postmeters) = (false, false, false);
        Self { name, kind, help: "", unit: "", lines: 0, of_sections: Vec::new(), has_escaped_name, has_several_types, has_postmeters }
    }

    /// Returns true if a native family with the same name, unescaped, and this type has been added: its name is not reserved.
    fn was_checked_with(&self, kind: FamilyType) -> bool {
        self.kind == kind && !self.has_escaped_name && !self.has_postmeters
    }

    fn add(&mut self, section: &'a Section, family: SelectedFamily<'a>, is_escaped: bool) {
        self.has_escaped_name |= is_escaped;
        self.has_several_types |= family.kind() != self.kind;
        self.has_postmeters |= section.is_postmeters;
        self.of_sections.push((section, family));
        self.describe(family);
    }

    /// Adds what a family contributes to the description and the length.
    fn describe(&mut self, family: SelectedFamily<'a>) {
        self.lines += family.series() * if family.kind().is_number() { 1 } else { LINES_PER_DISTRIBUTION };
        if self.help.is_empty() {
            self.help = family.help();
        }
        if self.unit.is_empty() {
            self.unit = family.prometheus_unit();
        }
    }

    /// Omits families that cannot be merged with the others.
    fn resolve_conflicts(&mut self, omitted: &mut OmittedFamilies) {
        if !self.has_escaped_name && !self.has_several_types {
            return;
        }
        if self.has_escaped_name {
            self.omit_escaped_duplicates(omitted);
        }
        self.omit_other_types(omitted);
        (self.help, self.unit, self.lines) = ("", "", 0);
        for at in 0..self.of_sections.len() {
            self.describe(self.of_sections[at].1);
        }
    }

    /// Omits families of a section whose escaped name is that of another family of the same section, because their series could be
    /// duplicates. The family whose name needs no escaping is kept, or else the first.
    fn omit_escaped_duplicates(&mut self, omitted: &mut OmittedFamilies) {
        let name = &self.name;
        let mut kept: HashMap<*const Section, Cow<'_, str>> = HashMap::new();
        for (section, family) in &self.of_sections {
            let kept = kept.entry(std::ptr::from_ref(*section)).or_insert_with(|| family.name());
            if family.name() == *name {
                *kept = family.name();
            }
        }
        self.of_sections.retain(|(section, family)| {
            let Some(kept) = kept.get(&std::ptr::from_ref(*section)) else { return true };
            let is_kept = family.name() == *kept;
            if !is_kept {
                let own = family.name();
                omitted.add(|| format!("{own:?} of {} has the escaped name {name}, as {kept:?} has", section.target()));
            }
            is_kept
        });
    }

    /// Omits families whose type cannot be merged with that of the first one, and sets the common type.
    fn omit_other_types(&mut self, omitted: &mut OmittedFamilies) {
        let Some(first) = self.of_sections.first().map(|(_, family)| family.kind()) else { return };
        let name = &self.name;
        self.of_sections.retain(|(section, family)| {
            let is_compatible = family.kind() == first || (family.kind().is_number() && first.is_number());
            if !is_compatible {
                let (own, first) = (type_name(Format::Text, family.kind()), type_name(Format::Text, first));
                omitted.add(|| format!("{name} of {} is a {own}, but a {first} of another target", section.target()));
            }
            is_compatible
        });
        self.has_several_types = self.of_sections.iter().any(|(_, family)| family.kind() != first);
        self.kind = if self.has_several_types { FamilyType::Unknown } else { first };
    }

    /// Returns true if numbers of several types were merged.
    pub(super) fn is_untyped_by_merge(&self) -> bool {
        self.has_several_types
    }
}
