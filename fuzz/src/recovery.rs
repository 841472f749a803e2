//! KumoMTA's JSON: valid documents are read as serde_json reads them, and from broken ones nothing is read that they do not contain.

use super::generators;
use super::grammar::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::model::{Families, LABEL_VALUE_BYTES_MAX, Repair, Value};
use postmeter::source;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Checks the bytes as a document, and a document that is generated from them.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    check_origins(&text);
    check_agreement(&text, false);
    if let Ok(document) = document(&mut Unstructured::new(bytes)) {
        check_agreement(&document, true);
        check_origins(&document);
    }
}

fn read(text: &str) -> Option<Families> {
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == "json").expect("a JSON request");
    request.read(text.as_bytes().to_vec()).ok()
}

/// Checks that both readers agree on a valid document in the grammar of the server.
fn check_agreement(text: &str, is_generated: bool) {
    // The newer writer escapes nothing, so its backslashes are literal and JSON reads them differently. It writes one line for each
    // series, so everything else on a line is text.
    let is_newer = [",\n\"", ",\n{"].iter().any(|mark| text.contains(mark));
    if is_newer && (text.contains('\\') || !is_generated) {
        return;
    }
    let Some(Json::Object(families)) = serde_json::from_str(text).ok() else { return };
    let Some((expected, unreadable)) = series(&families) else { return };
    let mut expected = without_duplicates(&families, expected);
    expected.sort();
    let Some(found) = read(text) else {
        assert!(expected.is_empty(), "{text:?} is rejected");
        return;
    };
    assert_eq!(grammar::families(&found), expected, "{text:?}");
    for (repair, count) in [(Repair::Unreadable, unreadable), (Repair::Unescaped, 0)] {
        assert_eq!(found.repairs().get(repair), count, "{repair:?} of {text:?}");
    }
}

/// The series without duplicates: neither of two equal series is accepted.
fn without_duplicates(families: &[(String, Json)], all: Vec<Series>) -> Vec<Series> {
    let is_unique_family = |name: &str| families.iter().filter(|(other, _)| other == name).count() == 1;
    // An empty label is the same as a missing one.
    let identity = |series: &Series| {
        let labels: Vec<_> = series.labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        (series.family.clone(), labels)
    };
    let is_unique = |series: &Series| all.iter().filter(|other| identity(other) == identity(series)).count() == 1;
    all.iter().filter(|series| is_unique_family(&series.family) && is_unique(series)).cloned().collect()
}

/// Checks that the document contains every name, text and number that is read.
fn check_origins(text: &str) {
    let Some(families) = read(text) else { return };
    let escaped = text.contains('\\');
    let numbers: std::collections::HashSet<u64> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
        .filter_map(|token| token.parse::<f64>().ok())
        .map(|n| if n.is_nan() { f64::NAN.to_bits() } else { n.to_bits() })
        .collect();
    let occurs = |name: &str| escaped || text.contains(name) || text.contains(char::REPLACEMENT_CHARACTER);
    for family in families.iter() {
        assert!(occurs(family.name()) && occurs(family.help()), "{} of {text:?}", family.name());
        for sample in family.samples() {
            for (name, value) in sample.labels() {
                assert!(occurs(name) && (occurs(value) || value.len() == LABEL_VALUE_BYTES_MAX), "{name}={value:?} of {text:?}");
            }
            if let Value::Number(n) = sample.value() {
                let bits = if n.is_nan() { f64::NAN.to_bits() } else { n.to_bits() };
                assert!(numbers.contains(&bits), "{n} of {text:?}");
            }
        }
    }
}

/// JSON with its keys in order, including duplicates.
enum Json {
    Null,
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Other,
}

/// The series of a document, and the number of those that are null, which are not readable; `None` if it is not in the grammar of the server.
fn series(families: &[(String, Json)]) -> Option<(Vec<Series>, u64)> {
    let (mut all, mut unreadable) = (Vec::new(), 0);
    for (family, members) in families {
        let Json::Object(members) = members else { return None };
        is_name(family).then_some(())?;
        let (mut kind, mut help, mut value) = ("Unknown", "", None);
        for (key, member) in members {
            match (key.as_str(), member) {
                ("type", Json::Text(name)) => {
                    is_name(name).then_some(())?;
                    kind = match name.as_str() {
                        "counter" => "Counter",
                        "gauge" => "Gauge",
                        "histogram" => "Histogram",
                        _ => "Unknown",
                    }
                }
                // Long help texts are not searched for embedded documents.
                ("help", Json::Text(text)) if text.len() <= 1000 => help = text,
                ("value", member) if value.is_none() => value = Some(member),
                _ => return None,
            }
        }
        let mut add = |mut labels: Vec<(String, String)>, value: &Json| {
            labels.sort();
            let is_valid = labels.windows(2).all(|pair| pair[0].0 != pair[1].0) && labels.len() <= 64;
            let is_valid = is_valid && labels.iter().all(|(name, text)| is_name(name) && text.len() <= 1000);
            is_valid.then_some(())?;
            let number = match value {
                Json::Number(n) => grammar::number(*n),
                Json::Null => {
                    unreadable += 1;
                    return Some(());
                }
                _ => return None,
            };
            let (family, kind, help) = (family.clone(), kind.to_owned(), help.trim_ascii().to_owned());
            all.push(Series { family, kind, help, labels, value: number });
            Some(())
        };
        match value? {
            Json::List(objects) => {
                for object in objects {
                    let Json::Object(object) = object else { return None };
                    // The server writes the value last.
                    let ((at, value), labels) = object.split_last()?;
                    (at == "@").then_some(())?;
                    let label = |(name, value): &(String, Json)| match value {
                        Json::Text(text) => Some((name.clone(), text.clone())),
                        _ => None,
                    };
                    add(labels.iter().map(label).collect::<Option<_>>()?, value)?;
                }
            }
            Json::Object(object) => {
                let [(label, Json::Object(values))] = object.as_slice() else { return None };
                is_name(label).then_some(())?;
                for (text, value) in values {
                    add(vec![(label.clone(), text.clone())], value)?;
                }
            }
            Json::Null => {}
            bare => add(Vec::new(), bare)?,
        }
    }
    Some((all, unreadable))
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    (1..=200).contains(&name.len()) && name.bytes().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Generates a document as the older writer (with escapes, on one line) or the newer one (one line for each series, without text
/// that needs escapes) writes it.
fn document(u: &mut Unstructured<'_>) -> Result<String> {
    let is_newer = u.arbitrary()?;
    let separator = if is_newer { ",\n" } else { "," };
    let text = |u: &mut Unstructured<'_>| {
        let text = generators::text(u)?;
        let kept: String = text.chars().filter(|c| !is_newer || !matches!(c, '"' | '\\') && !c.is_control()).collect();
        Ok::<String, arbitrary::Error>(serde_json::to_string(&kept).unwrap_or_default())
    };
    let number = |u: &mut Unstructured<'_>| {
        let n = generators::number(u)?;
        Ok::<String, arbitrary::Error>(if n.is_finite() { serde_json::to_string(&n).unwrap_or_default() } else { "null".to_owned() })
    };
    let mut families = Vec::new();
    for family in 0..u.int_in_range(1..=4)? {
        let mut value = String::new();
        let series = u.int_in_range(0..=4)?;
        match u.int_in_range(0..=2)? {
            0 => value += &number(u)?,
            1 => {
                let each: Vec<String> = (0..series).map(|_| Ok(format!("{}:{}", text(u)?, number(u)?))).collect::<Result<_>>()?;
                value += &format!("{{\"l\":{{{}}}}}", each.join(separator));
            }
            _ => {
                let each = (0..series).map(|_| Ok(format!("{{\"l\":{},\"m\":{},\"@\":{}}}", text(u)?, text(u)?, number(u)?)));
                value += &format!("[{}]", each.collect::<Result<Vec<_>>>()?.join(separator));
            }
        }
        let kind = u.choose(&["counter", "gauge"])?;
        families.push(format!("\"f{family}\":{{\"help\":{},\"type\":\"{kind}\",\"value\":{value}}}", text(u)?));
    }
    Ok(format!("{{{}}}", families.join(separator)))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, n: u64) -> std::result::Result<Json, E> {
        Ok(Json::Number(n as f64))
    }

    fn visit_i64<E>(self, n: i64) -> std::result::Result<Json, E> {
        Ok(Json::Number(n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> std::result::Result<Json, E> {
        Ok(Json::Number(n))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> std::result::Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = access.next_entry()? {
            object.push(entry);
        }
        Ok(Json::Object(object))
    }
}
