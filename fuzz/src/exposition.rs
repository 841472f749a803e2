//! Pages: what is written is well formed, and reads back as it was.

use super::said::{self, Series};
use super::{made, strict};
use arbitrary::Unstructured;
use postmeter::export::exposition::{Escaping, ExpositionWriter, Format, ReservedNames, Section, is_reserved, render, target_info};
use postmeter::format::prometheus;
use postmeter::model::{FamilyType, SelectedFamilies};
use postmeter::source;
use postmeter::telemetry::Identity;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// OpenMetrics for a client that reads no quoted names, as the checker here.
const OPEN_METRICS: Format = Format::OpenMetrics(Escaping::Underscores);
const FORMATS: [Format; 3] = [Format::Text, OPEN_METRICS, Format::Json];

/// Of families of any kind: alone, beside those of another target, and on the rest of a page.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(one) = made::native(&mut u).map(Arc::new) else { return };
    holds(one.clone());
    // Where there are no bytes left, families of nothing.
    let two = Arc::new(made::native(&mut u).unwrap_or_default());
    let identities = ["one", "two"].map(|instance| Identity::new("a job", instance));
    let targets = [Section::of_target(one.clone(), &identities[0]), Section::of_target(two.clone(), &identities[1])];
    for format in FORMATS {
        well_formed(format, &render(format, &targets));
    }
    let ours = [Section::of_postmeter(Arc::new(target_info(&identities))), Section::of_postmeter(two)];
    for format in FORMATS {
        well_formed(format, &in_two_calls(format, &ours, &targets[..1]));
        well_formed(format, &in_two_calls(format, &ours, &[Section::without_identity(one.clone())]));
    }
}

/// As the pull does it: what is new each time, and then what may have been written before.
fn in_two_calls(format: Format, ours: &[Section], theirs: &[Section]) -> String {
    let mut bytes = Vec::new();
    let mut out = |piece: &mut Vec<u8>| {
        bytes.append(piece);
        true
    };
    let mut first = ExpositionWriter::new(format, &mut out);
    first.write(ours, &ReservedNames::default()).expect("all is wanted");
    first.pause();
    let mut second = ExpositionWriter::resume(format, &mut out);
    second.write(theirs, &ReservedNames::of(format, ours)).expect("all is wanted");
    second.finish();
    String::from_utf8(bytes).expect("text")
}

fn well_formed(format: Format, page: &str) {
    if format == Format::Json {
        serde_json::from_str::<Value>(page).unwrap_or_else(|error| panic!("{error}: {page}"));
    } else {
        strict::check(page, format == OPEN_METRICS);
    }
}

/// Of these.
pub fn holds(native: Arc<SelectedFamilies>) {
    let said = said::native(&native);
    let identity = Identity::new("a job of \"ours\"\\", "instance");
    for (section, plain) in [(Section::without_identity(native.clone()), true), (Section::of_target(native, &identity), false)] {
        for format in [Format::Text, OPEN_METRICS] {
            let text = render(format, std::slice::from_ref(&section));
            strict::check(&text, format == OPEN_METRICS);
            if plain {
                comes_back(&text, &expected(&said, format));
            }
        }
        let json = render(Format::Json, std::slice::from_ref(&section));
        let parsed: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        if plain {
            let mut found = json_series(&parsed);
            found.sort();
            assert_eq!(found, json_expected(&said), "{json}");
            as_kumomta(json, &said);
        }
    }
}

fn comes_back(text: &str, expected: &[Series]) {
    let read = match prometheus::read(text.to_owned()) {
        Ok(read) => read,
        Err(_) if expected.is_empty() => return,
        Err(error) => panic!("{error}: {text:?}"),
    };
    let (found, wanted) = (bare(said::families(&read)), bare(expected.to_vec()));
    let is_one = |series: &Series, other: &Series| series.family == other.family && series.labels == other.labels;
    for series in &wanted {
        // Of series whose labels are the same once they are names, one is told.
        let told = found.iter().any(|other| series == other);
        let met = wanted.iter().filter(|other| is_one(series, other)).count() > 1 && found.iter().any(|other| is_one(series, other));
        assert!(told || met, "{series:?} of {wanted:?} is missing: {text:?}");
    }
    assert!(found.iter().all(|series| wanted.contains(series)) && found.len() <= wanted.len(), "{found:?} of {wanted:?}: {text:?}");
    assert_eq!(read.repairs().iter().collect::<Vec<_>>(), [], "{text:?}");
}

/// Without what goes before the names of labels that are in each other's way: that depends on their order.
fn bare(mut all: Vec<Series>) -> Vec<Series> {
    for series in &mut all {
        for (label, _) in &mut series.labels {
            while let Some(rest) = label.strip_prefix("exported_").or_else(|| label.strip_prefix('_')) {
                *label = rest.to_owned();
            }
        }
        // One of nothing is none.
        series.labels.retain(|(_, value)| !value.is_empty());
        series.labels.sort();
    }
    all.sort();
    all
}

/// What a page can say of it.
fn expected(said: &[Series], format: Format) -> Vec<Series> {
    let said = &written(said);
    let lines = lines(said);
    let mut expected: Vec<Series> = said.iter().filter(|series| !lines.contains(&series.family)).cloned().collect();
    expected.retain(|series| !is_reserved(format, &series.family, kind_of(series)));
    for series in &mut expected {
        let is_free = |name: &str| is_name(name) && !lines.contains(name) && said.iter().all(|other| other.family != name);
        let of_total = |family: &str| family.strip_suffix("_total").is_some_and(is_free);
        if format == OPEN_METRICS && series.kind == "Counter" && !of_total(&series.family) {
            series.kind = format!("{:?}", FamilyType::Unknown);
        }
        rename(&mut series.labels, &series.kind);
    }
    expected.sort();
    expected
}

/// Families under the names that they are written with: of several with one name, that which has it, or the first.
fn written(said: &[Series]) -> Vec<Series> {
    let stands = |name: &str| {
        let mut namesakes = said.iter().map(|series| series.family.as_str()).filter(|family| family_name(family) == name);
        if said.iter().any(|series| series.family == name) { Some(name.to_owned()) } else { namesakes.next().map(str::to_owned) }
    };
    let mut written: Vec<Series> = Vec::new();
    for series in said {
        let family = family_name(&series.family);
        if !series.family.is_empty() && stands(&family).as_deref() == Some(series.family.as_str()) {
            written.push(Series { family, ..series.clone() });
        }
    }
    written.sort();
    written
}

fn kind_of(series: &Series) -> FamilyType {
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

/// The names of the lines of distributions, which no other family may have. What is said is sorted.
fn lines(said: &[Series]) -> HashSet<String> {
    let mut lines = HashSet::new();
    for series in said.iter().filter(|series| is_name(&series.family)) {
        let ends: &[&str] = match series.kind.as_str() {
            _ if lines.contains(&series.family) => &[],
            "Histogram" => &["_bucket", "_sum", "_count"],
            "Summary" => &["_sum", "_count"],
            _ => &[],
        };
        lines.extend(ends.iter().map(|end| format!("{}{end}", series.family)));
    }
    lines
}

/// Labels that have a meaning of their own give way, and what is no name becomes one.
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

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(good) && name.chars().all(|c| good(c) || c.is_ascii_digit())
}

fn label_name(name: &str) -> String {
    if name.is_empty() { "_".to_owned() } else { family_name(name).replace(':', "_") }
}

type JsonSeries = (String, String, String, Vec<(String, String)>, String);

/// Every series of a page in JSON.
fn json_series(page: &Value) -> Vec<JsonSeries> {
    let mut all = Vec::new();
    for (family, said) in page.as_object().expect("an object") {
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default().trim_ascii().to_owned();
        let mut add =
            |labels: Vec<(String, String)>, value: &Value| all.push((family.clone(), text("type"), text("help"), labels, value_of(value)));
        match &said["value"] {
            Value::Array(objects) => objects.iter().for_each(|object| {
                let object = object.as_object().expect("a flat object");
                let labels = object.iter().filter(|(key, _)| *key != "@");
                add(labels.map(|(key, value)| (key.clone(), value.as_str().expect("a label").to_owned())).collect(), &object["@"]);
            }),
            Value::Object(object) => match one_label(object) {
                Some((label, values)) => values.iter().for_each(|(text, value)| add(vec![(label.clone(), text.clone())], value)),
                None => add(Vec::new(), &said["value"]),
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

/// As [`Series::value`], with nothing for what JSON has no word for.
fn value_of(value: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or("nothing".to_owned(), said::number);
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

fn json_expected(said: &[Series]) -> Vec<JsonSeries> {
    let word = |kind: &str| kind.to_lowercase();
    let mut all: Vec<JsonSeries> = said
        .iter()
        .filter(|series| !series.family.is_empty() && !is_reserved(Format::Json, &series.family, kind_of(series)))
        .map(|series| {
            let value = match series.kind.as_str() {
                "Histogram" | "Summary" => distribution(&series.value),
                _ if matches!(series.value.as_str(), "NaN" | "inf" | "-inf") => "nothing".to_owned(),
                _ => series.value.parse().map_or("nothing".to_owned(), said::number),
            };
            (series.family.clone(), word(&series.kind), series.help.clone(), series.labels.clone(), value)
        })
        .collect();
    all.sort();
    all
}

/// From the words of [`said`] to those of [`value_of`].
fn distribution(said: &str) -> String {
    let (pairs, rest) = said.split_once(" sum ").expect("a sum");
    let (sum, count) = rest.split_once(" count ").expect("a count");
    let nothing =
        |text: &str| if matches!(text, "none" | "None" | "NaN" | "inf" | "-inf") { "nothing".to_owned() } else { text.to_owned() };
    let float = |text: &str| nothing(text).parse::<f64>().map_or("nothing".to_owned(), said::number);
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

/// The same page by the reader of the system whose shape it has. It has no summaries and no words for what is not finite.
fn as_kumomta(json: String, said: &[Series]) {
    let names = |series: &Series| {
        is_name(&series.family)
            && !is_reserved(Format::Json, &series.family, kind_of(series))
            && series.labels.iter().all(|(label, _)| is_name(label))
    };
    if !said.iter().all(names) {
        return;
    }
    let finite = |series: &&Series| !matches!(series.value.as_str(), "NaN" | "inf" | "-inf");
    let mut expected: Vec<Series> = said.iter().filter(|series| is_name(&series.family)).filter(finite).cloned().collect();
    if expected.iter().any(|series| series.kind == "Summary") {
        return;
    }
    expected.sort();
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == "json").expect("a way of asking");
    match request.read(json.clone().into_bytes()) {
        Ok(families) => {
            assert_eq!(said::families(&families), expected, "{json}");
            assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [], "{json}");
        }
        Err(error) => assert!(expected.is_empty(), "{error}: {json}"),
    }
}
