//! The native metrics to forward: `relay:`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::RELAY;
use super::yaml::Value;
use regex::{Regex, RegexBuilder};

/// The default of `series_max`. The queues of a KumoMTA server with a million domains are well below it.
pub const SERIES_MAX_DEFAULT: usize = 2_000_000;
/// The largest number of patterns in a list.
pub const PATTERNS_MAX: usize = 100;
/// The largest size of a compiled pattern: enough for any list of names, but not for `(\w{1000}){1000}`.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// The largest length of a prefix.
const PREFIX_CHARS_MAX: usize = 100;

/// The selection of native metrics to forward.
#[derive(Clone, Debug)]
pub struct Passthrough {
    /// Key `enabled`: `false` forwards nothing.
    pub enabled: bool,
    /// Key `include`: patterns for whole family names; an empty list includes every family.
    pub include: Vec<Regex>,
    /// Key `exclude`: patterns for families that are not forwarded although they are included.
    pub exclude: Vec<Regex>,
    /// Key `series_max`: the largest number of series to forward per reading.
    pub series_max: usize,
    /// Key `min_value`: the smallest value to forward, by family. Histograms and summaries are always forwarded.
    pub min_value: Vec<(String, f64)>,
    /// Key `prefix`: a prefix for every forwarded name, which is not part of the names in the other keys.
    pub prefix: String,
}

impl Default for Passthrough {
    fn default() -> Self {
        let (include, exclude, min_value) = Default::default();
        Self { enabled: true, include, exclude, series_max: SERIES_MAX_DEFAULT, min_value, prefix: String::new() }
    }
}

impl Passthrough {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let enabled = decoder.is_enabled(Some(item), true);
        if !matches!(item.node.value, Value::Map(_)) {
            return Self { enabled, ..Self::default() };
        }
        let mut map = decoder.map_or_empty(Some(item), RELAY);
        let enabled = map.flag_or_default(decoder, "enabled");
        let include = map.take("include");
        if let Some(item) = include.as_ref().filter(|item| is_empty_list(&item.node.value)) {
            decoder.report(&item.location, "includes no family; remove the key to include every family, or set relay: false");
        }
        let include = include.map(|item| patterns(decoder, &item)).unwrap_or_default();
        let exclude = map.take("exclude").map(|item| patterns(decoder, &item)).unwrap_or_default();
        let series_max = map.integer_or_default(decoder, "series_max");
        let min_value = map.take("min_value").map(|item| min_values(decoder, &item)).unwrap_or_default();
        let prefix = map.take("prefix").and_then(|item| prefix(decoder, &item)).unwrap_or_default();
        decoder.finish(map);
        Self { enabled, include, exclude, series_max, min_value, prefix }
    }

    /// Returns `true` if the family of this name is forwarded.
    #[must_use]
    pub fn includes(&self, family: &str) -> bool {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(family));
        self.enabled && (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// Returns the smallest value of this family to forward.
    #[must_use]
    pub fn min_value(&self, family: &str) -> Option<f64> {
        self.min_value.iter().find(|(name, _)| name == family).map(|(_, min)| *min)
    }
}

fn is_empty_list(value: &Value) -> bool {
    match value {
        Value::Nothing => true,
        Value::List(list) => list.is_empty(),
        Value::Scalar(_) | Value::Map(_) => false,
    }
}

/// Decodes one pattern, or a list of patterns.
fn patterns(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Regex> {
    if let Value::Scalar(_) = item.node.value {
        return pattern(decoder, item).into_iter().collect();
    }
    let items = decoder.list(item).unwrap_or_default();
    if items.len() > PATTERNS_MAX {
        decoder.report(&item.location, format!("{} patterns exceed the limit of {PATTERNS_MAX}; join them with |", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| pattern(decoder, item)).collect()
}

fn pattern(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Regex> {
    let text = decoder.non_empty_text(item)?;
    let compile = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    // The text must be valid on its own: `a)|(b` would be valid within the added parentheses only.
    let compiled = compile(&text).and_then(|_| compile(&format!("^(?:{text})$")));
    let message = |error| format!("{text:?} is not a valid regular expression: {}", reason(&error));
    decoder.ok_or_report(&item.location, compiled.map_err(message))
}

/// Returns the last line of the error, which is the reason. The lines before it show the position.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("it exceeds {PATTERN_BYTES_MAX} bytes when compiled"),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.strip_prefix("error: ").unwrap_or(last);
            // As in the names of files, where * stands for any text.
            let advice = if reason.starts_with("repetition operator missing") { "; write .* for any text" } else { "" };
            format!("{reason}{advice}")
        }
    }
}

fn min_values(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    for (family, item) in decoder.user_map(item) {
        if !is_metric_name(family) {
            let message = format!("{family:?} is not the name of a family; write the native name, without pattern or prefix");
            decoder.report(&item.location, message);
            continue;
        }
        let Some(text) = decoder.non_empty_text(&item) else { continue };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        let number = decoder.ok_or_report(&item.location, number.ok_or_else(|| format!("{text} is not a finite number")));
        values.extend(number.map(|number| (family.to_owned(), number)));
    }
    values
}

fn prefix(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let text = decoder.non_empty_text(item)?;
    if is_metric_name(&text) && text.len() <= PREFIX_CHARS_MAX {
        return Some(text);
    }
    let message = format!(
        "{text:?} is not a valid beginning of a metric name; use up to {PREFIX_CHARS_MAX} letters, digits, '_' and ':', not a digit first"
    );
    decoder.report(&item.location, message);
    None
}

fn is_metric_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
    text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit())
}
