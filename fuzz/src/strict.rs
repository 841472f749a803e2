//! A reader of expositions that forgives nothing: what Prometheus would refuse a whole page for.

use std::collections::{HashMap, HashSet};

/// Whether a page is as its format demands; panics where it is not.
pub fn check(page: &str, openmetrics: bool) {
    let lines = match (openmetrics, page.strip_suffix("# EOF\n")) {
        (true, Some(lines)) => lines,
        (true, None) => panic!("no # EOF at the end of {page:?}"),
        (false, _) => page,
    };
    assert!(lines.is_empty() || lines.ends_with('\n'), "a page ends with a line: {page:?}");
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut series: HashSet<(&str, Vec<(&str, &str)>)> = HashSet::new();
    let mut family = ("", "");
    for line in lines.split_terminator('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            check_name(name, ":");
            check_escapes(help, openmetrics);
        } else if let Some(said) = line.strip_prefix("# TYPE ") {
            family = said.split_once(' ').expect("a type");
            check_name(family.0, ":");
            assert!(types.insert(family.0, family.1).is_none(), "TYPE twice: {line:?}");
        } else {
            let (name, mut labels) = sample(line);
            check_suffix(name, family, openmetrics, line);
            // A label of nothing is none.
            labels.retain(|(_, value)| !value.is_empty());
            assert!(series.insert((name, labels)), "a series twice: {line:?}");
        }
    }
    for (family, kind) in &types {
        for end in ends(kind, openmetrics) {
            assert!(
                end.is_empty() || !types.contains_key(&*format!("{family}{end}")),
                "{family}{end} is a line of the {kind} {family}: {page:?}"
            );
        }
    }
}

/// What the names of lines have behind their family's.
fn ends(kind: &str, openmetrics: bool) -> &'static [&'static str] {
    match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        "counter" if openmetrics => &["_total"],
        _ => &[""],
    }
}

fn check_name(name: &str, others: &str) {
    let good = |c: char| c.is_ascii_alphabetic() || c == '_' || others.contains(c);
    assert!(name.starts_with(good) && name.chars().all(|c| good(c) || c.is_ascii_digit()), "{name:?} is no name");
}

/// Backslashes stand only where they mean something.
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

fn sample(line: &str) -> (&str, Vec<(&str, &str)>) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    check_name(name, ":");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").expect("a label");
            check_name(label, "");
            assert_ne!(label, "__name__", "{line:?}");
            assert!(labels.iter().all(|(known, _)| *known != label), "{label} twice: {line:?}");
            let (value, behind) = behind.split_at(closing(behind).expect("a closing quote"));
            check_escapes(value, true);
            labels.push((label, value));
            match behind[1..].split_at_checked(1) {
                Some((",", behind)) => rest = behind,
                Some(("}", behind)) => {
                    rest = behind;
                    break;
                }
                _ => panic!("neither , nor }} behind {label}: {line:?}"),
            }
        }
    }
    let rest = rest.strip_prefix(' ').expect("a space before the value");
    let (value, timestamp) = rest.split_once(' ').unwrap_or((rest, "0"));
    assert!(timestamp.parse::<f64>().is_ok(), "{timestamp:?} is no timestamp: {line:?}");
    let number = matches!(value, "NaN" | "+Inf" | "-Inf")
        || (value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && value.parse::<f64>().is_ok());
    assert!(number, "{value:?} is no number: {line:?}");
    labels.sort_unstable();
    (name, labels)
}

fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn check_suffix(name: &str, (family, kind): (&str, &str), openmetrics: bool, line: &str) {
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("not of the family {family}: {line:?}"));
    assert!(ends(kind, openmetrics).contains(&suffix), "not of a {kind}: {line:?}");
}
