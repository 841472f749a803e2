//! The families of lines that cannot be read.

use super::labels::is_name;
use super::reader::Reader;

/// What the lines of a histogram or a summary append to its name.
const DISTRIBUTION_SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

impl Reader<'_, '_> {
    /// Notes the families of the lines between `start` and the next line, of which none was read. A line that does not begin with the name
    /// of a metric is not one of a series: a server may send it with each response.
    #[cold]
    pub(super) fn note_unreadable_lines(&mut self, start: usize) {
        let skipped = self.text.get(start..self.at.min(self.text.len())).unwrap_or_default();
        for line in skipped.lines().map(str::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split(['{', ' ', '\t']).next().filter(|name| is_name(name, "_:"));
            let Some(name) = name else { continue };
            self.out.note_unreadable_series(Some(name));
            let of_distribution = DISTRIBUTION_SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
            for family in of_distribution.filter(|family| self.known.get(*family).is_some_and(|known| !known.kind.is_number())) {
                self.out.note_unreadable_series(Some(family));
            }
        }
    }
}
