//! Names that are in use on a page. Scrapers identify lines by their names, so no other family may have one of them.

use super::format::{CREATED, TOTAL};
use super::names::metric_name;
use super::{Format, PageSettings, Section};
use crate::model::FamilyType;
use std::borrow::Cow;
use std::collections::HashSet;

/// The names of families and of their lines, such as `x_bucket` of a histogram `x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedNames(HashSet<String>);

impl ReservedNames {
    /// Returns the names of these sections in this format.
    #[must_use]
    pub fn of(settings: impl Into<PageSettings>, sections: &[Section]) -> Self {
        let settings = settings.into();
        let mut names = Self::default();
        let families = sections.iter().flat_map(|section| section.native.families()).map(|family| (family.name(), family.kind()));
        // Most families are those of every target.
        let families: HashSet<(Cow<'_, str>, FamilyType)> = families.collect();
        for (name, kind) in families {
            names.add(&settings, metric_name(name, settings.format.escaping()).into_owned(), kind);
        }
        names
    }

    /// Adds the names of a family and of its lines.
    pub(super) fn add(&mut self, settings: &PageSettings, name: String, kind: FamilyType) {
        self.add_lines(settings, &name, kind);
        // In OpenMetrics the family of a counter `x_total` has the name `x`.
        if let Some(suffix) = super::format::open_metrics_suffix(kind).filter(|_| settings.format.is_open_metrics()) {
            self.0.extend(name.strip_suffix(suffix).map(str::to_owned));
        }
        self.0.insert(name);
    }

    /// Adds the names of a family's lines that differ from the name of the family.
    pub(super) fn add_lines(&mut self, settings: &PageSettings, name: &str, kind: FamilyType) {
        self.0.extend(line_names(settings, name, kind));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Returns true if the family or one of its lines has one of these names.
    pub(super) fn conflicts_with(&self, settings: &PageSettings, name: &str, kind: FamilyType) -> bool {
        self.has(name) || line_names(settings, name, kind).any(|line| self.has(&line))
    }
}

fn line_names(settings: &PageSettings, name: &str, kind: FamilyType) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match (settings.format, kind) {
        (Format::Json, _) => &[],
        (_, FamilyType::Histogram) => &["_bucket", "_sum", "_count"],
        (_, FamilyType::Summary) => &["_sum", "_count"],
        _ => &[],
    };
    // OpenMetrics reserves the name of start times even if the page has none.
    let created = if settings.format.is_open_metrics() { created_name(name, kind) } else { None };
    suffixes.iter().map(move |suffix| format!("{name}{suffix}")).chain(created)
}

/// The name of the lines with start times. `None` if the type has none.
pub(super) fn created_name(name: &str, kind: FamilyType) -> Option<String> {
    let family = match kind {
        FamilyType::Counter => name.strip_suffix(TOTAL)?,
        FamilyType::Histogram | FamilyType::Summary => name,
        _ => return None,
    };
    Some(format!("{family}{CREATED}"))
}
