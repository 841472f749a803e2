//! The declaration of a metric and its attributes, as static data: of the canonical metrics, and of Postmeter's self-metrics.

/// The kind of a metric, named like OpenTelemetry's instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only rises, except for resets.
    Counter,
    /// A value that rises and falls, and whose sum across attributes is meaningful.
    UpDownCounter,
    /// A value whose sum across attributes is not meaningful.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The number type of a metric's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Integers, such as counts of messages or bytes.
    Int,
    /// Floating-point numbers, such as seconds and ratios.
    Float,
}

/// An attribute key and its possible values.
#[derive(Debug)]
pub struct Attribute {
    /// The dotted key.
    pub key: &'static str,
    /// The closed set of values. Empty if the mail server defines the values, such as names of services, queues and mount points.
    pub values: &'static [&'static str],
}

impl Attribute {
    /// An attribute with a closed set of values.
    #[must_use]
    pub const fn closed(key: &'static str, values: &'static [&'static str]) -> Self {
        Self { key, values }
    }

    /// An attribute whose values the mail server defines.
    #[must_use]
    pub const fn open(key: &'static str) -> Self {
        Self { key, values: &[] }
    }
}

/// A declared metric. Each is one static, so metrics are compared by address. [`vocabulary`](super::vocabulary) has the canonical ones.
#[derive(Debug)]
pub struct Metric {
    /// The dotted name, without unit and without `total`.
    pub name: &'static str,
    /// The kind of its instrument.
    pub kind: Kind,
    /// The number type of its points.
    pub number: Number,
    /// The UCUM unit. Empty for `mail.up`, because a gauge with unit `1` gets the suffix `_ratio` in Prometheus.
    pub unit: &'static str,
    /// A description of one sentence.
    pub help: &'static str,
    /// The attributes of its points.
    pub attributes: &'static [&'static Attribute],
    /// Those of the attributes that its points have only if the mail server reports them.
    pub conditional: &'static [&'static Attribute],
    /// The case in which its points have the conditional attributes, as a sentence.
    pub condition: &'static str,
    /// Attributes that its points have only if the target's configuration enables them with `detail`.
    pub detail: &'static [&'static Attribute],
    /// An explanation in the conventions. Empty if the description is enough.
    pub note: &'static str,
}

impl Metric {
    const fn new(kind: Kind, number: Number, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind, number, unit, help, attributes: &[], conditional: &[], condition: "", detail: &[], note: "" }
    }

    /// An integer counter.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Counter, Number::Int, name, unit, help)
    }

    /// An integer up-down counter.
    #[must_use]
    pub const fn up_down(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::UpDownCounter, Number::Int, name, unit, help)
    }

    /// A floating-point gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Gauge, Number::Float, name, unit, help)
    }

    /// An integer gauge.
    #[must_use]
    pub const fn int_gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Gauge, Number::Int, name, unit, help)
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Histogram, Number::Float, name, unit, help)
    }

    /// The same metric with these attributes.
    #[must_use]
    pub const fn by(mut self, attributes: &'static [&'static Attribute]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The same metric, whose points have some of the attributes only under this condition, which is a sentence.
    #[must_use]
    pub const fn conditional(mut self, condition: &'static str, conditional: &'static [&'static Attribute]) -> Self {
        self.condition = condition;
        self.conditional = conditional;
        self
    }

    /// The same metric with an explanation in the conventions.
    #[must_use]
    pub const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// The attributes that every point has.
    pub fn required_attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.attributes.iter().copied().filter(|attribute| !self.conditional.contains(attribute))
    }

    /// The same metric with these optional attributes.
    #[must_use]
    pub const fn detail(mut self, detail: &'static [&'static Attribute]) -> Self {
        self.detail = detail;
        self
    }
}

/// Each metric is one static, so its address is its identity.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Metric {}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Attribute {}
