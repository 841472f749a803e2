//! A map of a file, with the table of its keys.

use super::decoder::Decoder;
use super::node::{self, Node};
use super::schema::{DefaultValue, Key, Shape};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The location of a value, for error messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Location {
    /// The path of keys, such as `targets[1].url`; a flag such as `--url`; or the name of an environment variable.
    pub path: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// The file, if it is not the one that is being decoded: `defaults` also apply to targets in `targets_files`.
    pub file: Option<Arc<str>>,
}

/// The prefix of paths that are command-line flags.
pub(crate) const COMMAND_LINE: &str = "--";

impl Location {
    /// Returns the location of a key of this map: `targets[1].url`, or `--url` on the command line.
    pub(crate) fn key(&self, key: &node::Key) -> Self {
        let path = match self.path.as_str() {
            "" => key.name.clone(),
            COMMAND_LINE => format!("{COMMAND_LINE}{}", key.name.replace('_', "-")),
            path => format!("{path}.{}", key.name),
        };
        Self { path, line: key.line, column: key.column, file: self.file.clone() }
    }

    /// Returns the location of an item of this list: `targets[1]`.
    pub(crate) fn item(&self, index: usize, node: &Node) -> Self {
        Self { path: format!("{}[{index}]", self.path), line: node.line, column: node.column, file: self.file.clone() }
    }

    /// Returns the location of an environment variable.
    pub(crate) fn variable(name: &str) -> Self {
        Self { path: name.to_owned(), ..Self::default() }
    }
}

/// A value and its location.
#[derive(Clone, Debug)]
pub(crate) struct Item<'n> {
    pub location: Location,
    pub node: &'n Node,
    /// `true` if the value comes from `defaults`, and therefore may not apply to this target.
    pub inherited: bool,
}

impl<'n> Item<'n> {
    /// The root of a document.
    pub(crate) fn root(node: &'n Node) -> Self {
        Self { location: Location { line: node.line, column: node.column, ..Location::default() }, node, inherited: false }
    }
}

/// A map whose keys are listed in a table of the schema.
///
/// The methods take the value of a key out of the map, so that [`Decoder::finish`] can report the keys that remain. A name
/// that is not in the table, or that has another shape there, is a bug and panics.
#[derive(Clone, Debug)]
pub(crate) struct Map<'n> {
    pub location: Location,
    pub(crate) keys: &'static [Key],
    pub(crate) entries: Vec<(&'n str, Item<'n>)>,
}

impl<'n> Map<'n> {
    /// A map without entries: the section is absent, and every key has its default.
    pub(crate) fn empty(keys: &'static [Key]) -> Self {
        Self { location: Location::default(), keys, entries: Vec::new() }
    }

    fn key(&self, name: &str) -> &'static Key {
        match self.keys.iter().find(|key| key.name == name) {
            Some(key) => key,
            None => unreachable!("{name} is not a key of {:?} in the schema", self.location.path),
        }
    }

    /// Takes the value of a key.
    pub(crate) fn take(&mut self, name: &str) -> Option<Item<'n>> {
        let key = self.key(name);
        let index = self.entries.iter().position(|(name, _)| *name == key.name)?;
        Some(self.entries.swap_remove(index).1)
    }

    /// Takes the value of a required key, and reports an error if it is absent.
    pub(crate) fn take_required(&mut self, decoder: &mut Decoder<'_>, name: &str) -> Option<Item<'n>> {
        let item = self.take(name);
        if item.is_none() {
            decoder.report(&self.location, format!("{name} is missing"));
        }
        item
    }

    /// Returns the entries that have not been taken yet.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&'n str, &'n Node)> {
        self.entries.iter().map(|(name, item)| (*name, item.node))
    }

    /// Returns `true` if the key has not been taken yet and does not come from `defaults`.
    pub(crate) fn has_own(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, item)| *name == key && !item.inherited)
    }

    /// Adds the inheritable keys of `defaults`, unless this map has the key itself or an alternative of it.
    pub(crate) fn inherit(&mut self, defaults: &Map<'n>, alternatives: &[&[&str]]) {
        let own: Vec<&str> = self.entries.iter().map(|(name, _)| *name).collect();
        let is_inheritable = |name: &str| self.keys.iter().any(|key| key.name == name && key.is_inheritable());
        let mut inherited = Vec::new();
        for (name, item) in defaults.entries.iter().filter(|(name, _)| is_inheritable(name)) {
            let is_own = |other: &&str| own.contains(other);
            let group = alternatives.iter().find(|group| group.contains(name));
            if !is_own(name) && !group.is_some_and(|group| group.iter().any(is_own)) {
                inherited.push((*name, Item { inherited: true, ..item.clone() }));
            }
        }
        self.entries.extend(inherited);
    }

    /// Returns the limits of a duration.
    pub(crate) fn duration_limits(&self, name: &str) -> &'static RangeInclusive<Duration> {
        let Shape::Duration(limits) = &self.key(name).shape else { mismatch(name) };
        limits
    }

    /// Takes a duration within the limits of its key.
    pub(crate) fn duration(&mut self, decoder: &mut Decoder<'_>, name: &str) -> Option<Duration> {
        let limits = self.duration_limits(name);
        let item = self.take(name)?;
        decoder.duration(&item, limits)
    }

    /// Returns the default of a duration.
    pub(crate) fn default_duration(&self, name: &str) -> Duration {
        let DefaultValue::Duration(duration) = self.key(name).default else { mismatch(name) };
        duration
    }

    /// Takes a duration, or returns its default.
    pub(crate) fn duration_or_default(&mut self, decoder: &mut Decoder<'_>, name: &str) -> Duration {
        let default = self.default_duration(name);
        self.duration(decoder, name).unwrap_or(default)
    }

    /// Takes a number of bytes within the limits of its key.
    pub(crate) fn bytes(&mut self, decoder: &mut Decoder<'_>, name: &str) -> Option<usize> {
        let Shape::Bytes(limits) = &self.key(name).shape else { mismatch(name) };
        let item = self.take(name)?;
        decoder.bytes(&item, limits)
    }

    /// Takes a number of bytes, or returns its default.
    pub(crate) fn bytes_or_default(&mut self, decoder: &mut Decoder<'_>, name: &str) -> usize {
        let DefaultValue::Bytes(default) = self.key(name).default else { mismatch(name) };
        self.bytes(decoder, name).unwrap_or(default)
    }

    /// Takes an integer within the limits of its key.
    pub(crate) fn integer(&mut self, decoder: &mut Decoder<'_>, name: &str) -> Option<usize> {
        let Shape::Integer(limits) = &self.key(name).shape else { mismatch(name) };
        let item = self.take(name)?;
        decoder.integer(&item, limits)
    }

    /// Takes an integer, or returns its default.
    pub(crate) fn integer_or_default(&mut self, decoder: &mut Decoder<'_>, name: &str) -> usize {
        let DefaultValue::Integer(default) = self.key(name).default else { mismatch(name) };
        self.integer(decoder, name).unwrap_or(default)
    }

    /// Takes `true` or `false`, or returns the default.
    pub(crate) fn flag_or_default(&mut self, decoder: &mut Decoder<'_>, name: &str) -> bool {
        let DefaultValue::Flag(default) = self.key(name).default else { mismatch(name) };
        self.take(name).and_then(|item| decoder.flag(&item)).unwrap_or(default)
    }

    /// Returns the default of a choice.
    pub(crate) fn default_choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> T {
        let DefaultValue::Choice(default) = self.key(name).default else { mismatch(name) };
        match choices.iter().find(|(name, _)| *name == default) {
            Some((_, value)) => *value,
            None => mismatch(name),
        }
    }

    /// Takes one of several values, or returns the default.
    pub(crate) fn choice_or_default<T: Copy>(&mut self, decoder: &mut Decoder<'_>, name: &str, choices: &[(&str, T)]) -> T {
        let default = self.default_choice(name, choices);
        self.take(name).and_then(|item| decoder.choice(&item, choices)).unwrap_or(default)
    }

    /// Returns the largest number of items in a list.
    pub(crate) fn items_max(&self, name: &str) -> usize {
        let Shape::List(_, length) = &self.key(name).shape else { mismatch(name) };
        *length.end()
    }
}

fn mismatch(name: &str) -> ! {
    unreachable!("{name} has another shape or default in the schema")
}
