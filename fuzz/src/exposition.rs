//! Expositions: a page is valid, and is read back as it was written.

use super::grammar::{self, Series};
use super::{generators, kumomta_page, validator};
use arbitrary::Unstructured;
use postmeter::export::exposition::{Escaping, ExpositionWriter, Format, ReservedNames, Section, is_reserved, render, target_info};
use postmeter::format::prometheus;
use postmeter::model::{FamilyType, SelectedFamilies};
use postmeter::telemetry::Identity;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// OpenMetrics without quoted names, which the validator does not support.
const OPEN_METRICS: Format = Format::OpenMetrics(Escaping::Underscores);
const FORMATS: [Format; 3] = [Format::Text, OPEN_METRICS, Format::Json];

/// Checks arbitrary families: alone, together with those of another target, and in the second part of a page.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(one) = generators::native(&mut u).map(Arc::new) else { return };
    check_page(one.clone());
    // Without remaining bytes the second target has no families.
    let two = Arc::new(generators::native(&mut u).unwrap_or_default());
    let identities = ["one", "two"].map(|instance| Identity::new("a job", instance));
    let targets = [Section::of_target(one.clone(), &identities[0]), Section::of_target(two.clone(), &identities[1])];
    for format in FORMATS {
        check_valid(format, &render(format, &targets));
    }
    let own = [Section::of_postmeter(Arc::new(target_info(&identities, Default::default()))), Section::of_postmeter(two)];
    for format in FORMATS {
        check_valid(format, &in_two_calls(format, &own, &targets[..1]));
        check_valid(format, &in_two_calls(format, &own, &[Section::without_identity(one.clone())]));
    }
}

/// Writes a page as the pull does: first the changing sections, then those that may be cached.
fn in_two_calls(format: Format, own: &[Section], native: &[Section]) -> String {
    let mut bytes = Vec::new();
    let mut out = |piece: &mut Vec<u8>| {
        bytes.append(piece);
        true
    };
    let mut first = ExpositionWriter::new(format, &mut out);
    first.write(own, &ReservedNames::default()).expect("the page is complete");
    first.pause();
    let mut second = ExpositionWriter::resume(format, &mut out);
    second.write(native, &ReservedNames::of(format, own)).expect("the page is complete");
    second.finish();
    String::from_utf8(bytes).expect("text")
}

fn check_valid(format: Format, page: &str) {
    if format == Format::Json {
        serde_json::from_str::<Value>(page).unwrap_or_else(|error| panic!("{error}: {page}"));
    } else {
        validator::check(page, format == OPEN_METRICS);
    }
}

/// Checks the pages of these families.
pub fn check_page(native: Arc<SelectedFamilies>) {
    let series = grammar::native(&native);
    let identity = Identity::new("a job of \"quotes\"\\", "instance");
    for (section, plain) in [(Section::without_identity(native.clone()), true), (Section::of_target(native, &identity), false)] {
        for format in [Format::Text, OPEN_METRICS] {
            let text = render(format, std::slice::from_ref(&section));
            validator::check(&text, format == OPEN_METRICS);
            if plain {
                check_read_back(&text, &expected(&series, format));
            }
        }
        let json = render(Format::Json, std::slice::from_ref(&section));
        let parsed: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        if plain {
            let mut found = json_series(&parsed);
            found.sort();
            assert_eq!(found, json_expected(&series), "{json}");
            kumomta_page::check(json, &series);
        }
    }
}

fn check_read_back(text: &str, expected: &[Series]) {
    let read = match prometheus::read(text.to_owned()) {
        Ok(read) => read,
        Err(_) if expected.is_empty() => return,
        Err(error) => panic!("{error}: {text:?}"),
    };
    let (found, wanted) = (bare(grammar::families(&read)), bare(expected.to_vec()));
    let is_one = |series: &Series, other: &Series| series.family == other.family && series.labels == other.labels;
    for series in &wanted {
        // Of series whose labels are equal after the translation of names, one is written.
        let is_found = found.iter().any(|other| series == other);
        let collides = wanted.iter().filter(|other| is_one(series, other)).count() > 1 && found.iter().any(|other| is_one(series, other));
        assert!(is_found || collides, "{series:?} of {wanted:?} is missing: {text:?}");
    }
    assert!(found.iter().all(|series| wanted.contains(series)) && found.len() <= wanted.len(), "{found:?} of {wanted:?}: {text:?}");
    assert_eq!(read.repairs().iter().collect::<Vec<_>>(), [], "{text:?}");
}

/// The series without the prefixes of renamed labels, which depend on the order of labels.
fn bare(mut all: Vec<Series>) -> Vec<Series> {
    for series in &mut all {
        for (label, _) in &mut series.labels {
            while let Some(rest) = label.strip_prefix("exported_").or_else(|| label.strip_prefix('_')) {
                *label = rest.to_owned();
            }
        }
        // An empty label is the same as a missing one.
        series.labels.retain(|(_, value)| !value.is_empty());
        series.labels.sort();
    }
    all.sort();
    all
}

/// The series that a page can represent.
fn expected(originals: &[Series], format: Format) -> Vec<Series> {
    let families = families_of(originals);
    let mut originals = families.clone();
    originals.sort();
    let originals = &originals;
    let mut lines = lines(originals, format);
    let created = created_names(originals, format);
    lines.extend(created.iter().cloned());
    let mut expected: Vec<Series> = originals.iter().filter(|series| !lines.contains(&series.family)).cloned().collect();
    expected.retain(|series| !is_reserved(format, &series.family, kind_of(series)));
    for series in &mut expected {
        let is_free = |name: &str| is_name(name) && !lines.contains(name) && originals.iter().all(|other| other.family != name);
        let suffix = match series.kind.as_str() {
            "Counter" => Some("_total"),
            "Info" => Some("_info"),
            _ => None,
        };
        if format == OPEN_METRICS && suffix.is_some_and(|suffix| !series.family.strip_suffix(suffix).is_some_and(is_free)) {
            series.kind = format!("{:?}", FamilyType::Unknown);
        }
        if format == OPEN_METRICS && !has_values_of_type(&series.family, &families) {
            series.kind = format!("{:?}", FamilyType::Gauge);
        }
        if format == OPEN_METRICS && matches!(series.kind.as_str(), "Histogram" | "Summary") {
            series.value = without_forbidden_values(&series.value, &series.kind);
        }
        // Text has no type for these.
        if format != OPEN_METRICS && matches!(series.kind.as_str(), "Info" | "StateSet") {
            series.kind = format!("{:?}", FamilyType::Gauge);
        }
        rename(&mut series.labels, &series.kind);
    }
    expected.sort();
    expected
}

/// The series with the written names of their families: of several families with one name, the one that is named so, or the first.
fn families_of(originals: &[Series]) -> Vec<Series> {
    let chosen = |name: &str| {
        let mut namesakes = originals.iter().map(|series| series.family.as_str()).filter(|family| family_name(family) == name);
        if originals.iter().any(|series| series.family == name) { Some(name.to_owned()) } else { namesakes.next().map(str::to_owned) }
    };
    let mut written: Vec<Series> = Vec::new();
    for series in originals {
        let family = family_name(&series.family);
        if !series.family.is_empty() && chosen(&family).as_deref() == Some(series.family.as_str()) {
            written.push(Series { family, ..series.clone() });
        }
    }
    written
}

/// The names of start times of counters, which OpenMetrics reserves.
fn created_names(originals: &[Series], format: Format) -> HashSet<String> {
    let counters = originals.iter().filter(|series| format == OPEN_METRICS && series.kind == "Counter");
    let bases = counters.filter_map(|series| series.family.strip_suffix("_total"));
    let is_counter = |base: &&str| !base.is_empty() && originals.iter().all(|other| other.family != *base);
    bases.filter(is_counter).map(|base| format!("{base}_created")).collect()
}

/// Returns true unless the family is an info or a stateset whose series are not those of one. The series are in the order of the server.
fn has_values_of_type(family: &str, series: &[Series]) -> bool {
    let (mut sets, mut last) = (Vec::new(), None);
    series.iter().filter(|series| series.family == family).all(|series| match series.kind.as_str() {
        "Info" => series.value.parse() == Ok(1.0),
        "StateSet" => {
            let (state, set): (Vec<_>, Vec<_>) = series.labels.iter().cloned().partition(|(label, _)| label_name(label) == family);
            let is_first = last.as_ref() != Some(&set);
            let is_apart = is_first && sets.contains(&set);
            sets.push(set.clone());
            last = Some(set);
            state.len() == 1 && !is_apart && matches!(series.value.parse(), Ok(0.0 | 1.0))
        }
        _ => true,
    })
}

/// The value of a distribution without what OpenMetrics forbids: negative quantiles, and sums that are not counters.
fn without_forbidden_values(value: &str, kind: &str) -> String {
    let (pairs, rest) = value.split_once(" sum ").expect("a sum");
    let (sum, count) = rest.split_once(" count ").expect("a count");
    let pairs = pairs.trim_matches(['[', ']']).split(", ").filter(|pair| !pair.is_empty()).map(|pair| pair.trim_matches('"'));
    let is_negative = |number: &str| number.parse::<f64>().expect("a number") < 0.0;
    let mut pairs: Vec<(&str, &str)> = pairs.map(|pair| pair.split_once(':').expect("a pair")).collect();
    let has_negative_bound = kind == "Histogram" && pairs.iter().any(|(bound, _)| is_negative(bound));
    pairs.retain(|(_, number)| kind == "Histogram" || !is_negative(number));
    let is_counter = sum.parse::<f64>().is_ok_and(|sum| sum >= 0.0) && !has_negative_bound;
    let pairs: Vec<String> = pairs.iter().map(|(a, b)| format!("{a}:{b}")).collect();
    format!("{pairs:?} sum {} count {count}", if is_counter { sum } else { "none" })
}

/// The type of a series.
pub fn kind_of(series: &Series) -> FamilyType {
    match series.kind.as_str() {
        "Counter" => FamilyType::Counter,
        "Gauge" => FamilyType::Gauge,
        "Histogram" => FamilyType::Histogram,
        "Summary" => FamilyType::Summary,
        _ => FamilyType::Unknown,
    }
}

fn family_name(name: &str) -> String {
    let legacy = |at: usize, c: char| c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit());
    name.chars().enumerate().map(|(at, c)| if legacy(at, c) { c } else { '_' }).collect()
}

/// The names of the samples of distributions, which no other family may have. The series are sorted.
fn lines(originals: &[Series], format: Format) -> HashSet<String> {
    let mut lines = HashSet::new();
    let is_open_metrics = format == OPEN_METRICS;
    for series in originals.iter().filter(|series| is_name(&series.family)) {
        let suffixes: &[&str] = match series.kind.as_str() {
            _ if lines.contains(&series.family) => &[],
            "Histogram" => &["_bucket", "_sum", "_count"],
            "Summary" => &["_sum", "_count"],
            _ => &[],
        };
        let created = (is_open_metrics && !suffixes.is_empty()).then_some(&"_created");
        lines.extend(suffixes.iter().chain(created).map(|suffix| format!("{}{suffix}", series.family)));
    }
    lines
}

/// Renames reserved labels, and translates invalid names.
fn rename(labels: &mut [(String, String)], kind: &str) {
    let reserved = match kind {
        "Histogram" => "le",
        "Summary" => "quantile",
        _ => "",
    };
    for (label, _) in &mut *labels {
        *label = if *label == reserved || label == "__name__" { format!("exported_{label}") } else { label_name(label) };
    }
    labels.sort();
}

/// Returns true if every version of Prometheus supports the name of a metric.
pub fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(good) && name.chars().all(|c| good(c) || c.is_ascii_digit())
}

fn label_name(name: &str) -> String {
    if name.is_empty() { "_".to_owned() } else { family_name(name).replace(':', "_") }
}

type JsonSeries = (String, String, String, Vec<(String, String)>, String);

/// The series of a JSON page.
fn json_series(page: &Value) -> Vec<JsonSeries> {
    let mut all = Vec::new();
    for (family, content) in page.as_object().expect("an object") {
        let text = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or_default().trim_ascii().to_owned();
        let mut add =
            |labels: Vec<(String, String)>, value: &Value| all.push((family.clone(), text("type"), text("help"), labels, value_of(value)));
        match &content["value"] {
            Value::Array(objects) => objects.iter().for_each(|object| {
                let object = object.as_object().expect("a flat object");
                let labels = object.iter().filter(|(key, _)| *key != "@");
                add(labels.map(|(key, value)| (key.clone(), value.as_str().expect("a label").to_owned())).collect(), &object["@"]);
            }),
            Value::Object(object) => match one_label(object) {
                Some((label, values)) => values.iter().for_each(|(text, value)| add(vec![(label.clone(), text.clone())], value)),
                None => add(Vec::new(), &content["value"]),
            },
            bare => add(Vec::new(), bare),
        }
    }
    all
}

fn one_label(object: &Map<String, Value>) -> Option<(&String, &Map<String, Value>)> {
    let (label, values) = object.iter().next().filter(|_| object.len() == 1)?;
    Some((label, values.as_object()?))
}

/// Formats a value as [`Series::value`], with `nothing` for values that JSON cannot represent.
fn value_of(value: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or("nothing".to_owned(), grammar::number);
    match value {
        Value::Object(distribution) => {
            let pairs = distribution.get("bucket").or_else(|| distribution.get("quantile")).and_then(Value::as_array).expect("pairs");
            let pairs: Vec<String> = pairs.iter().map(|pair| format!("{}:{}", number(&pair[0]), number(&pair[1]))).collect();
            format!(
                "{pairs:?} sum {} count {}",
                distribution.get("sum").map_or("nothing".to_owned(), number),
                number(&distribution["count"])
            )
        }
        bare => number(bare),
    }
}

fn json_expected(originals: &[Series]) -> Vec<JsonSeries> {
    // JSON has no type for these.
    let type_name = |kind: &str| if matches!(kind, "Info" | "StateSet") { "gauge".to_owned() } else { kind.to_lowercase() };
    let mut all: Vec<JsonSeries> = originals
        .iter()
        .filter(|series| !series.family.is_empty() && !is_reserved(Format::Json, &series.family, kind_of(series)))
        .map(|series| {
            let value = match series.kind.as_str() {
                "Histogram" | "Summary" => distribution(&series.value),
                _ if matches!(series.value.as_str(), "NaN" | "inf" | "-inf") => "nothing".to_owned(),
                _ => series.value.parse().map_or("nothing".to_owned(), grammar::number),
            };
            (series.family.clone(), type_name(&series.kind), series.help.clone(), series.labels.clone(), value)
        })
        .collect();
    all.sort();
    all
}

/// Converts a distribution from the format of [`grammar`] to that of [`value_of`].
fn distribution(text: &str) -> String {
    let (pairs, rest) = text.split_once(" sum ").expect("a sum");
    let (sum, count) = rest.split_once(" count ").expect("a count");
    let nothing =
        |text: &str| if matches!(text, "none" | "None" | "NaN" | "inf" | "-inf") { "nothing".to_owned() } else { text.to_owned() };
    let float = |text: &str| nothing(text).parse::<f64>().map_or("nothing".to_owned(), grammar::number);
    let pairs: Vec<String> = pairs
        .trim_matches(['[', ']'])
        .split(", ")
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.trim_matches('"').split_once(':').expect("a pair"))
        .map(|(a, b)| format!("{}:{}", float(a), float(b)))
        .collect();
    let count = count.trim_start_matches("Some(").trim_end_matches(')');
    format!("{pairs:?} sum {} count {}", float(sum), float(count))
}
