//! A metric of the canonical vocabulary, and the attributes of its points: static data.

/// What a metric is, as OpenTelemetry's instruments name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until what counts it restarts.
    Counter,
    /// Rises and falls, and adding it up across attributes makes sense.
    UpDownCounter,
    /// A reading; adding it up makes no sense.
    Gauge,
    /// A distribution that the mail server aggregated.
    Histogram,
}

/// How the points of a metric are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Whole things: messages, bytes.
    Int,
    /// Measures: seconds, ratios.
    Float,
}

/// An attribute key, with the values it may have.
#[derive(Debug)]
pub struct Attribute {
    /// The dotted key.
    pub key: &'static str,
    /// The closed set of values. Empty for names that a server configures: services, queues, mount points.
    pub values: &'static [&'static str],
}

impl Attribute {
    /// An attribute with a closed set of values.
    #[must_use]
    pub const fn closed(key: &'static str, values: &'static [&'static str]) -> Self {
        Self { key, values }
    }

    /// An attribute whose values the mail server names.
    #[must_use]
    pub const fn open(key: &'static str) -> Self {
        Self { key, values: &[] }
    }
}

/// A canonical metric. There is one static of each in [`vocabulary`](super::vocabulary), compared by address.
#[derive(Debug)]
pub struct Metric {
    /// The dotted name, without unit and without `total`.
    pub name: &'static str,
    /// What the instrument is.
    pub kind: Kind,
    /// Whether points are whole numbers.
    pub number: Number,
    /// UCUM unit; empty for `mail.up` (a unit of `1` would become a `_ratio` suffix in Prometheus).
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Attributes that points carry.
    pub attributes: &'static [&'static Attribute],
    /// Attributes that points carry only where a target's configuration asks for detail.
    pub detail: &'static [&'static Attribute],
}

impl Metric {
    const fn new(kind: Kind, number: Number, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind, number, unit, help, attributes: &[], detail: &[] }
    }

    /// A counter of whole things.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Counter, Number::Int, name, unit, help)
    }

    /// An up-down counter of whole things.
    #[must_use]
    pub const fn up_down(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::UpDownCounter, Number::Int, name, unit, help)
    }

    /// A gauge of a measure.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Gauge, Number::Float, name, unit, help)
    }

    /// A gauge of whole things.
    #[must_use]
    pub const fn int_gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Gauge, Number::Int, name, unit, help)
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Histogram, Number::Float, name, unit, help)
    }

    /// The same, with points that carry these attributes.
    #[must_use]
    pub const fn by(mut self, attributes: &'static [&'static Attribute]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The same, with attributes that a target may opt in to.
    #[must_use]
    pub const fn detail(mut self, detail: &'static [&'static Attribute]) -> Self {
        self.detail = detail;
        self
    }
}

/// One static each, so the address is the identity.
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
