//! The keys of the configuration file as Markdown tables, for `docs/configuration.md`.

use crate::config::schema::{DefaultValue, Key, Shape};
use crate::config::{show_bytes, show_duration};
use crate::source::SOURCES;
use std::fmt::Write as _;

/// Renders a table for the keys at the top of a file, and one for each section below it.
pub(super) fn tables(keys: &'static [Key]) -> String {
    let mut tables = Tables { text: String::new(), sections: Vec::new() };
    tables.section("Top level", "", keys);
    tables.text
}

/// The tables that are rendered already.
struct Tables {
    text: String,
    /// The keys of each section with its path: sections with the same keys are rendered once.
    sections: Vec<(&'static [Key], String)>,
}

impl Tables {
    /// Renders a section and, after it, the sections of its keys.
    fn section(&mut self, title: &str, path: &str, keys: &'static [Key]) {
        self.sections.push((keys, path.to_owned()));
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "### {title}\n\n| key | value | default | meaning |\n|---|---|---|---|");
        for key in keys {
            let value = self.value(&key.shape, &join(path, key.name));
            let _ = writeln!(self.text, "| `{}` | {value} | {} | {} |", key.name, default(key), escape(key.help));
        }
        self.text.push('\n');
        for key in keys {
            self.sections_of(&key.shape, &join(path, key.name));
        }
    }

    fn sections_of(&mut self, shape: &'static Shape, path: &str) {
        match shape {
            Shape::Map(keys) | Shape::Target(keys) => self.section_once(path, keys),
            Shape::MapAnd(keys, _) => keys.iter().for_each(|key| self.sections_of(&key.shape, &join(path, key.name))),
            Shape::List(item, _) => self.sections_of(item, &format!("{path}[]")),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| self.sections_of(shape, path)),
            _ => {}
        }
    }

    fn section_once(&mut self, path: &str, keys: &'static [Key]) {
        if self.section_path(keys).is_none() {
            self.section(&format!("`{path}`"), path, keys);
        }
    }

    fn section_path(&self, keys: &[Key]) -> Option<&str> {
        self.sections.iter().find(|(known, _)| std::ptr::eq(*known, keys)).map(|(_, path)| path.as_str())
    }

    /// Describes the values of a shape. `path` is the path of the key.
    fn value(&self, shape: &Shape, path: &str) -> String {
        match shape {
            Shape::Text | Shape::AnyText => "text".to_owned(),
            Shape::Secret => "secret".to_owned(),
            Shape::Url => "URL".to_owned(),
            Shape::Duration(range) => format!("duration, {} to {}", show_duration(*range.start()), show_duration(*range.end())),
            Shape::Bytes(range) => format!("bytes, {} to {}", show_bytes(*range.start()), show_bytes(*range.end())),
            Shape::Integer(range) => format!("integer, {} to {}", range.start(), range.end()),
            Shape::Number => "number".to_owned(),
            Shape::Flag => "`true` or `false`".to_owned(),
            Shape::Choice(values) => values().iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
            Shape::System => {
                let names = SOURCES.iter().map(|source| format!("`{}`", source.name)).collect::<Vec<_>>().join(", ");
                format!("{names}, or a name of `systems_files`")
            }
            Shape::Map(keys) | Shape::Target(keys) => format!("map, see `{}`", self.section_path(keys).unwrap_or(path)),
            Shape::Defaults(_) => "map with keys of `targets[]`".to_owned(),
            Shape::MapOf(shape) => format!("map of {}", self.value(shape, path)),
            Shape::MapAnd(..) => "map of maps".to_owned(),
            Shape::List(item, _) => format!("list of {}", self.value(item, &format!("{path}[]"))),
            Shape::Either(shapes) => shapes.iter().map(|shape| self.value(shape, path)).collect::<Vec<_>>().join(", or "),
            Shape::Switch => "`true` or `false`".to_owned(),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn default(key: &Key) -> String {
    match key.default {
        DefaultValue::Required => "**required**".to_owned(),
        DefaultValue::RequiredUnless(case) => format!("**required**, unless {}", escape(case)),
        DefaultValue::Description(text) => escape(text),
        value => format!("`{value}`"),
    }
}

/// Escapes characters that Markdown would interpret in a table cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('_', "\\_")
}
