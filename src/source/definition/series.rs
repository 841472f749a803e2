//! Decodes the series that a request finds in a JSON document.

use super::limits::VALUES_MAX;
use super::memory::Memory;
use super::pattern;
use super::schema::{LABEL_SOURCE, SERIES};
use crate::model::FamilyType;
use crate::source::{Combine, Each, JsonPath, LabelSource, PathSeries, SeriesValue};
use crate::yaml::{Decoder, Item, Value};

pub(super) const TYPES: &[(&str, FamilyType)] = &[("gauge", FamilyType::Gauge), ("counter", FamilyType::Counter)];
pub(super) const COMBINATIONS: &[(&str, Combine)] = &[("sum", Combine::Sum), ("max", Combine::Max), ("min", Combine::Min)];

/// Decodes a series. The first value is the name of its family.
pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<(String, PathSeries)> {
    let mut map = decoder.map(item, SERIES)?;
    let location = map.location.clone();
    let family = map.take_required(decoder, "family").and_then(|item| pattern::family(decoder, &item));
    let help = map.take("help").and_then(|item| decoder.non_empty_text(&item)).unwrap_or_default();
    let kind = map.choice_or_default(decoder, "type", TYPES);
    let each = map.take("each").map_or(Some(Each::Document), |item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, Each::parse(text))
    });
    let labels = map.take("labels").map(|item| labels(decoder, memory, &item)).unwrap_or_default();
    let value = map.take_required(decoder, "value").and_then(|item| value(decoder, &item));
    let (booleans, times) = (map.flag_or_default(decoder, "booleans"), map.flag_or_default(decoder, "times"));
    let combine = map.choice_or_default(decoder, "combine", COMBINATIONS);
    let must_have = map.take("must_have").and_then(|item| single_path(decoder, &item));
    let zero_for = map.take("zero_for").map(|item| decoder.bounded_list(&item, VALUES_MAX)).unwrap_or_default();
    decoder.finish(map);
    let zeros: Vec<Vec<(&str, &str)>> = zero_for.iter().map(|item| fixed_labels(decoder, item)).collect();
    if booleans && times {
        decoder.report(&location, "booleans and times exclude each other; remove one of them");
    }
    let each = each?;
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let has_key = labels.iter().any(|(_, source)| *source == LabelSource::Key);
    decoder.ok_or_report(&location, each.check(has_key, &names, &zeros))?;
    let family = family?;
    let series = PathSeries {
        family: memory.text(family),
        help: memory.text(&help),
        kind,
        each,
        labels: memory.list(labels.into_iter().map(|(name, source)| (memory.text(name), source)).collect()),
        value: value?,
        booleans,
        times,
        combine,
        must_have,
        zero_for: memory.list(zeros.iter().map(|labels| memory.pairs(labels)).collect()),
    };
    Some((family.to_owned(), series))
}

/// Decodes labels, each with the source of its value.
fn labels<'n>(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'n>) -> Vec<(&'n str, LabelSource)> {
    let mut labels = Vec::new();
    for (label, item) in decoder.user_map(item) {
        if let Some(problem) = pattern::label_fault(label) {
            decoder.report(&item.location, problem);
        }
        labels.extend(label_source(decoder, memory, &item).map(|source| (label, source)));
    }
    labels
}

fn label_source(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<LabelSource> {
    if !matches!(item.node.value, Value::Map(_)) {
        let text = decoder.raw_text(item)?;
        return decoder.ok_or_report_value(item, LabelSource::parse(text, |text| memory.text(text)));
    }
    let mut map = decoder.map(item, LABEL_SOURCE)?;
    let path = map.take_required(decoder, "path").and_then(|item| single_path(decoder, &item));
    let suffix = map.take("suffix").and_then(|item| decoder.non_empty_text(&item)).unwrap_or_default();
    decoder.finish(map);
    Some(LabelSource::Path { path: path?, suffix: memory.text(&suffix) })
}

/// Decodes a path that selects one value.
fn single_path(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<JsonPath> {
    let text = decoder.raw_text(item)?;
    decoder.ok_or_report_value(item, JsonPath::parse_single(text))
}

/// Decodes labels with fixed values.
fn fixed_labels<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Vec<(&'n str, &'n str)> {
    decoder.user_map(item).into_iter().filter_map(|(label, item)| decoder.raw_text(&item).map(|value| (label, value))).collect()
}

fn value(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<SeriesValue> {
    let text = decoder.raw_text(item)?;
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(SeriesValue::Number(number)),
        _ => decoder.ok_or_report_value(item, JsonPath::parse_single(text).map(SeriesValue::Path)),
    }
}

#[cfg(test)]
mod tests {
    use crate::source::load;

    fn definition(series: &str, more: &str) -> String {
        format!(
            "name: made-up\nparts:\n  - name: all\n{more}    requests:\n      - path: /x\n        reader: json\n        series:\n          - {series}\n"
        )
    }

    #[test]
    fn every_form_of_a_series_is_accepted() {
        for series in [
            "{family: a, value: 1}",
            "{family: a, help: Text., type: counter, value: $.x, combine: max, booleans: true}",
            "{family: a, value: $.x, times: true}",
            "{family: a, each: '$[*]', labels: {k: '@key', f: fixed, n: $.n, s: {path: $.n, suffix: -x}}, value: $.x}",
            "{family: a, value: $.x, type: counter}\n          - {family: a, value: $.y, type: counter}",
            "{family: a, each: '$.l[*]', labels: {q: $.q}, must_have: $.q, value: 1, zero_for: [{q: a}, {q: b}, {}]}",
        ] {
            let result = load(&definition(series, ""), "made-up.yaml");
            assert!(result.is_ok(), "{series}: {}", result.err().map(|problems| problems.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn a_series_with_a_problem_is_refused_with_its_position() {
        for (series, problem) in [
            ("{family: a, value: x}", "this is not a JSONPath"),
            ("{family: a, value: '$[*]'}", "the path has to select one value"),
            ("{family: a, value: inf}", "this is not a JSONPath"),
            ("{family: a, each: $..a..b, value: 1}", "a path can have one `..`"),
            ("{family: a, labels: {k: '@key'}, value: 1}", "@key needs each"),
            ("{family: a, labels: {k: '@name'}, value: 1}", "@name is not known"),
            ("{family: a, each: '$[*]', value: 1, zero_for: [{q: a}]}", "zero_for has q, which is not a label of the series"),
            ("{family: a, each: '$[*]', labels: {'a b': $.a}, value: 1}", "is not the name of a label"),
            ("{family: a, each: '$[*]', value: 1, must_have: '$[*]'}", "the path has to select one value"),
            ("{family: a, value: $.x, booleans: true, times: true}", "booleans and times exclude each other"),
            ("{family: a}", "value"),
            (
                "{family: a, value: $.x, type: counter}\n          - {family: b, value: $.y}\n          - {family: a, value: $.z}",
                "made-up.yaml:10:13: parts[0].requests[0].series[2]: the family a has another type in an earlier series",
            ),
        ] {
            let problems = load(&definition(series, ""), "made-up.yaml").map(|_| ()).unwrap_err().to_string();
            assert!(problems.contains(problem) && problems.contains("made-up.yaml:"), "{series}: {problems}");
            assert!(problems.contains("made-up.yaml:8") || series.contains('\n'), "{series}: {problems}");
        }
    }

    #[test]
    fn windows_and_tickets_are_checked() {
        let ticket = "path: /t, value: $.t, cookie: C, lifetime: 2h";
        for (more, problem) in [
            ("    window: {every: hour, zone: Europe/Berlin, late: 3h}\n".to_owned(), ""),
            ("    window: {every: hour, late: 7h}\n".to_owned(), "late exceeds the limit of 6 windows"),
            ("    window: {every: week}\n".to_owned(), "unknown value week"),
            ("    credential: {ticket: {path: '/t?a={end}', value: $.t, cookie: C, lifetime: 2h}}\n".to_owned(), "{end} is not replaced"),
            ("    window: {every: day, zone: Mars}\n".to_owned(), "unknown time zone Mars"),
            (format!("    credential: {{ticket: {{{ticket}}}}}\n"), ""),
            (format!("    credential: {{ticket: {{{ticket}}}, header: X}}\n"), "header and ticket exclude each other"),
            ("    credential: {ticket: {path: t, value: $.t, cookie: C, lifetime: 2h}}\n".to_owned(), "t must begin with /"),
            ("    credential: {ticket: {path: /t, value: '$[*]', cookie: C, lifetime: 2h}}\n".to_owned(), "select one value"),
            ("    credential: {ticket: {path: /t, value: $.t, cookie: 'C D', lifetime: 2h}}\n".to_owned(), "is not the name of a header"),
        ] {
            let path = if more.contains("window:") { "'/x?from={start}'" } else { "/x" };
            let result = load(&definition("{family: a, value: 1}", &more).replace("/x", path), "made-up.yaml");
            let problems = result.err().map(|problems| problems.to_string()).unwrap_or_default();
            assert_eq!(problems.is_empty(), problem.is_empty(), "{more}: {problems}");
            assert!(problems.contains(problem), "{more}: {problems}");
        }
        let optional = "  - name: more\n    window: {every: day}\n    requests: [{path: /y}]\n";
        let text = definition("{family: a, value: 1}", "") + optional;
        let problems = load(&text, "made-up.yaml").map(|_| ()).unwrap_err().to_string();
        assert!(problems.contains("is for the first part"), "{problems}");
        for (window, path, problem) in [
            ("", "/x?d={start}", "{start} needs windows"),
            ("    window: {every: day}\n", "/x?d={start}&e={end}", ""),
            ("    window: {every: day}\n", "/x?d={foo}", "{foo} is not a placeholder"),
        ] {
            let result = load(&definition("{family: a, value: 1}", window).replace("/x", &format!("'{path}'")), "made-up.yaml");
            let problems = result.err().map(|problems| problems.to_string()).unwrap_or_default();
            assert!(problems.contains(problem) && problems.is_empty() == problem.is_empty(), "{path}: {problems}");
        }
        let text = definition("{family: a, value: 1}", "").replace("/x", "/x?d={start:%J}");
        let problems = load(&text, "made-up.yaml").map(|_| ()).unwrap_err().to_string();
        assert!(problems.contains("{start:%J} cannot be formatted"), "{problems}");
    }
}
