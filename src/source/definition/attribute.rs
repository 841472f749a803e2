//! Decodes the attributes of a rule.

use super::limits::{PATTERN_BYTES_MAX, VALUES_MAX};
use super::memory::Memory;
use super::schema::ATTRIBUTE;
use super::{canonical, pattern};
use crate::model::{Attribute, Metric};
use crate::source::{AttributeSource, Piece};
use crate::yaml::{Decoder, Item, Value};

/// The attributes of a rule.
#[derive(Default)]
pub(super) struct Attributes<'n> {
    pub fixed: Vec<(&'static Attribute, &'n str)>,
    pub from: Vec<AttributeSource>,
    /// The attributes that the rule sets, even if their values are invalid.
    pub set: Vec<&'static Attribute>,
    /// `true` if every value comes from a table, so that all possible values are known.
    pub are_known: bool,
}

pub(super) fn decode<'n>(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'n>, metric: Option<&Metric>) -> Attributes<'n> {
    let mut attributes = Attributes { are_known: true, ..Attributes::default() };
    for (key, item) in decoder.user_map(item) {
        let Some(metric) = metric else { continue };
        let Some(attribute) = decoder.ok_or_report(&item.location, canonical::attribute(metric, key)) else { continue };
        attributes.set.push(attribute);
        if matches!(item.node.value, Value::Map(_)) {
            attributes.from.extend(decode_source(decoder, memory, &item, attribute, &mut attributes.are_known));
        } else if let Some(value) = decode_value(decoder, &item, attribute) {
            attributes.fixed.push((attribute, value));
        }
    }
    attributes
}

/// Decodes a value of an attribute.
pub(super) fn decode_value<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, attribute: &Attribute) -> Option<&'n str> {
    let value = decoder.raw_text(item)?;
    decoder.ok_or_report_value(item, canonical::value(attribute, value)).map(|()| value)
}

fn decode_source(
    decoder: &mut Decoder<'_>,
    memory: Memory,
    item: &Item<'_>,
    attribute: &'static Attribute,
    are_known: &mut bool,
) -> Option<AttributeSource> {
    let mut map = decoder.map(item, ATTRIBUTE)?;
    let (label, labels, template) = (map.take("label"), map.take("labels"), map.take("template"));
    let (values, otherwise) = (map.take("values"), map.take("otherwise"));
    let location = map.location.clone();
    decoder.finish(map);

    let sources = [&label, &labels, &template].into_iter().flatten().count();
    if sources != 1 {
        let found = if sources == 0 { "none" } else { "several" };
        decoder.report(&location, format!("expected one of label, labels and template, found {found}"));
    }
    let mut names: Vec<&str> = label.and_then(|item| pattern::name(decoder, &item)).into_iter().collect();
    if let Some(item) = &labels {
        let items = decoder.non_empty_list(item, VALUES_MAX, "labels");
        names.extend(items.iter().filter_map(|item| pattern::name(decoder, item)));
    }
    let pieces = template.and_then(|item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, pieces(text))
    });
    let pieces = pieces.unwrap_or_default().into_iter().map(|piece| piece.keep(memory)).collect();
    let table = values.as_ref().map(|item| decode_table(decoder, item, attribute)).unwrap_or_default();
    if values.is_none() && !attribute.values.is_empty() {
        let key = attribute.key;
        decoder.report(
            &location,
            format!("{key} has a closed set of values, so `values` is needed; they are: {}", attribute.values.join(", ")),
        );
    }
    let other = otherwise.as_ref().and_then(|item| decode_value(decoder, item, attribute));
    if let Some(item) = otherwise.filter(|_| values.is_none()) {
        decoder.report(&item.location, "is for a table; add `values`");
    }
    *are_known &= values.is_some();
    Some(AttributeSource {
        attribute,
        labels: memory.texts(&names),
        template: memory.list(pieces),
        values: memory.pairs(&table),
        other: other.map(|value| memory.text(value)),
    })
}

/// Decodes a table of native values or patterns, each with a canonical value.
fn decode_table<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, attribute: &Attribute) -> Vec<(&'n str, &'n str)> {
    let rows = decoder.user_map(item);
    if rows.is_empty() && matches!(item.node.value, Value::Map(_) | Value::Nothing) {
        decoder.report(&item.location, "the table has no values");
    } else if rows.len() > VALUES_MAX {
        decoder.report(&item.location, format!("{} values exceed the limit of {VALUES_MAX}", rows.len()));
        return Vec::new();
    }
    let mut table = Vec::new();
    for (native, item) in rows {
        if let Some(problem) = pattern::fault(native) {
            decoder.report(&item.location, problem);
        }
        table.extend(decode_value(decoder, &item, attribute).map(|value| (native, value)));
    }
    table
}

/// A piece of a template that is not kept yet.
#[derive(Debug, PartialEq, Eq)]
enum TemplatePiece<'t> {
    Text(&'t str),
    Label(&'t str),
    Char(&'t str, usize),
}

impl TemplatePiece<'_> {
    fn keep(self, memory: Memory) -> Piece {
        match self {
            Self::Text(text) => Piece::Text(memory.text(text)),
            Self::Label(label) => Piece::Label(memory.text(label)),
            Self::Char(label, index) => Piece::Char(memory.text(label), index),
        }
    }
}

/// Parses a template such as `{code[0]}.{secode}`.
fn pieces(text: &str) -> Result<Vec<TemplatePiece<'_>>, String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("exceeds the limit of {PATTERN_BYTES_MAX} bytes"));
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        if rest[at..].starts_with('}') {
            return Err(format!("{text}: }} without {{"));
        }
        if at > 0 {
            pieces.push(TemplatePiece::Text(&rest[..at]));
        }
        let (label, after) = rest[at + 1..].split_once('}').ok_or_else(|| format!("{text}: {{ without }}"))?;
        pieces.push(label_piece(label).map_err(|problem| format!("{text}: {problem}"))?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(TemplatePiece::Text(rest));
    }
    if pieces.iter().all(|piece| matches!(piece, TemplatePiece::Text(_))) {
        return Err(format!("{text:?} has no {{label}}; write a fixed value without a template"));
    }
    Ok(pieces)
}

fn label_piece(text: &str) -> Result<TemplatePiece<'_>, String> {
    let Some((label, index)) = text.split_once('[') else {
        return pattern::label_fault(text).map_or(Ok(TemplatePiece::Label(text)), Err);
    };
    if let Some(problem) = pattern::label_fault(label) {
        return Err(problem);
    }
    let index = index.strip_suffix(']').and_then(|index| index.parse().ok());
    index
        .map(|index| TemplatePiece::Char(label, index))
        .ok_or_else(|| format!("{{{text}}} is not {{label[INDEX]}}, whose index begins with 0"))
}

#[cfg(test)]
mod tests {
    use super::TemplatePiece::{Char, Label, Text};
    use super::pieces;

    #[test]
    fn templates_are_split_into_pieces() {
        assert_eq!(pieces("{code[0]}.{secode}"), Ok(vec![Char("code", 0), Text("."), Label("secode")]));
        assert_eq!(pieces("a{b}c"), Ok(vec![Text("a"), Label("b"), Text("c")]));
        for malformed in ["", "x", "{", "}", "{a", "a}", "{}", "{a[}", "{a[x]}", "{a[0}", "{a[-1]}", "{[0]}", "{a{b}}", "{a b}"] {
            assert!(pieces(malformed).is_err(), "{malformed}");
        }
    }
}
