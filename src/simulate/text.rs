//! The Prometheus text format, as most of the systems write it: a table of rows becomes an exposition.

use super::Distribution;
use std::fmt::{Display, Write};

/// A text under construction. Writing to a string cannot fail, so what `write!` gives is dropped in this file only.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    /// What stands between two families.
    between: &'static str,
}

impl Text {
    /// With this between two families.
    pub(super) fn new(between: &'static str) -> Self {
        Self { out: String::new(), between }
    }

    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        if !self.out.is_empty() {
            self.out.push_str(self.between);
        }
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Labels come written: `a="b",c="d"`, or nothing.
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

    /// A family with one series without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    pub(super) fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.out, "{line}");
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

/// What is in each bucket of a distribution alone, with the rest at the end; bounds divided by `scale` are the distribution's.
pub(super) fn apart(of: &Distribution, bounds: &[f64], scale: f64) -> Vec<u64> {
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
