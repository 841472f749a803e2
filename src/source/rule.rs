//! A rule: one row of the mapping from a server's words to ours, as data.

use crate::model::{Attribute, Metric};

/// Which series of which family becomes which point.
#[derive(Debug)]
pub struct Rule {
    /// The family, by every name that versions gave it.
    pub families: &'static [&'static str],
    /// What it becomes.
    pub metric: &'static Metric,
    /// Labels that a series must have, with these values.
    pub when: &'static [(&'static str, &'static str)],
    /// Labels that a series must not have with these values.
    pub unless: &'static [(&'static str, &'static str)],
    /// Attributes with fixed values.
    pub with: &'static [(&'static Attribute, &'static str)],
    /// Attributes that come from labels.
    pub from: &'static [AttributeSource],
    /// What the value is multiplied by: 0.001 for milliseconds, -1 for what is counted elsewhere too.
    pub scale: f64,
    /// Whether a good answer without the series means 0: one of which nothing was unreadable.
    pub zero_when_absent: bool,
    /// Whether it rests where a rule before it gave the same: for what a server says in two places.
    pub fallback: bool,
    /// What happens to the values.
    pub step: Transform,
    /// The label and attribute of a detail that a target may opt in to; without that, the rule rests.
    pub detail: Option<(&'static str, &'static Attribute)>,
    /// The attributes of the totals that a detail takes the place of; empty: those of the rule itself.
    pub replaces: &'static [&'static [(&'static Attribute, &'static str)]],
}

/// An attribute whose value comes from a label.
#[derive(Debug)]
pub struct AttributeSource {
    /// The server's label.
    pub label: &'static str,
    /// Our attribute.
    pub attribute: &'static Attribute,
    /// Their values and ours. Empty: the value is taken as it is, for attributes that the server names.
    pub values: &'static [(&'static str, &'static str)],
    /// Ours for what is not in the table; without one, such a series stays native.
    pub other: Option<&'static str>,
}

impl AttributeSource {
    /// The label's value as it is.
    #[must_use]
    pub const fn same(label: &'static str, attribute: &'static Attribute) -> Self {
        Self { label, attribute, values: &[], other: None }
    }

    /// The label's value by a table.
    #[must_use]
    pub const fn table(label: &'static str, attribute: &'static Attribute, values: &'static [(&'static str, &'static str)]) -> Self {
        Self { label, attribute, values, other: None }
    }

    /// The same, with a word for what the table does not have.
    #[must_use]
    pub const fn or(mut self, other: &'static str) -> Self {
        self.other = Some(other);
        self
    }
}

/// What happens to the values of a rule's series. Counters and up-down counters of the same attributes are added up;
/// of gauges the largest is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Nothing.
    AsIs,
    /// The rise since the last reading is added, series by series: for counters that the server forgets when they are idle.
    Accumulate,
    /// The sum may not fall while the server's counters are the same ones: a fall is held, and counted as a repair.
    Hold,
    /// 0 becomes 1 and anything else 0.
    Not,
    /// Anything but 0 becomes 1.
    Is,
    /// Unix seconds become an age.
    Age,
    /// The share of this counter's rise in that of another family, taken from 1: idle time of all time.
    OneMinusShareOf(&'static str),
}

impl Rule {
    /// A series of this family, unchanged.
    #[must_use]
    pub const fn new(family: &'static [&'static str], metric: &'static Metric) -> Self {
        Self {
            families: family,
            metric,
            when: &[],
            unless: &[],
            with: &[],
            from: &[],
            scale: 1.0,
            zero_when_absent: false,
            fallback: false,
            step: Transform::AsIs,
            detail: None,
            replaces: &[],
        }
    }

    /// Only series with these labels.
    #[must_use]
    pub const fn when(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.when = labels;
        self
    }

    /// Not the series with these labels.
    #[must_use]
    pub const fn unless(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.unless = labels;
        self
    }

    /// With these attributes.
    #[must_use]
    pub const fn with(mut self, attributes: &'static [(&'static Attribute, &'static str)]) -> Self {
        self.with = attributes;
        self
    }

    /// With attributes from these labels.
    #[must_use]
    pub const fn from(mut self, labels: &'static [AttributeSource]) -> Self {
        self.from = labels;
        self
    }

    /// Times this.
    #[must_use]
    pub const fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// 0 when the answer does not have it.
    #[must_use]
    pub const fn zero_when_absent(mut self) -> Self {
        self.zero_when_absent = true;
        self
    }

    /// Only where no rule before it gave the same.
    #[must_use]
    pub const fn fallback(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// With this step.
    #[must_use]
    pub const fn step(mut self, step: Transform) -> Self {
        self.step = step;
        self
    }

    /// In place of its metric's total where a target asks for this detail.
    #[must_use]
    pub const fn detail(mut self, label: &'static str, attribute: &'static Attribute) -> Self {
        self.detail = Some((label, attribute));
        self
    }

    /// A detail in place of the sum of these totals, for a family that counts them together.
    #[must_use]
    pub const fn in_place_of(mut self, totals: &'static [&'static [(&'static Attribute, &'static str)]]) -> Self {
        self.replaces = totals;
        self
    }
}
