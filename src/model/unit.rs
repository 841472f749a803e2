//! Units: the words of Prometheus and OpenMetrics, and the abbreviations of OpenTelemetry (UCUM).

use std::borrow::Cow;

/// A word of Prometheus and its abbreviation.
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
/// What a unit is divided by is one of something.
const PER: [(&str, &str); 7] =
    [("second", "s"), ("minute", "min"), ("hour", "h"), ("day", "d"), ("week", "wk"), ("month", "mo"), ("year", "y")];

/// A unit of a Prometheus family in OpenTelemetry's terms. One that is not known stays as it is.
pub(super) fn otlp_unit(unit: &str) -> Cow<'_, str> {
    let abbreviated = |word: &str| UNITS.iter().find(|(known, _)| *known == word).map(|(_, short)| *short);
    if let Some((unit, per)) = unit.split_once("_per_") {
        let per_one = PER.iter().find(|(known, _)| *known == per).map(|(_, short)| *short);
        return format!("{}/{}", abbreviated(unit).unwrap_or(unit), per_one.or_else(|| abbreviated(per)).unwrap_or(per)).into();
    }
    abbreviated(unit).map_or(Cow::Borrowed(unit), Cow::Borrowed)
}

/// The words that a Prometheus OTLP receiver appends to a name for a unit.
pub(super) fn unit_words(unit: &str) -> impl Iterator<Item = &str> {
    let word = |unit| match unit {
        // `1` becomes `ratio`, of gauges alone; what is counted has no unit.
        "1" | "" => None,
        counted if counted.starts_with('{') => None,
        unit => Some(UNITS.iter().find(|(_, short)| *short == unit).map_or(unit, |(word, _)| *word)),
    };
    let (unit, per) = unit.split_once('/').map_or((unit, None), |(unit, per)| (unit, Some(per)));
    let per = per.map(|per| PER.iter().find(|(_, short)| *short == per).map_or(per, |(word, _)| *word)).filter(|per| !per.is_empty());
    word(unit).into_iter().chain(per.map(|_| "per")).chain(per)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_translated_both_ways() {
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
            let words: Vec<&str> = unit_words(otlp).collect();
            assert_eq!(words.join("_"), if prometheus == "ratio" { "" } else { prometheus });
        }
    }
}
