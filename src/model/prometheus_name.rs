//! The names that OpenTelemetry metrics and attributes have in Prometheus, by OpenTelemetry's four translation strategies.
//!
//! The names are those of Prometheus' OTLP receiver, so that a pulled metric and a pushed one have the same name if both sides use the same
//! strategy.

use super::unit::unit_names;
use super::{FamilyType, Kind, Metric};
use std::borrow::Cow;

/// The translation of names from OpenTelemetry to Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TranslationStrategy {
    /// Unsupported characters become underscores; units, `total` and `ratio` are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Unsupported characters become underscores; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// All characters are kept; units, `total` and `ratio` are appended.
    NoUtf8EscapingWithSuffixes,
    /// Names are not changed.
    NoTranslation,
}

impl TranslationStrategy {
    /// All strategies with their names in configurations, in the order of the specification.
    pub const ALL: [(&'static str, Self); 4] = [
        ("UnderscoreEscapingWithSuffixes", Self::UnderscoreEscapingWithSuffixes),
        ("UnderscoreEscapingWithoutSuffixes", Self::UnderscoreEscapingWithoutSuffixes),
        ("NoUTF8EscapingWithSuffixes", Self::NoUtf8EscapingWithSuffixes),
        ("NoTranslation", Self::NoTranslation),
    ];

    const fn has_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }

    const fn has_underscores(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    /// The name of a metric with this UCUM unit. Up-down counters have the type [`FamilyType::Unknown`] here: unlike gauges they are never
    /// ratios.
    #[must_use]
    pub fn metric_name(self, name: &str, unit: &str, kind: FamilyType) -> String {
        let mut translated = String::with_capacity(name.len() + 16);
        self.write_metric_name(name, unit, kind, &mut translated);
        translated
    }

    /// The name of a declared metric.
    #[must_use]
    pub fn name_of(self, metric: &Metric) -> String {
        self.metric_name(metric.name, metric.unit, translated_kind(metric.kind))
    }

    /// Replaces the content of `to` with the name of a metric.
    pub(crate) fn write_metric_name(self, name: &str, unit: &str, kind: FamilyType, to: &mut String) {
        to.clear();
        match self {
            Self::UnderscoreEscapingWithSuffixes => join_parts(name, unit, kind, to),
            Self::UnderscoreEscapingWithoutSuffixes => {
                let parts = name.split(|c: char| !is_supported(c) && c != '_').filter(|part| !part.is_empty());
                parts.for_each(|part| add(to, part));
            }
            Self::NoUtf8EscapingWithSuffixes => append_suffixes(name, unit, kind, to),
            Self::NoTranslation => to.push_str(name),
        }
    }

    /// The label of an attribute.
    #[must_use]
    pub fn label_name(self, key: &str) -> Cow<'_, str> {
        if !self.has_underscores() {
            return Cow::Borrowed(key);
        }
        let is_supported = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.chars().all(is_supported) && !key.starts_with(|c: char| c.is_ascii_digit()) {
            return Cow::Borrowed(key);
        }
        let prefix = if key.starts_with(|c: char| c.is_ascii_digit()) { "key_" } else { "" };
        let mut name = String::with_capacity(prefix.len() + key.len());
        name.push_str(prefix);
        name.extend(key.chars().map(|c| if is_supported(c) { c } else { '_' }));
        Cow::Owned(name)
    }

    /// The unit at the end of a metric's name, before `_total`. Empty if the strategy appends none.
    #[must_use]
    pub fn unit_suffix(self, unit: &str, kind: FamilyType) -> String {
        let mut suffix = String::new();
        self.write_unit_suffix(unit, kind, &mut suffix);
        suffix
    }

    /// Replaces the content of `to` with the [`unit_suffix`](Self::unit_suffix).
    pub(crate) fn write_unit_suffix(self, unit: &str, kind: FamilyType, to: &mut String) {
        to.clear();
        match self.has_suffixes() {
            true if is_ratio(unit, kind) => to.push_str(RATIO),
            true => {
                for (index, name) in unit_names(unit).enumerate() {
                    to.push_str(if index > 0 { "_" } else { "" });
                    to.push_str(name);
                }
            }
            false => {}
        }
    }
}

/// The label that contains the name of the metric.
pub(crate) const METRIC_NAME_LABEL: &str = "__name__";
/// The last part of a counter's name.
const TOTAL: &str = "total";
/// The last part of the name of a gauge with the unit `1`.
const RATIO: &str = "ratio";

/// The type that determines the name of a metric of this kind.
#[must_use]
pub const fn translated_kind(kind: Kind) -> FamilyType {
    match kind {
        Kind::Counter => FamilyType::Counter,
        Kind::Gauge => FamilyType::Gauge,
        Kind::UpDownCounter => FamilyType::Unknown,
        Kind::Histogram => FamilyType::Histogram,
    }
}

const fn is_supported(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn is_ratio(unit: &str, kind: FamilyType) -> bool {
    unit == "1" && kind == FamilyType::Gauge
}

/// Returns true if Prometheus' OTLP receiver can translate this name of a metric or an attribute. It rejects the whole request if nothing
/// but underscores is left of a name ([otlptranslator](https://github.com/prometheus/otlptranslator)).
#[inline]
pub(crate) fn is_translatable(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_alphanumeric)
}

/// The name with the prefix `U__`, in which each unsupported character is its code point between underscores: the escaping scheme `values`
/// of [Prometheus](https://prometheus.io/docs/instrumenting/escaping_schemes/).
pub(crate) fn escaped_by_values(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    escaped.push_str("U__");
    for (at, c) in name.chars().enumerate() {
        match c {
            '_' => escaped.push_str("__"),
            c if is_supported_in_metric_name(at, c) => escaped.push(c),
            c => escaped.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    escaped
}

/// Returns true if every version of Prometheus supports the character at this place of a metric's name.
pub(crate) fn is_supported_in_metric_name(at: usize, c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && at > 0)
}

/// Returns true if an attribute of this name would be the label with the name of the metric.
pub(crate) fn is_metric_name_label(key: &str) -> bool {
    TranslationStrategy::default().label_name(key) == METRIC_NAME_LABEL
}

/// Adds a part of a name. A name cannot begin with a digit.
fn add(to: &mut String, part: &str) {
    if !to.is_empty() || part.starts_with(|c: char| c.is_ascii_digit()) {
        to.push('_');
    }
    to.push_str(part);
}

/// Joins the parts between unsupported characters, the unit, and `total` or `ratio`. A part that the name contains already is not repeated.
fn join_parts(name: &str, unit: &str, kind: FamilyType, to: &mut String) {
    let (is_counter, is_ratio) = (kind == FamilyType::Counter, is_ratio(unit, kind));
    let is_moved = |part: &str| (is_counter && part == TOTAL) || (is_ratio && part == RATIO);
    let parts = || name.split(|c: char| !is_supported(c)).filter(|part| !part.is_empty());
    parts().filter(|part| !is_moved(part)).for_each(|part| add(to, part));
    for unit in unit_names(unit) {
        if !parts().any(|part| part == unit) {
            add(to, unit);
        }
    }
    if is_counter {
        add(to, TOTAL);
    }
    if is_ratio {
        add(to, RATIO);
    }
}

/// Appends the unit, and `total` or `ratio`, to an unchanged name. A suffix that the name has already is moved to its place.
fn append_suffixes(name: &str, unit: &str, kind: FamilyType, to: &mut String) {
    let mut names = unit_names(unit);
    let (main, per) = (names.next().filter(|main| *main != "per"), names.collect::<Vec<_>>().join("_"));
    // A unit such as `/s` has only the second half.
    let per = if main.is_none() && !per.is_empty() { format!("per_{per}") } else { per };
    let last = match kind {
        FamilyType::Counter => Some(TOTAL),
        _ => is_ratio(unit, kind).then_some(RATIO),
    };
    let mut base = name;
    for suffix in last.into_iter().chain(Some(per.as_str()).filter(|per| !per.is_empty())) {
        base = without_suffix(base, suffix);
    }
    to.push_str(base);
    let main = main.filter(|main| !base.ends_with(main));
    for suffix in main.into_iter().chain(Some(per.as_str()).filter(|per| !per.is_empty())).chain(last) {
        to.push('_');
        to.push_str(suffix);
    }
}

/// The name without this suffix and the character before it.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    let rest = name.strip_suffix(suffix).and_then(|rest| rest.char_indices().next_back().map(|(at, _)| &rest[..at]));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use FamilyType::{Counter, Gauge, Histogram, Unknown};

    #[test]
    fn names_are_translated_like_in_the_prometheus_otlp_receiver() {
        // The name, the unit and the type; then the names by the strategies, in the order of `ALL`.
        for (name, unit, kind, expected) in [
            ("requests", "", Counter, ["requests_total", "requests", "requests_total", "requests"]),
            ("requests_total", "", Counter, ["requests_total", "requests_total", "requests_total", "requests_total"]),
            ("requests_total", "", Gauge, ["requests_total", "requests_total", "requests_total", "requests_total"]),
            ("total_messages", "", Counter, ["messages_total", "total_messages", "total_messages_total", "total_messages"]),
            ("mail.queue..size", "", Unknown, ["mail_queue_size", "mail_queue_size", "mail.queue..size", "mail.queue..size"]),
            ("took", "s", Gauge, ["took_seconds", "took", "took_seconds", "took"]),
            ("took_seconds", "s", Histogram, ["took_seconds", "took_seconds", "took_seconds", "took_seconds"]),
            ("took.seconds", "s", Counter, ["took_seconds_total", "took_seconds", "took.seconds_total", "took.seconds"]),
            ("used", "1", Gauge, ["used_ratio", "used", "used_ratio", "used"]),
            ("used", "1", Unknown, ["used", "used", "used", "used"]),
            ("used.ratio", "1", Gauge, ["used_ratio", "used_ratio", "used_ratio", "used.ratio"]),
            ("2xx", "", Gauge, ["_2xx", "_2xx", "2xx", "2xx"]),
            ("a:b_", "{x}", Gauge, ["a:b", "a:b_", "a:b_", "a:b_"]),
            ("mail.io", "By/s", Gauge, ["mail_io_bytes_per_second", "mail_io", "mail.io_bytes_per_second", "mail.io"]),
            ("mail.io", "By", Counter, ["mail_io_bytes_total", "mail_io", "mail.io_bytes_total", "mail.io"]),
            ("total", "", Counter, ["total", "total", "total_total", "total"]),
        ] {
            let translated = TranslationStrategy::ALL.map(|(_, strategy)| strategy.metric_name(name, unit, kind));
            assert_eq!(translated, expected, "{name}");
        }
    }

    #[test]
    fn labels_are_translated_like_in_the_prometheus_otlp_receiver() {
        for (key, underscores) in [("mail.queue.state", "mail_queue_state"), ("a_b", "a_b"), ("2xx", "key_2xx"), ("é", "_")] {
            let translated = TranslationStrategy::ALL.map(|(_, strategy)| strategy.label_name(key).into_owned());
            assert_eq!(translated, [underscores, underscores, key, key], "{key}");
        }
    }

    #[test]
    fn the_unit_is_a_suffix_only_if_the_strategy_appends_it() {
        let suffixes = |unit, kind| TranslationStrategy::ALL.map(|(_, strategy)| strategy.unit_suffix(unit, kind));
        assert_eq!(suffixes("s", Gauge), ["seconds", "", "seconds", ""]);
        assert_eq!(suffixes("1", Gauge), ["ratio", "", "ratio", ""]);
        assert_eq!(suffixes("1", Counter), [""; 4]);
        assert_eq!(suffixes("{message}", Unknown), [""; 4]);
    }
}
