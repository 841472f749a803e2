//! Values of options that shells complete. They only help to type: an option may accept more, such as names from the user's own files.

use crate::config::LogLevel;
use crate::simulate::{FAULTS, System};
use crate::source::{BUILT_IN_NAMES, SOURCES, Source};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// A parser, and values that completion scripts contain.
#[derive(Clone)]
pub(super) struct Completed<P> {
    parser: P,
    values: fn() -> Vec<PossibleValue>,
}

impl<P: TypedValueParser> TypedValueParser for Completed<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.values)().into_iter()))
    }
}

/// Adds values to a parser.
pub(super) fn completed<P: TypedValueParser>(parser: P, values: fn() -> Vec<PossibleValue>) -> Completed<P> {
    Completed { parser, values }
}

/// Accepts any text. The built-in mail systems are completed.
pub(super) fn system() -> Completed<StringValueParser> {
    completed(StringValueParser::new(), || BUILT_IN_NAMES.iter().map(PossibleValue::new).collect())
}

/// Accepts any text. The simulated mail systems are completed.
pub(super) fn simulated_system() -> Completed<StringValueParser> {
    completed(StringValueParser::new(), simulated_systems)
}

/// Accepts any text. The optional parts of all built-in mail systems are completed, each with the names of its systems.
pub(super) fn part() -> Completed<StringValueParser> {
    completed(StringValueParser::new(), || {
        let mut systems: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (source, part) in SOURCES.iter().flat_map(|source| optional_parts(source).map(move |part| (source, part))) {
            systems.entry(part).or_default().push(source.name);
        }
        systems.into_iter().map(|(part, systems)| PossibleValue::new(part).help(systems.join(", "))).collect()
    })
}

fn optional_parts(source: &'static Source) -> impl Iterator<Item = &'static str> {
    source.parts.iter().skip(1).map(|part| part.name)
}

/// The simulated mail systems.
pub(super) fn simulated_systems() -> Vec<PossibleValue> {
    System::ALL.iter().map(|system| PossibleValue::new(system.name())).collect()
}

/// The faults of simulated servers.
pub(super) fn faults() -> Vec<PossibleValue> {
    FAULTS.iter().map(|fault| PossibleValue::new(fault.name).help(fault.help)).collect()
}

/// The levels of the log.
pub(super) fn levels() -> Vec<PossibleValue> {
    LogLevel::names().map(PossibleValue::new).collect()
}
