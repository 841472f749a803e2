//! The tables of keys: the values that a key accepts, and the value that applies if it is absent.

use super::text::{show_bytes, show_duration};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A key of a map in a file.
#[derive(Debug)]
pub struct Key {
    /// The name as it is written in the file.
    pub name: &'static str,
    /// The values that the key accepts.
    pub shape: Shape,
    /// The value that applies if the key is absent.
    pub default: DefaultValue,
    /// The purpose of the key, in one or two sentences.
    pub help: &'static str,
}

pub(crate) const fn key(name: &'static str, shape: Shape, default: DefaultValue, help: &'static str) -> Key {
    Key { name, shape, default, help }
}

/// The names of a table of choices.
pub(crate) fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(name, _)| *name).collect()
}

/// The default of a key that turns nothing on while it is absent.
pub(crate) const NONE: DefaultValue = DefaultValue::Description("none");

impl Key {
    /// Returns `true` if the key must be present.
    #[must_use]
    pub fn is_required(&self) -> bool {
        matches!(self.default, DefaultValue::Required)
    }

    /// Returns `true` if `defaults` may supply the key to targets: every key that a target need not set itself.
    #[must_use]
    pub fn is_inheritable(&self) -> bool {
        !matches!(self.default, DefaultValue::Required | DefaultValue::RequiredUnless(_))
    }
}

/// The values that a key accepts. In the configuration file, any single value may also be a reference such as `${env:NAME}`.
#[derive(Debug)]
pub enum Shape {
    /// Any text. Numbers and values such as `true` are kept as they are written.
    Text,
    /// Any text, which can be empty.
    AnyText,
    /// A password, a token, or the value of a header.
    Secret,
    /// Text that begins with `http://` or `https://`.
    Url,
    /// A duration such as `10s`, within these limits.
    Duration(RangeInclusive<Duration>),
    /// A size such as `64MiB` or a number of bytes, within these limits.
    Bytes(RangeInclusive<usize>),
    /// An integer within these limits.
    Integer(RangeInclusive<usize>),
    /// A finite number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these values.
    Choice(fn() -> Vec<&'static str>),
    /// The name of a mail system.
    System,
    /// A map with these keys and no others.
    Map(&'static [Key]),
    /// The map of a target. Some keys, parts and formats exist for some mail systems only.
    Target(&'static [Key]),
    /// The map of `defaults`: the keys of a target that are not required.
    Defaults(&'static [Key]),
    /// A map whose keys the user chooses.
    MapOf(&'static Shape),
    /// A map with these keys, and with others that the user chooses.
    MapAnd(&'static [Key], &'static Shape),
    /// A list whose length is within these limits.
    List(&'static Shape, RangeInclusive<usize>),
    /// Any one of these.
    Either(&'static [Shape]),
    /// `false`, which turns a section off, or `true`, which turns it on with its defaults.
    Switch,
}

impl Shape {
    /// The limits of a duration or a size as a sentence.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        match self {
            Self::Duration(range) => Some(format!("A duration from {} to {}.", show_duration(*range.start()), show_duration(*range.end()))),
            Self::Bytes(range) => Some(format!("Bytes from {} to {}.", show_bytes(*range.start()), show_bytes(*range.end()))),
            _ => None,
        }
    }
}

/// The value that applies if a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// There is none: the key must be present.
    Required,
    /// There is none: the key must be present, except in this case.
    RequiredUnless(&'static str),
    /// This duration.
    Duration(Duration),
    /// This number of bytes.
    Bytes(usize),
    /// This integer.
    Integer(usize),
    /// `true` or `false`.
    Flag(bool),
    /// This one of several values.
    Choice(&'static str),
    /// A value that depends on other settings, described by a text.
    Description(&'static str),
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("required"),
            Self::RequiredUnless(case) => write!(f, "required, unless {case}"),
            Self::Duration(duration) => f.write_str(&show_duration(*duration)),
            Self::Bytes(bytes) => f.write_str(&show_bytes(*bytes)),
            Self::Integer(integer) => integer.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Choice(text) | Self::Description(text) => f.write_str(text),
        }
    }
}
