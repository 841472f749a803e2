//! Translation between the unit names of Prometheus and OpenMetrics (`seconds`) and the UCUM units of OpenTelemetry (`s`).

use std::borrow::Cow;

/// Unit names of Prometheus and their UCUM units.
const UNITS: [(&str, &str); 27] = [
    ("days", "d"),
    ("hours", "h"),
    ("minutes", "min"),
    ("seconds", "s"),
    ("milliseconds", "ms"),
    ("microseconds", "us"),
    ("nanoseconds", "ns"),
    ("bytes", "By"),
    ("kibibytes", "KiBy"),
    ("mebibytes", "MiBy"),
    ("gibibytes", "GiBy"),
    ("tibibytes", "TiBy"),
    ("kilobytes", "KBy"),
    ("megabytes", "MBy"),
    ("gigabytes", "GBy"),
    ("terabytes", "TBy"),
    ("meters", "m"),
    ("volts", "V"),
    ("amperes", "A"),
    ("joules", "J"),
    ("watts", "W"),
    ("grams", "g"),
    ("celsius", "Cel"),
    ("hertz", "Hz"),
    ("percent", "%"),
    ("ratio", "1"),
    ("weeks", "wk"),
];
/// Unit names after `per`, which are in the singular, and their UCUM units.
const PER: [(&str, &str); 7] =
    [("second", "s"), ("minute", "min"), ("hour", "h"), ("day", "d"), ("week", "wk"), ("month", "mo"), ("year", "y")];

/// The UCUM unit of a Prometheus unit. An unknown unit is returned unchanged.
pub(super) fn otlp_unit(unit: &str) -> Cow<'_, str> {
    if unit.is_empty() {
        return Cow::Borrowed(unit);
    }
    let ucum = |name: &str| UNITS.iter().find(|(known, _)| *known == name).map(|(_, ucum)| *ucum);
    if let Some((unit, per)) = unit.split_once("_per_") {
        let ucum_per = PER.iter().find(|(known, _)| *known == per).map(|(_, ucum)| *ucum);
        return format!("{}/{}", ucum(unit).unwrap_or(unit), ucum_per.or_else(|| ucum(per)).unwrap_or(per)).into();
    }
    ucum(unit).map_or(Cow::Borrowed(unit), Cow::Borrowed)
}

/// The parts that a Prometheus OTLP receiver appends to a metric name for a UCUM unit.
pub(super) fn unit_names(unit: &str) -> impl Iterator<Item = &str> {
    let name = |unit| match unit {
        // `1` becomes `ratio`, but only of gauges. An annotation such as `{message}` is not a unit.
        "1" | "" => None,
        annotation if annotation.starts_with('{') => None,
        unit => Some(UNITS.iter().find(|(_, ucum)| *ucum == unit).map_or(unit, |(name, _)| *name)),
    };
    let (unit, per) = unit.split_once('/').map_or((unit, None), |(unit, per)| (unit, Some(per)));
    let per = per.map(|per| PER.iter().find(|(_, ucum)| *ucum == per).map_or(per, |(name, _)| *name)).filter(|per| !per.is_empty());
    name(unit).into_iter().chain(per.map(|_| "per")).chain(per)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_translated_in_both_directions() {
        for (prometheus, otlp) in [
            ("seconds", "s"),
            ("bytes", "By"),
            ("ratio", "1"),
            ("celsius", "Cel"),
            ("bytes_per_second", "By/s"),
            ("requests_per_minute", "requests/min"),
            ("furlongs", "furlongs"),
            ("", ""),
        ] {
            assert_eq!(otlp_unit(prometheus), otlp);
            let names: Vec<&str> = unit_names(otlp).collect();
            assert_eq!(names.join("_"), if prometheus == "ratio" { "" } else { prometheus });
        }
    }
}
