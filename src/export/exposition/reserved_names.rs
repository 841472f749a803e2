//! Names that are in use on a page. Scrapers identify lines by their names, so no other family may have one of them.

use super::names::metric_name;
use super::{Format, Section};
use crate::model::FamilyType;
use std::collections::HashSet;

/// The names of families and of their lines, such as `x_bucket` of a histogram `x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedNames(HashSet<String>);

impl ReservedNames {
    /// Returns the names of these sections in this format.
    #[must_use]
    pub fn of(format: Format, sections: &[Section]) -> Self {
        let mut names = Self::default();
        for family in sections.iter().flat_map(|section| section.native.families()) {
            let name = metric_name(family.name(), format.escaping());
            names.add(format, name.into_owned(), family.kind());
        }
        names
    }

    /// Adds the names of a family and of its lines.
    pub(super) fn add(&mut self, format: Format, name: String, kind: FamilyType) {
        self.add_lines(format, &name, kind);
        // In OpenMetrics the family of a counter `x_total` has the name `x`.
        if let Some(suffix) = super::format::open_metrics_suffix(kind).filter(|_| format.is_open_metrics()) {
            self.0.extend(name.strip_suffix(suffix).map(str::to_owned));
        }
        self.0.insert(name);
    }

    /// Adds the names of a family's lines that differ from the name of the family.
    pub(super) fn add_lines(&mut self, format: Format, name: &str, kind: FamilyType) {
        self.0.extend(line_names(format, name, kind));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Returns true if the family or one of its lines has one of these names.
    pub(super) fn conflicts_with(&self, format: Format, name: &str, kind: FamilyType) -> bool {
        self.has(name) || line_names(format, name, kind).any(|line| self.has(&line))
    }
}

fn line_names(format: Format, name: &str, kind: FamilyType) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match (format, kind) {
        (Format::Json, _) => &[],
        (_, FamilyType::Histogram) => &["_bucket", "_sum", "_count"],
        (_, FamilyType::Summary) => &["_sum", "_count"],
        _ => &[],
    };
    suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
}
