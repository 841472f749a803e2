//! Names that a page has a use for already: a scraper knows lines by them, so no other family may have one.

use super::names::metric_name;
use super::{Format, Section};
use crate::model::FamilyType;
use std::collections::HashSet;

/// Names of families, and those that their lines have besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedNames(HashSet<String>);

impl ReservedNames {
    /// By these sections, on a page in this format.
    #[must_use]
    pub fn by(format: Format, sections: &[Section]) -> Self {
        let mut taken = Self::default();
        for family in sections.iter().flat_map(|section| section.native.families()) {
            let name = metric_name(family.name(), format.escaping());
            taken.add(format, name.into_owned(), family.kind());
        }
        taken
    }

    /// Adds the names that a family has on a page.
    pub(super) fn add(&mut self, format: Format, name: String, kind: FamilyType) {
        self.add_lines(format, &name, kind);
        // OpenMetrics calls the family of a counter `x_total` by the name `x`.
        if let Some(end) = super::open_metrics_end(kind).filter(|_| format.is_open_metrics()) {
            self.0.extend(name.strip_suffix(end).map(str::to_owned));
        }
        self.0.insert(name);
    }

    /// Adds the names of a family's lines that are not its own.
    pub(super) fn add_lines(&mut self, format: Format, name: &str, kind: FamilyType) {
        self.0.extend(of_lines(format, name, kind));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether the family or a line of it would have one of these names.
    pub(super) fn meets(&self, format: Format, name: &str, kind: FamilyType) -> bool {
        self.has(name) || of_lines(format, name, kind).any(|line| self.has(&line))
    }
}

fn of_lines(format: Format, name: &str, kind: FamilyType) -> impl Iterator<Item = String> {
    let ends: &[&str] = match (format, kind) {
        (Format::Json, _) => &[],
        (_, FamilyType::Histogram) => &["_bucket", "_sum", "_count"],
        (_, FamilyType::Summary) => &["_sum", "_count"],
        _ => &[],
    };
    ends.iter().map(move |end| format!("{name}{end}"))
}
