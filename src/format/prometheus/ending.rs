//! The end of a sample, behind its name and labels: the value, a timestamp, an exemplar, and nothing else.

use super::labels::{self, Label};
use crate::format::number;

/// What stands behind the name and the labels of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    pub(super) value: f64,
    /// A finite number, in the unit of the format: milliseconds in text, seconds in OpenMetrics.
    pub(super) timestamp: Option<f64>,
    /// The exemplar, from its `#` on; [`exemplar`] reads it.
    pub(super) exemplar: Option<&'a str>,
}

/// Reads the end of a sample; `None` when anything else stands in it.
pub(super) fn ending(rest: &str) -> Option<Ending<'_>> {
    let rest = rest.trim_ascii();
    let (value, rest) = word(rest);
    let value = number::parse(value.as_bytes())?;
    if rest.is_empty() {
        return Some(Ending { value, timestamp: None, exemplar: None });
    }
    let (timestamp, rest) = if rest.starts_with('#') { (None, rest) } else { timestamp(rest).map(|(at, rest)| (Some(at), rest))? };
    let exemplar = Some(rest).filter(|rest| !rest.is_empty());
    exemplar.is_none_or(|text| self::exemplar(text).is_some()).then_some(Ending { value, timestamp, exemplar })
}

/// The largest timestamp, in milliseconds: every whole number up to it is exact.
const TIMESTAMP_MILLIS_MAX: f64 = 9e15;

/// A timestamp, and what stands behind it.
fn timestamp(text: &str) -> Option<(f64, &str)> {
    let (timestamp, rest) = word(text);
    let timestamp = number::parse(timestamp.as_bytes()).filter(|at| at.abs() <= TIMESTAMP_MILLIS_MAX)?;
    Some((timestamp, rest))
}

/// What an explicit timestamp counts since the beginning of 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimestampUnit {
    /// In OpenMetrics, which ends with `# EOF`.
    Seconds,
    /// In the text format.
    Milliseconds,
}

impl TimestampUnit {
    /// The unit in a body.
    pub(super) fn of(text: &str) -> Self {
        if text.trim_ascii_end().ends_with("# EOF") { Self::Seconds } else { Self::Milliseconds }
    }

    /// Unix milliseconds, where the timestamp is not beyond what they can be.
    pub(super) fn milliseconds(self, timestamp: f64) -> Option<i64> {
        let milliseconds = match self {
            Self::Seconds => timestamp * 1000.0,
            Self::Milliseconds => timestamp,
        };
        (milliseconds.abs() <= TIMESTAMP_MILLIS_MAX).then_some(milliseconds.round() as i64)
    }
}

/// Unix nanoseconds of a time in seconds, where it is one.
pub(super) fn unix_nanos(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds < UNIX_SECONDS_MAX).then(|| {
        // By parts: nanoseconds of today are more than a float has digits for.
        let whole = seconds.trunc();
        whole as u64 * 1_000_000_000 + ((seconds - whole) * 1e9).round() as u64
    })
}

/// The year 2286; what is later is no time in seconds.
const UNIX_SECONDS_MAX: f64 = 1e10;

/// An exemplar.
#[derive(Debug)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<Label<'a>>,
    pub(super) value: f64,
    /// Unix seconds.
    pub(super) time: Option<f64>,
}

/// Reads `# {labels} value` with or without a timestamp.
pub(super) fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let inside = text.strip_prefix('#')?.trim_ascii_start().strip_prefix('{')?;
    let mut labels = Vec::new();
    let set = labels::strict(inside, true, &mut labels).ok()?;
    let (value, rest) = word(set.behind.trim_ascii_start());
    let value = number::parse(value.as_bytes())?;
    if rest.is_empty() {
        return Some(Exemplar { labels, value, time: None });
    }
    let (time, rest) = timestamp(rest)?;
    rest.is_empty().then_some(Exemplar { labels, value, time: Some(time) })
}

/// The text up to a blank, and what stands behind the blanks.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_ascii_start())
}
