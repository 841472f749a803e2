//! The end of a sample, behind its name and labels: the value, a timestamp, an exemplar, and nothing else.

use super::labels;
use crate::format::number;

/// What stands behind the name and the labels of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    pub(super) value: f64,
    /// A finite number, in the unit of the format: milliseconds in text, seconds in OpenMetrics.
    #[allow(dead_code, reason = "honoured by the exports next")]
    pub(super) timestamp: Option<f64>,
    /// The exemplar, from its `#` on.
    #[allow(dead_code, reason = "forwarded by the exports next")]
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
    exemplar.is_none_or(is_exemplar).then_some(Ending { value, timestamp, exemplar })
}

/// A timestamp, and what stands behind it.
fn timestamp(text: &str) -> Option<(f64, &str)> {
    let (timestamp, rest) = word(text);
    let timestamp = number::parse(timestamp.as_bytes()).filter(|at| at.is_finite())?;
    Some((timestamp, rest))
}

/// Whether the text is `# {labels} value` with or without a timestamp.
fn is_exemplar(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('#').and_then(|text| text.trim_ascii_start().strip_prefix('{')) else { return false };
    let Ok(set) = labels::strict(inside, true, &mut Vec::new()) else { return false };
    let (value, rest) = word(set.behind.trim_ascii_start());
    let timed = || timestamp(rest).is_some_and(|(_, rest)| rest.is_empty());
    number::parse(value.as_bytes()).is_some() && (rest.is_empty() || timed())
}

/// The text up to a blank, and what stands behind the blanks.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_ascii_start())
}
