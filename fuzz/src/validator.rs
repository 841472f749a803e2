//! A strict validator of expositions: it fails for everything that makes Prometheus reject a page.

use std::collections::{HashMap, HashSet};

/// Panics if a page is not valid in its format.
pub fn check(page: &str, openmetrics: bool) {
    let lines = match (openmetrics, page.strip_suffix("# EOF\n")) {
        (true, Some(lines)) => lines,
        (true, None) => panic!("missing # EOF at the end of {page:?}"),
        (false, _) => page,
    };
    assert!(lines.is_empty() || lines.ends_with('\n'), "the last line has no end: {page:?}");
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut series: HashSet<(&str, Vec<(&str, &str)>)> = HashSet::new();
    let mut family = ("", "");
    for line in lines.split_terminator('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            check_name(name, ":");
            check_escapes(help, openmetrics);
        } else if let Some(declaration) = line.strip_prefix("# TYPE ") {
            family = declaration.split_once(' ').expect("a type");
            check_name(family.0, ":");
            assert!(types.insert(family.0, family.1).is_none(), "duplicate TYPE: {line:?}");
        } else {
            let (name, mut labels) = sample(line);
            check_suffix(name, family, openmetrics, line);
            // An empty label is the same as a missing one.
            labels.retain(|(_, value)| !value.is_empty());
            assert!(series.insert((name, labels)), "duplicate series: {line:?}");
        }
    }
    for (family, kind) in &types {
        for suffix in suffixes(kind, openmetrics) {
            assert!(
                suffix.is_empty() || !types.contains_key(&*format!("{family}{suffix}")),
                "{family}{suffix} belongs to the {kind} {family}: {page:?}"
            );
        }
    }
}

/// The suffixes of the names of samples.
fn suffixes(kind: &str, openmetrics: bool) -> &'static [&'static str] {
    match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        "counter" if openmetrics => &["_total"],
        "info" if openmetrics => &["_info"],
        _ => &[""],
    }
}

/// `others` are characters that are also valid.
fn check_name(name: &str, others: &str) {
    let good = |c: char| c.is_ascii_alphabetic() || c == '_' || others.contains(c);
    assert!(name.starts_with(good) && name.chars().all(|c| good(c) || c.is_ascii_digit()), "{name:?} is not a valid name");
}

/// Checks that backslashes occur only in escape sequences.
fn check_escapes(text: &str, quotes: bool) {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        assert!(c != '"' || !quotes, "a bare quote in {text:?}");
        if c == '\\' {
            let next = chars.next();
            assert!(matches!(next, Some('\\' | 'n')) || (quotes && next == Some('"')), "a bare backslash in {text:?}");
        }
    }
}

/// The name and the labels of a sample line.
fn sample(line: &str) -> (&str, Vec<(&str, &str)>) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    check_name(name, ":");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            check_name(label, "");
            assert_ne!(label, "__name__", "{line:?}");
            assert!(labels.iter().all(|(known, _)| *known != label), "duplicate label {label}: {line:?}");
            let (value, after) = after.split_at(closing(after).expect("a closing quote"));
            check_escapes(value, true);
            labels.push((label, value));
            match after[1..].split_at_checked(1) {
                Some((",", after)) => rest = after,
                Some(("}", after)) => {
                    rest = after;
                    break;
                }
                _ => panic!("neither , nor }} after {label}: {line:?}"),
            }
        }
    }
    let rest = rest.strip_prefix(' ').expect("a space before the value");
    let (value, timestamp) = rest.split_once(' ').unwrap_or((rest, "0"));
    assert!(timestamp.parse::<f64>().is_ok(), "{timestamp:?} is not a valid timestamp: {line:?}");
    let number = matches!(value, "NaN" | "+Inf" | "-Inf")
        || (value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && value.parse::<f64>().is_ok());
    assert!(number, "{value:?} is not a valid number: {line:?}");
    labels.sort_unstable();
    (name, labels)
}

/// The position of the closing quote.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn check_suffix(name: &str, (family, kind): (&str, &str), openmetrics: bool, line: &str) {
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("the sample is not of the family {family}: {line:?}"));
    assert!(suffixes(kind, openmetrics).contains(&suffix), "the suffix is not one of a {kind}: {line:?}");
}
