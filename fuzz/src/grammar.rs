//! Metric families in a normal form, in which two representations are compared: sorted, and without differences that no format
//! preserves.

use postmeter::model::{Families, FamilyType, SampleRef, SelectedFamilies, Value};

/// A series: its family, its labels sorted by name, and its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub family: String,
    pub kind: String,
    pub help: String,
    pub labels: Vec<(String, String)>,
    pub value: String,
}

impl Series {
    /// The series of a sample.
    pub fn new(family: &str, kind: FamilyType, help: &str, sample: &SampleRef<'_>) -> Self {
        let mut labels: Vec<(String, String)> = sample.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.sort();
        let value = match sample.value() {
            Value::Number(n) => number(n),
            Value::Histogram(h) => {
                let buckets = h.bounds.iter().zip(&h.cumulative).map(|(bound, count)| format!("{}:{count}", number(*bound)));
                format!("{:?} sum {} count {}", buckets.collect::<Vec<_>>(), optional(h.sum), h.count)
            }
            Value::Summary(s) => {
                let quantiles = s.quantiles.iter().map(|(quantile, value)| format!("{}:{}", number(*quantile), number(*value)));
                format!("{:?} sum {} count {:?}", quantiles.collect::<Vec<_>>(), optional(s.sum), s.count)
            }
        };
        Self { family: family.to_owned(), kind: format!("{kind:?}"), help: help.trim_ascii().to_owned(), labels, value }
    }
}

/// Formats a number. Zero has no sign, and all NaNs are equal.
pub fn number(n: f64) -> String {
    format!("{:?}", if n == 0.0 { 0.0 } else { n })
}

fn optional(n: Option<f64>) -> String {
    n.map_or("none".to_owned(), number)
}

/// The series of a response.
pub fn families(families: &Families) -> Vec<Series> {
    let mut all: Vec<Series> = families
        .iter()
        .flat_map(|family| family.samples().map(move |sample| Series::new(family.name(), family.kind(), family.help(), &sample)))
        .collect();
    all.sort();
    all
}

/// The series that passthrough forwards.
pub fn native(native: &SelectedFamilies) -> Vec<Series> {
    let mut all = Vec::new();
    for family in native.families() {
        all.extend(family.samples().map(|sample| Series::new(&family.name(), family.kind(), family.help(), &sample)));
    }
    all.sort();
    all
}

/// The same with the names that they have over OTLP.
pub fn pushed(selected: &SelectedFamilies) -> Vec<Series> {
    let mut all = native(selected);
    for series in &mut all {
        series.family = exported_name(&series.family);
        series.labels.iter_mut().for_each(|(name, _)| *name = exported_name(name));
        series.labels.sort();
    }
    all.sort();
    all
}

/// A name as it is exported: one without ASCII letters and digits is escaped, because Prometheus cannot translate it.
pub fn exported_name(name: &str) -> String {
    if name.chars().any(|c| c.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let escaped = name.chars().map(|c| match c {
        '_' => "__".to_owned(),
        ':' => ":".to_owned(),
        c => format!("_{:x}_", u32::from(c)),
    });
    format!("U__{}", escaped.collect::<String>())
}
