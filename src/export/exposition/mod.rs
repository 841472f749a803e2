//! Writes the metrics of all targets for scrapers, in several formats. Families are merged by name, so that each has one `TYPE` line.
//!
//! # One writer for canonical and native metrics
//!
//! The metrics of the SDK's registry are converted to [`SelectedFamilies`](crate::model::SelectedFamilies), with `job` and `instance` as labels. Native families get
//! these two labels while they are written. So each format is implemented once, and a page of a million series needs no copy of
//! them.
//!
//! # Conflicting types
//!
//! Targets can expose the same family with different types. Numbers of several types are merged into one family of unknown type,
//! with the series of all targets. A number and a distribution, or distributions of two types, cannot be one family: the first
//! target's type is used, and the families of the others are omitted and reported in [`OmittedFamilies`].

mod canonical;
mod format;
mod json;
mod names;
mod omitted;
mod reserved_families;
mod reserved_names;
mod section;
mod text;
mod writer;

pub use canonical::{histograms, histograms_without_identity, prometheus_name, target_info};
pub use format::Format;
pub use names::Escaping;
pub use omitted::OmittedFamilies;
pub use reserved_families::is_reserved;
pub use reserved_names::ReservedNames;
pub use section::Section;
pub use writer::ExpositionWriter;

/// Renders a whole page as a string.
#[must_use]
pub fn render(format: Format, sections: &[Section]) -> String {
    let mut bytes = Vec::new();
    let mut out = |chunk: &mut Vec<u8>| {
        bytes.append(chunk);
        true
    };
    let mut writer = ExpositionWriter::new(format, &mut out);
    let _ = writer.write(sections, &ReservedNames::default());
    writer.finish();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
