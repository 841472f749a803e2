//! Methods with which tests write rules. The product reads rules from definitions.

use crate::model::Attribute;
use crate::source::{AttributeSource, Piece, Rule, Take, Transform};

impl AttributeSource {
    /// The unchanged value of a label, or of the first of several that is not empty.
    pub(super) const fn labels(labels: &'static [&'static str], attribute: &'static Attribute) -> Self {
        Self { attribute, labels, template: &[], values: &[], other: None }
    }

    /// A text that is composed of labels.
    pub(super) const fn template(template: &'static [Piece], attribute: &'static Attribute) -> Self {
        Self { attribute, labels: &[], template, values: &[], other: None }
    }

    /// Replaces native values according to a table of native and canonical values.
    pub(super) const fn by_table(mut self, values: &'static [(&'static str, &'static str)]) -> Self {
        self.values = values;
        self
    }

    /// Uses this canonical value for native values that are not in the table.
    pub(super) const fn otherwise(mut self, other: &'static str) -> Self {
        self.other = Some(other);
        self
    }
}

impl Rule {
    /// Takes only series that have all of these labels.
    pub(super) const fn when(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.when = labels;
        self
    }

    /// Takes only series that have none of these labels.
    pub(super) const fn unless(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.unless = labels;
        self
    }

    /// Adds attributes with fixed values to each point.
    pub(super) const fn with(mut self, attributes: &'static [(&'static Attribute, &'static str)]) -> Self {
        self.with = attributes;
        self
    }

    /// Adds attributes whose values come from labels.
    pub(super) const fn from(mut self, labels: &'static [AttributeSource]) -> Self {
        self.from = labels;
        self
    }

    /// Takes this number from each series.
    pub(super) const fn take(mut self, take: Take) -> Self {
        self.take = take;
        self
    }

    /// Multiplies each value by a factor.
    pub(super) const fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Produces points with the value 0 if the response does not contain the series.
    pub(super) const fn zero_when_absent(mut self) -> Self {
        self.zero_when_absent = true;
        self
    }

    /// Maps no series whose value is 0.
    #[must_use]
    pub const fn absent_when_zero(mut self) -> Self {
        self.absent_when_zero = true;
        self
    }

    /// Applies the rule only if no earlier rule has produced the same point.
    pub(super) const fn fallback(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// Calculates values in this way.
    pub(super) const fn transform(mut self, transform: Transform) -> Self {
        self.transform = transform;
        self
    }

    /// Replaces the total of the metric by one point for each value of a label, in targets that opt in to this detail.
    pub(super) const fn detail(mut self, label: &'static str, attribute: &'static Attribute) -> Self {
        self.detail = Some((label, attribute));
        self
    }

    /// For a detail of a family that counts several totals together: replaces the sum of these totals.
    pub(super) const fn replacing(mut self, totals: &'static [&'static [(&'static Attribute, &'static str)]]) -> Self {
        self.replaces = totals;
        self
    }
}
