//! What is passed on in the server's own words: `relay:`.

use super::decode::{Decoder, Item, Map};
use super::export::is_on;
use super::yaml::Value;
use regex::{Regex, RegexBuilder};
use std::ops::RangeInclusive;

/// Series of one target that are passed on, unless the file says otherwise. A million of KumoMTA's queues are well below it.
pub const SERIES_MAX_DEFAULT: usize = 2_000_000;
/// The smallest and largest `series_max`.
pub const SERIES_MAX_RANGE: RangeInclusive<usize> = 1..=5_000_000;
/// Patterns of one list.
pub const PATTERNS_MAX: usize = 100;
/// Memory of one compiled pattern: enough for any list of names, not for `(\w{1000}){1000}`.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// The length of a prefix.
pub const PREFIX_CHARS_MAX: usize = 100;

/// `relay:` what of the server's own families is passed on; `relay: false` is nothing. Left out: everything.
#[derive(Clone, Debug)]
pub struct Relay {
    /// `enabled:` false is nothing. Left out: true.
    pub enabled: bool,
    /// `include:` a regular expression, or a list of them, each over a whole family name. Left out: every family.
    pub include: Vec<Regex>,
    /// `exclude:` the same, taken from what is included. Left out: none.
    pub exclude: Vec<Regex>,
    /// `series_max:` how many series of one reading are passed on. Left out: [`SERIES_MAX_DEFAULT`].
    pub series_max: usize,
    /// `min_value:` by family, the smallest value that is worth keeping; distributions are always kept. Left out: all values are.
    pub min_value: Vec<(String, f64)>,
    /// `prefix:` put before each name, and not part of the names above. Left out: names are as the server says them.
    pub prefix: String,
}

impl Default for Relay {
    fn default() -> Self {
        let (include, exclude, min_value) = Default::default();
        Self { enabled: true, include, exclude, series_max: SERIES_MAX_DEFAULT, min_value, prefix: String::new() }
    }
}

impl Relay {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let mut relay = Self { enabled: is_on(decoder, Some(item), true), ..Self::default() };
        if !matches!(item.node.value, Value::Map(_)) {
            return relay;
        }
        let mut map = decoder.map(item).unwrap_or_default();
        relay.enabled = map.take("enabled").and_then(|item| decoder.flag(&item)).unwrap_or(relay.enabled);
        if let Some(item) = map.take("include") {
            relay.include = patterns(decoder, &item);
            if matches!(&item.node.value, Value::Nothing | Value::List(_)) && decoder.list(&item).is_some_and(|list| list.is_empty()) {
                decoder.problem(&item.place, "names no family; leave it out for every family, or write relay: false for none");
            }
        }
        relay.exclude = map.take("exclude").map(|item| patterns(decoder, &item)).unwrap_or_default();
        let series_max = map.take("series_max").and_then(|item| decoder.integer(&item, &SERIES_MAX_RANGE));
        relay.series_max = series_max.unwrap_or(relay.series_max);
        relay.min_value = map.take("min_value").map(|item| min_values(decoder, &item)).unwrap_or_default();
        relay.prefix = map.take("prefix").and_then(|item| prefix(decoder, &item)).unwrap_or_default();
        decoder.finish(map);
        relay
    }

    /// Whether a family of this name is passed on.
    #[must_use]
    pub fn passes(&self, family: &str) -> bool {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(family));
        self.enabled && (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// The smallest value of this family that is worth keeping.
    #[must_use]
    pub fn min_value(&self, family: &str) -> Option<f64> {
        self.min_value.iter().find(|(name, _)| name == family).map(|(_, min)| *min)
    }
}

/// One pattern, or a list of them.
fn patterns(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Regex> {
    if let Value::Scalar(_) = item.node.value {
        return pattern(decoder, item).into_iter().collect();
    }
    let items = decoder.list(item).unwrap_or_default();
    if items.len() > PATTERNS_MAX {
        decoder.problem(&item.place, format!("{} patterns are more than {PATTERNS_MAX}; join them with |", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| pattern(decoder, item)).collect()
}

fn pattern(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Regex> {
    let text = decoder.word(item)?;
    let compile = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    // By itself first: `a)|(b` would be whole only between our brackets.
    let compiled = compile(&text).and_then(|_| compile(&format!("^(?:{text})$")));
    decoder.noted(&item.place, compiled.map_err(|error| format!("{text:?} is no regular expression: {}", reason(&error))))
}

/// The last line says it; those before draw a picture of it.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("it takes more than {PATTERN_BYTES_MAX} bytes when compiled"),
        error => {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

fn min_values(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    for (family, item) in decoder.map(item).map(Map::rest).unwrap_or_default() {
        if !is_metric_name(family) {
            decoder
                .problem(&item.place, format!("{family:?} is no name of a family; write it as the server does, without pattern or prefix"));
            continue;
        }
        let Some(text) = decoder.word(&item) else { continue };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        values.extend(decoder.noted(&item.place, number.ok_or_else(|| format!("{text} is no number"))).map(|n| (family.to_owned(), n)));
    }
    values
}

fn prefix(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let text = decoder.word(item)?;
    let fits = is_metric_name(&text) && text.len() <= PREFIX_CHARS_MAX;
    let message = || {
        format!("{text:?} cannot begin the name of a metric; use up to {PREFIX_CHARS_MAX} letters, digits, '_' and ':', not a digit first")
    };
    decoder.noted(&item.place, if fits { Ok(()) } else { Err(message()) }).map(|()| text.clone())
}

fn is_metric_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
    text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit())
}
