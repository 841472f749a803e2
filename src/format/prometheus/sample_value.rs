//! The end of a sample line: the value, and optionally a timestamp and an exemplar.

use super::labels::{self, Label};
use super::text_format::TIMESTAMP_MILLIS_MAX;
use crate::format::number;
use crate::model::NANOS_PER_SECOND;

/// The value of a sample, and what follows it on its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleValue<'a> {
    pub(super) value: f64,
    /// A finite number, in the unit of the format: milliseconds in the text format, seconds in OpenMetrics.
    pub(super) timestamp: Option<f64>,
    /// The text of the exemplar, which begins with `#`. [`parse_exemplar`] reads it.
    pub(super) exemplar: Option<&'a str>,
}

/// Parses the text after the name and labels of a sample. Returns `None` if it contains anything else.
pub(super) fn parse_sample_value(rest: &str) -> Option<SampleValue<'_>> {
    let rest = rest.trim_ascii();
    let (value, rest) = split_at_blank(rest);
    let value = number::parse(value.as_bytes())?;
    if rest.is_empty() {
        return Some(SampleValue { value, timestamp: None, exemplar: None });
    }
    let (timestamp, rest) = if rest.starts_with('#') { (None, rest) } else { parse_timestamp(rest).map(|(at, rest)| (Some(at), rest))? };
    let exemplar = Some(rest).filter(|rest| !rest.is_empty());
    exemplar.is_none_or(|text| parse_exemplar(text).is_some()).then_some(SampleValue { value, timestamp, exemplar })
}

/// Returns the timestamp at the start of the text, and the rest.
fn parse_timestamp(text: &str) -> Option<(f64, &str)> {
    let (timestamp, rest) = split_at_blank(text);
    let timestamp = number::parse(timestamp.as_bytes()).filter(|at| at.abs() <= TIMESTAMP_MILLIS_MAX)?;
    Some((timestamp, rest))
}

/// Converts Unix seconds to nanoseconds, or returns `None` if they are out of range.
pub(super) fn seconds_to_nanos(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds < UNIX_SECONDS_MAX).then(|| {
        // In two parts, because a double is not precise enough for the nanoseconds since 1970.
        let whole = seconds.trunc();
        whole as u64 * NANOS_PER_SECOND + ((seconds - whole) * NANOS_PER_SECOND as f64).round() as u64
    })
}

/// Converts the start time of a series to nanoseconds, or returns `None` if it is not plausible.
pub(super) fn start_nanos(seconds: f64) -> Option<u64> {
    if seconds >= START_SECONDS_MIN { seconds_to_nanos(seconds) } else { None }
}

/// The year 2286. A larger number is not a time in seconds.
const UNIX_SECONDS_MAX: f64 = 1e10;
/// The year 2000. No server that exposes metrics started before it: a smaller number is a duration or a count.
const START_SECONDS_MIN: f64 = 946_684_800.0;

/// An exemplar of a sample.
#[derive(Debug)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<Label<'a>>,
    pub(super) value: f64,
    /// The time of the exemplar in Unix seconds.
    pub(super) time: Option<f64>,
}

/// Parses `# {labels} value` with an optional timestamp.
pub(super) fn parse_exemplar(text: &str) -> Option<Exemplar<'_>> {
    let inside = text.strip_prefix('#')?.trim_ascii_start().strip_prefix('{')?;
    let mut labels = Vec::new();
    let set = labels::parse_strict(inside, true, &mut labels).ok()?;
    let (value, rest) = split_at_blank(set.rest.trim_ascii_start());
    let value = number::parse(value.as_bytes())?;
    if rest.is_empty() {
        return Some(Exemplar { labels, value, time: None });
    }
    let (time, rest) = parse_timestamp(rest)?;
    rest.is_empty().then_some(Exemplar { labels, value, time: Some(time) })
}

/// Returns the text up to the first blank, and the text after the blanks.
fn split_at_blank(text: &str) -> (&str, &str) {
    let (token, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (token, rest.trim_ascii_start())
}
