//! Writes the metrics of all targets for scrapers, in several formats. Families are merged by name, so that each has one `TYPE` line.
//!
//! # One writer for canonical and native metrics
//!
//! The metrics of the SDK's registry are converted to [`SelectedFamilies`](crate::model::SelectedFamilies), with `job` and `instance` as
//! labels. Native families get these two labels while they are written. So each format is implemented once, and a page of a million series
//! needs no copy of them.
//!
//! # One walk over the series
//!
//! All formats get the same families and series, with the same names: the walk merges, escapes and omits, and the formats only encode. A
//! Protobuf message begins with its length, so a family that is larger than a batch is walked twice: to measure it, and to write it.
//!
//! # Conflicting types
//!
//! Targets can expose the same family with different types. Numbers of several types are merged into one family of unknown type,
//! with the series of all targets. A number and a distribution, or distributions of two types, cannot be one family: the first
//! target's type is used, and the families of the others are omitted and reported in [`OmittedFamilies`].

mod canonical;
mod exemplars;
mod format;
mod json;
mod layout;
mod names;
mod omitted;
mod open_metrics;
mod page_family;
mod protobuf;
mod reserved_families;
mod reserved_names;
mod section;
mod series;
mod settings;
mod text;
mod unit;
mod writer;

pub use canonical::{histograms, target_info};
pub use format::Format;
pub use names::Escaping;
pub use omitted::OmittedFamilies;
pub use reserved_families::is_reserved;
pub use reserved_names::ReservedNames;
pub use section::{Section, SectionKey};
pub use settings::PageSettings;
pub use writer::ExpositionWriter;

/// Renders a whole page.
#[must_use]
pub fn render_bytes(settings: impl Into<PageSettings>, sections: &[Section]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = |chunk: &mut Vec<u8>| {
        bytes.append(chunk);
        true
    };
    let mut writer = ExpositionWriter::new(settings, &mut out);
    let _ = writer.write(sections, &ReservedNames::default());
    writer.finish();
    bytes
}

/// Renders a whole page in a text format as a string.
#[must_use]
pub fn render(settings: impl Into<PageSettings>, sections: &[Section]) -> String {
    String::from_utf8_lossy(&render_bytes(settings, sections)).into_owned()
}

#[cfg(test)]
mod tests;
