//! Native units: the factor that converts a value to the unit of its metric.

use crate::model::Metric;
use crate::yaml::schema::names;

/// The units, each with the unit of the metrics that it fits and the factor.
pub(super) const UNITS: &[(&str, (&str, f64))] = &[
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

/// Beginnings of other names of units, in lower case, each with the unit.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("sec", "s"),
    ("milli", "ms"),
    ("micro", "us"),
    ("nano", "ns"),
    ("minute", "min"),
    ("hour", "h"),
    ("day", "d"),
    ("byte", "B"),
    ("kilobyte", "kB"),
    ("megabyte", "MB"),
    ("gigabyte", "GB"),
    ("percent", "%"),
];

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
        None => {
            let advice = similar(unit)
                .map_or_else(|| format!("expected one of: {}", names(UNITS).join(", ")), |name| format!("did you mean {name}?"));
            Err(format!("unknown unit {unit}; {advice}"))
        }
    }
}

/// Returns the unit that has this name elsewhere, or in another case.
fn similar(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let in_other_case = UNITS.iter().map(|(unit, _)| *unit).find(|unit| unit.eq_ignore_ascii_case(name));
    in_other_case.or_else(|| OTHER_NAMES.iter().find(|(other, _)| lower.starts_with(other)).map(|(_, unit)| *unit))
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn the_unit_of_another_name_is_suggested() {
        for (name, unit) in [("KB", "kB"), ("mb", "MB"), ("seconds", "s"), ("Percent", "%"), ("milliseconds", "ms"), ("kilobytes", "kB")] {
            assert_eq!(factor(name, None), Err(format!("unknown unit {name}; did you mean {unit}?")));
        }
        assert!(factor("x", None).is_err_and(|error| error.starts_with("unknown unit x; expected one of: ns, us,")));
    }
}
