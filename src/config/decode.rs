//! From the tree to typed values: every problem is noted with its place, and decoding goes on.

use super::template::Template;
use super::yaml::{Key, Node, Value};
use super::{Environment, Origin, Problem, Secret, SecretError};
use crate::source::Source;
use jiff::SignedDuration;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What decoding depends on, and what it has found.
pub(super) struct Decoder<'a> {
    pub file: &'a str,
    pub environment: &'a Environment,
    pub systems: &'a [&'static Source],
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The file names a directory for state.
    pub has_state_dir: bool,
    /// The file says where metrics are pushed, and not where logs belong.
    pub logs_have_no_url: bool,
}

/// Where a value stands.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyPath {
    pub path: String,
    pub line: Option<usize>,
    /// The file, where it is not the one that is decoded: defaults stand elsewhere than targets of `targets_files`.
    pub file: Option<Arc<str>>,
}

/// What a path on the command line begins with.
pub(super) const COMMAND_LINE: &str = "--";

impl KeyPath {
    /// The place of a key below this one: `targets[1].url`, or `--url` on the command line.
    fn key(&self, key: &str, line: Option<usize>) -> Self {
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            COMMAND_LINE => format!("{COMMAND_LINE}{}", key.replace('_', "-")),
            path => format!("{path}.{key}"),
        };
        Self { path, line, file: self.file.clone() }
    }

    /// The place of an OTEL_ variable.
    pub(super) fn variable(name: &str) -> Self {
        Self { path: name.to_owned(), line: None, file: None }
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Item<'n> {
    pub place: KeyPath,
    pub node: &'n Node,
    /// Whether it comes from `defaults`, and so may not apply here.
    pub inherited: bool,
}

impl<'n> Item<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { place: KeyPath { path: String::new(), line: node.line, file: None }, node, inherited: false }
    }
}

/// A map whose keys are taken one by one; those that nobody takes are unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct Map<'n> {
    pub place: KeyPath,
    entries: Vec<(&'n str, Item<'n>)>,
    known: Vec<&'static str>,
}

impl<'n> Map<'n> {
    /// The value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'n>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// All keys that are still there, with what they were given.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'n str, &'n Node)> {
        self.entries.iter().map(|(name, item)| (*name, item.node))
    }

    /// Whether the key is still there and not from `defaults`.
    pub(super) fn has_own(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, item)| *name == key && !item.inherited)
    }

    /// Takes over the keys of `defaults` that are not here, nor one of their alternatives.
    pub(super) fn inherit(&mut self, defaults: &Map<'n>, keys: &[&str], alternatives: &[&[&str]]) {
        let own: Vec<&str> = self.entries.iter().map(|(name, _)| *name).collect();
        for (name, item) in defaults.entries.iter().filter(|(name, _)| keys.contains(name)) {
            let hidden = |other: &&str| own.contains(other);
            let group = alternatives.iter().find(|group| group.contains(name));
            if !hidden(name) && !group.is_some_and(|group| group.iter().any(hidden)) {
                self.entries.push((name, Item { inherited: true, ..item.clone() }));
            }
        }
    }

    /// What is left, in the order of the file: for maps whose keys are the user's.
    pub(super) fn rest(mut self) -> Vec<(&'n str, Item<'n>)> {
        self.entries.sort_by_key(|(_, item)| item.place.line);
        self.entries
    }
}

/// The closest of the words that a person may have meant.
pub(super) fn closest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let mistakes_max = (word.chars().count() / 3).max(1);
    let near = words.into_iter().map(|other| (strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase()), other));
    near.filter(|(distance, _)| *distance <= mistakes_max).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// `did you mean x?`, or else all there are.
pub(super) fn instead(word: &str, words: &[&str]) -> String {
    match closest(word, words.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", words.join(", ")),
    }
}

/// `1m30s`
pub(super) fn show(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}").replace(' ', ""))
}

/// The units of bytes, largest first.
const UNITS: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// `64MiB`, as the file has it.
#[must_use]
pub fn show_bytes(bytes: usize) -> String {
    let whole = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// `10s`, `1m30s`, `500ms`.
pub(super) fn parse_duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text} has no unit; write {text}s for seconds"));
    }
    let duration = text.parse::<SignedDuration>().map_err(|_| format!("{text:?} is no duration; write it as 10s, 1m30s or 500ms"))?;
    // One below zero is in no range.
    in_range(Duration::try_from(duration).unwrap_or(Duration::MAX), range).map_err(|limits| format!("{text} is not {limits}"))
}

/// The duration, or the limits that it is not within.
pub(super) fn in_range(duration: Duration, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if range.contains(&duration) { Ok(duration) } else { Err(format!("from {} to {}", show(*range.start()), show(*range.end()))) }
}

impl<'a> Decoder<'a> {
    /// Of a file in which nothing has been found yet.
    pub(super) const fn new(file: &'a str, environment: &'a Environment, systems: &'a [&'static Source]) -> Self {
        Self { file, environment, systems, problems: Vec::new(), warnings: Vec::new(), has_state_dir: false, logs_have_no_url: false }
    }
}

impl Decoder<'_> {
    pub(super) fn problem(&mut self, place: &KeyPath, message: impl Into<String>) {
        let problem = self.at(place, message.into());
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, place: &KeyPath, message: impl Into<String>) {
        let warning = self.at(place, message.into());
        self.warnings.push(warning);
    }

    fn at(&self, place: &KeyPath, message: String) -> Problem {
        let Origin { file, line } = self.origin(place);
        Problem { file, line, path: place.path.clone(), message }
    }

    /// The file and line of a place.
    pub(super) fn origin(&self, place: &KeyPath) -> Origin {
        // Neither a flag nor a variable is in the file.
        let outside = place.path.starts_with(COMMAND_LINE) || place.path.starts_with("OTEL_");
        let file = if outside { "" } else { place.file.as_deref().unwrap_or(self.file) };
        Origin { file: file.to_owned(), line: place.line }
    }

    /// A map; nothing is an empty one.
    pub(super) fn map<'n>(&mut self, item: &Item<'n>) -> Option<Map<'n>> {
        let entries = match &item.node.value {
            Value::Nothing => &[][..],
            Value::Map(entries) => entries,
            other => return self.not(&item.place, "a map", other),
        };
        let below = |(key, node): &'n (Key, Node)| {
            (key.name.as_str(), Item { place: item.place.key(&key.name, key.line), node, inherited: item.inherited })
        };
        Some(Map { place: item.place.clone(), entries: entries.iter().map(below).collect(), known: Vec::new() })
    }

    /// A list; nothing is an empty one.
    pub(super) fn list<'n>(&mut self, item: &Item<'n>) -> Option<Vec<Item<'n>>> {
        let nodes = match &item.node.value {
            Value::Nothing => &[][..],
            Value::List(nodes) => nodes,
            other => return self.not(&item.place, "a list", other),
        };
        let below = |(i, node): (usize, &'n Node)| {
            let place = KeyPath { path: format!("{}[{i}]", item.place.path), line: node.line, file: item.place.file.clone() };
            Item { place, node, inherited: item.inherited }
        };
        Some(nodes.iter().enumerate().map(below).collect())
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(&mut self, map: Map<'_>) {
        let known = map.known.clone();
        for (name, item) in map.rest() {
            self.unknown_key(name, &item.place, &known);
        }
    }

    /// Reports a key that is not one of these.
    pub(super) fn unknown_key(&mut self, name: &str, place: &KeyPath, known: &[&str]) {
        self.problem(place, format!("unknown key; {}", instead(name, known)));
    }

    fn not<T>(&mut self, place: &KeyPath, expected: &str, found: &Value) -> Option<T> {
        let found = match found {
            Value::Nothing => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        self.problem(place, format!("expected {expected}, found {found}"));
        None
    }

    /// A single value as it is written.
    fn written<'n>(&mut self, item: &Item<'n>) -> Option<&'n str> {
        match &item.node.value {
            Value::Scalar(text) => Some(text),
            other => self.not(&item.place, "a string", other),
        }
    }

    /// A string, with its references filled in.
    pub(super) fn text(&mut self, item: &Item<'_>) -> Option<String> {
        let template = Template::parse(self.written(item)?);
        match template.map(|template| template.fill(self.environment).map_err(|error| error.to_string())) {
            Ok(Ok(text)) => Some(text),
            Ok(Err(error)) | Err(error) => {
                self.problem(&item.place, error);
                None
            }
        }
    }

    /// A string that says something.
    pub(super) fn word(&mut self, item: &Item<'_>) -> Option<String> {
        let text = self.text(item)?;
        if text.trim().is_empty() {
            self.problem(&item.place, "is empty");
            return None;
        }
        Some(text)
    }

    /// A secret and its value now. One that cannot be read is a problem, and there all the same: that its key was named counts.
    pub(super) fn secret(&mut self, item: &Item<'_>, is_path: bool) -> (Secret, Option<String>) {
        let template = match is_path {
            true => self.word(item).map(Template::file),
            false => self.written(item).and_then(|text| self.noted(&item.place, Template::parse(text))),
        };
        let Some(template) = template else { return (Secret::plain(""), None) };
        let secret = Secret::new(template, self.environment);
        let value = secret.read().map_err(|error| match error {
            SecretError::Empty => "the secret is empty".to_owned(),
            error => error.to_string(),
        });
        let value = self.noted(&item.place, value);
        (secret, value)
    }

    pub(super) fn duration(&mut self, item: &Item<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.word(item)?;
        self.noted(&item.place, parse_duration(&text, range))
    }

    /// The value, or its problem noted.
    pub(super) fn noted<T>(&mut self, place: &KeyPath, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(place, message)).ok()
    }

    pub(super) fn integer(&mut self, item: &Item<'_>, range: &RangeInclusive<usize>) -> Option<usize> {
        let text = self.word(item)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        let message = || format!("{text} is not a whole number from {} to {}", range.start(), range.end());
        self.noted(&item.place, number.ok_or_else(message))
    }

    /// `1048576`, `1024KiB`, `1MiB`.
    pub(super) fn bytes(&mut self, item: &Item<'_>, range: &RangeInclusive<usize>) -> Option<usize> {
        let text = self.word(item)?;
        let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((&text, 1));
        let bytes = number.trim().parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
        let message = || format!("{text} is not a number of bytes from {} to {}", show_bytes(*range.start()), show_bytes(*range.end()));
        self.noted(&item.place, bytes.filter(|bytes| range.contains(bytes)).ok_or_else(message))
    }

    pub(super) fn flag(&mut self, item: &Item<'_>) -> Option<bool> {
        self.choice(item, &[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, item: &Item<'_>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.word(item)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.noted(&item.place, found.ok_or_else(|| format!("unknown value {text}; {}", instead(&text, &names))))
    }
}
