//! Native units: the factor that converts a value to the unit of its metric.

use crate::model::Metric;

/// The units, each with the unit of the metrics that it fits and the factor.
const UNITS: &[(&str, (&str, f64))] = &[
    ("ns", ("s", 1e-9)),
    ("us", ("s", 1e-6)),
    ("ms", ("s", 0.001)),
    ("s", ("s", 1.0)),
    ("min", ("s", 60.0)),
    ("h", ("s", 3600.0)),
    ("d", ("s", 86_400.0)),
    ("B", ("By", 1.0)),
    ("kB", ("By", 1e3)),
    ("KiB", ("By", 1024.0)),
    ("MB", ("By", 1e6)),
    ("MiB", ("By", 1_048_576.0)),
    ("GB", ("By", 1e9)),
    ("GiB", ("By", 1_073_741_824.0)),
    ("%", ("1", 0.01)),
];

pub(super) fn names() -> Vec<&'static str> {
    UNITS.iter().map(|(name, _)| *name).collect()
}

/// Returns the factor for a metric.
pub(super) fn factor(unit: &str, metric: Option<&Metric>) -> Result<f64, String> {
    let of_metric = metric.map(|metric| metric.unit);
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, (to, factor))) if of_metric.is_none_or(|unit| unit == *to) => Ok(*factor),
        Some(_) => {
            let (name, metric_unit) = metric.map_or(("", ""), |metric| (metric.name, metric.unit));
            let fitting: Vec<&str> = UNITS.iter().filter(|(_, (to, _))| *to == metric_unit).map(|(name, _)| *name).collect();
            let advice = if fitting.is_empty() {
                "remove unit, or use scale".to_owned()
            } else {
                format!("expected one of: {}", fitting.join(", "))
            };
            Err(format!("{unit} does not fit {name}, whose unit is {metric_unit}; {advice}"))
        }
        None => Err(format!("unknown unit {unit}; expected one of: {}", names().join(", "))),
    }
}
