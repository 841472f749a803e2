//! A writer for the Prometheus text format.

use super::Distribution;
use std::fmt::{Display, Write};

/// A body in the Prometheus text format. Writing to a string cannot fail, so the results of `write!` are ignored.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    /// The separator between two families.
    separator: &'static str,
}

impl Text {
    /// Creates a body with this separator between two families.
    pub(super) fn new(separator: &'static str) -> Self {
        Self { out: String::new(), separator }
    }

    /// Starts a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        if !self.out.is_empty() {
            self.out.push_str(self.separator);
        }
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample. The labels are already formatted, as `a="b",c="d"`, or empty.
    pub(super) fn sample(&mut self, name: &str, labels: impl Display, value: impl Display) {
        let start = self.out.len();
        let _ = write!(self.out, "{name}{{{labels}");
        if self.out.len() == start + name.len() + 1 {
            self.out.truncate(start + name.len());
            let _ = writeln!(self.out, " {value}");
        } else {
            let _ = writeln!(self.out, "}} {value}");
        }
    }

    /// Adds a histogram series with cumulative buckets, as Prometheus' client libraries write it. `bounds` are among those of the
    /// distribution, each with its text. The labels are formatted, or empty.
    pub(super) fn histogram(&mut self, name: &str, labels: &str, of: &Distribution, bounds: impl IntoIterator<Item = (f64, impl Display)>) {
        let separator = if labels.is_empty() { "" } else { "," };
        let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (bound, text) in bounds {
            self.sample(&bucket, format_args!("{labels}{separator}le=\"{text}\""), of.at_most(bound));
        }
        self.sample(&bucket, format_args!("{labels}{separator}le=\"+Inf\""), of.count);
        self.sample(&sum, labels, of.sum);
        self.sample(&count, labels, of.count);
    }

    /// Adds a family with one series that has no labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    /// Adds a line as it is.
    pub(super) fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.out, "{line}");
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

/// The count of each bucket, not cumulative, and of values above all bounds at the end. `bounds` are those of the distribution
/// multiplied by `scale`.
pub(super) fn bucket_counts(of: &Distribution, bounds: &[f64], scale: f64) -> Vec<u64> {
    let mut below = 0;
    let mut counts: Vec<u64> = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        let at_most = of.at_most(bound / scale);
        counts.push(at_most - below);
        below = at_most;
    }
    counts.push(of.count - below);
    counts
}
