//! Durations and sizes as text, and suggestions for misspelled words.

use jiff::SignedDuration;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Returns the candidate that is most similar to `name`, if one is similar enough to be meant.
pub(crate) fn closest<'w>(name: &str, candidates: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let mistakes_max = (name.chars().count() / 3).max(1);
    let distances = candidates.into_iter().map(|other| (strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase()), other));
    distances.filter(|(distance, _)| *distance <= mistakes_max).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// Suggests a replacement for an unknown name: the most similar candidate, or else the list of all.
pub(crate) fn suggestion(name: &str, candidates: &[&str]) -> String {
    match closest(name, candidates.iter().copied()) {
        Some(similar) => format!("did you mean {similar}?"),
        None => format!("expected one of: {}", candidates.join(", ")),
    }
}

/// Formats a duration as the configuration file has it: `1m30s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}").replace(' ', ""))
}

/// The units of bytes, largest first.
const UNITS: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Formats a number of bytes as the configuration file has it: `64MiB`.
#[must_use]
pub fn show_bytes(bytes: usize) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Parses `10s`, `1m30s` or `500ms`.
pub(crate) fn parse_duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text} has no unit; write {text}s for seconds"));
    }
    let duration =
        text.parse::<SignedDuration>().map_err(|_| format!("{text:?} is not a valid duration; write it as 10s, 1m30s or 500ms"))?;
    // A negative duration is outside every range.
    check_range(Duration::try_from(duration).unwrap_or(Duration::MAX), range)
        .map_err(|limits| format!("{text} is out of range; the limits are {limits}"))
}

/// Returns the duration if it is within the limits; the error describes the limits.
pub(crate) fn check_range(duration: Duration, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{} to {}", show_duration(*range.start()), show_duration(*range.end())))
    }
}

/// Parses `1048576`, `1024KiB` or `1MiB`.
pub(crate) fn parse_bytes(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let bytes = number.trim().parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    let limits = || format!("{} to {}", show_bytes(*range.start()), show_bytes(*range.end()));
    bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| format!("{text} is not a number of bytes from {}", limits()))
}
