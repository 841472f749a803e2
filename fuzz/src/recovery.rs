//! KumoMTA's JSON: sound documents are read as serde_json reads them, and of broken ones nothing is read that is not there.

use super::made;
use super::said::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::model::{Families, LABEL_VALUE_BYTES_MAX, Repair, Value};
use postmeter::source;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Of any bytes, and of a document made from them.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    invents_nothing(&text);
    agrees(&text, false);
    if let Ok(document) = document(&mut Unstructured::new(bytes)) {
        agrees(&document, true);
        invents_nothing(&document);
    }
}

fn read(text: &str) -> Option<Families> {
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == "json").expect("a way of asking");
    request.read(text.as_bytes().to_vec()).ok()
}

/// A sound document in the server's grammar: both readers say the same.
fn agrees(text: &str, is_written: bool) {
    // The later writer escapes nothing, so there a backslash is a backslash and JSON has another meaning. It writes a line for each
    // series, so what else stands on a line is text.
    let later = [",\n\"", ",\n{"].iter().any(|mark| text.contains(mark));
    if later && (text.contains('\\') || !is_written) {
        return;
    }
    let Some(Json::Object(families)) = serde_json::from_str(text).ok() else { return };
    let Some(expected) = series(&families) else { return };
    let mut expected = once(&families, expected);
    expected.sort();
    let Some(found) = read(text) else {
        assert!(expected.is_empty(), "nothing was read of {text:?}");
        return;
    };
    assert_eq!(said::families(&found), expected, "{text:?}");
    for repair in [Repair::Unreadable, Repair::Unescaped] {
        assert_eq!(found.repairs().get(repair), 0, "{repair:?} of {text:?}");
    }
}

/// What stands twice is believed neither time.
fn once(families: &[(String, Json)], all: Vec<Series>) -> Vec<Series> {
    let is_one = |name: &str| families.iter().filter(|(other, _)| other == name).count() == 1;
    // A label of nothing is none.
    let identity = |series: &Series| {
        let labels: Vec<_> = series.labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        (series.family.clone(), labels)
    };
    let stands_once = |series: &Series| all.iter().filter(|other| identity(other) == identity(series)).count() == 1;
    all.iter().filter(|series| is_one(&series.family) && stands_once(series)).cloned().collect()
}

/// Every word and every number that is read stands in the document.
fn invents_nothing(text: &str) {
    let Some(families) = read(text) else { return };
    let escaped = text.contains('\\');
    let numbers: std::collections::HashSet<u64> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
        .filter_map(|word| word.parse::<f64>().ok())
        .map(|n| if n.is_nan() { f64::NAN.to_bits() } else { n.to_bits() })
        .collect();
    let stands = |word: &str| escaped || text.contains(word) || text.contains(char::REPLACEMENT_CHARACTER);
    for family in families.iter() {
        assert!(stands(family.name()) && stands(family.help()), "{} of {text:?}", family.name());
        for sample in family.samples() {
            for (name, value) in sample.labels() {
                assert!(stands(name) && (stands(value) || value.len() == LABEL_VALUE_BYTES_MAX), "{name}={value:?} of {text:?}");
            }
            if let Value::Number(n) = sample.value() {
                let bits = if n.is_nan() { f64::NAN.to_bits() } else { n.to_bits() };
                assert!(numbers.contains(&bits), "{n} of {text:?}");
            }
        }
    }
}

/// JSON with its keys in order, each as often as it stands there.
enum Json {
    Null,
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Other,
}

/// The series of a document in the server's grammar; `None` where it is in another.
fn series(families: &[(String, Json)]) -> Option<Vec<Series>> {
    let mut all = Vec::new();
    for (family, members) in families {
        let Json::Object(members) = members else { return None };
        is_name(family).then_some(())?;
        let (mut kind, mut help, mut value) = ("Unknown", "", None);
        for (key, member) in members {
            match (key.as_str(), member) {
                ("type", Json::Text(word)) => {
                    is_name(word).then_some(())?;
                    kind = match word.as_str() {
                        "counter" => "Counter",
                        "gauge" => "Gauge",
                        "histogram" => "Histogram",
                        _ => "Unknown",
                    }
                }
                // What is odd in a long help is looked for in vain.
                ("help", Json::Text(text)) if text.len() <= 1000 => help = text,
                ("value", member) if value.is_none() => value = Some(member),
                _ => return None,
            }
        }
        let mut add = |mut labels: Vec<(String, String)>, value: &Json| {
            labels.sort();
            let sound = labels.windows(2).all(|pair| pair[0].0 != pair[1].0) && labels.len() <= 64;
            let sound = sound && labels.iter().all(|(name, text)| is_name(name) && text.len() <= 1000);
            sound.then_some(())?;
            let number = match value {
                Json::Number(n) => said::number(*n),
                Json::Null => return Some(()),
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
                    // The server writes the number last.
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
            bare => add(Vec::new(), bare)?,
        }
    }
    Some(all)
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    (1..=200).contains(&name.len()) && name.bytes().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// A document as the older writer (escaped, on one line) or the later one (a line each, nothing that needs an escape) has it.
fn document(u: &mut Unstructured<'_>) -> Result<String> {
    let later = u.arbitrary()?;
    let between = if later { ",\n" } else { "," };
    let word = |u: &mut Unstructured<'_>| {
        let text = made::text(u)?;
        let kept: String = text.chars().filter(|c| !later || !matches!(c, '"' | '\\') && !c.is_control()).collect();
        Ok::<String, arbitrary::Error>(serde_json::to_string(&kept).unwrap_or_default())
    };
    let number = |u: &mut Unstructured<'_>| {
        let n = made::number(u)?;
        Ok::<String, arbitrary::Error>(if n.is_finite() { serde_json::to_string(&n).unwrap_or_default() } else { "null".to_owned() })
    };
    let mut families = Vec::new();
    for family in 0..u.int_in_range(1..=4)? {
        let mut value = String::new();
        let series = u.int_in_range(0..=4)?;
        match u.int_in_range(0..=2)? {
            0 => value += &number(u)?,
            1 => {
                let each: Vec<String> = (0..series).map(|_| Ok(format!("{}:{}", word(u)?, number(u)?))).collect::<Result<_>>()?;
                value += &format!("{{\"l\":{{{}}}}}", each.join(between));
            }
            _ => {
                let each = (0..series).map(|_| Ok(format!("{{\"l\":{},\"m\":{},\"@\":{}}}", word(u)?, word(u)?, number(u)?)));
                value += &format!("[{}]", each.collect::<Result<Vec<_>>>()?.join(between));
            }
        }
        let kind = u.choose(&["counter", "gauge"])?;
        families.push(format!("\"f{family}\":{{\"help\":{},\"type\":\"{kind}\",\"value\":{value}}}", word(u)?));
    }
    Ok(format!("{{{}}}", families.join(between)))
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
