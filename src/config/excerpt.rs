//! An excerpt of a configuration file for an error message. Values are masked, because any of them may be secret.

use super::schema::{FILE, Key, Shape};
use std::collections::HashSet;
use std::sync::LazyLock;

/// The lines before the named one that are shown: a mistake is often at the end of the line above.
const LINES_BEFORE: usize = 1;
/// The longest line that is shown, in characters.
const LINE_CHARS_MAX: usize = 100;

/// Returns the line of this number, counted from 1, and the line before it, as `NUMBER | TEXT`.
#[must_use]
pub fn excerpt(text: &str, line: usize) -> String {
    let lines = text.lines().enumerate().map(|(index, text)| (index + 1, text));
    let shown = lines.filter(|(number, _)| (line.saturating_sub(LINES_BEFORE)..=line).contains(number));
    let mark = |number: usize| if number == line { '>' } else { ' ' };
    shown.map(|(number, text)| format!("{} {number:4} | {}\n", mark(number), masked(text))).collect()
}

/// Shows tabs and other invisible characters, keeps keys and brackets, and replaces each value by `***`.
fn masked(line: &str) -> String {
    let indentation = line.len() - line.trim_start_matches(|c: char| c.is_whitespace() || c == '-').len();
    let mut shown: String = line[..indentation].chars().map(visible).collect();
    let rest = line[indentation..].trim_end();
    match rest.split_once(':') {
        Some((key, value)) => {
            shown.push_str(if is_key(key) { key } else { mask(key) });
            shown.push(':');
            // Without the space the value would belong to the key.
            let gap = value.len() - value.trim_start().len();
            shown.extend(value[..gap].chars().map(visible));
            shown.push_str(mask(value.trim_start()));
        }
        // A key whose colon is missing.
        None if is_key(rest) => shown.push_str(rest),
        None => shown.push_str(mask(rest)),
    }
    shown.chars().take(LINE_CHARS_MAX).collect()
}

/// Returns `true` if the text is the name of a key. Any other text in front of a colon may be a part of a secret.
fn is_key(text: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let mut names = HashSet::new();
        add_names(FILE, &mut names);
        names
    });
    NAMES.contains(text)
}

fn add_names(keys: &'static [Key], names: &mut HashSet<&'static str>) {
    for key in keys {
        names.insert(key.name);
        add_names_of_shape(&key.shape, names);
    }
}

fn add_names_of_shape(shape: &'static Shape, names: &mut HashSet<&'static str>) {
    match shape {
        Shape::Map(keys) | Shape::Target(keys) | Shape::Defaults(keys) => add_names(keys, names),
        Shape::MapAnd(keys, shape) => {
            add_names(keys, names);
            add_names_of_shape(shape, names);
        }
        Shape::MapOf(shape) | Shape::List(shape, _) => add_names_of_shape(shape, names),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| add_names_of_shape(shape, names)),
        _ => {}
    }
}

fn mask(value: &str) -> &str {
    let is_structure = |c: char| "[]{},|>".contains(c);
    if value.is_empty() || value.starts_with('#') {
        ""
    } else if value.chars().all(is_structure) {
        value
    } else if value.starts_with('{') {
        "{***"
    } else if value.starts_with('[') {
        "[***"
    } else {
        "***"
    }
}

fn visible(c: char) -> char {
    match c {
        '\t' => '→',
        '\u{a0}' => '·',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn keys_and_indentation_are_shown_and_values_are_not() {
        for (text, line, expected) in [
            ("targets:\n\t- {name: hunter2}\n", 2, "     1 | targets:\n>    2 | →- {***: ***\n"),
            ("name: hunter2\n  url: hunter2\n", 2, "     1 | name: ***\n>    2 |   url: ***\n"),
            ("token: |\n  keyid:hunter2\n", 2, "     1 | token: |\n>    2 |   ***:***\n"),
            ("headers:\n  x-key: hunter2\n", 2, "     1 | headers:\n>    2 |   ***: ***\n"),
            ("targets:\n  - name:hunter2\n", 2, "     1 | targets:\n>    2 |   - name:***\n"),
            ("token: \"hunter2\nhunter2\n", 2, "     1 | token: ***\n>    2 | ***\n"),
            ("token: >\n  hunter2\n", 2, "     1 | token: >\n>    2 |   ***\n"),
            ("targets\n  - x\n", 1, ">    1 | targets\n"),
            ("tls: {ca_file: hunter2\n", 1, ">    1 | tls: {***\n"),
            ("targets: [\n", 1, ">    1 | targets: [\n"),
            ("", 1, ""),
        ] {
            assert_eq!(excerpt(text, line), expected, "{text:?}");
        }
    }
}
