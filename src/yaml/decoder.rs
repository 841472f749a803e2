//! Decodes the tree of a file to typed values. Every problem is collected with its location, and decoding continues.

use super::map::{COMMAND_LINE, Item, Location, Map};
use super::node::{self, Node, Value};
use super::problem::Problem;
use super::schema::Key;
use super::text::{parse_bytes, parse_duration, suggestion};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Replaces the references in a text, such as `${env:NAME}`, by their values.
pub(crate) trait References {
    /// Returns the text with the values of its references. The error does not quote the text, which may be secret.
    fn resolve(&self, text: &str) -> Result<String, String>;
}

/// The file has no references: every text is used as it is.
pub(crate) struct NoReferences;

impl References for NoReferences {
    fn resolve(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// The positions that problems have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    /// The line.
    Lines,
    /// The line and the column.
    Columns,
}

/// A decoder of a file, and the problems found so far.
pub(crate) struct Decoder<'a> {
    pub file: &'a str,
    pub references: &'a dyn References,
    pub positions: Positions,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl<'a> Decoder<'a> {
    /// Creates a decoder for a file.
    pub(crate) const fn new(file: &'a str, references: &'a dyn References, positions: Positions) -> Self {
        Self { file, references, positions, problems: Vec::new(), warnings: Vec::new() }
    }
}

impl Decoder<'_> {
    /// Adds an error.
    pub(crate) fn report(&mut self, location: &Location, message: impl Into<String>) {
        let problem = self.located(location, message.into());
        self.problems.push(problem);
    }

    /// Returns the value, or adds its error.
    pub(crate) fn ok_or_report<T>(&mut self, location: &Location, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.report(location, message)).ok()
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, location: &Location, message: impl Into<String>) {
        let warning = self.located(location, message.into());
        self.warnings.push(warning);
    }

    /// Decodes a value without reporting its problems.
    pub(crate) fn without_problems<T>(&mut self, decode: impl FnOnce(&mut Self) -> T) -> T {
        let (problems, warnings) = (self.problems.len(), self.warnings.len());
        let value = decode(self);
        self.problems.truncate(problems);
        self.warnings.truncate(warnings);
        value
    }

    fn located(&self, location: &Location, message: String) -> Problem {
        let column = location.column.filter(|_| self.positions == Positions::Columns);
        Problem { file: self.file_of(location).to_owned(), line: location.line, column, path: location.path.clone(), message }
    }

    /// Returns the location of a value: with columns, the position of a single value itself; otherwise, the position of its key.
    pub(crate) fn value_location(&self, item: &Item<'_>) -> Location {
        match (self.positions, &item.node.value) {
            (Positions::Columns, Value::Scalar(_)) if item.node.line.is_some() => {
                Location { line: item.node.line, column: item.node.column, ..item.location.clone() }
            }
            _ => item.location.clone(),
        }
    }

    /// Adds an error about a value.
    pub(crate) fn report_value(&mut self, item: &Item<'_>, message: impl Into<String>) {
        let location = self.value_location(item);
        self.report(&location, message);
    }

    /// Returns the value, or adds the error about it.
    pub(crate) fn ok_or_report_value<T>(&mut self, item: &Item<'_>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.report_value(item, message)).ok()
    }

    /// Returns the file of a location.
    pub(crate) fn file_of<'l>(&'l self, location: &'l Location) -> &'l str {
        // Flags and environment variables are not in the file.
        let is_outside = location.path.starts_with(COMMAND_LINE) || location.path.starts_with("OTEL_");
        if is_outside { "" } else { location.file.as_deref().unwrap_or(self.file) }
    }

    /// Decodes a map with these keys. An empty value is an empty map.
    pub(crate) fn map<'n>(&mut self, item: &Item<'n>, keys: &'static [Key]) -> Option<Map<'n>> {
        if let Value::Scalar(_) | Value::List(_) = item.node.value {
            return self.report_map_form(item, keys);
        }
        Some(Map { location: item.location.clone(), keys, entries: self.entries(item)? })
    }

    /// Reports a value that should be a map, with the form to write.
    fn report_map_form<T>(&mut self, item: &Item<'_>, keys: &'static [Key]) -> Option<T> {
        let path = &item.location.path;
        let name = path.rsplit('.').next().unwrap_or(path);
        let required: Vec<&Key> = keys.iter().filter(|key| !key.is_inheritable()).collect();
        let shown = if required.is_empty() { keys.iter().take(1).collect() } else { required };
        let shown: Vec<String> = shown.iter().map(|key| format!("{}: ...", key.name)).collect();
        let found = if matches!(item.node.value, Value::List(_)) { "a list" } else { "a single value" };
        let form = match name {
            "" | COMMAND_LINE => format!("{{{}}}", shown.join(", ")),
            name if name.ends_with(']') => format!("- {{{}}}", shown.join(", ")),
            name => format!("{name}: {{{}}}", shown.join(", ")),
        };
        self.report(&item.location, format!("expected a map, found {found}; write {form}"));
        None
    }

    /// Decodes a map with these keys. An absent value, an empty value and one that is not a map give an empty map.
    pub(crate) fn map_or_empty<'n>(&mut self, item: Option<&Item<'n>>, keys: &'static [Key]) -> Map<'n> {
        item.and_then(|item| self.map(item, keys)).unwrap_or_else(|| Map::empty(keys))
    }

    /// Decodes a map whose keys the user chooses, in the order of the file. An empty value is an empty map.
    pub(crate) fn user_map<'n>(&mut self, item: &Item<'n>) -> Vec<(&'n str, Item<'n>)> {
        let mut entries = self.entries(item).unwrap_or_default();
        entries.sort_by_key(|(_, item)| item.location.line);
        entries
    }

    /// Decodes a map whose keys the user chooses, or a list of keys without values: `[a, b]` is `{a: {}, b: {}}`.
    pub(crate) fn names_or_map<'n>(&mut self, item: &Item<'n>) -> Vec<(&'n str, Item<'n>)> {
        if !matches!(item.node.value, Value::List(_)) {
            return self.user_map(item);
        }
        let mut entries: Vec<(&'n str, Item<'n>)> = Vec::new();
        for name_item in self.list(item).unwrap_or_default() {
            let Some(name) = self.raw_text(&name_item) else { continue };
            if entries.iter().any(|(other, _)| *other == name) {
                self.report(&name_item.location, format!("duplicate name {name}"));
                continue;
            }
            let Location { line, column, .. } = name_item.location;
            let location = item.location.key(&node::Key { line, column, name: name.to_owned() });
            entries.push((name, Item { location, node: &EMPTY, inherited: item.inherited }));
        }
        entries
    }

    fn entries<'n>(&mut self, item: &Item<'n>) -> Option<Vec<(&'n str, Item<'n>)>> {
        let entries = match &item.node.value {
            Value::Nothing => &[][..],
            Value::Map(entries) => entries,
            other => return self.report_kind(&item.location, "a map", other),
        };
        let child = |(key, node): &'n (node::Key, Node)| {
            (key.name.as_str(), Item { location: item.location.key(key), node, inherited: item.inherited })
        };
        Some(entries.iter().map(child).collect())
    }

    /// Decodes a list. An empty value is an empty list.
    pub(crate) fn list<'n>(&mut self, item: &Item<'n>) -> Option<Vec<Item<'n>>> {
        let nodes = match &item.node.value {
            Value::Nothing => &[][..],
            Value::List(nodes) => nodes,
            other => return self.report_kind(&item.location, "a list", other),
        };
        let child = |(index, node): (usize, &'n Node)| Item { location: item.location.item(index, node), node, inherited: item.inherited };
        Some(nodes.iter().enumerate().map(child).collect())
    }

    /// Decodes a list of at most `max` items; a longer list is an error and gives no items.
    pub(crate) fn bounded_list<'n>(&mut self, item: &Item<'n>, max: usize) -> Vec<Item<'n>> {
        let items = self.list(item).unwrap_or_default();
        if items.len() > max {
            self.report(&item.location, format!("{} items exceed the limit of {max}", items.len()));
            return Vec::new();
        }
        items
    }

    /// Decodes a list of at least one and at most `max` items. `name` is what the items are, for the error.
    pub(crate) fn non_empty_list<'n>(&mut self, item: &Item<'n>, max: usize, name: &str) -> Vec<Item<'n>> {
        let problems = self.problems.len();
        let items = self.bounded_list(item, max);
        if items.is_empty() && self.problems.len() == problems {
            self.report(&item.location, format!("the list has no {name}"));
        }
        items
    }

    /// Reports the keys that were not taken.
    pub(crate) fn finish(&mut self, map: Map<'_>) {
        let names: Vec<&str> = map.keys.iter().map(|key| key.name).collect();
        for (name, item) in map.entries {
            self.report_unknown_key(name, &item.location, &names);
        }
    }

    /// Reports a key that is not one of these.
    pub(crate) fn report_unknown_key(&mut self, name: &str, location: &Location, known: &[&str]) {
        self.report(location, format!("unknown key; {}", suggestion(name, known)));
    }

    fn report_kind<T>(&mut self, location: &Location, expected: &str, found: &Value) -> Option<T> {
        let found = match found {
            Value::Nothing => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        let name = location.path.rsplit('.').next().unwrap_or_default();
        let advice = match expected {
            "a list" => "; write a dash before each item".to_owned(),
            "a map" if !name.is_empty() => format!("; write {name}: {{NAME: value}}"),
            _ => String::new(),
        };
        self.report(location, format!("expected {expected}, found {found}{advice}"));
        None
    }

    /// Decodes a single value without resolving its references.
    pub(crate) fn raw_text<'n>(&mut self, item: &Item<'n>) -> Option<&'n str> {
        match &item.node.value {
            Value::Scalar(text) if text.starts_with(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) => {
                self.report(&item.location, "begins with a typographic quote; use straight quotes, as in \"value\"");
                None
            }
            Value::Scalar(text) => Some(text),
            other => self.report_kind(&item.location, "a string", other),
        }
    }

    /// Decodes a string and resolves its references.
    pub(crate) fn text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = self.references.resolve(self.raw_text(item)?);
        self.ok_or_report_value(item, text)
    }

    /// Decodes a string that is not blank.
    pub(crate) fn non_empty_text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = self.text(item)?;
        if text.trim().is_empty() {
            self.report_value(item, "is empty");
            return None;
        }
        Some(text)
    }

    /// Decodes the path of a file or a directory.
    pub(crate) fn path_text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = self.non_empty_text(item)?;
        if text == "~" || text.starts_with("~/") {
            self.report_value(item, "a ~ is not replaced by the home directory; write the whole path");
            return None;
        }
        Some(text)
    }

    /// Decodes a duration.
    pub(crate) fn duration(&mut self, item: &Item<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.non_empty_text(item)?;
        self.ok_or_report_value(item, parse_duration(&text, range))
    }

    /// Decodes an integer.
    pub(crate) fn integer(&mut self, item: &Item<'_>, range: &RangeInclusive<usize>) -> Option<usize> {
        let text = self.non_empty_text(item)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        let message = || format!("{text} is not an integer from {} to {}", range.start(), range.end());
        self.ok_or_report_value(item, number.ok_or_else(message))
    }

    /// Decodes a number of bytes.
    pub(crate) fn bytes(&mut self, item: &Item<'_>, range: &RangeInclusive<usize>) -> Option<usize> {
        let text = self.non_empty_text(item)?;
        self.ok_or_report_value(item, parse_bytes(&text, range))
    }

    /// Decodes `true` or `false`.
    pub(crate) fn flag(&mut self, item: &Item<'_>) -> Option<bool> {
        self.choice(item, &[("true", true), ("false", false)])
    }

    /// Decodes one of several values.
    pub(crate) fn choice<T: Copy>(&mut self, item: &Item<'_>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.non_empty_text(item)?;
        self.ok_or_report_value(item, find_choice(&text, choices))
    }

    /// Returns `true` if a section is enabled: `false` disables it, any map enables it, and `default` applies if it is absent.
    pub(crate) fn is_enabled(&mut self, item: Option<&Item<'_>>, default: bool) -> bool {
        match item {
            None => default,
            Some(Item { node, .. }) if matches!(&node.value, Value::Scalar(text) if text == "false") => false,
            Some(item) if is_true(item) => true,
            Some(item @ Item { node: Node { value: Value::Scalar(_), .. }, .. }) => {
                self.report(&item.location, "expected true, false or a map, found another value; write true for the defaults");
                false
            }
            Some(item) => self.entries(item).is_some(),
        }
    }
}

/// The value of a name in a list that stands for a map.
static EMPTY: Node = Node { line: None, column: None, value: Value::Nothing };

/// Returns `true` if a section is only enabled: `otlp: true`.
pub(crate) fn is_true(item: &Item<'_>) -> bool {
    matches!(&item.node.value, Value::Scalar(text) if text == "true")
}

/// Finds the value of a word.
pub(crate) fn find_choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| format!("unknown value {text}; {}", suggestion(text, &names)))
}
